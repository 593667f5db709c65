-- Past incidents played again as drills, and what is to be done after an incident or a drill.

-- What verify probes were told in real runs. Attempts keep the answers to the steps themselves; whoever plays the night
-- again needs both. The world of a drill needs no record.
create table probe_answers (
    id bigint generated always as identity primary key,
    run_id bigint not null references runs,
    step text not null,
    asked_at timestamptz not null,
    request jsonb not null,
    -- As expressions saw it.
    result jsonb not null
);
create index probe_answers_run on probe_answers (run_id, id);

-- The real incident that a scenario was made of. It does not come from the folder, so the folder does not retire it.
alter table scenarios add column incident_id bigint unique references incidents;
create function scenarios_of_real_incidents() returns trigger language plpgsql as $$
begin
    if not exists (select from incidents i where i.id = new.incident_id and i.drill_id is null) then
        raise exception 'only a real incident is played again' using errcode = 'check_violation',
            constraint = 'scenarios_of_real_incidents';
    end if;
    return new;
end $$;
create trigger scenarios_of_real_incidents before insert or update of incident_id on scenarios
    for each row when (new.incident_id is not null) execute function scenarios_of_real_incidents();

create table action_items (
    id bigint generated always as identity primary key,
    -- What it comes from: an incident or a drill.
    incident_id bigint references incidents,
    drill_id bigint references drills,
    text text not null check (length(text) between 1 and 500),
    owner bigint not null references operators,
    due date,
    -- The incident that must pass when it is played again before this counts as done.
    proof_incident bigint references incidents,
    state text not null default 'open' check (state in ('open', 'done', 'dropped')),
    -- The drill that proved it.
    proven_by bigint references drills,
    -- Why it is not done any more, or what was done.
    remark text not null default '' check (length(remark) <= 500),
    made_by bigint not null references operators,
    made_at timestamptz not null,
    closed_by bigint references operators,
    closed_at timestamptz,
    check (num_nonnulls(incident_id, drill_id) = 1),
    check ((state = 'open') = (closed_at is null)),
    check ((closed_by is null) = (closed_at is null)),
    check (state <> 'dropped' or remark <> ''),
    -- Proven when it had to be, and only then.
    check ((proven_by is not null) = (state = 'done' and proof_incident is not null))
);
create index action_items_open on action_items (due, id) where state = 'open';
create index action_items_owner on action_items (owner, id desc);
create index action_items_incident on action_items (incident_id, id desc) where incident_id is not null;
create index action_items_drill on action_items (drill_id, id desc) where drill_id is not null;

-- What proves an item is a drill of its incident that began after the item was made and was played to its end, in the
-- version of the scenario that is in use and with runs of the versions of their runbooks that are in use. Whether it
-- passed is judged from its log by whoever closes the item.
create function action_items_are_proven() returns trigger language plpgsql as $$
begin
    if not exists (
        select from drills d join scenarios s on s.current_version_id = d.version_id
        where d.id = new.proven_by and s.incident_id = new.proof_incident and d.depth = 'simulated'
              and d.end_kind = 'finished' and d.started_at >= new.made_at
              and exists (select from incidents i join runs r on r.incident_id = i.id where i.drill_id = d.id)
              and not exists (
                  select from incidents i join runs r on r.incident_id = i.id
                  join runbook_versions v on v.id = r.version_id join runbooks b on b.id = v.runbook_id
                  where i.drill_id = d.id and b.current_version_id is distinct from r.version_id)) then
        raise exception 'this drill does not prove it' using errcode = 'check_violation',
            constraint = 'action_items_are_proven';
    end if;
    return new;
end $$;
create trigger action_items_are_proven before insert or update of proven_by on action_items
    for each row when (new.proven_by is not null) execute function action_items_are_proven();

create function action_items_end_once() returns trigger language plpgsql as $$
begin
    raise exception 'an action item that is closed stays as it is' using errcode = 'check_violation',
        constraint = 'action_items_end_once';
end $$;
create trigger action_items_end_once before update on action_items
    for each row when (old.state <> 'open') execute function action_items_end_once();
