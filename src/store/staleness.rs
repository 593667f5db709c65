//! Firing alerts of which nothing was heard for too long, and groups whose list was cut: found, claimed, and settled.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{AlertId, EpisodeId, IncidentId},
    labels::Labels,
};

/// A firing alert of which nothing was heard for as long as its source allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Quiet {
    /// Its firing period.
    pub episode: EpisodeId,
    /// In which incident.
    pub incident: IncidentId,
    /// What people call it.
    pub title: String,
    /// 16 hex digits.
    pub fingerprint: String,
    /// Its labels.
    pub labels: Labels,
    /// The last word of it, by a delivery, Alertmanager or a person.
    pub heard_at: DateTime<Utc>,
    /// Whether people were told already.
    pub is_told: bool,
    /// The target that can be asked about it.
    pub alertmanager: Option<String>,
}

struct Row {
    id: i64,
    incident_id: i64,
    title: String,
    fingerprint: String,
    labels: serde_json::Value,
    heard_at: DateTime<Utc>,
    is_told: bool,
    alertmanager: Option<String>,
}

impl TryFrom<Row> for Quiet {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            episode: EpisodeId(row.id),
            incident: IncidentId(row.incident_id),
            title: row.title,
            fingerprint: row.fingerprint,
            labels: serde_json::from_value(row.labels)
                .map_err(|error| StoreError::corrupt("alerts", "labels", error))?,
            heard_at: row.heard_at,
            is_told: row.is_told,
            alertmanager: row.alertmanager,
        })
    }
}

/// Locks up to `limit` firing alerts of open incidents that were not heard of for as long as their source allows, nobody
/// can be asked about, and nobody was told of. `listening_since` is when this process began: half of that time, one
/// repeat, must have passed since then as well, because what came while Muster was away was heard by nobody.
pub async fn claim_untold(
    conn: &mut PgConnection,
    listening_since: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Quiet>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select e.id, e.incident_id as "incident_id!", a.title, a.fingerprint, a.labels,
                  greatest(a.last_received_at, e.vouched_at) as "heard_at!", false as "is_told!", s.alertmanager
           from episodes e join alerts a on a.id = e.alert_id join sources s on s.id = a.source_id
           join incidents i on i.id = e.incident_id
           where e.ends_at is null and e.lease_until is null and s.alertmanager is null
             and i.state in ('triggered', 'acknowledged', 'mitigated')
             and greatest(a.last_received_at, e.vouched_at) + make_interval(secs => s.stale_after_ms / 1000.0) <= $1
             and $2::timestamptz + make_interval(secs => s.stale_after_ms / 2000.0) <= $1
             and (e.stale_since is null or e.stale_since <= greatest(a.last_received_at, e.vouched_at))
           order by e.incident_id, e.id limit $3 for no key update of e skip locked"#,
        now,
        listening_since,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Quiet::try_from)
    .collect()
}

/// Claims up to `limit` such alerts of one incident whose Alertmanager can be asked, told of or not, until `lease`.
pub async fn claim_askable(
    conn: &mut PgConnection,
    listening_since: DateTime<Utc>,
    now: DateTime<Utc>,
    lease: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Quiet>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"with due as (
               select e.id, e.incident_id, a.title, a.fingerprint, a.labels,
                      greatest(a.last_received_at, e.vouched_at) as heard_at,
                      coalesce(e.stale_since > greatest(a.last_received_at, e.vouched_at), false) as is_told,
                      s.alertmanager
               from episodes e join alerts a on a.id = e.alert_id join sources s on s.id = a.source_id
               join incidents i on i.id = e.incident_id
               where e.ends_at is null and e.lease_until is null and s.alertmanager is not null
                 and i.state in ('triggered', 'acknowledged', 'mitigated')
                 and greatest(a.last_received_at, e.vouched_at)
                     + make_interval(secs => s.stale_after_ms / 1000.0) <= $1
                 and $2::timestamptz + make_interval(secs => s.stale_after_ms / 2000.0) <= $1
                 and (e.ask_due is null or e.ask_due <= $1)
               order by e.incident_id, e.id limit $4 for no key update of e skip locked),
           mine as (select * from due where incident_id = (select min(incident_id) from due))
           update episodes e set ask_due = $3 from mine where e.id = mine.id
           returning e.id, e.incident_id as "incident_id!", mine.title, mine.fingerprint, mine.labels, mine.heard_at as "heard_at!",
                     mine.is_told as "is_told!", mine.alertmanager"#,
        now,
        listening_since,
        lease,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Quiet::try_from)
    .collect()
}

