-- All who play a part of a drill that drops out act on its incidents no more until it is over: whoever is left has to
-- manage, as on the night when somebody cannot be reached.
alter table drill_players add column left_at timestamptz;

create function refuse_who_has_left_the_drill() returns trigger language plpgsql as $$
begin
    if exists (
        select from incidents i
        join drills d on d.id = i.drill_id and d.state <> 'ended'
        join drill_players p on p.drill_id = d.id
        where i.id = new.incident_id and p.operator_id = (new.actor ->> 'id')::bigint and p.left_at is not null
    ) then
        raise exception 'operator % has left the drill', new.actor ->> 'id'
            using errcode = 'check_violation', constraint = 'drill_players_who_left_rest';
    end if;
    return new;
end $$;
create trigger events_by_who_has_left before insert on events
    for each row when (new.actor ->> 'by' = 'person') execute function refuse_who_has_left_the_drill();
