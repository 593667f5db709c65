-- Talking back to an Alertmanager: silences that people ask for, alerts nobody spoke of for long, and the sign of life
-- that Muster itself sends.

alter table sources
    -- Name of the target that is asked about its alerts and silences; none when nobody can be asked.
    add column alertmanager text check (alertmanager is null or (format = 'alertmanager' and alertmanager <> ''));

alter table episodes
    -- When it was found that nobody had spoken of it for too long. A word that is newer makes it count no more, so that
    -- a delivery has nothing to write here.
    add column stale_since timestamptz,
    -- When Alertmanager or a person last said, beside the deliveries, that it still fires.
    add column vouched_at timestamptz,
    -- When it may be asked about again.
    add column ask_due timestamptz;

alter table incidents
    -- When Alertmanager may be asked again about what the sender left out of its list.
    add column ask_due timestamptz;

-- Silences that people asked for. A row is what is wanted; a worker carries it out, sure to make one and not two, since
-- the key stands in the silence's comment and is looked for first.
create table silences (
    id bigint generated always as identity primary key,
    incident_id bigint not null references incidents,
    target text not null check (target <> ''),
    -- One line in Alertmanager's syntax.
    matchers text not null check (matchers <> ''),
    comment text not null,
    key text not null unique check (key <> ''),
    state text not null check (state in ('asked', 'holds', 'failed', 'ending', 'over')),
    asked_at timestamptz not null,
    asked_by bigint not null references operators,
    until timestamptz not null,
    -- What Alertmanager calls it.
    remote_id text,
    -- The next try, or when its time is over.
    due timestamptz,
    tries integer not null default 0,
    -- Why the last try came to nothing, and why it failed or could not be ended.
    problem text not null default '',
    end_asked_by bigint references operators,
    ended_at timestamptz,
    check (asked_at < until),
    check ((state in ('asked', 'holds', 'ending')) = (due is not null)),
    check ((state in ('failed', 'over')) = (ended_at is not null))
);
create index silences_incident on silences (incident_id, id desc);
create index silences_due on silences (due) where due is not null;

-- What each process that sends a sign of life found when it last did.
create table own_heartbeats (
    replica_id bigint primary key references replicas on delete cascade,
    -- When it last wrote this: the database takes writes from it.
    written_at timestamptz not null,
    sent_at timestamptz,
    failed_at timestamptz,
    problem text not null default ''
);
