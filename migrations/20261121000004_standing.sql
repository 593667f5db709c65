-- What stands over every run: the circuits of targets, the pause of all automation, freezes by label, and who changed
-- them.

-- Never the same number twice, so a row that was taken away and came back is not taken for the one that was read.
create sequence breaker_revisions;

-- A target that failed lately has a row; no row is a closed circuit without failures.
create table breakers (
    target text primary key check (target <> ''),
    state text not null check (state in ('closed', 'open', 'half_open')),
    -- Failures in a row, while it is closed.
    failures integer check (failures > 0),
    -- Since when it is open, why at last, and when the next try may go out: for a half-open one, when the try that is
    -- under way counts as lost.
    since timestamptz,
    reason text,
    due timestamptz,
    changed_at timestamptz not null,
    revision bigint not null default nextval('breaker_revisions'),
    check ((state = 'closed') = (failures is not null)),
    check ((state <> 'closed') = (since is not null)),
    check ((state <> 'closed') = (reason is not null)),
    check ((state <> 'closed') = (due is not null))
) with (fillfactor = 50);

-- The one row is there while all automation is paused.
create table pause (
    one_row boolean primary key default true check (one_row),
    paused_at timestamptz not null,
    paused_by bigint not null references operators,
    reason text not null check (reason <> '')
);

-- While one holds for the labels of an alert, no runbook starts by itself on it.
create table freezes (
    id bigint generated always as identity primary key,
    title text not null check (title <> ''),
    -- One line in Alertmanager's syntax; all of its matchers hold.
    matchers text not null check (matchers <> ''),
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    reason text not null check (reason <> ''),
    created_at timestamptz not null,
    created_by bigint not null references operators,
    -- Ended by a person before its time.
    ended_at timestamptz,
    ended_by bigint references operators,
    check (starts_at < ends_at),
    check ((ended_at is null) = (ended_by is null))
);
create index freezes_ends_at on freezes (ends_at) where ended_at is null;

-- What people did to these, for good.
create table standing_acts (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    operator_id bigint not null references operators,
    act text not null check (act in ('paused', 'resumed', 'circuit_closed', 'freeze_made', 'freeze_ended')),
    -- The target or the freeze; empty for a pause, which is of everything.
    subject text not null,
    reason text not null
);
create trigger standing_acts_append_only before update or delete on standing_acts
    for each row execute function refuse_change();
create trigger standing_acts_no_truncate before truncate on standing_acts execute function refuse_change();
