//! Approvals: requests for a decision at a gate, and the votes on them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{StoreError, operators};
use crate::domain::{
    approval::{ApprovalState, Bound, Verdict, may_decide},
    digest::Digest,
    id::{ApprovalId, DrillId, IncidentId, OperatorId, RunId, StepId},
    incident::Severity,
    operator::Operator,
    step::GateRule,
};

/// A request for a decision.
#[derive(Clone, Debug)]
pub struct NewApproval<'a> {
    /// Of which run.
    pub run: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// At which gate.
    pub step: &'a StepId,
    /// What is asked.
    pub title: &'a str,
    /// What the people affected will notice.
    pub impact: &'a str,
    /// What the decision is bound to.
    pub bound: &'a Bound,
    /// Who may decide, how many must.
    pub rule: &'a GateRule,
    /// The person who started the run.
    pub requester: Option<OperatorId>,
    /// When it lapses undecided.
    pub decide_by: DateTime<Utc>,
}

/// A request for a decision as it is kept.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Its number.
    pub id: ApprovalId,
    /// Of which run.
    pub run: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// At which gate.
    pub step: StepId,
    /// Where it stands.
    pub state: ApprovalState,
    /// What is asked.
    pub title: String,
    /// What the people affected will notice.
    pub impact: String,
    /// What the decision is bound to.
    pub bound: Bound,
    /// The hash a decision must carry.
    pub digest: Digest,
    /// Who may decide, how many must.
    pub rule: GateRule,
    /// The person who started the run.
    pub requester: Option<OperatorId>,
    /// When it was asked.
    pub opened_at: DateTime<Utc>,
    /// When it lapses undecided.
    pub decide_by: DateTime<Utc>,
    /// When it lapses unused.
    pub use_by: Option<DateTime<Utc>>,
}

struct Row {
    id: i64,
    run_id: i64,
    incident_id: i64,
    step: String,
    state: String,
    title: String,
    impact: String,
    bound: Value,
    digest: Vec<u8>,
    rule: Value,
    requester: Option<i64>,
    opened_at: DateTime<Utc>,
    decide_by: DateTime<Utc>,
    use_by: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Approval {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let corrupt =
            |column| move |error: serde_json::Error| StoreError::corrupt("approvals", column, error);
        Ok(Self {
            id: ApprovalId(row.id),
            run: RunId(row.run_id),
            incident: IncidentId(row.incident_id),
            step: StepId(row.step),
            state: ApprovalState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("approvals", "state", &row.state))?,
            title: row.title,
            impact: row.impact,
            bound: serde_json::from_value(row.bound).map_err(corrupt("bound"))?,
            digest: Digest::from_slice(&row.digest)
                .ok_or_else(|| StoreError::corrupt("approvals", "digest", "not 32 bytes"))?,
            rule: serde_json::from_value(row.rule).map_err(corrupt("rule"))?,
            requester: row.requester.map(OperatorId),
            opened_at: row.opened_at,
            decide_by: row.decide_by,
            use_by: row.use_by,
        })
    }
}

/// Asks for a decision.
pub async fn insert(
    conn: &mut PgConnection,
    approval: &NewApproval<'_>,
    now: DateTime<Utc>,
) -> Result<ApprovalId, StoreError> {
    let corrupt = |column| move |error: serde_json::Error| StoreError::corrupt("approvals", column, error);
    let bound = serde_json::to_value(approval.bound).map_err(corrupt("bound"))?;
    let rule = serde_json::to_value(approval.rule).map_err(corrupt("rule"))?;
    let id = sqlx::query_scalar!(
        "insert into approvals (run_id, incident_id, step, state, bound, digest, rule, title, impact, requester,
                                opened_at, decide_by)
         values ($1, $2, $3, 'pending', $4, $5, $6, $7, $8, $9, $10, $11) returning id",
        approval.run.0,
        approval.incident.0,
        approval.step.0,
        bound,
        &approval.bound.digest().0[..],
        rule,
        approval.title,
        approval.impact,
        approval.requester.map(|id| id.0),
        now,
        approval.decide_by
    )
    .fetch_one(conn)
    .await?;
    Ok(ApprovalId(id))
}

