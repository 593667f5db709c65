//! Heartbeats: the last sign of life of each dead man's switch, and when silence becomes an incident.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    alert::Fingerprint,
    id::{IncidentId, SourceId},
    labels::Labels,
    span::Span,
};

/// Notes a sign of life and sets the next time by which one must come. Returns the incident raised for the silence
/// that ends with it, if any.
pub async fn beat(
    conn: &mut PgConnection,
    source: SourceId,
    fingerprint: Fingerprint,
    title: &str,
    labels: &Labels,
    seen_at: DateTime<Utc>,
    due: DateTime<Utc>,
) -> Result<Option<IncidentId>, StoreError> {
    let labels =
        serde_json::to_value(labels).map_err(|error| StoreError::corrupt("heartbeats", "labels", error))?;
    let fingerprint = fingerprint.to_string();
    let raised = sqlx::query_scalar!(
        "select incident_id from heartbeats where source_id = $1 and fingerprint = $2 for update",
        source.0,
        fingerprint
    )
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    sqlx::query!(
        "insert into heartbeats (source_id, fingerprint, title, labels, last_seen_at, due)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (source_id, fingerprint) do update set incident_id = null,
             last_seen_at = greatest(heartbeats.last_seen_at, excluded.last_seen_at),
             due = greatest(heartbeats.due, excluded.due)",
        source.0,
        fingerprint,
        title,
        labels,
        seen_at,
        due
    )
    .execute(conn)
    .await?;
    Ok(raised.map(IncidentId))
}

/// A heartbeat that is overdue.
#[derive(Clone, Debug)]
pub struct Silent {
    /// Whose.
    pub source: SourceId,
    /// Which.
    pub fingerprint: String,
    /// What people call it.
    pub title: String,
    /// Its labels.
    pub labels: Value,
    /// Its last sign of life.
    pub last_seen_at: DateTime<Utc>,
}

/// Locks up to `limit` overdue heartbeats that have no incident yet. One whose sender could not be heard because this
/// process only began to listen at `listening_since` has its whole time again from then on, but no more than
/// `heard_within_max` of it.
pub async fn claim_silent(
    conn: &mut PgConnection,
    listening_since: DateTime<Utc>,
    heard_within_max: Span,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Silent>, StoreError> {
    Ok(sqlx::query!(
        "select h.source_id, h.fingerprint, h.title, h.labels, h.last_seen_at
         from heartbeats h join sources s on s.id = h.source_id
         where h.due <= $1 and h.incident_id is null
           and $3::timestamptz + make_interval(secs => least(coalesce(s.heartbeat_within_ms, 0), $4) / 1000.0) <= $1
         order by h.due limit $2 for update of h skip locked",
        now,
        limit,
        listening_since,
        heard_within_max.as_millis() as i64
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Silent {
        source: SourceId(row.source_id),
        fingerprint: row.fingerprint,
        title: row.title,
        labels: row.labels,
        last_seen_at: row.last_seen_at,
    })
    .collect())
}

/// Remembers the incident raised for a silence.
pub async fn set_incident(
    conn: &mut PgConnection,
    source: SourceId,
    fingerprint: &str,
    incident: IncidentId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update heartbeats set incident_id = $3 where source_id = $1 and fingerprint = $2",
        source.0,
        fingerprint,
        incident.0
    )
    .execute(conn)
    .await?;
    Ok(())
}
