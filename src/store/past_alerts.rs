//! Alerts that fired lately, as matching saw them: what a trigger is tried on before it is published.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, alerts};
use crate::domain::{
    id::IncidentId,
    incident::{IncidentState, Severity},
    labels::Labels,
};

/// An alert in an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct PastAlert {
    /// Its labels.
    pub labels: Labels,
    /// Its incident.
    pub incident: IncidentId,
    /// What that is called.
    pub title: String,
    /// How bad that is.
    pub severity: Severity,
    /// How that stands.
    pub state: IncidentState,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
}

/// The newest `limit` firings since `since` that belong to a real incident, the newest first. What is looked at is bounded
/// before anything is left out, so a long past costs nothing.
pub async fn list(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<PastAlert>, StoreError> {
    sqlx::query!(
        r#"select a.labels, i.id, i.title, i.severity, i.state, i.opened_at
           from (select id, alert_id, incident_id, opened_at from episodes order by id desc limit $2) e
           join alerts a on a.id = e.alert_id join incidents i on i.id = e.incident_id
           where e.opened_at >= $1 and i.drill_id is null order by e.id desc"#,
        since,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(PastAlert {
            labels: alerts::labels(row.labels)?,
            incident: IncidentId(row.id),
            title: row.title,
            severity: Severity::numbered(row.severity)
                .ok_or_else(|| StoreError::corrupt("incidents", "severity", row.severity))?,
            state: IncidentState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("incidents", "state", row.state))?,
            opened_at: row.opened_at,
        })
    })
    .collect()
}
