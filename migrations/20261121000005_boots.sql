-- When Muster itself was away, and what that delayed.

-- When a replica was last heard of. Null for one of a release that does not write it: then its lease tells.
alter table replicas
    add column last_seen_at timestamptz,
    -- Set by a stop that gave everything back.
    add column stopped_at timestamptz;

-- One row a process start. The newest thousand are kept.
create table boots (
    id bigint generated always as identity primary key,
    -- Without a reference: replicas are forgotten after a day.
    replica_id bigint not null,
    -- By the clock that due times are written by. How long nobody was there is measured by the database's clock, as
    -- leases are, and laid on this one.
    started_at timestamptz not null,
    -- When anybody was last heard of before; null when nobody is known.
    last_alive_at timestamptz check (last_alive_at <= started_at),
    -- Whether the last one stopped by itself.
    clean_stop boolean not null,
    -- Whether another replica was there: a lease outlives a killed process by seconds, so at first that may be open.
    company text not null check (company in ('alone', 'unsettled', 'beside')),
    -- Who would have to be heard of again to have been there.
    rivals bigint[] not null,
    -- What was overdue at that moment: exact counts, the first hundred items each. How it went on is read from where
    -- it stands.
    report jsonb not null,
    -- Incidents up to the second number are told that Muster was away, of which those up to the first have been; the
    -- second is null when none is owed.
    told_through bigint not null default 0,
    tell_through bigint,
    check ((company = 'unsettled') = (cardinality(rivals) > 0)),
    check (company <> 'beside' or last_alive_at = started_at)
);