/// One request. Decide only under the lock of its run's row.
pub async fn find(conn: &mut PgConnection, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
    sqlx::query_as!(
        Row,
        "select id, run_id, incident_id, step, state, title, impact, bound, digest, rule, requester, opened_at,
                decide_by, use_by
         from approvals where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Approval::try_from)
    .transpose()
}

/// The newest request at the same gate of the same run after this one: what asks in its place.
pub async fn find_successor(
    conn: &mut PgConnection,
    approval: &Approval,
) -> Result<Option<ApprovalId>, StoreError> {
    let id = sqlx::query_scalar!(
        "select id from approvals where run_id = $1 and step = $2 and id > $3 order by id desc limit 1",
        approval.run.0,
        approval.step.0,
        approval.id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(ApprovalId))
}

/// Pending requests, the soonest to lapse first, at most `limit`; of one incident, with those merged into it, when it is
/// named.
pub async fn list_pending(
    conn: &mut PgConnection,
    incident: Option<IncidentId>,
    limit: i64,
) -> Result<Vec<Approval>, StoreError> {
    sqlx::query_as!(
        Row,
        "select id, run_id, incident_id, step, state, title, impact, bound, digest, rule, requester, opened_at,
                decide_by, use_by
         from approvals where state = 'pending' and ($1::bigint is null or incident_id = $1
                or incident_id in (select id from incidents where lives_in = $1))
         order by decide_by, id limit $2",
        incident.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Approval::try_from)
    .collect()
}

