//! Incidents: opening, moving, finding and listing them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    digest::Digest,
    id::{DrillId, IncidentId, OperatorId, SourceId},
    incident::{IncidentState, Severity},
};

/// An incident to be opened.
#[derive(Clone, Debug)]
pub struct NewIncident<'a> {
    /// What people call it.
    pub title: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// Who reported it.
    pub source: SourceId,
    /// The sender's receiver, raw.
    pub receiver: &'a str,
    /// The sender's group key, raw.
    pub group_key: &'a str,
    /// Where later episodes look for it.
    pub correlation_key: Digest,
    /// Labels and annotations of its first alert.
    pub context: Value,
    /// Earliest start of its alerts.
    pub detected_at: DateTime<Utc>,
    /// The one before it with the same key.
    pub recurrence_of: Option<IncidentId>,
}

/// One incident as people see it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Incident {
    /// Its number; shown as `INC-204`.
    pub id: IncidentId,
    /// What people call it.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// Name of its source.
    pub source: String,
    /// The sender's receiver, raw.
    pub receiver: String,
    /// Labels and annotations of its first alert.
    pub context: Value,
    /// When Muster opened it.
    pub opened_at: DateTime<Utc>,
    /// Earliest start of its alerts, by the senders.
    pub detected_at: DateTime<Utc>,
    /// When a person took it.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Who took it.
    pub acknowledged_by: Option<String>,
    /// When the harm had stopped.
    pub mitigated_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// End of the hold-down, while all its alerts have ended and nothing came back.
    pub recover_due: Option<DateTime<Utc>>,
    /// The last end any sender named.
    pub recovered_at: Option<DateTime<Utc>>,
    /// Alerts the sender left out of its last body.
    pub truncated_alerts: i32,
    /// How often it came back.
    pub reopened: i32,
    /// When it came back lately, the newest first.
    pub came_back: Vec<DateTime<Utc>>,
    /// Since when it flaps.
    pub flapping_since: Option<DateTime<Utc>>,
    /// When it is calm, if it does not come back before.
    pub calm_due: Option<DateTime<Utc>>,
    /// The one before it.
    pub recurrence_of: Option<i64>,
    /// What it was merged into.
    pub merged_into: Option<i64>,
    /// Where its alerts are now, when it was merged.
    pub lives_in: Option<i64>,
    /// The one that stands for it in the list.
    pub folded_under: Option<i64>,
    /// The drill it belongs to.
    pub drill: Option<DrillId>,
    /// The newest event's number.
    pub last_seq: i64,
}

struct Row {
    id: i64,
    title: String,
    severity: i16,
    state: String,
    source: String,
    receiver: String,
    context: Value,
    opened_at: DateTime<Utc>,
    detected_at: DateTime<Utc>,
    acknowledged_at: Option<DateTime<Utc>>,
    acknowledged_by: Option<String>,
    mitigated_at: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    recover_due: Option<DateTime<Utc>>,
    recovered_at: Option<DateTime<Utc>>,
    truncated_alerts: i32,
    reopened: i32,
    came_back: Vec<DateTime<Utc>>,
    flapping_since: Option<DateTime<Utc>>,
    calm_due: Option<DateTime<Utc>>,
    recurrence_of: Option<i64>,
    merged_into: Option<i64>,
    lives_in: Option<i64>,
    folded_under: Option<i64>,
    drill_id: Option<i64>,
    last_seq: i64,
}

fn state(text: &str) -> Result<IncidentState, StoreError> {
    IncidentState::named(text).ok_or_else(|| StoreError::corrupt("incidents", "state", text))
}

fn severity(number: i16) -> Result<Severity, StoreError> {
    Severity::numbered(number).ok_or_else(|| StoreError::corrupt("incidents", "severity", number))
}

