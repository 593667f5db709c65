//! Action items: what is to be done after an incident or a drill, by whom, until when, and how it is proven.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    action_item::ItemState,
    id::{ActionItemId, DrillId, IncidentId, OperatorId},
};

/// What an item comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An incident.
    Incident(IncidentId),
    /// A drill.
    Drill(DrillId),
}

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionItem {
    /// Its number.
    pub id: ActionItemId,
    /// What it comes from.
    pub origin: Origin,
    /// What is to be done.
    pub text: String,
    /// Who does it.
    pub owner: OperatorId,
    /// What they are called.
    pub owner_name: String,
    /// Until when.
    pub due: Option<NaiveDate>,
    /// The incident that must pass when it is played again.
    pub proof: Option<IncidentId>,
    /// How it stands.
    pub state: ItemState,
    /// The drill that proved it.
    pub proven_by: Option<DrillId>,
    /// What was said when it was closed.
    pub remark: String,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub made_at: DateTime<Utc>,
    /// Who closed it.
    pub closed_by: Option<String>,
    /// When.
    pub closed_at: Option<DateTime<Utc>>,
}

struct Row {
    id: i64,
    incident_id: Option<i64>,
    drill_id: Option<i64>,
    text: String,
    owner: i64,
    owner_name: String,
    due: Option<NaiveDate>,
    proof_incident: Option<i64>,
    state: String,
    proven_by: Option<i64>,
    remark: String,
    made_by: String,
    made_at: DateTime<Utc>,
    closed_by: Option<String>,
    closed_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for ActionItem {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let origin = match (row.incident_id, row.drill_id) {
            (Some(incident), None) => Origin::Incident(IncidentId(incident)),
            (None, Some(drill)) => Origin::Drill(DrillId(drill)),
            _ => return Err(StoreError::corrupt("action_items", "incident_id", row.id)),
        };
        Ok(Self {
            id: ActionItemId(row.id),
            origin,
            text: row.text,
            owner: OperatorId(row.owner),
            owner_name: row.owner_name,
            due: row.due,
            proof: row.proof_incident.map(IncidentId),
            state: ItemState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("action_items", "state", &row.state))?,
            proven_by: row.proven_by.map(DrillId),
            remark: row.remark,
            made_by: row.made_by,
            made_at: row.made_at,
            closed_by: row.closed_by,
            closed_at: row.closed_at,
        })
    }
}

/// An item to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewItem<'a> {
    /// What it comes from.
    pub origin: Origin,
    /// What is to be done.
    pub text: &'a str,
    /// Who does it.
    pub owner: OperatorId,
    /// Until when.
    pub due: Option<NaiveDate>,
    /// The incident that must pass when it is played again.
    pub proof: Option<IncidentId>,
}

/// Makes one.
pub async fn insert(
    conn: &mut PgConnection,
    new: &NewItem<'_>,
    by: OperatorId,
    now: DateTime<Utc>,
) -> Result<ActionItemId, StoreError> {
    let (incident, drill) = match new.origin {
        Origin::Incident(id) => (Some(id.0), None),
        Origin::Drill(id) => (None, Some(id.0)),
    };
    let id = sqlx::query_scalar!(
        "insert into action_items (incident_id, drill_id, text, owner, due, proof_incident, made_by, made_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8) returning id",
        incident,
        drill,
        new.text,
        new.owner.0,
        new.due,
        new.proof.map(|id| id.0),
        by.0,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(ActionItemId(id))
}

/// One item, its row locked.
pub async fn lock(conn: &mut PgConnection, id: ActionItemId) -> Result<Option<ActionItem>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select a.id, a.incident_id, a.drill_id, a.text, a.owner, o.name as owner_name, a.due, a.proof_incident,
                  a.state, a.proven_by, a.remark, m.name as made_by, a.made_at, c.name as "closed_by?", a.closed_at
           from action_items a join operators o on o.id = a.owner join operators m on m.id = a.made_by
           left join operators c on c.id = a.closed_by
           where a.id = $1 for no key update of a"#,
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(ActionItem::try_from)
    .transpose()
}

/// Which items. What is empty asks for all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Of this incident.
    pub incident: Option<IncidentId>,
    /// Of this drill.
    pub drill: Option<DrillId>,
    /// Of this person.
    pub owner: Option<OperatorId>,
    /// Open ones alone.
    pub is_open: bool,
    /// Open ones that were due before this day.
    pub due_before: Option<NaiveDate>,
    /// With a lower number.
    pub before: Option<ActionItemId>,
}

/// Items, the newest first, at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    wanted: &Wanted,
    limit: i64,
) -> Result<Vec<ActionItem>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select a.id, a.incident_id, a.drill_id, a.text, a.owner, o.name as owner_name, a.due, a.proof_incident,
                  a.state, a.proven_by, a.remark, m.name as made_by, a.made_at, c.name as "closed_by?", a.closed_at
           from action_items a join operators o on o.id = a.owner join operators m on m.id = a.made_by
           left join operators c on c.id = a.closed_by
           where ($1::bigint is null or a.incident_id = $1) and ($2::bigint is null or a.drill_id = $2)
                 and ($3::bigint is null or a.owner = $3) and (not $4 or a.state = 'open')
                 and ($5::date is null or (a.state = 'open' and a.due < $5))
                 and ($6::bigint is null or a.id < $6)
           order by a.id desc limit $7"#,
        wanted.incident.map(|id| id.0),
        wanted.drill.map(|id| id.0),
        wanted.owner.map(|id| id.0),
        wanted.is_open,
        wanted.due_before,
        wanted.before.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(ActionItem::try_from)
    .collect()
}

/// How an item is closed.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// Done or dropped.
    pub state: ItemState,
    /// The drill that proves it.
    pub proven_by: Option<DrillId>,
    /// What was done, or why it is not done any more.
    pub remark: &'a str,
}

/// Closes an open item; false when it is not open. The database refuses a drill that proves nothing.
pub async fn close(
    conn: &mut PgConnection,
    id: ActionItemId,
    closing: &Closing<'_>,
    by: OperatorId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update action_items set state = $2, proven_by = $3, remark = $4, closed_by = $5, closed_at = $6
         where id = $1 and state = 'open'",
        id.0,
        closing.state.name(),
        closing.proven_by.map(|id| id.0),
        closing.remark,
        by.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Drills that may prove an item, the newest first: of the scenario that plays this incident again, begun since then,
/// simulated, played to their ends, with runs of the versions in use. The database takes no other.
pub async fn proofs(
    conn: &mut PgConnection,
    incident: IncidentId,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DrillId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select d.id from scenarios s join drills d on d.version_id = s.current_version_id
         where s.incident_id = $1 and d.started_at >= $2 and d.end_kind = 'finished' and d.depth = 'simulated'
               and exists (select from incidents i join runs r on r.incident_id = i.id where i.drill_id = d.id)
               and not exists (
                   select from incidents i join runs r on r.incident_id = i.id
                   join runbook_versions v on v.id = r.version_id join runbooks b on b.id = v.runbook_id
                   where i.drill_id = d.id and b.current_version_id is distinct from r.version_id)
         order by d.id desc limit $3",
        incident.0,
        since,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(DrillId).collect())
}
