//! Merging: what is moved when an incident lives on in another one, and when it is taken out again.
//!
//! Who was merged into whom is a tree; where each of it lives now is kept beside it. Alerts are locked before
//! incidents, as deliveries and timers lock them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{AlertId, DrillId, IncidentId},
    incident::{IncidentState, Severity},
};

/// An incident of a tree, locked.
#[derive(Clone, Debug)]
pub struct Node {
    /// Which.
    pub id: IncidentId,
    /// What people call it.
    pub title: String,
    /// How it stands.
    pub state: IncidentState,
    /// How bad it is.
    pub severity: Severity,
    /// End of the hold-down, if all its alerts have ended.
    pub recover_due: Option<DateTime<Utc>>,
    /// Alerts the sender left out.
    pub truncated: i32,
    /// What it was merged into.
    pub merged_into: Option<IncidentId>,
    /// Where it lives on.
    pub lives_in: Option<IncidentId>,
    /// The drill it belongs to.
    pub drill: Option<DrillId>,
}

/// Where an incident lives on, not locked; `None` when it was not merged, or does not exist.
pub async fn lives_in(conn: &mut PgConnection, id: IncidentId) -> Result<Option<IncidentId>, StoreError> {
    let found = sqlx::query_scalar!("select lives_in from incidents where id = $1", id.0)
        .fetch_optional(conn)
        .await?;
    Ok(found.flatten().map(IncidentId))
}

/// An incident and everything that was merged into it, at any distance, not locked.
pub async fn list_tree(conn: &mut PgConnection, id: IncidentId) -> Result<Vec<IncidentId>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"with recursive tree (id) as (
               select $1::bigint
               union select i.id from tree t join incidents i on i.merged_into = t.id)
           select id as "id!" from tree"#,
        id.0
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(IncidentId)
    .collect())
}

/// Locks these incidents and all that live in them, in the order of their numbers.
pub async fn lock_trees(conn: &mut PgConnection, ids: &[IncidentId]) -> Result<Vec<Node>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "select id, title, state, severity, recover_due, truncated_alerts, merged_into, lives_in, drill_id from incidents
         where id = any($1) or lives_in = any($1) order by id for no key update",
        &ids
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Node {
            id: IncidentId(row.id),
            title: row.title,
            state: IncidentState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("incidents", "state", row.state))?,
            severity: Severity::numbered(row.severity)
                .ok_or_else(|| StoreError::corrupt("incidents", "severity", row.severity))?,
            recover_due: row.recover_due,
            truncated: row.truncated_alerts,
            merged_into: row.merged_into.map(IncidentId),
            lives_in: row.lives_in.map(IncidentId),
            drill: row.drill_id.map(DrillId),
        })
    })
    .collect()
}

/// Locks the alerts of an incident, in the order deliveries lock them; with `from`, only those that came with one of
/// these.
pub async fn lock_alerts(
    conn: &mut PgConnection,
    incident: IncidentId,
    from: Option<&[IncidentId]>,
) -> Result<Vec<AlertId>, StoreError> {
    let from = from.map(|ids| ids.iter().map(|id| id.0).collect::<Vec<i64>>());
    Ok(sqlx::query_scalar!(
        "select a.id from alerts a
         where a.id in (select alert_id from episodes
                        where incident_id = $1 and ($2::bigint[] is null or came_from = any($2)))
         order by a.source_id, a.fingerprint for no key update of a",
        incident.0,
        from.as_deref(),
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(AlertId)
    .collect())
}

/// Whether an incident has alerts that are not among these; with `from`, only those that came with one of these.
pub async fn has_other_alerts(
    conn: &mut PgConnection,
    incident: IncidentId,
    from: Option<&[IncidentId]>,
    locked: &[AlertId],
) -> Result<bool, StoreError> {
    let from = from.map(|ids| ids.iter().map(|id| id.0).collect::<Vec<i64>>());
    let locked: Vec<i64> = locked.iter().map(|id| id.0).collect();
    Ok(sqlx::query_scalar!(
        r#"select exists (select alert_id from episodes
                          where incident_id = $1 and ($2::bigint[] is null or came_from = any($2))
                          except select unnest($3::bigint[])) as "others!""#,
        incident.0,
        from.as_deref(),
        &locked,
    )
    .fetch_one(conn)
    .await?)
}

