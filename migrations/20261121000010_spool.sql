-- How far the spool of each process start has been applied. A spool is drained in order, so one row says it all; it moves
-- in the transaction that applies the batch, so no batch is applied twice.
create table spool_marks (
    epoch uuid primary key,
    -- Of the last batch that is wholly applied.
    seq bigint not null,
    -- Deliveries of the batch after it that are applied already, one by one.
    part integer not null default 0 check (part >= 0),
    moved_at timestamptz not null
) with (fillfactor = 50);

-- These rows come only from statements that hold the parent's row locked, or have just made it; a foreign key would look
-- it up once more for each row of the busiest tables.
alter table episodes drop constraint episodes_alert_id_fkey, drop constraint episodes_incident_id_fkey;
alter table alerts drop constraint alerts_latest_episode_id_fkey;
-- A body is read rarely and written always: compressing it costs more than writing it.
alter table deliveries alter column body set storage external;
