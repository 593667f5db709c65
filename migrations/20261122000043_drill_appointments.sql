-- A drill that is planned for a time begins by itself then; players say whether they come; who leads one is missed when
-- they are gone.
alter table drills drop constraint drills_check3;
update drills set due = planned_for where state = 'planned' and planned_for > now();
alter table drills add constraint drills_due check
    (case state when 'running' then due is not null
                when 'planned' then due is null or planned_for is not null
                else due is null end);

-- When who leads it was last there, if they ever were.
alter table drills add column leader_seen_at timestamptz;

alter table drill_players add column comes boolean;
alter table drill_players add column answered_at timestamptz;
alter table drill_players add constraint drill_players_answer check ((comes is null) = (answered_at is null));
create index drill_players_person on drill_players (operator_id, drill_id);
