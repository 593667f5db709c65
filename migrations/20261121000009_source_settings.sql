-- What a source is told and what it may do, and tokens of which two can live at once.

alter table sources
    add column format text not null default 'alertmanager' check
        (format in ('alertmanager', 'prometheus', 'grafana', 'pagerduty', 'sns', 'pubsub', 'generic')),
    -- Labels that place a new episode; none for the sender's own grouping.
    add column correlate_by text[] not null default '{}'
        check (cardinality(correlate_by) <= 10 and array_position(correlate_by, null) is null),
    -- Twice Alertmanager's usual repeat interval and ten minutes.
    add column stale_after_ms bigint default 29400000 check (stale_after_ms >= 60000),
    -- So many runs may start by themselves within that time.
    add column storm_starts integer not null default 20 check (storm_starts between 1 and 10000),
    add column storm_within_ms bigint not null default 600000 check (storm_within_ms between 1000 and 86400000),
    -- Where the secret is, never the secret.
    add column sign_with text check
        (sign_with is null or (sign_with ~ '^(env:.|file:/)' and format in ('grafana', 'pagerduty', 'generic'))),
    add column mapping jsonb check (mapping is null or (jsonb_typeof(mapping) = 'object' and format = 'generic')),
    -- Rises with every change, so that nobody overwrites what they have not seen.
    add column revision bigint not null default 1,
    -- Since then its tokens open nothing.
    add column disabled_at timestamptz;

-- A token above two, from before there was this limit, stays live until a person revokes it: revoked here, its sender
-- would fall silent.
alter table source_tokens
    add column slot smallint not null default 0,
    add column carried_over boolean not null default false,
    -- What it was made for, and how it begins, so that people can tell two apart.
    add column name text not null default '' check (length(name) <= 100),
    add column prefix text not null default '' check (length(prefix) <= 20),
    -- To the minute.
    add column last_used_at timestamptz;
update source_tokens t set slot = n.slot, carried_over = n.slot > 2
    from (select id, row_number() over (partition by source_id, revoked_at is null order by id desc) as slot
          from source_tokens) n
    where n.id = t.id;
alter table source_tokens
    alter column slot drop default,
    add check (slot in (1, 2) or carried_over);
create unique index source_tokens_live on source_tokens (source_id, slot) where revoked_at is null;

create index deliveries_source on deliveries (source_id, received_at desc, id desc);

alter table standing_acts
    drop constraint standing_acts_act_check,
    add constraint standing_acts_act_check check (act in
        ('paused', 'resumed', 'circuit_closed', 'freeze_made', 'freeze_ended', 'source_made', 'source_changed',
         'source_disabled', 'source_enabled', 'source_token_issued', 'source_token_revoked')),
    -- Null for what was done from the server's own terminal.
    alter column operator_id drop not null;
