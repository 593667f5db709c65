-- What a drill must never have, whoever writes it and by which way: a sender that others may use or that speaks to
-- monitoring, and a silence in what watches the real thing.

alter table sources add constraint sources_of_drills_stay_inside check
    (drill_id is null
     or alertmanager is null and heartbeat_within_ms is null and fold_over is null and sign_with is null);

create function source_tokens_of_drills() returns trigger language plpgsql as $$
begin
    if exists (select from sources s where s.id = new.source_id and s.drill_id is not null) then
        raise exception 'the sender of a drill has no token' using errcode = 'check_violation',
            constraint = 'source_tokens_of_drills';
    end if;
    return new;
end $$;
create trigger source_tokens_of_drills before insert on source_tokens
    for each row execute function source_tokens_of_drills();

create function silences_of_drills() returns trigger language plpgsql as $$
begin
    if exists (select from incidents i where i.id = new.incident_id and i.drill_id is not null) then
        raise exception 'nothing of a drill is silenced outside of it' using errcode = 'check_violation',
            constraint = 'silences_of_drills';
    end if;
    return new;
end $$;
create trigger silences_of_drills before insert on silences
    for each row execute function silences_of_drills();
