-- Drills: scenarios with their versions, each drill, who plays in it, and everything that happened in its world.

-- Like a runbook: one row a name, the version in use; the same content is the same version.
create table scenarios (
    id bigint generated always as identity primary key,
    slug text not null unique check (length(slug) between 1 and 100)
);
create table scenario_versions (
    id bigint generated always as identity primary key,
    scenario_id bigint not null references scenarios,
    number integer not null check (number > 0),
    digest bytea not null check (length(digest) = 32),
    source text not null,
    definition jsonb not null,
    created_at timestamptz not null,
    unique (scenario_id, number),
    unique (scenario_id, digest)
);
alter table scenarios add column current_version_id bigint references scenario_versions;

create function scenario_versions_never_change() returns trigger language plpgsql as $$
begin
    raise exception 'a version of a scenario never changes';
end $$;
create trigger scenario_versions_never_change before update or delete on scenario_versions
    for each row execute function scenario_versions_never_change();

create table drills (
    id bigint generated always as identity primary key,
    version_id bigint not null references scenario_versions,
    depth text not null check (depth in ('tabletop', 'simulated')),
    -- Chance of its world. The same seed and the same acts give the same drill.
    seed bigint not null,
    state text not null check (state in ('planned', 'running', 'paused', 'ended')),
    -- Who leads it; nobody, when it plays by itself.
    trainer bigint references operators,
    planned_for timestamptz,
    started_at timestamptz,
    -- Since when it stands still, and how long it has stood still before.
    paused_at timestamptz,
    paused_ms bigint not null default 0 check (paused_ms >= 0),
    ended_at timestamptz,
    -- Why it ended.
    end_kind text check (end_kind in ('finished', 'stopped', 'rule', 'real_incident', 'fault', 'too_long', 'cancelled')),
    end_reason text check (length(end_reason) <= 2000),
    -- When it is looked at again; nothing is due to one that stands still.
    due timestamptz,
    next_seq bigint not null default 1,
    created_at timestamptz not null,
    check ((state in ('running', 'paused')) <= (started_at is not null)),
    check ((state = 'paused') = (paused_at is not null)),
    check ((state = 'ended') = (ended_at is not null and end_kind is not null)),
    check ((state = 'running') = (due is not null)),
    check (state <> 'planned' or started_at is null)
);
create index drills_due on drills (due) where due is not null;
create index drills_version on drills (version_id, id desc);
-- Those that are planned or going on: the few that every page may ask for.
create index drills_live on drills (id) where state <> 'ended';

create table drill_players (
    drill_id bigint not null references drills,
    operator_id bigint not null references operators,
    role text not null default '' check (length(role) <= 100),
    primary key (drill_id, operator_id)
);

-- What happened besides the incident's own timeline: changes of the world, surprises, notes of the trainer. The world is
-- made from it. Only ever added to, under the drill's row lock.
create table drill_log (
    drill_id bigint not null references drills,
    seq bigint not null check (seq > 0),
    -- How old the drill was, pauses not counted.
    age_ms bigint not null check (age_ms >= 0),
    at timestamptz not null,
    actor bigint references operators,
    body jsonb not null,
    primary key (drill_id, seq)
);
-- A surprise happens once, or is passed over once; an alert fires once at a time.
create unique index drill_log_inject on drill_log (drill_id, (body ->> 'inject'))
    where body ->> 'kind' in ('inject_sent', 'inject_skipped');

create function drill_log_only_grows() returns trigger language plpgsql as $$
begin
    raise exception 'the log of a drill is only added to';
end $$;
create trigger drill_log_only_grows before update or delete on drill_log
    for each row execute function drill_log_only_grows();

-- A drill has a sender of its own, so that nothing of it ever meets what real senders report.
alter table sources add column drill_id bigint unique references drills;

-- Whether an incident is a drill's is said by its sender and by nobody else, once and for all.
alter table incidents add column drill_id bigint references drills;
create index incidents_drill on incidents (drill_id, id) where drill_id is not null;
create function incidents_of_drills() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        raise exception 'whether an incident is a drill''s never changes';
    end if;
    select s.drill_id into new.drill_id from sources s where s.id = new.source_id;
    return new;
end $$;
create trigger incidents_of_drills before insert on incidents
    for each row execute function incidents_of_drills();
create trigger incidents_stay_drills before update of drill_id, source_id on incidents
    for each row when (old.drill_id is distinct from new.drill_id or old.source_id is distinct from new.source_id)
    execute function incidents_of_drills();

-- A drill and the real thing are never merged or folded together.
create function incidents_apart_from_drills() returns trigger language plpgsql as $$
begin
    if exists (select from incidents o where o.id in (new.lives_in, new.folded_under)
               and o.drill_id is distinct from new.drill_id) then
        raise exception 'a drill is kept apart from what is real' using errcode = 'check_violation',
            constraint = 'incidents_apart_from_drills';
    end if;
    return new;
end $$;
create trigger incidents_apart_from_drills before insert or update of lives_in, folded_under on incidents
    for each row when (new.lives_in is not null or new.folded_under is not null)
    execute function incidents_apart_from_drills();
