-- Incidents that live on in another one, and storms of incidents folded under one of them.

alter table incidents
    -- What a person merged it into.
    add column merged_into bigint references incidents,
    -- Where that chain ends, which is where its alerts are and new ones of its group go: one look, however long it is.
    add column lives_in bigint references incidents,
    -- How it stood before, for when it is taken out again.
    add column merged_state text check (merged_state in ('triggered', 'acknowledged', 'mitigated')),
    add column merged_at timestamptz,
    -- The incident that stands for it in the list; both are incidents of their own.
    add column folded_under bigint references incidents,
    -- A person took it out of a fold: no rule puts it back.
    add column stands_alone boolean not null default false,
    add check ((state = 'merged') = (merged_into is not null)),
    add check ((merged_into is null) = (lives_in is null)),
    add check ((merged_into is null) = (merged_state is null)),
    add check ((merged_into is null) = (merged_at is null)),
    add check (merged_into <> id and lives_in <> id),
    add check (folded_under <> id);
create index incidents_lives_in on incidents (lives_in) where lives_in is not null;
create index incidents_merged_into on incidents (merged_into) where merged_into is not null;
create index incidents_folded_under on incidents (folded_under, id) where folded_under is not null;
-- How many a source has opened lately is asked time and again where a rule folds them.
create index incidents_source_opened on incidents (source_id, opened_at);

-- The incident that its group has, when that one is merged into the one it is in.
alter table episodes
    add column came_from bigint references incidents,
    add check (came_from <> incident_id);
create index episodes_came_from on episodes (came_from) where came_from is not null;

-- The merged incident that it was found for: what has been started for that one is not started again.
alter table matches
    add column came_from bigint references incidents,
    add check (came_from <> incident_id);
create index matches_came_from on matches (came_from) where came_from is not null;

-- When a source opens more incidents than that within that time, they are folded under the first; null for never.
alter table sources
    add column fold_over integer check (fold_over between 2 and 10000),
    add column fold_within_ms bigint not null default 300000 check (fold_within_ms between 1000 and 86400000);
