-- Game days: drills on real targets of a drill environment, and the faults that are really caused on them.

alter table drills drop constraint drills_depth_check;
alter table drills add constraint drills_depth_check check (depth in ('tabletop', 'simulated', 'game_day'));
alter table drills drop constraint drills_end_kind_check;
alter table drills add constraint drills_end_kind_check check (end_kind in
    ('finished', 'stopped', 'rule', 'real_incident', 'fault', 'too_long', 'not_steady', 'cancelled'));

-- The machine that plays a game day: its faults are caused and taken back there and nowhere else.
alter table drills add column host text check (host is null or depth = 'game_day' and length(host) between 1 and 100);
-- When all its faults were taken back and what it was played on was looked at once more.
alter table drills add column closed_at timestamptz check (closed_at is null or depth = 'game_day' and state = 'ended');
create index drills_open_game_days on drills (id)
    where depth = 'game_day' and started_at is not null and closed_at is null;

-- The journal of faults: written before anything is done, so that whoever comes after a crash knows what may stand.
create table drill_faults (
    drill_id bigint not null references drills,
    inject text not null check (length(inject) between 1 and 100),
    -- As the scenario names them, and the real target.
    target text not null,
    cause text not null,
    target_name text not null,
    lasting_ms bigint not null check (lasting_ms > 0),
    state text not null default 'planned'
        check (state in ('planned', 'causing', 'caused', 'undoing', 'undone', 'failed')),
    -- All that it takes to take the fault back; there before it is caused.
    what jsonb,
    -- The process that has it in hand.
    owner uuid,
    planned_at timestamptz not null,
    caused_at timestamptz,
    -- When it is taken back, whoever goes on.
    ends_at timestamptz,
    -- When somebody has to do something about it.
    due timestamptz,
    tries integer not null default 0,
    error text not null default '' check (length(error) <= 2000),
    over_at timestamptz,
    primary key (drill_id, inject),
    check ((state in ('undone', 'failed')) = (over_at is not null)),
    check ((state in ('undone', 'failed')) = (due is null)),
    check (state in ('planned', 'failed') or what is not null),
    check (state <> 'caused' or caused_at is not null and ends_at is not null)
);
-- One fault of a kind stands on a target at a time, whichever drill wants it.
create unique index drill_faults_once on drill_faults (target_name, cause) where over_at is null;
create index drill_faults_due on drill_faults (due) where over_at is null;

create function drill_faults_in_game_days() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        if not exists (select from drills d where d.id = new.drill_id and d.depth = 'game_day' and d.state = 'running'
                       and d.host is not null) then
            raise exception 'faults are planned in a game day that goes on' using errcode = 'check_violation',
                constraint = 'drill_faults_in_game_days';
        end if;
    elsif old.over_at is not null then
        raise exception 'a fault that is over stays so' using errcode = 'check_violation',
            constraint = 'drill_faults_in_game_days';
    end if;
    return new;
end $$;
create trigger drill_faults_in_game_days before insert or update on drill_faults
    for each row execute function drill_faults_in_game_days();

create function drill_faults_stay() returns trigger language plpgsql as $$
begin
    raise exception 'the journal of faults is only added to';
end $$;
create trigger drill_faults_stay before delete on drill_faults for each row execute function drill_faults_stay();

-- A game day is not put aside while something of it may stand.
create function drills_closed_clean() returns trigger language plpgsql as $$
begin
    if exists (select from drill_faults f where f.drill_id = new.id and f.over_at is null) then
        raise exception 'a fault of this drill may still stand' using errcode = 'check_violation',
            constraint = 'drills_closed_clean';
    end if;
    return new;
end $$;
create trigger drills_closed_clean before update of closed_at on drills
    for each row when (new.closed_at is not null) execute function drills_closed_clean();
