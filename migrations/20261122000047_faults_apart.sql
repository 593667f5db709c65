-- What a fault acts on: two faults over one thing cannot be told apart, and taking the second back would take the first
-- back as well. So one thing of one machine is under one fault at a time, whichever target and whichever drill wants it.

alter table drill_faults
    -- The machine that causes it, once it does.
    add column host text check (length(host) between 1 and 100),
    -- The thing in words that are the same for the same thing: folders and files by their real path.
    add column acts_on text check (octet_length(acts_on) between 1 and 2000),
    -- What is to be said of its end besides: that what it acted on has gone, or why somebody declared it over.
    add column note text not null default '' check (length(note) <= 2000),
    -- Who said that it is over where nobody could see it.
    add column declared_by bigint references operators;

alter table drill_faults drop constraint drill_faults_state_check;
alter table drill_faults add constraint drill_faults_state_check
    check (state in ('planned', 'causing', 'caused', 'undoing', 'undone', 'failed', 'declared'));
alter table drill_faults drop constraint drill_faults_check;
alter table drill_faults add constraint drill_faults_over
    check ((state in ('undone', 'failed', 'declared')) = (over_at is not null));
alter table drill_faults drop constraint drill_faults_check1;
alter table drill_faults add constraint drill_faults_due
    check ((state in ('undone', 'failed', 'declared')) = (due is null));
alter table drill_faults drop constraint drill_faults_check2;
alter table drill_faults add constraint drill_faults_order
    check (state in ('planned', 'failed', 'declared') or what is not null);
alter table drill_faults add constraint drill_faults_declared
    check ((state = 'declared') = (declared_by is not null) and (state <> 'declared' or note <> ''));

-- What may stand now goes on as it was; nothing is known of what it shares.
update drill_faults f
    set host = d.host, acts_on = 'the fault ' || f.inject || ' of DRILL-' || f.drill_id
    from drills d where d.id = f.drill_id and f.over_at is null and f.what is not null;
alter table drill_faults add constraint drill_faults_thing
    check (state in ('planned', 'failed', 'declared', 'undone') or host is not null and acts_on is not null);

create unique index drill_faults_apart on drill_faults (host, acts_on) where over_at is null and acts_on is not null;
