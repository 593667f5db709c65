-- What each drill has exercised of the runbooks that ran in it, written once when the drill ends, in the same transaction.
--
-- It could be worked out from timelines, but every page that shows a runbook would then read every timeline of every
-- drill; and what a drill has shown is a fact of that night, however Muster's own rules change later.

create table drill_coverage (
    drill_id bigint not null references drills,
    version_id bigint not null references runbook_versions,
    -- Step and branch, like `ask/approved`: the same in every version of a runbook.
    item text not null check (length(item) between 3 and 200),
    -- Of what defined the item in that version. A version whose item has the same one is covered as well.
    fingerprint bytea not null check (length(fingerprint) = 32),
    -- The two below follow from those above and are filled in by a trigger.
    runbook_id bigint not null references runbooks,
    at timestamptz not null,
    primary key (drill_id, version_id, item)
);
-- The newest drill of an item as it is, and of an item however it was defined.
create index drill_coverage_same on drill_coverage (runbook_id, item, fingerprint, at desc, drill_id desc);
create index drill_coverage_any on drill_coverage (runbook_id, item, at desc, drill_id desc);

create function drill_coverage_of_drills() returns trigger language plpgsql as $$
declare
    drill record;
begin
    select d.state, d.depth, d.ended_at into drill from drills d where d.id = new.drill_id;
    if drill.state <> 'ended' or drill.depth = 'tabletop' then
        raise exception 'only a drill that is over and in which something was carried out covers anything'
            using errcode = 'check_violation', constraint = 'drill_coverage_of_drills';
    end if;
    if not exists (select from runs r join incidents i on i.id = r.incident_id
                   where i.drill_id = new.drill_id and r.version_id = new.version_id) then
        raise exception 'this version did not run in the drill'
            using errcode = 'check_violation', constraint = 'drill_coverage_of_drills';
    end if;
    new.at := drill.ended_at;
    select v.runbook_id into new.runbook_id from runbook_versions v where v.id = new.version_id;
    return new;
end $$;
create trigger drill_coverage_of_drills before insert on drill_coverage
    for each row execute function drill_coverage_of_drills();
create trigger drill_coverage_never_changes before update or delete on drill_coverage
    for each row execute function refuse_change();
