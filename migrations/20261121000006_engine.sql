-- What the engine needs to run steps side by side, in groups of commits, and under people's hands.

-- Rises with every act of a person on a live run. A worker's write names the number it has seen, so what a person did
-- in between is never overtaken by a plan made before it.
alter table run_queue add column acts bigint not null default 0;

-- A run that goes on where another one ended; one at most, whoever asks first.
alter table runs add column continues bigint references runs;
create unique index runs_continues on runs (continues) where continues is not null;

-- Rows of these two come only from statements that hold the parent's row locked; a foreign key would look it up once
-- more for each row of the busiest tables.
alter table attempts drop constraint attempts_run_id_fkey;
alter table events drop constraint events_incident_id_fkey;
alter table attempts set (fillfactor = 80);

-- The end of an attempt changes no column that an index looks at (its state was one), so it stays on its page. Set only
-- for an attempt that failed with nothing in doubt: its place is free for another one.
alter table attempts add column freed boolean not null default false;
update attempts set freed = true where state = 'failed';
drop index attempts_once;
create unique index attempts_once on attempts (run_id, step, permit) where effect = 'once' and not freed;
alter table runs set (fillfactor = 90);

alter table approvals drop constraint approvals_state_check;
alter table approvals add constraint approvals_state_check check
    (state in ('pending', 'approved', 'rejected', 'expired', 'void', 'withdrawn', 'returned'));

-- Breaking the glass leaves a review that somebody else must close.
create table reviews (
    id bigint generated always as identity primary key,
    approval_id bigint not null unique references approvals,
    incident_id bigint not null references incidents,
    opened_by bigint not null references operators,
    reason text not null check (reason <> ''),
    opened_at timestamptz not null,
    closed_by bigint references operators,
    closed_at timestamptz,
    finding text not null default '',
    check ((closed_by is null) = (closed_at is null)),
    check (closed_by is null or (closed_by <> opened_by and finding <> ''))
);
create index reviews_open on reviews (opened_at) where closed_at is null;

-- Who waits for which lock since when, so that its end wakes them and people can see the queue.
create table lock_waits (
    run_id bigint not null references runs,
    name text not null,
    since timestamptz not null,
    primary key (run_id, name)
);
create index lock_waits_name on lock_waits (name, since);
