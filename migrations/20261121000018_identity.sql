-- How people prove who they are, and what they are let in by.

alter table operators
    -- Counts what ends every session of a person at once: a new password, another role, being disabled. A session
    -- stands only while it carries the same number.
    add column auth_epoch bigint not null default 1,
    -- What authenticators keep instead of a name; made with the first passkey.
    add column passkey_handle bytea unique check (length(passkey_handle) = 64),
    -- Null for somebody who never chose a password: invited and not here yet, or signed in by a provider.
    alter column password_hash drop not null;

-- What a person is shown of their sessions. Those that stand already keep standing.
alter table sessions
    add column id bigint generated always as identity unique,
    add column auth_epoch bigint not null default 1,
    add column way text not null default 'password'
        check (way in ('password', 'passkey', 'provider', 'recovery_code', 'link', 'set_up')),
    -- The issuer, when a provider vouched.
    add column provider text,
    add column address text not null default '',
    add column user_agent text not null default '' check (length(user_agent) <= 300),
    add check ((provider is not null) = (way = 'provider'));
alter table sessions
    alter column auth_epoch drop default,
    alter column way drop default,
    alter column address drop default,
    alter column user_agent drop default;
create index sessions_operator on sessions (operator_id);

-- An invitation is a one-time code as well; who follows it chooses a password, and only then is in.
alter table one_time_codes
    add column chooses_password boolean not null default false,
    add check (operator_id is not null or not chooses_password);
create index one_time_codes_operator on one_time_codes (operator_id) where used_at is null;

-- Tries at guessing, counted by the SHA-256 of what they were made for or from: what is typed as a name may be a
-- password. They outlive a restart, and every replica counts the same ones.
create table tries (
    key bytea primary key check (length(key) = 32),
    count integer not null check (count >= 0),
    last_at timestamptz not null,
    -- The next try is looked at from then on.
    wait_until timestamptz not null
);
create index tries_last_at on tries (last_at);

create table passkeys (
    id bigint generated always as identity primary key,
    operator_id bigint not null references operators,
    credential_id bytea not null unique check (length(credential_id) between 16 and 1023),
    name text not null check (name <> '' and length(name) <= 60),
    -- The public key with what never changes, and the counter with what does, as the library writes them.
    static_state bytea not null,
    dynamic_state bytea not null,
    created_at timestamptz not null,
    last_used_at timestamptz
);
create index passkeys_operator on passkeys (operator_id);

-- What an authenticator is asked to sign, once and within minutes.
create table passkey_challenges (
    challenge bytea primary key check (length(challenge) = 16),
    -- Who adds a passkey; null for a sign-in.
    operator_id bigint references operators,
    state bytea not null,
    expires_at timestamptz not null
);
create index passkey_challenges_expires_at on passkey_challenges (expires_at);

-- Who a provider's subject is here. Nothing else joins the two: an address of mail can pass to another person.
create table identities (
    issuer text not null,
    subject text not null,
    operator_id bigint not null references operators,
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    primary key (issuer, subject)
);
create index identities_operator on identities (operator_id);

-- Ways back from a provider that were taken, until they would be too old anyway.
create table taken_returns (
    state_hash bytea primary key check (length(state_hash) = 32),
    expires_at timestamptz not null
);
create index taken_returns_expires_at on taken_returns (expires_at);

-- 80 random bits each, so a plain hash is enough.
create table recovery_codes (
    operator_id bigint not null references operators,
    code_hash bytea not null check (length(code_hash) = 32),
    made_at timestamptz not null,
    used_at timestamptz,
    used_from text,
    primary key (operator_id, code_hash),
    check ((used_at is null) = (used_from is null))
);

-- The kinds of acts are the program's own list; here only their form is held, so that each part that adds kinds need
-- not repeat those of all others.
alter table standing_acts
    drop constraint standing_acts_act_check,
    add constraint standing_acts_act_check check (act ~ '^[a-z_]{1,60}$');
