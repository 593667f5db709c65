-- A run that its workers could not go on with: how often in a row, and what was in the way. It is tried again ever more
-- seldom; people see why it stands still.
alter table run_queue add column faults integer not null default 0 check (faults >= 0);
alter table run_queue add column fault text not null default '';
