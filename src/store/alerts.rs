//! Alerts and their episodes, for timers and for people; deliveries go over the desk.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    alert::{AlertReport, AlertStatus, Fingerprint},
    id::{AlertId, EpisodeId, IncidentId},
    labels::Labels,
};

/// An alert whose re-fire is to be believed now.
#[derive(Clone, Debug)]
pub struct DueRefire {
    /// Which alert.
    pub alert: AlertId,
    /// Its ended episode.
    pub episode: EpisodeId,
    /// Where that is.
    pub incident: Option<IncidentId>,
    /// The incident that its group has: the same, or one merged into it; `None` for one that a rule held.
    pub group_of: Option<IncidentId>,
    /// What people call the alert.
    pub title: String,
}

/// Locks up to `limit` alerts whose re-fire has lasted.
pub async fn claim_due_refires(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueRefire>, StoreError> {
    Ok(sqlx::query!(
        r#"select a.id as alert_id, e.id as episode_id, e.incident_id,
                  coalesce(e.came_from, e.incident_id) as group_of, a.title
         from episodes e join alerts a on a.latest_episode_id = e.id
         where e.refire_due <= $1 order by e.refire_due, e.id limit $2
         for no key update of e, a skip locked"#,
        now,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| DueRefire {
        alert: AlertId(row.alert_id),
        episode: EpisodeId(row.episode_id),
        incident: row.incident_id.map(IncidentId),
        group_of: row.group_of.map(IncidentId),
        title: row.title,
    })
    .collect())
}

/// A firing alert whose sender has not renewed it in time.
#[derive(Clone, Debug)]
pub struct LeaseOver {
    /// Its episode.
    pub episode: EpisodeId,
    /// Where that is.
    pub incident: Option<IncidentId>,
    /// What people call the alert.
    pub title: String,
    /// When its lease ended.
    pub ended_at: DateTime<Utc>,
}

/// Ends up to `limit` episodes whose lease was over before `before`, at the end of the lease.
pub async fn end_leases(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<LeaseOver>, StoreError> {
    Ok(sqlx::query!(
        r#"with over as (
               select e.id, a.title from episodes e join alerts a on a.id = e.alert_id
               where e.lease_until < $1 and e.ends_at is null order by e.lease_until limit $2
               for no key update of e, a skip locked)
           update episodes e set ends_at = greatest(e.lease_until, e.starts_at), ended_at = $3
           from over where e.id = over.id
           returning e.id, e.incident_id, over.title, e.ends_at as "ended_at!""#,
        before,
        limit,
        now
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| LeaseOver {
        episode: EpisodeId(row.id),
        incident: row.incident_id.map(IncidentId),
        title: row.title,
        ended_at: row.ended_at,
    })
    .collect())
}

/// An alert as if it were reported firing now, with the start of its latest episode.
pub async fn as_firing(conn: &mut PgConnection, alert: AlertId) -> Result<AlertReport, StoreError> {
    let row = sqlx::query!(
        "select a.fingerprint, a.labels, a.annotations, a.generator_url, e.starts_at, e.lease_until
         from alerts a join episodes e on e.id = a.latest_episode_id where a.id = $1",
        alert.0
    )
    .fetch_one(conn)
    .await?;
    Ok(AlertReport {
        fingerprint: Fingerprint::parse(&row.fingerprint)
            .ok_or_else(|| StoreError::corrupt("alerts", "fingerprint", row.fingerprint))?,
        status: AlertStatus::Firing,
        labels: labels(row.labels)?,
        annotations: labels(row.annotations)?,
        starts_at: row.starts_at,
        ends_at: None,
        lease_until: row.lease_until,
        generator_url: row.generator_url,
    })
}

/// Opens an ended episode again: the end was none, and is remembered as one that was not believed.
pub async fn reopen_episode(conn: &mut PgConnection, episode: EpisodeId) -> Result<(), StoreError> {
    sqlx::query!(
        "update episodes set ends_at = null, ended_at = null, refire_due = null,
                last_start = greatest(last_start, ends_at)
         where id = $1",
        episode.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How the members of an incident stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Episodes that fire.
    pub firing: i64,
    /// Ended ones that are said to fire again.
    pub refire_pending: i64,
    /// The last end any sender named.
    pub last_ended_at: Option<DateTime<Utc>>,
}

/// Counts the members of an incident.
pub async fn membership(conn: &mut PgConnection, incident: IncidentId) -> Result<Membership, StoreError> {
    Ok(sqlx::query_as!(
        Membership,
        r#"select count(*) filter (where ends_at is null) as "firing!",
                  count(*) filter (where refire_due is not null) as "refire_pending!",
                  max(ends_at) as last_ended_at
           from episodes where incident_id = $1"#,
        incident.0
    )
    .fetch_one(conn)
    .await?)
}

/// One alert of an incident, for people.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MemberAlert {
    /// The alert's number.
    pub alert_id: i64,
    /// 16 hex digits.
    pub fingerprint: String,
    /// What people call it.
    pub title: String,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// Where the rule can be seen; any text, to be checked before it is made a link.
    pub generator_url: String,
    /// Start of its latest episode in the incident.
    pub starts_at: DateTime<Utc>,
    /// End of that, if it has ended.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it is taken to fire again, while it has ended and is said to fire.
    pub refire_due: Option<DateTime<Utc>>,
    /// When a delivery last spoke of it.
    pub last_received_at: DateTime<Utc>,
    /// The last word of it, by a delivery, Alertmanager or a person.
    pub heard_at: DateTime<Utc>,
    /// Whether it fires as far as is known, but nobody spoke of it for longer than its source allows.
    pub is_stale: bool,
    /// Why it is in this incident.
    pub reason: String,
    /// The incident it is in.
    pub incident: IncidentId,
    /// The one it came with, when that was merged into this one.
    pub came_from: Option<IncidentId>,
}

impl MemberAlert {
    /// Whether it fires, or is said to again.
    pub fn fires(&self) -> bool {
        self.ends_at.is_none() || self.refire_due.is_some()
    }
}

/// The alerts of an incident, also those that it took along into another one, firing ones first, at most `limit`.
pub async fn list_members(
    conn: &mut PgConnection,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<MemberAlert>, StoreError> {
    sqlx::query!(
        r#"select a.id, a.fingerprint, a.title, a.labels, a.annotations, a.generator_url, a.last_received_at,
                  e.starts_at, e.ends_at, e.refire_due, e.reason, e.incident_id as "incident_id!", e.came_from,
                  greatest(a.last_received_at, e.vouched_at) as "heard_at!",
                  coalesce(e.ends_at is null and e.stale_since > greatest(a.last_received_at, e.vouched_at), false)
                      as "is_stale!"
           from (select distinct on (alert_id) * from episodes where incident_id = $1 or came_from = $1
                 order by alert_id, id desc) e
           join alerts a on a.id = e.alert_id
           order by (e.ends_at is not null and e.refire_due is null), e.starts_at, a.id limit $2"#,
        incident.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(MemberAlert {
            alert_id: row.id,
            fingerprint: row.fingerprint,
            title: row.title,
            labels: labels(row.labels)?,
            annotations: labels(row.annotations)?,
            generator_url: row.generator_url,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            refire_due: row.refire_due,
            last_received_at: row.last_received_at,
            heard_at: row.heard_at,
            is_stale: row.is_stale,
            reason: row.reason,
            incident: IncidentId(row.incident_id),
            came_from: row.came_from.map(IncidentId),
        })
    })
    .collect()
}

pub(super) fn labels(value: Value) -> Result<Labels, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::corrupt("alerts", "labels", error))
}
