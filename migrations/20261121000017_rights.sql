-- What people may do besides their role, and what programs may do for them.

-- Groups that runbooks and gates name.
create table teams (
    id bigint generated always as identity primary key,
    name text not null unique check (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    created_at timestamptz not null
);

create table team_members (
    team_id bigint not null references teams on delete cascade,
    operator_id bigint not null references operators,
    primary key (operator_id, team_id)
);
create index team_members_team on team_members (team_id);

-- The teams somebody is in, by name. In the language that the planner can fold into a query.
create function teams_of(operator bigint) returns text[] stable language sql return
    array(select t.name from team_members m join teams t on t.id = m.team_id
          where m.operator_id = operator order by t.name);

-- A program's way in for one person: never more than that person may, never for ever, found by its hash.
create table api_tokens (
    id bigint generated always as identity primary key,
    operator_id bigint not null references operators,
    -- What it is for; two live ones of a person never share it.
    name text not null check (name <> '' and length(name) <= 100),
    -- How it begins, so that a found one can be told.
    prefix text not null,
    token_hash bytea not null unique check (length(token_hash) = 32),
    -- Names of permissions.
    scopes text[] not null check (cardinality(scopes) > 0),
    created_at timestamptz not null,
    expires_at timestamptz not null check (expires_at > created_at),
    last_used_at timestamptz,
    revoked_at timestamptz
);
create unique index api_tokens_live_name on api_tokens (operator_id, name) where revoked_at is null;

-- Someone always can let people in: the last enabled admin can be neither disabled nor lowered. Two who do it to each
-- other at the same moment wait for each other at the lock.
create function keep_an_admin() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtext('operators.admins'));
    if not exists (select from operators where role = 'admin' and disabled_at is null) then
        raise exception 'the last admin' using errcode = 'check_violation', constraint = 'operators_last_admin';
    end if;
    return null;
end $$;
create trigger operators_last_admin after update of role, disabled_at or delete on operators
    for each row when (old.role = 'admin' and old.disabled_at is null) execute function keep_an_admin();
