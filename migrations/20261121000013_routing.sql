-- What people decide about a new episode before it opens an incident: maintenance windows, how many alerts of a group it
-- takes, and how bad it is.
create table routing_rules (
    id bigint generated always as identity primary key,
    title text not null check (title <> ''),
    -- Of one sender, or of every one.
    source_id bigint references sources,
    -- One line in Alertmanager's syntax, all of its matchers hold; empty for every alert.
    matchers text not null,
    -- Where it stands among its kind: the smaller first, a sender's own before those of every one.
    place integer not null default 100 check (place between 0 and 10000),
    kind text not null check (kind in ('maintenance', 'threshold', 'severity')),
    -- What it says, as its kind has it.
    terms jsonb not null check (jsonb_typeof(terms) = 'object'),
    -- The end of a window that comes once; it needs no person to end it.
    ends_at timestamptz,
    reason text not null check (reason <> ''),
    created_at timestamptz not null,
    created_by bigint not null references operators,
    -- Ended by a person.
    ended_at timestamptz,
    ended_by bigint references operators,
    check (ends_at is null or kind = 'maintenance'),
    check (matchers <> '' or kind <> 'maintenance' or source_id is not null),
    check ((ended_at is null) = (ended_by is null))
);
create index routing_rules_live on routing_rules (id) where ended_at is null;

-- An episode that a rule holds has no incident; one that was held and has come into an incident still says by what.
alter table episodes
    alter column incident_id drop not null,
    add column held_by bigint references routing_rules,
    add check (incident_id is not null or held_by is not null);

-- Episodes that a rule holds or held until they ended, each with its group: where it goes when it is let go. A row goes
-- when its episode comes into an incident.
create table held (
    episode_id bigint primary key references episodes,
    alert_id bigint not null,
    source_id bigint not null,
    receiver text not null,
    group_key text not null,
    correlation_key bytea not null check (length(correlation_key) = 32),
    -- Alerts the sender left out.
    truncated integer not null check (truncated >= 0),
    rule_id bigint not null references routing_rules,
    -- Held until enough alerts of its group fire, and not by a window.
    counts boolean not null,
    held_at timestamptz not null,
    -- When it is held no longer; null once it has ended before that.
    due timestamptz
);
create index held_due on held (due) where due is not null;
create index held_counts on held (correlation_key) where counts and due is not null;

alter table standing_acts
    drop constraint standing_acts_act_check,
    add constraint standing_acts_act_check check (act in
        ('paused', 'resumed', 'circuit_closed', 'freeze_made', 'freeze_ended', 'source_made', 'source_changed',
         'source_disabled', 'source_enabled', 'source_token_issued', 'source_token_revoked', 'routing_rule_made',
         'routing_rule_ended'));

-- Incidents that come and go: the newest times at which one came back, the newest first, and until when one that flaps
-- must stay away to be calm.
alter table incidents
    add column came_back timestamptz[] not null default '{}' check (array_position(came_back, null) is null),
    add column flapping_since timestamptz,
    add column calm_due timestamptz,
    add check ((flapping_since is null) = (calm_due is null));
create index incidents_calm_due on incidents (calm_due) where calm_due is not null;