impl TryFrom<Row> for Incident {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: IncidentId(row.id),
            title: row.title,
            severity: severity(row.severity)?,
            state: state(&row.state)?,
            source: row.source,
            receiver: row.receiver,
            context: row.context,
            opened_at: row.opened_at,
            detected_at: row.detected_at,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by,
            mitigated_at: row.mitigated_at,
            resolved_at: row.resolved_at,
            closed_at: row.closed_at,
            recover_due: row.recover_due,
            recovered_at: row.recovered_at,
            truncated_alerts: row.truncated_alerts,
            reopened: row.reopened,
            came_back: row.came_back,
            flapping_since: row.flapping_since,
            calm_due: row.calm_due,
            recurrence_of: row.recurrence_of,
            merged_into: row.merged_into,
            lives_in: row.lives_in,
            folded_under: row.folded_under,
            drill: row.drill_id.map(DrillId),
            last_seq: row.last_seq,
        })
    }
}

/// Opens an incident; `None` when an open one holds the key already, so the caller joins that.
pub async fn insert(
    conn: &mut PgConnection,
    incident: &NewIncident<'_>,
    now: DateTime<Utc>,
) -> Result<Option<IncidentId>, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into incidents (title, severity, state, source_id, receiver, group_key, correlation_key, context,
                                opened_at, detected_at, recurrence_of)
         values ($1, $2, 'triggered', $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (correlation_key) where state in ('triggered', 'acknowledged', 'mitigated') do nothing
         returning id",
        incident.title,
        incident.severity.number(),
        incident.source.0,
        incident.receiver,
        incident.group_key,
        &incident.correlation_key.0[..],
        incident.context,
        now,
        incident.detected_at,
        incident.recurrence_of.map(|id| id.0),
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(IncidentId))
}

/// What correlation needs to know of the newest incident with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// Which.
    pub id: IncidentId,
    /// How it stands.
    pub state: IncidentState,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
    /// The incident that has the key, when that one is merged into this one.
    pub through: Option<IncidentId>,
}

/// The newest incident with this key, or the one it lives on in, locked.
pub async fn lock_newest_by_key(
    conn: &mut PgConnection,
    key: Digest,
) -> Result<Option<KeyHolder>, StoreError> {
    sqlx::query!(
        r#"select h.id, h.state, h.resolved_at, n.id as "newest!"
           from (select id, lives_in from incidents where correlation_key = $1
                 order by (state in ('triggered', 'acknowledged', 'mitigated')) desc, id desc limit 1) n
           join incidents h on h.id = coalesce(n.lives_in, n.id)
           for no key update of h"#,
        &key.0[..]
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        Ok(KeyHolder {
            id: IncidentId(row.id),
            state: state(&row.state)?,
            resolved_at: row.resolved_at,
            through: (row.newest != row.id).then_some(IncidentId(row.newest)),
        })
    })
    .transpose()
}

/// An incident locked for a move.
#[derive(Clone, Debug)]
pub struct Locked {
    /// Which.
    pub id: IncidentId,
    /// How it stands.
    pub state: IncidentState,
    /// How bad it is.
    pub severity: Severity,
    /// End of the hold-down, if all its alerts have ended.
    pub recover_due: Option<DateTime<Utc>>,
    /// Alerts the sender left out.
    pub truncated_alerts: i32,
    /// Since when it flaps.
    pub flapping_since: Option<DateTime<Utc>>,
    /// Number of the newest event: what a person who looked at it had seen.
    pub last_seq: i64,
}

/// Locks an incident for a move.
pub async fn lock(conn: &mut PgConnection, id: IncidentId) -> Result<Option<Locked>, StoreError> {
    sqlx::query!(
        "select id, state, severity, recover_due, truncated_alerts, next_seq, flapping_since from incidents where id = $1
         for no key update",
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        Ok(Locked {
            id: IncidentId(row.id),
            state: state(&row.state)?,
            severity: severity(row.severity)?,
            recover_due: row.recover_due,
            truncated_alerts: row.truncated_alerts,
            flapping_since: row.flapping_since,
            last_seq: row.next_seq - 1,
        })
    })
    .transpose()
}

