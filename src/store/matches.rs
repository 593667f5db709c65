//! Matches: which runbook versions apply to an incident, to which of its alerts, and why.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{AlertId, IncidentId, VersionId},
    runbook::TriggerReport,
};

/// Keeps why a runbook version matched; `false` when that was known.
pub async fn insert(
    conn: &mut PgConnection,
    incident: IncidentId,
    version: VersionId,
    alert: AlertId,
    report: &TriggerReport,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let report =
        serde_json::to_value(report).map_err(|error| StoreError::corrupt("matches", "report", error))?;
    Ok(sqlx::query!(
        "insert into matches (incident_id, version_id, alert_id, report, at) values ($1, $2, $3, $4, $5)
         on conflict (incident_id, version_id) do nothing",
        incident.0,
        version.0,
        alert.0,
        report,
        now
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}

/// A runbook that matched an incident, and why.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Match {
    /// The version.
    pub version_id: VersionId,
    /// The runbook's slug.
    pub slug: String,
    /// The version's number.
    pub number: i32,
    /// The runbook's title.
    pub title: String,
    /// Matcher by matcher.
    pub report: TriggerReport,
    /// Labels and annotations of the alert it matched: what a run takes its inputs from.
    pub context: Value,
    /// When.
    pub at: DateTime<Utc>,
}

/// The runbooks that matched an incident.
pub async fn list(conn: &mut PgConnection, incident: IncidentId) -> Result<Vec<Match>, StoreError> {
    sqlx::query!(
        r#"select m.version_id, b.slug, v.number, v.definition ->> 'title' as "title!", m.report, m.at,
                  jsonb_build_object('labels', a.labels, 'annotations', a.annotations) as "context!"
           from matches m join alerts a on a.id = m.alert_id join runbook_versions v on v.id = m.version_id join runbooks b on b.id = v.runbook_id
           where m.incident_id = $1 order by m.at, b.slug limit 100"#,
        incident.0
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Match {
            version_id: VersionId(row.version_id),
            slug: row.slug,
            number: row.number,
            title: row.title,
            report: serde_json::from_value(row.report)
                .map_err(|error| StoreError::corrupt("matches", "report", error))?,
            context: row.context,
            at: row.at,
        })
    })
    .collect()
}

/// Labels and annotations that a run of a version takes its inputs from: of the alert that the version matched, or of
/// the one that opened the incident when it matched none.
pub async fn run_context(
    conn: &mut PgConnection,
    id: IncidentId,
    version: VersionId,
) -> Result<Value, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select coalesce(
               (select jsonb_build_object('labels', a.labels, 'annotations', a.annotations)
                from matches m join alerts a on a.id = m.alert_id
                where m.incident_id = i.id and m.version_id = $2), i.context) as "context!"
           from incidents i where i.id = $1"#,
        id.0,
        version.0
    )
    .fetch_one(conn)
    .await?)
}
