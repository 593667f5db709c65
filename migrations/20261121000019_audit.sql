-- Who decided what: everything people decide that is not about one incident, in one chain; marks of where the timelines
-- stood, so that a removed one is missed; and links that bring one person to one gate.

-- Where the chain ends. Whoever appends locks this row, always as the last lock of a transaction.
create table audit_head (
    one_row boolean primary key default true check (one_row),
    next_seq bigint not null default 1 check (next_seq > 0),
    last_hash bytea not null default decode(repeat('00', 32), 'hex') check (length(last_hash) = 32)
);
insert into audit_head default values;

create table audit (
    -- From the head's row, so that there are no gaps.
    seq bigint primary key check (seq > 0),
    at timestamptz not null,
    actor jsonb not null,
    -- Kinds are named by the program and only ever added.
    kind text not null check (kind ~ '^[a-z][a-z_]{0,62}$'),
    -- What was acted on: what it is, how its address names it, and what people call it.
    object_kind text not null check (object_kind ~ '^[a-z][a-z_]{0,62}$'),
    object_id text not null,
    object text not null,
    -- The change, as objects of texts; never a secret.
    before jsonb not null check (jsonb_typeof(before) = 'object'),
    after jsonb not null check (jsonb_typeof(after) = 'object'),
    reason text not null,
    session text,
    address text,
    -- Over the hash before it and everything above.
    hash bytea not null check (length(hash) = 32)
);
create trigger audit_append_only before update or delete on audit
    for each row execute function refuse_change();
create trigger audit_no_truncate before truncate on audit execute function refuse_change();
-- A busy installation has a mark of its timelines every minute; lists of decisions pass over them.
create index audit_decisions on audit (at, seq) where kind <> 'timelines_marked';
create index audit_decided on audit (seq) where kind <> 'timelines_marked';

-- Where a timeline stood when it was marked. The act has the digest of its rows. Without a reference to the incident:
-- the mark has to outlive it.
create table audit_anchors (
    audit_seq bigint not null references audit,
    incident_id bigint not null,
    seq bigint not null,
    hash bytea not null check (length(hash) = 32),
    primary key (incident_id, seq)
);
create index audit_anchors_act on audit_anchors (audit_seq, incident_id);
create trigger audit_anchors_append_only before update or delete on audit_anchors
    for each row execute function refuse_change();
create trigger audit_anchors_no_truncate before truncate on audit_anchors execute function refuse_change();

-- Up to when timelines are marked; and up to which incident, by a walk that goes round for ever, so that those from before
-- the first mark, and those that a clock hid, are marked as well.
create table audit_anchoring (
    one_row boolean primary key default true check (one_row),
    marked_to timestamptz,
    walked_to bigint not null default 0
);
insert into audit_anchoring default values;

-- How far each chain has been gone through again, and what was found. A walk that reaches the end begins anew.
create table audit_checks (
    chain text primary key check (chain in ('acts', 'timelines')),
    -- Where the walk stands: the last link it has seen.
    incident_id bigint not null default 0,
    seq bigint not null default 0,
    link bytea not null default decode(repeat('00', 32), 'hex') check (length(link) = 32),
    -- Links seen by this walk.
    walked bigint not null default 0,
    -- The last walk that reached the end without a fault: how many links it saw, and when.
    whole_links bigint,
    whole_at timestamptz,
    -- The first fault, until a walk finds none.
    broken jsonb,
    check ((whole_links is null) = (whole_at is null))
);
insert into audit_checks (chain) values ('acts'), ('timelines');

-- Which events of timelines are decisions: what people did, but for notes and what only follows from another act; and
-- what Muster decided by itself. Whoever changes this makes a function of another name, and its index.
create function is_decision(kind text, actor jsonb) returns boolean immutable parallel safe language sql return
    case when actor ->> 'by' in ('person', 'terminal')
         then kind not in ('note', 'gate_approved', 'step_reopened')
         else kind in ('run_started', 'start_held_back', 'gate_expired', 'gate_voided', 'recovered') end;
create index events_decisions on events (recorded_at, incident_id, seq) where is_decision(kind, actor);
-- What was written lately, for the marks: events come in the order of their time, so that ranges of blocks will do.
create index events_recorded on events using brin (recorded_at) with (pages_per_range = 32, autosummarize = on);

-- What was written in standing_acts joins the chain, and what a replica of the release before still writes there does
-- as well. The text that is hashed is that of the program: keys in order, no blanks.
create function audit_standing_act(act standing_acts) returns void language plpgsql as $$
declare
    head audit_head;
    who jsonb;
    who_text text;
    what text := case
        when act.act in ('paused', 'resumed') then 'automation'
        when act.act = 'circuit_closed' then 'target'
        when act.act like 'freeze%' then 'freeze'
        when act.act like 'source_token%' then 'source_token'
        when act.act like 'source%' then 'source'
        else 'routing_rule' end;
    link bytea;
begin
    select * into strict head from audit_head for update;
    if act.operator_id is null then
        who := '{"by": "terminal"}';
        who_text := '{"by":"terminal"}';
    else
        select jsonb_build_object('by', 'person', 'id', id, 'name', name),
               '{"by":"person","id":' || id || ',"name":' || to_json(name)::text || '}'
            into strict who, who_text from operators where id = act.operator_id;
    end if;
    link := sha256(head.last_hash || convert_to(
        '{"actor":' || who_text || ',"address":null,"after":{},"at_us":'
        || (extract(epoch from act.at) * 1000000)::bigint || ',"before":{},"kind":' || to_json(act.act)::text
        || ',"object":' || to_json(act.subject)::text || ',"object_id":"","object_kind":' || to_json(what)::text
        || ',"reason":' || to_json(act.reason)::text || ',"seq":' || head.next_seq || ',"session":null}', 'UTF8'));
    insert into audit (seq, at, actor, kind, object_kind, object_id, object, before, after, reason, hash)
        values (head.next_seq, act.at, who, act.act, what, '', act.subject, '{}', '{}', act.reason, link);
    update audit_head set next_seq = head.next_seq + 1, last_hash = link;
end $$;
create function audit_standing_act() returns trigger language plpgsql as $$
begin
    perform audit_standing_act(new);
    return null;
end $$;
do $$
declare
    act standing_acts;
begin
    for act in select * from standing_acts order by id loop
        perform audit_standing_act(act);
    end loop;
end $$;
create trigger standing_acts_audited after insert on standing_acts
    for each row execute function audit_standing_act();

-- Links that bring one person to one gate, and decide there once. Found by the hash of their code.
create table approval_links (
    id bigint generated always as identity primary key,
    code_hash bytea not null unique check (length(code_hash) = 32),
    approval_id bigint not null references approvals,
    -- For whom.
    operator_id bigint not null references operators,
    made_by bigint not null references operators,
    made_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    -- When somebody else was last told that it is not for them.
    refused_at timestamptz
);
create index approval_links_approval on approval_links (approval_id);
