-- Runbooks and their immutable versions.

create table runbooks (
    id bigint generated always as identity primary key,
    slug text not null unique,
    -- The version that matching uses; null when its file is gone.
    current_version_id bigint
);

create table runbook_versions (
    id bigint generated always as identity primary key,
    runbook_id bigint not null references runbooks,
    number integer not null check (number > 0),
    -- SHA-256 of the source: the same content is the same version.
    digest bytea not null check (length(digest) = 32),
    source text not null,
    -- The parsed form, which runs are pinned to.
    definition jsonb not null,
    origin text not null,
    created_at timestamptz not null,
    unique (runbook_id, number),
    unique (runbook_id, digest)
);
alter table runbooks add foreign key (current_version_id) references runbook_versions;
create trigger runbook_versions_immutable before update or delete on runbook_versions
    for each row execute function refuse_change();

-- Why a runbook was offered for an incident, matcher by matcher.
create table matches (
    incident_id bigint not null references incidents,
    version_id bigint not null references runbook_versions,
    alert_id bigint not null references alerts,
    report jsonb not null,
    at timestamptz not null,
    primary key (incident_id, version_id)
);

-- One row per process start; the lease is renewed while the process lives. Never reused, never configured.
create table replicas (
    id bigint generated always as identity primary key,
    started_at timestamptz not null,
    lease_until timestamptz not null
) with (fillfactor = 50);

-- What a run is and how it ended. How it stands in between is the fold of its events.
create table runs (
    id bigint generated always as identity primary key,
    incident_id bigint not null references incidents,
    runbook_id bigint not null references runbooks,
    version_id bigint not null references runbook_versions,
    mode text not null check (mode in ('automatic', 'suggest', 'manual')),
    -- The person who started it; null when Muster did.
    requested_by bigint references operators,
    inputs jsonb not null,
    -- Labels and annotations of the alert it is about, as they were at its start.
    context jsonb not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    result text check (result in ('succeeded', 'failed', 'rejected', 'stopped')),
    check ((finished_at is null) = (result is null)),
    check ((requested_by is null) = (mode = 'automatic'))
);
-- However often its alerts are delivered, an incident starts a runbook by itself once.
create unique index runs_automatic on runs (incident_id, runbook_id) where mode = 'automatic';
create index runs_incident on runs (incident_id, id);
create index runs_runbook on runs (runbook_id, started_at desc);

-- The hot table: only runs that still have something to do. One index serves the queue, the timers and deadlines.
create table run_queue (
    run_id bigint primary key references runs,
    incident_id bigint not null references incidents,
    -- 0 ready, 1 running, 2 waiting until due or until somebody makes it ready
    state smallint not null check (state in (0, 1, 2)),
    due timestamptz not null,
    owner bigint references replicas,
    -- Rises with every claim and every take-over; each write of a worker names the one it was given.
    fence bigint not null default 0,
    check ((state = 1) = (owner is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
create index run_queue_due on run_queue (due, run_id) where state in (0, 2);
create index run_queue_owner on run_queue (owner) where state = 1;

-- Every attempt, written before anything is sent.
create table attempts (
    run_id bigint not null references runs,
    step text not null,
    attempt integer not null check (attempt > 0),
    effect text not null check (effect in ('safe', 'idempotent', 'once')),
    -- Rises only when a person allows another sending.
    permit integer not null default 0,
    idempotency_key text not null,
    fence bigint not null,
    request jsonb not null,
    command text not null,
    state text not null check (state in ('started', 'succeeded', 'failed', 'interrupted', 'unknown')),
    result jsonb,
    summary text,
    started_at timestamptz not null,
    finished_at timestamptz,
    primary key (run_id, step, attempt),
    check ((state = 'started') = (finished_at is null))
);
-- An effect of class `once` goes out once per permit. A refusal before sending frees the place for a retry.
create unique index attempts_once on attempts (run_id, step, permit)
    where effect = 'once' and state <> 'failed';

create table approvals (
    id bigint generated always as identity primary key,
    run_id bigint not null references runs,
    incident_id bigint not null references incidents,
    step text not null,
    state text not null check (state in ('pending', 'approved', 'rejected', 'expired', 'void')),
    -- What was shown and will be done, its hash, and the rule of the gate.
    bound jsonb not null,
    digest bytea not null check (length(digest) = 32),
    rule jsonb not null,
    title text not null,
    impact text not null,
    requester bigint references operators,
    opened_at timestamptz not null,
    decide_by timestamptz not null,
    use_by timestamptz,
    decided_at timestamptz,
    check ((state = 'approved') <= (use_by is not null)),
    check ((state = 'pending') = (decided_at is null))
);
create unique index approvals_live on approvals (run_id, step) where state in ('pending', 'approved');
create index approvals_pending on approvals (decide_by) where state = 'pending';

create table votes (
    approval_id bigint not null references approvals,
    operator_id bigint not null references operators,
    verdict text not null check (verdict in ('approve', 'reject')),
    reason text not null,
    at timestamptz not null,
    primary key (approval_id, operator_id)
);

-- A lock on a named thing outside, held by one run from start to end.
create table target_locks (
    name text primary key,
    run_id bigint not null references runs,
    acquired_at timestamptz not null
);
create index target_locks_run on target_locks (run_id);