/// Moves a request on from the state it must be in; `false` when it was not there any more.
pub async fn set_state(
    conn: &mut PgConnection,
    id: ApprovalId,
    from: ApprovalState,
    to: ApprovalState,
    use_by: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    Ok(sqlx::query!(
        "update approvals set state = $3, use_by = coalesce($4, use_by), decided_at = coalesce(decided_at, $5)
         where id = $1 and state = $2",
        id.0,
        from.name(),
        to.name(),
        use_by,
        now
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}

/// Voids whatever a run still asks or was allowed: it is over.
pub async fn void_all(conn: &mut PgConnection, run: RunId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "update approvals set state = 'void', decided_at = coalesce(decided_at, $2)
         where run_id = $1 and state in ('pending', 'approved')",
        run.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a person's vote; `false` when they have voted before.
pub async fn insert_vote(
    conn: &mut PgConnection,
    id: ApprovalId,
    person: OperatorId,
    verdict: Verdict,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    Ok(sqlx::query!(
        "insert into votes (approval_id, operator_id, verdict, reason, at) values ($1, $2, $3, $4, $5)
         on conflict (approval_id, operator_id) do nothing",
        id.0,
        person.0,
        verdict.name(),
        reason,
        now
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}

/// One vote, for people.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Vote {
    /// Who.
    pub name: String,
    /// `approve` or `reject`.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The votes on a request, in order.
pub async fn votes(conn: &mut PgConnection, id: ApprovalId) -> Result<Vec<Vote>, StoreError> {
    Ok(sqlx::query_as!(
        Vote,
        "select o.name, v.verdict, v.reason, v.at from votes v join operators o on o.id = v.operator_id
         where v.approval_id = $1 order by v.at limit 100",
        id.0
    )
    .fetch_all(conn)
    .await?)
}

/// Somebody who approved, or opened a gate alone, as they are now.
#[derive(Clone, Debug)]
pub struct Giver {
    /// They, with the role and the teams they have now.
    pub person: Operator,
    /// Whether they still can sign in.
    pub is_enabled: bool,
    /// Whether they opened the gate alone.
    pub has_broken: bool,
}

impl Giver {
    /// Whether they still may approve this.
    pub fn may(&self, approval: &Approval) -> bool {
        let may = may_decide(&approval.rule, &self.person, approval.requester);
        self.is_enabled && !self.has_broken && may.is_ok()
    }
}

/// Everybody whom an approval rests on.
pub async fn givers(conn: &mut PgConnection, id: ApprovalId) -> Result<Vec<Giver>, StoreError> {
    sqlx::query!(
        r#"select g.has_broken as "has_broken!", o.id, o.name, o.role, teams_of(o.id) as "teams!",
                  o.disabled_at is null as "is_enabled!"
           from (select operator_id, false as has_broken, at from votes where approval_id = $1 and verdict = 'approve'
                 union all
                 select opened_by, true, opened_at from reviews where approval_id = $1) g
           join operators o on o.id = g.operator_id order by g.at, o.id limit 100"#,
        id.0
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Giver {
            person: operators::operator(row.id, row.name, &row.role, row.teams)?,
            is_enabled: row.is_enabled,
            has_broken: row.has_broken,
        })
    })
    .collect()
}

/// One line of the inbox.
#[derive(Clone, Debug)]
pub struct ApprovalLine {
    /// The request.
    pub id: ApprovalId,
    /// Of which incident.
    pub incident: IncidentId,
    /// What that is called.
    pub incident_title: String,
    /// The drill it is part of.
    pub drill: Option<DrillId>,
    /// How bad it is.
    pub severity: Severity,
    /// What is asked.
    pub title: String,
    /// Where it stands.
    pub state: ApprovalState,
    /// The targets of what it lets through.
    pub targets: Vec<String>,
    /// Who may decide, how many must.
    pub rule: GateRule,
    /// The person who started the run.
    pub requester: Option<OperatorId>,
    /// What they are called.
    pub requester_name: Option<String>,
    /// Approvals so far.
    pub given: i64,
    /// When it was asked.
    pub opened_at: DateTime<Utc>,
    /// When it lapses undecided.
    pub decide_by: DateTime<Utc>,
    /// When it was settled.
    pub decided_at: Option<DateTime<Utc>>,
    /// Whether one person opened it alone.
    pub broken: bool,
}

/// Who may decide on the pending requests of real incidents and who asked for each, at most `limit`: all that a count of
/// them needs.
pub async fn list_rules(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(GateRule, Option<OperatorId>)>, StoreError> {
    sqlx::query!(
        "select a.rule, a.requester from approvals a join incidents i on i.id = a.incident_id
         where a.state = 'pending' and i.drill_id is null order by a.decide_by limit $1",
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let rule = serde_json::from_value(row.rule)
            .map_err(|error| StoreError::corrupt("approvals", "rule", error))?;
        Ok((rule, row.requester.map(OperatorId)))
    })
    .collect()
}

/// Pending requests, the soonest to lapse first, then those settled after `settled_since`, the newest first; at most
/// `limit`. Pending ones only when it is `None`.
pub async fn list_lines(
    conn: &mut PgConnection,
    settled_since: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<Vec<ApprovalLine>, StoreError> {
    sqlx::query!(
        r#"select a.id, a.incident_id, i.title as incident_title, i.severity, i.drill_id, a.title, a.state, a.rule,
                  a.requester, o.name as "requester_name?", a.opened_at, a.decide_by, a.decided_at,
                  (select count(*) from votes v where v.approval_id = a.id and v.verdict = 'approve') as "given!",
                  array(select distinct s -> 'request' ->> 'target' from jsonb_array_elements(a.bound -> 'steps') s
                        where (s ->> 'changes')::boolean) as "targets!",
                  exists (select from reviews r where r.approval_id = a.id) as "broken!"
           from approvals a join incidents i on i.id = a.incident_id
           left join operators o on o.id = a.requester
           where a.state = 'pending' or a.decided_at > $1
           order by (a.state = 'pending') desc, case when a.state = 'pending' then a.decide_by end,
                    a.decided_at desc, a.id limit $2"#,
        settled_since,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(ApprovalLine {
            id: ApprovalId(row.id),
            incident: IncidentId(row.incident_id),
            incident_title: row.incident_title,
            drill: row.drill_id.map(DrillId),
            severity: Severity::numbered(row.severity)
                .ok_or_else(|| StoreError::corrupt("incidents", "severity", row.severity))?,
            title: row.title,
            state: ApprovalState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("approvals", "state", &row.state))?,
            targets: row.targets,
            rule: serde_json::from_value(row.rule)
                .map_err(|error| StoreError::corrupt("approvals", "rule", error))?,
            requester: row.requester.map(OperatorId),
            requester_name: row.requester_name,
            given: row.given,
            opened_at: row.opened_at,
            decide_by: row.decide_by,
            decided_at: row.decided_at,
            broken: row.broken,
        })
    })
    .collect()
}
