//! Matches: which runbook versions apply to an incident, to which of its alerts, and why.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{AlertId, IncidentId, VersionId},
    incident::Severity,
    runbook::TriggerReport,
};

/// Why a runbook version applies to an incident.
#[derive(Clone, Copy, Debug)]
pub struct NewMatch<'a> {
    /// Which incident.
    pub incident: IncidentId,
    /// Which version.
    pub version: VersionId,
    /// The alert whose labels matched.
    pub alert: AlertId,
    /// Matcher by matcher.
    pub report: &'a TriggerReport,
}

/// Keeps why runbook versions matched; returns those that were not known to, and queues the preflight of each.
pub async fn insert_all(
    conn: &mut PgConnection,
    matches: &[NewMatch<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<(IncidentId, VersionId)>, StoreError> {
    let incidents: Vec<i64> = matches.iter().map(|new| new.incident.0).collect();
    let versions: Vec<i64> = matches.iter().map(|new| new.version.0).collect();
    let alerts: Vec<i64> = matches.iter().map(|new| new.alert.0).collect();
    let reports = matches
        .iter()
        .map(|new| serde_json::to_value(new.report))
        .collect::<Result<Vec<Value>, _>>()
        .map_err(|error| StoreError::corrupt("matches", "report", error))?;
    Ok(sqlx::query!(
        "with made as (
             insert into matches (incident_id, version_id, alert_id, report, at)
             select n.incident_id, n.version_id, n.alert_id, n.report, $5
             from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::jsonb[])
                  as n (incident_id, version_id, alert_id, report)
             on conflict (incident_id, version_id) do nothing
             returning incident_id, version_id),
         queued as (
             insert into preflights (incident_id, version_id, state, queued_at, due)
             select incident_id, version_id, 'queued', $5, $5 from made
             on conflict do nothing)
         select incident_id, version_id from made",
        &incidents,
        &versions,
        &alerts,
        &reports,
        now
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| (IncidentId(row.incident_id), VersionId(row.version_id)))
    .collect())
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

/// An incident that a runbook matched.
#[derive(Clone, Debug)]
pub struct MatchedIncident {
    /// The incident.
    pub id: IncidentId,
    /// What it is called.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Number of the version that matched, the newest if several did.
    pub number: i32,
    /// When it matched.
    pub at: DateTime<Utc>,
}

/// The newest real incidents that any version of a runbook matched, at most `limit`.
pub async fn list_of_runbook(
    conn: &mut PgConnection,
    runbook_id: i64,
    limit: i64,
) -> Result<Vec<MatchedIncident>, StoreError> {
    sqlx::query!(
        r#"select distinct on (m.incident_id) m.incident_id as "id!", i.title as "title!", i.severity as "severity!",
                  v.number as "number!", m.at as "at!"
           from runbook_versions v
           cross join lateral (select m.* from matches m join incidents r on r.id = m.incident_id
                               where m.version_id = v.id and r.drill_id is null
                               order by m.incident_id desc limit $2) m
           join incidents i on i.id = m.incident_id
           where v.runbook_id = $1 order by m.incident_id desc, v.number desc limit $2"#,
        runbook_id,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(MatchedIncident {
            id: IncidentId(row.id),
            title: row.title,
            severity: Severity::numbered(row.severity)
                .ok_or_else(|| StoreError::corrupt("incidents", "severity", row.severity))?,
            number: row.number,
            at: row.at,
        })
    })
    .collect()
}
