-- What the pages of runbooks read, and texts that people have written but not published.

-- Whether a version ever matched, and which incidents it matched last.
create index matches_version on matches (version_id, incident_id desc);
-- When somebody last looked whether a version could work.
create index preflights_version on preflights (version_id, finished_at desc) where state = 'done';
-- How long people took at the gates of a run.
create index approvals_of_run on approvals (run_id);
-- The last run of a version.
create index runs_version on runs (version_id, started_at desc);

-- One a person and runbook: what they would publish, kept until they do or throw it away.
create table runbook_drafts (
    operator_id bigint not null references operators,
    -- The runbook it changes; empty for one that is new.
    slug text not null,
    source text not null,
    note text not null,
    -- Number of the version it began from, 0 for none.
    base integer not null check (base >= 0),
    saved_at timestamptz not null,
    primary key (operator_id, slug)
);