/// Moves everything of a locked open incident into another locked one; returns how many alerts went.
pub async fn move_in(
    conn: &mut PgConnection,
    from: IncidentId,
    into: IncidentId,
    now: DateTime<Utc>,
) -> Result<i64, StoreError> {
    let alerts = sqlx::query_scalar!(
        r#"with moved as (
               update episodes set incident_id = $2, came_from = coalesce(came_from, $1) where incident_id = $1
               returning alert_id)
           select count(distinct alert_id) as "n!" from moved"#,
        from.0,
        into.0
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into matches (incident_id, version_id, alert_id, report, at, came_from)
         select $2, version_id, alert_id, report, at, coalesce(came_from, $1) from matches where incident_id = $1
         on conflict (incident_id, version_id) do nothing",
        from.0,
        into.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update incidents set lives_in = $2 where lives_in = $1",
        from.0,
        into.0
    )
    .execute(&mut *conn)
    .await?;
    // What was folded under it is folded under what stands for the other one now.
    sqlx::query!(
        "update incidents c set folded_under =
             (select case when p.folded_under = $1 then p.id else coalesce(p.folded_under, p.id) end
              from incidents p where p.id = $2)
         where c.folded_under = $1 and c.id <> $2",
        from.0,
        into.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update incidents set folded_under = null where id = $2 and folded_under = $1",
        from.0,
        into.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update incidents set merged_state = state, state = 'merged', merged_into = $2, lives_in = $2, merged_at = $3,
                recover_due = null, recovered_at = null, folded_under = null
         where id = $1",
        from.0,
        into.0,
        now
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update incidents i set detected_at = least(i.detected_at, f.detected_at),
                truncated_alerts = greatest(i.truncated_alerts, f.truncated_alerts)
         from incidents f where i.id = $2 and f.id = $1",
        from.0,
        into.0
    )
    .execute(conn)
    .await?;
    Ok(alerts)
}

/// Whether another open incident has the group of this one.
pub async fn find_rival(conn: &mut PgConnection, id: IncidentId) -> Result<Option<IncidentId>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select o.id from incidents i join incidents o on o.correlation_key = i.correlation_key and o.id <> i.id
         where i.id = $1 and o.state in ('triggered', 'acknowledged', 'mitigated')",
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(IncidentId))
}

/// Gives a locked merged incident back what came with it and with those below it (`tree`, itself included); returns how
/// many alerts went. It stands as it did before.
pub async fn move_out(
    conn: &mut PgConnection,
    id: IncidentId,
    tree: &[IncidentId],
    from: IncidentId,
) -> Result<i64, StoreError> {
    let tree: Vec<i64> = tree.iter().map(|id| id.0).collect();
    let alerts = sqlx::query_scalar!(
        r#"with moved as (
               update episodes set incident_id = $1, came_from = nullif(came_from, $1)
               where incident_id = $2 and came_from = any($3) returning alert_id)
           select count(distinct alert_id) as "n!" from moved"#,
        id.0,
        from.0,
        &tree
    )
    .fetch_one(&mut *conn)
    .await?;
    // Also where it was only passed on from.
    sqlx::query!(
        "delete from matches where came_from = any($1) and incident_id <> all($1)",
        &tree
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update incidents set lives_in = $1 where id = any($2) and id <> $1",
        id.0,
        &tree
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update incidents set state = merged_state, merged_state = null, merged_into = null, lives_in = null,
                merged_at = null
         where id = $1",
        id.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update incidents i set detected_at = coalesce(
             (select min(e.starts_at) from episodes e where e.incident_id = i.id), i.detected_at)
         where i.id = $1",
        from.0
    )
    .execute(conn)
    .await?;
    Ok(alerts)
}

/// An incident in few words.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which.
    pub id: IncidentId,
    /// What people call it.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// How it stands.
    pub state: IncidentState,
    /// Name of its source.
    pub source: String,
    /// When Muster opened it.
    pub opened_at: DateTime<Utc>,
    /// Alerts that fire in it.
    pub firing: i64,
}

struct Row {
    id: i64,
    title: String,
    severity: i16,
    state: String,
    source: String,
    opened_at: DateTime<Utc>,
    firing: i64,
}

impl TryFrom<Row> for Line {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: IncidentId(row.id),
            title: row.title,
            severity: Severity::numbered(row.severity)
                .ok_or_else(|| StoreError::corrupt("incidents", "severity", row.severity))?,
            state: IncidentState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("incidents", "state", row.state))?,
            source: row.source,
            opened_at: row.opened_at,
            firing: row.firing,
        })
    }
}

/// Open incidents besides one, opened since then or named by their number, whose title, source or key holds a text; the
/// newest first, at most `limit`. Only those that it can be merged with: of the same drill, or real as well.
pub async fn find_open(
    conn: &mut PgConnection,
    besides: IncidentId,
    text: &str,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select i.id, i.title, i.severity, i.state, s.name as source, i.opened_at,
                  (select count(*) from episodes e where e.incident_id = i.id and e.ends_at is null) as "firing!"
           from incidents i join sources s on s.id = i.source_id
           where i.state in ('triggered', 'acknowledged', 'mitigated') and i.id <> $1
             and i.drill_id is not distinct from (select o.drill_id from incidents o where o.id = $1)
             and (i.opened_at >= $3 and ($2 = '' or strpos(lower(i.title), lower($2)) > 0
                                         or strpos(lower(s.name), lower($2)) > 0)
                  or lower($2) in (i.id::text, 'inc-' || i.id))
           order by i.id desc limit $4"#,
        besides.0,
        text,
        since,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Line::try_from)
    .collect()
}

/// The incidents that live in one, in the order they were merged, at most `limit`.
pub async fn list_in(conn: &mut PgConnection, id: IncidentId, limit: i64) -> Result<Vec<Line>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select i.id, i.title, i.severity, i.state, s.name as source, i.opened_at,
                  (select count(*) from episodes e where e.came_from = i.id and e.ends_at is null) as "firing!"
           from incidents i join sources s on s.id = i.source_id
           where i.lives_in = $1 order by i.merged_at, i.id limit $2"#,
        id.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Line::try_from)
    .collect()
}
