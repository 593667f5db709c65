-- Who may sign in, and who may send.

create table operators (
    id bigint generated always as identity primary key,
    name text not null unique check (name <> '' and length(name) <= 100),
    -- An argon2id hash in PHC form.
    password_hash text not null,
    role text not null check (role in ('viewer', 'responder', 'approver', 'admin')),
    created_at timestamptz not null,
    disabled_at timestamptz
);

-- A session is found by the SHA-256 of its token, so a copy of this table opens nothing.
create table sessions (
    token_hash bytea primary key check (length(token_hash) = 32),
    operator_id bigint not null references operators,
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    expires_at timestamptz not null
);
create index sessions_expires_at on sessions (expires_at);

-- Links and codes that work once: the set-up code of a first run, the link a demo prints.
create table one_time_codes (
    code_hash bytea primary key check (length(code_hash) = 32),
    -- Null for the set-up code, which makes the first operator.
    operator_id bigint references operators,
    expires_at timestamptz not null,
    used_at timestamptz
);
-- At most one set-up code is good at a time, however many replicas start at once.
create unique index one_time_codes_setup on one_time_codes ((true)) where operator_id is null and used_at is null;

-- One row: what this installation is. The id is part of every idempotency key.
create table installation (
    one_row boolean primary key default true check (one_row),
    id uuid not null
);
insert into installation (id) values (gen_random_uuid());

-- Forms carry an operation id; a second tap finds it here and changes nothing.
create table operations (
    id uuid primary key,
    operator_id bigint not null references operators,
    at timestamptz not null
);
create index operations_at on operations (at);

create table sources (
    id bigint generated always as identity primary key,
    name text not null unique check (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    -- Set for a heartbeat source: its firing bodies open nothing; silence for this long does.
    heartbeat_within_ms bigint check (heartbeat_within_ms > 0),
    created_at timestamptz not null
);

create table source_tokens (
    id bigint generated always as identity primary key,
    source_id bigint not null references sources,
    token_hash bytea not null unique check (length(token_hash) = 32),
    created_at timestamptz not null,
    revoked_at timestamptz
);

-- Every webhook body as it came, and what became of it. Kept for a bounded time.
create table deliveries (
    id bigint generated always as identity primary key,
    source_id bigint references sources,
    received_at timestamptz not null,
    remote text not null,
    user_agent text not null,
    -- Bytes, not text: a body may hold what text refuses. Empty for one refused before it was read.
    body bytea not null,
    outcome text not null check (outcome in ('applied', 'rejected')),
    -- Why it was rejected and where in the body; empty when applied.
    reason text not null,
    alerts integer not null,
    -- A refusal repeated within the same minute is counted, not stored again: strangers cannot fill the table.
    repeats integer not null default 1,
    refused_minute timestamptz
);
create index deliveries_received_at on deliveries (received_at desc, id desc);
create unique index deliveries_refused on deliveries (coalesce(source_id, 0), reason, refused_minute)
    where refused_minute is not null;
