-- The list of incidents: what it is searched by, the views that people keep, and what became of acts on many at once.

alter table incidents
    -- The service that its first alert named. Cut, since what is indexed must not be longer than a page of the index.
    add column service text generated always as (left(context -> 'labels' ->> 'service', 200)) stored,
    -- The words of its title; those written together with capitals, as names of alerts are, also one by one.
    add column words tsvector generated always as (to_tsvector('simple',
        left(title, 1000) || ' ' || regexp_replace(left(title, 1000), '([[:lower:][:digit:]])([[:upper:]])', '\1 \2', 'g'))) stored;

-- The first page of what is open, however long the history grows.
create index incidents_open on incidents (id desc) where state in ('triggered', 'acknowledged', 'mitigated');
create index incidents_severity on incidents (severity, id desc);
create index incidents_owner on incidents (acknowledged_by, id desc);
create index incidents_service on incidents (service, id desc) where service is not null;
create index incidents_words on incidents using gin (words);
create index incidents_labels on incidents using gin ((context -> 'labels') jsonb_path_ops);
-- What was over last is asked when nothing is open.
create index incidents_resolved on incidents (resolved_at desc) where resolved_at is not null;

create index approvals_pending_incident on approvals (incident_id) where state = 'pending';

create table saved_views (
    id bigint generated always as identity primary key,
    operator_id bigint not null references operators,
    name text not null check (name <> '' and length(name) <= 60),
    query text not null check (length(query) <= 500),
    -- Whether everybody sees it.
    shared boolean not null,
    created_at timestamptz not null,
    unique (operator_id, name)
);
create index saved_views_shared on saved_views (name) where shared;

-- What a person's list opens with; without a row, what is open.
create table default_views (
    operator_id bigint primary key references operators,
    view_id bigint not null references saved_views on delete cascade
);
create index default_views_view on default_views (view_id);

-- What became of an act on many incidents, for the page that tells it. Forgotten after a day.
create table bulk_acts (
    op uuid primary key,
    operator_id bigint not null references operators,
    act text not null check (act in ('acknowledge', 'note', 'resolve')),
    at timestamptz not null,
    done integer not null,
    -- Number and reason of each incident it was not done to.
    failed jsonb not null
);
create index bulk_acts_at on bulk_acts (at);