/// Writes the state a locked incident moves to, with the time the move leaves behind.
pub async fn set_state(
    conn: &mut PgConnection,
    id: IncidentId,
    to: IncidentState,
    by: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update incidents set state = $2,
             acknowledged_at = case when $2 = 'acknowledged' then coalesce(acknowledged_at, $4)
                                    else acknowledged_at end,
             acknowledged_by = case when $2 = 'acknowledged' then coalesce(acknowledged_by, $3)
                                    else acknowledged_by end,
             mitigated_at = case when $2 = 'mitigated' then coalesce(mitigated_at, $4) else mitigated_at end,
             resolved_at = case $2 when 'resolved' then $4 when 'closed' then resolved_at end,
             closed_at = case when $2 = 'closed' then $4 end,
             reopened = reopened + case when $2 = 'triggered' then 1 else 0 end,
             recover_due = case when $2 in ('resolved', 'closed') then null else recover_due end
         where id = $1",
        id.0,
        to.name(),
        by.map(|by| by.0),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes a locked incident one that nobody has taken: the acknowledgement of that moment was none.
pub async fn unacknowledge(
    conn: &mut PgConnection,
    id: IncidentId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update incidents set state = 'triggered',
             acknowledged_by = case when acknowledged_at = $2 then null else acknowledged_by end,
             acknowledged_at = case when acknowledged_at = $2 then null else acknowledged_at end
         where id = $1",
        id.0,
        at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a locked incident's severity.
pub async fn set_severity(conn: &mut PgConnection, id: IncidentId, to: Severity) -> Result<(), StoreError> {
    sqlx::query!(
        "update incidents set severity = $2 where id = $1",
        id.0,
        to.number()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Begins the hold-down of a locked incident, all of whose alerts have ended, or moves its end.
pub async fn begin_recovery(
    conn: &mut PgConnection,
    id: IncidentId,
    due: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update incidents set recover_due = $2, recovered_at = $3 where id = $1",
        id.0,
        due,
        ended_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the hold-down of a locked incident because something fires again; `counts` when that is a re-fire.
pub async fn break_recovery(conn: &mut PgConnection, id: IncidentId, counts: bool) -> Result<(), StoreError> {
    sqlx::query!(
        "update incidents set recover_due = null, recovered_at = null, reopened = reopened + $2::int where id = $1",
        id.0,
        i32::from(counts)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps how many alerts the sender left out of its list.
pub async fn set_truncated(conn: &mut PgConnection, id: IncidentId, hidden: i32) -> Result<(), StoreError> {
    sqlx::query!(
        "update incidents set truncated_alerts = $2 where id = $1",
        id.0,
        hidden
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps the earliest start of the alerts of a locked incident.
pub async fn note_start(
    conn: &mut PgConnection,
    id: IncidentId,
    start: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update incidents set detected_at = $2 where id = $1 and detected_at > $2",
        id.0,
        start
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks up to `limit` incidents whose hold-down is over and that no live run works on, nor on one merged into them.
pub async fn claim_recovered(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(IncidentId, Option<DateTime<Utc>>)>, StoreError> {
    Ok(sqlx::query!(
        "select id, recovered_at from incidents i
         where recover_due <= $1 and not exists (select from run_queue q where q.incident_id = i.id)
           and not exists (select from run_queue q join incidents m on m.id = q.incident_id where m.lives_in = i.id)
         order by recover_due limit $2 for no key update skip locked",
        now,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| (IncidentId(row.id), row.recovered_at))
    .collect())
}

/// One incident.
pub async fn find(conn: &mut PgConnection, id: IncidentId) -> Result<Option<Incident>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select i.id, i.title, i.severity, i.state, s.name as source, i.receiver, i.context, i.opened_at,
                  i.detected_at, i.acknowledged_at, o.name as "acknowledged_by?", i.mitigated_at, i.resolved_at,
                  i.closed_at, i.recover_due, i.recovered_at, i.truncated_alerts, i.reopened, i.recurrence_of,
                  i.came_back, i.flapping_since, i.calm_due, i.merged_into, i.lives_in, i.folded_under,
                  i.drill_id, i.next_seq - 1 as "last_seq!"
           from incidents i join sources s on s.id = i.source_id
           left join operators o on o.id = i.acknowledged_by
           where i.id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Incident::try_from)
    .transpose()
}

/// A sender's group, as an incident keeps it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Who sends.
    pub source: SourceId,
    /// The sender's receiver, raw.
    pub receiver: String,
    /// The sender's group key, raw.
    pub group_key: String,
    /// Where later episodes look for an open incident.
    pub key: Digest,
}

/// The group an incident was opened for.
pub async fn group(conn: &mut PgConnection, id: IncidentId) -> Result<Group, StoreError> {
    let row = sqlx::query!(
        "select source_id, receiver, group_key, correlation_key from incidents where id = $1",
        id.0
    )
    .fetch_one(conn)
    .await?;
    Ok(Group {
        source: SourceId(row.source_id),
        receiver: row.receiver,
        group_key: row.group_key,
        key: Digest::from_slice(&row.correlation_key)
            .ok_or_else(|| StoreError::corrupt("incidents", "correlation_key", "not 32 bytes"))?,
    })
}

/// What expressions can read of an incident: its title and severity.
pub async fn head(conn: &mut PgConnection, id: IncidentId) -> Result<Value, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select jsonb_build_object('title', title, 'severity', 'SEV' || severity) as "head!"
           from incidents where id = $1"#,
        id.0
    )
    .fetch_one(conn)
    .await?)
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct IncidentLine {
    /// The incident.
    #[serde(flatten)]
    pub incident: Incident,
    /// Alerts that fire.
    pub firing: i64,
    /// Those of them that nobody spoke of for too long.
    pub stale: i64,
    /// Title of the runbook of its newest live run, if one runs.
    pub running: Option<String>,
    /// Requests for a decision that are pending.
    pub pending_approvals: i64,
    /// Incidents it stands for, open ones only unless all are listed.
    pub below: i64,
}

/// Real incidents older than `before`, the newest first, at most `limit`; open ones only unless `all`. First page with
/// `i64::MAX`. Those folded under another one that is listed as well are left out, or are the only ones when it is
/// named.
pub async fn list(
    conn: &mut PgConnection,
    all: bool,
    under: Option<IncidentId>,
    before: i64,
    limit: i64,
) -> Result<Vec<IncidentLine>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select id from incidents page
         where id < $2 and drill_id is null and ($1 or state in ('triggered', 'acknowledged', 'mitigated'))
           and case when $4::bigint is not null then folded_under = $4
                    else folded_under is null or not ($1 or exists (
                        select from incidents p where p.id = page.folded_under
                           and p.state in ('triggered', 'acknowledged', 'mitigated'))) end
         order by id desc limit $3",
        all,
        before,
        limit,
        under.map(|id| id.0)
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<IncidentId> = ids.into_iter().map(IncidentId).collect();
    list_these(conn, &ids, all).await
}

/// These incidents, the newest first; `all` when those below them count whether they are open or not.
pub async fn list_these(
    conn: &mut PgConnection,
    ids: &[IncidentId],
    all: bool,
) -> Result<Vec<IncidentLine>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        r#"select i.id, i.title, i.severity, i.state, s.name as source, i.receiver, i.context, i.opened_at,
                  i.detected_at, i.acknowledged_at, o.name as "acknowledged_by?", i.mitigated_at, i.resolved_at,
                  i.closed_at, i.recover_due, i.recovered_at, i.truncated_alerts, i.reopened, i.recurrence_of,
                  i.came_back, i.flapping_since, i.calm_due, i.merged_into, i.lives_in, i.folded_under,
                  i.drill_id, i.next_seq - 1 as "last_seq!",
                  (select count(*) from episodes e where e.incident_id = i.id and e.ends_at is null) as "firing!",
                  (select count(*) from episodes e join alerts a on a.id = e.alert_id
                   where e.incident_id = i.id and e.ends_at is null
                     and e.stale_since > greatest(a.last_received_at, e.vouched_at)) as "stale!",
                  (select v.definition ->> 'title' from run_queue q join runs r on r.id = q.run_id
                   join runbook_versions v on v.id = r.version_id
                   where q.incident_id = i.id order by q.run_id desc limit 1) as running,
                  (select count(*) from approvals a where a.incident_id = i.id and a.state = 'pending')
                      as "pending_approvals!",
                  (select count(*) from incidents c
                   where c.folded_under = i.id and ($1 or c.state in ('triggered', 'acknowledged', 'mitigated')))
                      as "below!"
           from incidents i join sources s on s.id = i.source_id
           left join operators o on o.id = i.acknowledged_by
           where i.id = any($2) order by i.id desc"#,
        all,
        &ids
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(IncidentLine {
            firing: row.firing,
            stale: row.stale,
            running: row.running,
            pending_approvals: row.pending_approvals,
            below: row.below,
            incident: Row {
                id: row.id,
                title: row.title,
                severity: row.severity,
                state: row.state,
                source: row.source,
                receiver: row.receiver,
                context: row.context,
                opened_at: row.opened_at,
                detected_at: row.detected_at,
                acknowledged_at: row.acknowledged_at,
                acknowledged_by: row.acknowledged_by,
                mitigated_at: row.mitigated_at,
                resolved_at: row.resolved_at,
                closed_at: row.closed_at,
                recover_due: row.recover_due,
                recovered_at: row.recovered_at,
                truncated_alerts: row.truncated_alerts,
                reopened: row.reopened,
                came_back: row.came_back,
                flapping_since: row.flapping_since,
                calm_due: row.calm_due,
                recurrence_of: row.recurrence_of,
                merged_into: row.merged_into,
                lives_in: row.lives_in,
                folded_under: row.folded_under,
                drill_id: row.drill_id,
                last_seq: row.last_seq,
            }
            .try_into()?,
        })
    })
    .collect()
}

/// What changes whenever something about the open incidents does: cheap to ask, equal while nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// How many are open.
    pub open: i64,
    /// All their timelines' lengths together.
    pub events: i64,
    /// The newest incident, open or not.
    pub newest: i64,
}

/// The pulse of the open incidents; of those of drills as well when `drills`.
pub async fn pulse(conn: &mut PgConnection, drills: bool) -> Result<Pulse, StoreError> {
    Ok(sqlx::query_as!(
        Pulse,
        r#"select count(*) as "open!", coalesce(sum(next_seq), 0)::bigint as "events!",
                  coalesce((select max(id) from incidents where $1 or drill_id is null), 0) as "newest!"
           from incidents where state in ('triggered', 'acknowledged', 'mitigated') and ($1 or drill_id is null)"#,
        drills
    )
    .fetch_one(conn)
    .await?)
}

/// Whether nothing has ever gone wrong.
pub async fn none_exists(conn: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar!(r#"select not exists (select from incidents) as "none!""#)
            .fetch_one(conn)
            .await?,
    )
}

/// A real incident that is as bad as it gets and open, with its title: the oldest.
pub async fn find_open_sev1(conn: &mut PgConnection) -> Result<Option<(IncidentId, String)>, StoreError> {
    Ok(sqlx::query!(
        "select id, title from incidents
         where state in ('triggered', 'acknowledged', 'mitigated') and severity = 1 and drill_id is null
         order by id limit 1"
    )
    .fetch_optional(conn)
    .await?
    .map(|row| (IncidentId(row.id), row.title)))
}

/// The incident that was over last, and when.
pub async fn find_last_resolved(
    conn: &mut PgConnection,
) -> Result<Option<(IncidentId, DateTime<Utc>)>, StoreError> {
    Ok(sqlx::query!(
        r#"select id, resolved_at as "resolved_at!" from incidents where resolved_at is not null and drill_id is null
           order by id desc limit 1"#
    )
    .fetch_optional(conn)
    .await?
    .map(|row| (IncidentId(row.id), row.resolved_at)))
}
