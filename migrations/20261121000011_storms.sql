-- What started by itself lately is counted before anything else does.
create index runs_automatic_started on runs (started_at) where mode = 'automatic';

-- When a firing alert that its sender must renew ends by itself; null for senders that say when it is over.
alter table episodes add column lease_until timestamptz;
create index episodes_lease on episodes (lease_until) where lease_until is not null and ends_at is null;
