-- What else is wrong with a service; what became of an act on many incidents, of two more kinds.

-- The other open incidents of a service, the worst first, however long its history is.
create index incidents_open_service on incidents (service, severity, id desc)
    where service is not null and state in ('triggered', 'acknowledged', 'mitigated');

alter table bulk_acts
    drop constraint bulk_acts_act_check,
    add constraint bulk_acts_act_check check (act in ('acknowledge', 'note', 'assign', 'merge', 'resolve')),
    -- Whom they were given to, or what they were merged into, in words.
    add column whom text not null default '' check (length(whom) <= 200);
