-- Who published which version, what waits for others to look at it, and votes that fall with the rights behind them.

-- What the folder's file of a runbook said last, so that its file publishes when it changes and not whenever the folder is
-- read. Null for a runbook that has no file.
alter table runbooks add column folder_digest bytea check (length(folder_digest) = 32);
update runbooks b set folder_digest = v.digest from runbook_versions v where v.id = b.current_version_id;

-- A version of one runbook is never published as another's.
alter table runbook_versions add constraint runbook_versions_of_runbook unique (runbook_id, id);

-- A new version that others must look at before it counts.
create table proposals (
    id bigint generated always as identity primary key,
    runbook_id bigint not null references runbooks,
    -- SHA-256 of the source: what the reviews are about never changes.
    digest bytea not null check (length(digest) = 32),
    source text not null,
    definition jsonb not null,
    origin text not null,
    -- Null for the folder.
    proposed_by bigint references operators,
    note text not null,
    proposed_at timestamptz not null,
    state text not null check (state in ('waiting', 'published', 'returned', 'replaced', 'withdrawn')),
    settled_at timestamptz,
    -- Null for the folder, whose newer file replaces.
    settled_by bigint references operators,
    -- What was said with it.
    word text not null default '',
    -- The version it became.
    version_id bigint,
    foreign key (runbook_id, version_id) references runbook_versions (runbook_id, id),
    check ((state = 'waiting') = (settled_at is null)),
    check ((state = 'published') = (version_id is not null)),
    check (state <> 'returned' or settled_by is not null and word <> '')
);
-- A newer one replaces the one that waits.
create unique index proposals_waiting on proposals (runbook_id) where state = 'waiting';

-- One person's approval of a proposal as compared with the version that stood then; against another one it does not count.
create table proposal_approvals (
    proposal_id bigint not null references proposals,
    operator_id bigint not null references operators,
    -- Null where no version stood.
    base_version_id bigint references runbook_versions,
    note text not null,
    at timestamptz not null
);
create unique index proposal_approvals_once
    on proposal_approvals (proposal_id, operator_id, coalesce(base_version_id, 0));
create trigger proposal_approvals_append_only before update or delete on proposal_approvals
    for each row execute function refuse_change();

-- Nobody approves their own proposal, and nothing but what waits is approved.
create function check_proposal_approval() returns trigger language plpgsql as $$
declare
    proposal proposals;
begin
    select * into strict proposal from proposals where id = new.proposal_id for no key update;
    if proposal.proposed_by = new.operator_id then
        raise exception 'their own proposal' using errcode = 'check_violation', constraint = 'proposal_approvals_other';
    end if;
    if proposal.state <> 'waiting' then
        raise exception 'not waiting' using errcode = 'check_violation', constraint = 'proposal_approvals_waiting';
    end if;
    return new;
end $$;
create trigger proposal_approvals_checked before insert on proposal_approvals
    for each row execute function check_proposal_approval();

-- What a proposal is about stays as it was proposed, and what is settled stays settled.
create function keep_proposal() returns trigger language plpgsql as $$
begin
    if old.state <> 'waiting'
        or (new.runbook_id, new.digest, new.source, new.definition, new.proposed_by, new.note, new.proposed_at)
            is distinct from
           (old.runbook_id, old.digest, old.source, old.definition, old.proposed_by, old.note, old.proposed_at) then
        raise exception 'a proposal does not change' using errcode = 'check_violation', constraint = 'proposals_kept';
    end if;
    return new;
end $$;
create trigger proposals_kept before update on proposals for each row execute function keep_proposal();

-- Each time a version became the one in use. The newest one of a version says whose rights it starts with by itself.
create table publications (
    id bigint generated always as identity primary key,
    runbook_id bigint not null references runbooks,
    version_id bigint not null,
    -- Null for the folder and the terminal, which count as an admin.
    published_by bigint references operators,
    origin text not null,
    note text not null,
    proposal_id bigint references proposals,
    published_at timestamptz not null,
    foreign key (runbook_id, version_id) references runbook_versions (runbook_id, id)
);
create index publications_version on publications (version_id, id);
create index publications_runbook on publications (runbook_id, id);
create trigger publications_append_only before update or delete on publications
    for each row execute function refuse_change();
-- Until now everything came from the folder.
insert into publications (runbook_id, version_id, origin, note, published_at)
    select v.runbook_id, v.id, v.origin, '', v.created_at from runbook_versions v join runbooks b on b.id = v.runbook_id
    order by (v.id = b.current_version_id) nulls first, v.number;

-- Whoever loses the right to decide takes their approvals with them. A worker that has planned to act on one of these has
-- its turn refused like one that a person has overtaken, and asks anew. Rows in the order in which workers lock them.
create function shake_approvals(person bigint) returns void language plpgsql as $$
begin
    perform from run_queue q where q.run_id in (
        select a.run_id from approvals a where a.state = 'approved' and (
            exists (select from votes v where v.approval_id = a.id and v.operator_id = person)
            or exists (select from reviews r where r.approval_id = a.id and r.opened_by = person)))
        order by q.run_id for no key update;
    update run_queue q set acts = acts + 1 where q.run_id in (
        select a.run_id from approvals a where a.state = 'approved' and (
            exists (select from votes v where v.approval_id = a.id and v.operator_id = person)
            or exists (select from reviews r where r.approval_id = a.id and r.opened_by = person)));
end $$;

create function operator_changed() returns trigger language plpgsql as $$
begin
    perform shake_approvals(new.id);
    return null;
end $$;
create trigger operators_shake_approvals after update of role, disabled_at on operators
    for each row when (old.role <> new.role or old.disabled_at is distinct from new.disabled_at)
    execute function operator_changed();

create function membership_changed() returns trigger language plpgsql as $$
begin
    -- Whoever decides just now holds this row until it is done.
    perform from operators where id = old.operator_id for no key update;
    perform shake_approvals(old.operator_id);
    return null;
end $$;
create trigger team_members_shake_approvals after delete on team_members
    for each row execute function membership_changed();

create index votes_operator on votes (operator_id);