/// Locks the firing period of an alert in an incident, for a person who says how it stands.
pub async fn lock_firing(
    conn: &mut PgConnection,
    incident: IncidentId,
    alert: AlertId,
) -> Result<Option<Quiet>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select e.id, e.incident_id as "incident_id!", a.title, a.fingerprint, a.labels,
                  greatest(a.last_received_at, e.vouched_at) as "heard_at!",
                  coalesce(e.stale_since > greatest(a.last_received_at, e.vouched_at), false) as "is_told!",
                  s.alertmanager
           from episodes e join alerts a on a.id = e.alert_id join sources s on s.id = a.source_id
           where e.incident_id = $1 and e.alert_id = $2 and e.ends_at is null
           for no key update of e, a"#,
        incident.0,
        alert.0
    )
    .fetch_optional(conn)
    .await?
    .map(Quiet::try_from)
    .transpose()
}

fn ids(quiet: &[&Quiet]) -> Vec<i64> {
    quiet.iter().map(|one| one.episode.0).collect()
}

/// Notes that people were told of these.
pub async fn set_told(
    conn: &mut PgConnection,
    quiet: &[&Quiet],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update episodes set stale_since = $2 where id = any($1) and ends_at is null",
        &ids(quiet),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that these still fire, by somebody's word. What comes later is measured from now on.
pub async fn vouch(conn: &mut PgConnection, quiet: &[&Quiet], now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!(
        "update episodes set vouched_at = $2, ask_due = null where id = any($1) and ends_at is null",
        &ids(quiet),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends those of which nothing was heard since they were found; returns which.
pub async fn end(
    conn: &mut PgConnection,
    quiet: &[&Quiet],
    now: DateTime<Utc>,
) -> Result<Vec<EpisodeId>, StoreError> {
    let heard: Vec<DateTime<Utc>> = quiet.iter().map(|one| one.heard_at).collect();
    // The alerts are locked first, so that a delivery of this moment has been written or comes after.
    Ok(sqlx::query_scalar!(
        "with asked as (select * from unnest($1::bigint[], $2::timestamptz[]) as t (id, heard_at)),
         still as (
             select e.id from episodes e join alerts a on a.id = e.alert_id join asked on asked.id = e.id
             where e.ends_at is null and greatest(a.last_received_at, e.vouched_at) = asked.heard_at
             order by e.id for no key update of e, a)
         update episodes e set ends_at = greatest($3, e.starts_at), ended_at = $3 from still where e.id = still.id
         returning e.id",
        &ids(quiet),
        &heard,
        now
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(EpisodeId)
    .collect())
}

/// An open incident of whose alerts all that are known have ended, while its sender left others out of its list.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// Which.
    pub incident: IncidentId,
    /// The target that can be asked.
    pub alertmanager: String,
    /// The sender's receiver, raw.
    pub receiver: String,
    /// The sender's group key, raw.
    pub group_key: String,
}

/// Claims one such incident that may be asked about, until `lease`.
pub async fn claim_cut(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    lease: DateTime<Utc>,
) -> Result<Option<Cut>, StoreError> {
    Ok(sqlx::query!(
        r#"with due as (
               select i.id, s.alertmanager from incidents i join sources s on s.id = i.source_id
               where i.truncated_alerts > 0 and i.state in ('triggered', 'acknowledged', 'mitigated')
                 and s.alertmanager is not null and (i.ask_due is null or i.ask_due <= $1)
                 and not exists (select from episodes e where e.incident_id = i.id
                                 and (e.ends_at is null or e.refire_due is not null))
               order by i.id limit 1 for no key update of i skip locked)
           update incidents i set ask_due = $2 from due where i.id = due.id
           returning i.id, due.alertmanager as "alertmanager!", i.receiver, i.group_key"#,
        now,
        lease
    )
    .fetch_optional(conn)
    .await?
    .map(|row| Cut {
        incident: IncidentId(row.id),
        alertmanager: row.alertmanager,
        receiver: row.receiver,
        group_key: row.group_key,
    }))
}
