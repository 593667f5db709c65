-- What a runbook that matched an incident could do, found out in the background before anybody has to decide.

create table preflights (
    incident_id bigint not null references incidents,
    version_id bigint not null references runbook_versions,
    state text not null check (state in ('queued', 'running', 'done', 'dropped')),
    queued_at timestamptz not null,
    -- When it may be claimed. A claim moves it to where its replica counts as dead.
    due timestamptz not null,
    -- How often it was claimed; the write of a claim names its number, so a late one of a replica that was taken for
    -- dead changes nothing.
    claims smallint not null default 0,
    report jsonb,
    finished_at timestamptz,
    primary key (incident_id, version_id),
    check ((state = 'done') = (report is not null)),
    check ((state in ('done', 'dropped')) = (finished_at is not null))
);
create index preflights_due on preflights (queued_at desc) where state in ('queued', 'running');
create index preflights_finished on preflights (finished_at) where finished_at is not null;
