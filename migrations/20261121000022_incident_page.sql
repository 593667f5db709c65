-- What people add to an incident on its page: who does what, what they tell each other, what they pinned, where they
-- left off. What happened stands in the timeline; these are where it has led to.

-- Who has taken on what. Given to another person it is theirs alone.
create table incident_duties (
    incident_id bigint not null references incidents,
    duty text not null check (duty in ('commander', 'communications', 'scribe')),
    operator_id bigint not null references operators,
    since timestamptz not null,
    primary key (incident_id, duty)
);

-- What an incident does to people in one sentence, and its newest status update.
create table incident_briefs (
    incident_id bigint primary key references incidents,
    impact text not null default '',
    -- The event that holds the update, and when the next one is promised.
    update_seq bigint,
    update_due timestamptz,
    foreign key (incident_id, update_seq) references events (incident_id, seq)
);

-- Events that are always shown.
create table incident_pins (
    incident_id bigint not null,
    seq bigint not null,
    pinned_by bigint not null references operators,
    pinned_at timestamptz not null,
    primary key (incident_id, seq),
    foreign key (incident_id, seq) references events (incident_id, seq)
);

-- Up to where somebody has seen a timeline. Written while their page is open in front of them and when they act, never
-- by asking for a page. After a while away, where they had left off stays known for a while.
create table incident_visits (
    operator_id bigint not null references operators,
    incident_id bigint not null references incidents,
    seen_seq bigint not null,
    seen_at timestamptz not null,
    left_seq bigint,
    left_at timestamptz,
    back_at timestamptz,
    primary key (operator_id, incident_id),
    check ((left_seq is null) = (left_at is null) and (left_seq is null) = (back_at is null))
) with (fillfactor = 70);

-- How many events of each kind a timeline has is counted from this alone, whatever they say.
create index events_kinds on events (incident_id, kind, seq);
