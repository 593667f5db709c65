//! Preflights: for each runbook that matched an incident, what it could do, found out in the background. A row is
//! queued with the match, claimed by one replica at a time, and kept with its report.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{DrillId, IncidentId, VersionId},
    rehearsal::Rehearsal,
};

/// A preflight this replica is to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// For which incident.
    pub incident: IncidentId,
    /// Of which version.
    pub version: VersionId,
    /// How often it has been claimed, this time included: what its write goes by.
    pub claims: i16,
    /// Title of the incident.
    pub title: String,
    /// Severity of the incident, 1 to 4.
    pub severity: i16,
    /// Whether the incident is still open.
    pub is_open: bool,
    /// The drill it belongs to.
    pub drill: Option<DrillId>,
}

/// A preflight as people see it.
#[derive(Clone, Debug, PartialEq)]
pub enum Preflight {
    /// It has not been carried out yet.
    Pending,
    /// What was found.
    Done(Box<Rehearsal>),
    /// There is no report: it was given up, or another version of Muster wrote it.
    Missing,
}

/// Claims the newest preflight that is due, until `lease`: after a flood the newest incident is the one people wake up
/// for. One that another replica is claiming is passed over.
pub async fn claim(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    lease: DateTime<Utc>,
) -> Result<Option<Claimed>, StoreError> {
    Ok(sqlx::query!(
        r#"with next as (
               select incident_id, version_id from preflights
               where state in ('queued', 'running') and due <= $1
               order by queued_at desc limit 1 for no key update skip locked),
           mine as (
               update preflights p set state = 'running', due = $2, claims = p.claims + 1
               from next where p.incident_id = next.incident_id and p.version_id = next.version_id
               returning p.incident_id, p.version_id, p.claims)
           select m.incident_id, m.version_id, m.claims, i.title, i.severity,
                  i.state in ('triggered', 'acknowledged', 'mitigated') as "is_open!", i.drill_id
           from mine m join incidents i on i.id = m.incident_id"#,
        now,
        lease
    )
    .fetch_optional(conn)
    .await?
    .map(|row| Claimed {
        incident: IncidentId(row.incident_id),
        version: VersionId(row.version_id),
        claims: row.claims,
        title: row.title,
        severity: row.severity,
        is_open: row.is_open,
        drill: row.drill_id.map(DrillId),
    }))
}

/// Keeps the report of a claim, or that there will be none; `false` when the claim has passed to another.
pub async fn finish(
    conn: &mut PgConnection,
    claimed: &Claimed,
    report: Option<&Rehearsal>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let report = report
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| StoreError::corrupt("preflights", "report", error))?;
    Ok(sqlx::query!(
        "update preflights set state = case when $4::jsonb is null then 'dropped' else 'done' end, report = $4,
                finished_at = $5
         where incident_id = $1 and version_id = $2 and claims = $3 and state = 'running'",
        claimed.incident.0,
        claimed.version.0,
        claimed.claims,
        report,
        now
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}

/// Gives a claim back at once: the process stops before it could carry it out.
pub async fn release(
    conn: &mut PgConnection,
    claimed: &Claimed,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update preflights set state = 'queued', due = $4, claims = claims - 1
         where incident_id = $1 and version_id = $2 and claims = $3 and state = 'running'",
        claimed.incident.0,
        claimed.version.0,
        claimed.claims,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn preflight(state: &str, report: Option<Value>) -> Preflight {
    match (state, report) {
        ("done", Some(report)) => serde_json::from_value(report)
            .map_or(Preflight::Missing, |report| Preflight::Done(Box::new(report))),
        ("queued" | "running", _) => Preflight::Pending,
        _ => Preflight::Missing,
    }
}

/// The preflights of an incident, by version.
pub async fn list(
    conn: &mut PgConnection,
    incident: IncidentId,
) -> Result<BTreeMap<VersionId, Preflight>, StoreError> {
    Ok(sqlx::query!(
        "select version_id, state, report from preflights where incident_id = $1 order by queued_at limit 100",
        incident.0
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| (VersionId(row.version_id), preflight(&row.state, row.report)))
    .collect())
}

/// The preflight of a version for an incident.
pub async fn find(
    conn: &mut PgConnection,
    incident: IncidentId,
    version: VersionId,
) -> Result<Option<Preflight>, StoreError> {
    Ok(sqlx::query!(
        "select state, report from preflights where incident_id = $1 and version_id = $2",
        incident.0,
        version.0
    )
    .fetch_optional(conn)
    .await?
    .map(|row| preflight(&row.state, row.report)))
}

/// The first credential that was missing when somebody last looked whether a version could work, and when that was.
pub async fn missing(
    conn: &mut PgConnection,
    version: VersionId,
) -> Result<Option<(String, DateTime<Utc>)>, StoreError> {
    let row = sqlx::query!(
        r#"select jsonb_path_query_first(report, '$.steps[*].verdict ? (@.fault == "secret").reason') #>> '{}' as missing,
                  finished_at as "finished_at!"
           from preflights where version_id = $1 and state = 'done' order by finished_at desc limit 1"#,
        version.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|row| Some((row.missing?, row.finished_at))))
}

/// Forgets at most `limit` preflights that were over before `before`; returns how many.
pub async fn prune(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(sqlx::query!(
        "delete from preflights where (incident_id, version_id) in
             (select incident_id, version_id from preflights where finished_at < $1 order by finished_at limit $2)",
        before,
        limit
    )
    .execute(conn)
    .await?
    .rows_affected())
}
