-- What a kept delivery needs to be read again, what it led to, and how much is kept in all.

alter table deliveries
    -- How it was read; null for one that came before this was kept.
    add column format text,
    -- Headers of its request that help to understand it; never one that may hold a secret.
    add column headers jsonb not null default '{}',
    -- The delivery that was sent again. No foreign key: that one may be forgotten first.
    add column replay_of bigint,
    -- Made by Muster to show the way of an alert; nothing starts by itself on it.
    add column is_test boolean not null default false,
    -- Incidents that it opened, moved or added to, the first of them when there were many.
    add column incidents bigint[] not null default '{}';
create index deliveries_replays on deliveries (replay_of) where replay_of is not null;
create index deliveries_source_rejected on deliveries (source_id, received_at desc, id desc)
    where outcome = 'rejected';

-- How many bytes of bodies are kept: each transaction that keeps or forgets some adds a row of its own, so that none waits
-- for another, and upkeep folds the rows into one. Their sum is exact at any time.
create table delivery_sizes (
    bytes bigint not null
);
insert into delivery_sizes (bytes) select coalesce(sum(length(body)), 0) from deliveries;

-- The only topic a source of Amazon SNS takes messages of; null for any that carries its token and Amazon's signature.
alter table sources
    add column topic_arn text check (topic_arn is null or (topic_arn like 'arn:%' and format = 'sns'));
