-- Incidents, the alerts in them, and the timeline.

create table incidents (
    id bigint generated always as identity primary key,
    title text not null,
    severity smallint not null check (severity between 1 and 4),
    state text not null check (state in
        ('triggered', 'acknowledged', 'mitigated', 'resolved', 'closed', 'merged', 'cancelled')),
    source_id bigint not null references sources,
    receiver text not null,
    group_key text not null,
    -- Where new episodes look for an open incident: a digest of source, receiver and group key.
    correlation_key bytea not null check (length(correlation_key) = 32),
    -- Labels and annotations of the alert that opened it: what runbooks take their inputs from.
    context jsonb not null,
    opened_at timestamptz not null,
    -- Earliest start of any alert in it, by the senders' clocks.
    detected_at timestamptz not null,
    acknowledged_at timestamptz,
    acknowledged_by bigint references operators,
    mitigated_at timestamptz,
    resolved_at timestamptz,
    closed_at timestamptz,
    -- When all alerts have ended: the end of the hold-down, and the last end the senders named.
    recover_due timestamptz,
    recovered_at timestamptz,
    truncated_alerts integer not null default 0 check (truncated_alerts >= 0),
    reopened integer not null default 0,
    recurrence_of bigint references incidents,
    -- The timeline's counter and the last link of its chain, moved under this row's lock.
    next_seq bigint not null default 1,
    last_hash bytea not null default decode(repeat('00', 32), 'hex') check (length(last_hash) = 32),
    check (state <> 'acknowledged' or acknowledged_at is not null),
    check (state <> 'mitigated' or mitigated_at is not null),
    check ((state in ('resolved', 'closed')) = (resolved_at is not null)),
    check ((state = 'closed') = (closed_at is not null))
) with (fillfactor = 80);
-- Two replicas that open an incident for one group at once: one of them does.
create unique index incidents_open_key on incidents (correlation_key)
    where state in ('triggered', 'acknowledged', 'mitigated');
create index incidents_key on incidents (correlation_key, id desc);
create index incidents_recover_due on incidents (recover_due) where recover_due is not null;
create index incidents_state on incidents (state, id desc);

create table alerts (
    id bigint generated always as identity primary key,
    source_id bigint not null references sources,
    fingerprint text not null check (fingerprint ~ '^[0-9a-f]{16}$'),
    title text not null,
    labels jsonb not null,
    annotations jsonb not null,
    generator_url text not null,
    first_received_at timestamptz not null,
    last_received_at timestamptz not null,
    -- Its newest firing period.
    latest_episode_id bigint,
    unique (source_id, fingerprint)
) with (fillfactor = 80);

create table episodes (
    id bigint generated always as identity primary key,
    alert_id bigint not null references alerts,
    incident_id bigint not null references incidents,
    -- By the sender's clock.
    starts_at timestamptz not null,
    ends_at timestamptz,
    -- The latest start named while it fired: a sender that restarts names a new one.
    last_start timestamptz,
    -- By ours.
    opened_at timestamptz not null,
    ended_at timestamptz,
    -- A firing report came after the end; believed when this time passes without another resolve.
    refire_due timestamptz,
    -- The named reason why it is in this incident.
    reason text not null,
    check ((ends_at is null) = (ended_at is null)),
    check (refire_due is null or ends_at is not null)
) with (fillfactor = 80);
-- An alert fires once at a time, whatever arrives on however many connections.
create unique index episodes_open on episodes (alert_id) where ends_at is null;
create index episodes_incident on episodes (incident_id, id);
-- Whether anything in an incident fires is asked with every delivery.
create index episodes_firing on episodes (incident_id) where ends_at is null;
create index episodes_refire_due on episodes (refire_due) where refire_due is not null;
alter table alerts add foreign key (latest_episode_id) references episodes deferrable initially deferred;

create table heartbeats (
    source_id bigint not null references sources,
    fingerprint text not null,
    title text not null,
    labels jsonb not null,
    last_seen_at timestamptz not null,
    -- When silence becomes an incident.
    due timestamptz not null,
    -- The incident raised for the present silence.
    incident_id bigint references incidents,
    primary key (source_id, fingerprint)
);
create index heartbeats_due on heartbeats (due) where incident_id is null;

-- The timeline. Numbered from a counter under the incident's row lock, so it has no gaps and stands in commit
-- order; each row's hash covers the one before it.
create table events (
    incident_id bigint not null references incidents,
    seq bigint not null check (seq > 0),
    run_id bigint,
    kind text not null,
    body jsonb not null,
    actor jsonb not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    hash bytea not null check (length(hash) = 32),
    primary key (incident_id, seq)
);
create index events_run on events (run_id, seq) where run_id is not null;

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger events_append_only before update or delete on events
    for each row execute function refuse_change();
create trigger events_no_truncate before truncate on events execute function refuse_change();
