//! What became of the things a boot's report names: where each of them stands now. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    approval::ApprovalState,
    event::Event,
    id::{ApprovalId, IncidentId, RunId, SourceId, StepId},
    incident::IncidentState,
    overdue::{Part, Report, Silence},
    run::RunResult,
};

/// Where everything that a report names stands.
#[derive(Clone, Debug, Default)]
pub struct Aftermath {
    /// Incidents.
    pub incidents: BTreeMap<IncidentId, IncidentNow>,
    /// Runs.
    pub runs: BTreeMap<RunId, RunNow>,
    /// Steps that were cut off.
    pub steps: BTreeMap<(RunId, StepId), StepNow>,
    /// Requests for a decision.
    pub approvals: BTreeMap<ApprovalId, ApprovalNow>,
    /// Heartbeats, by source and fingerprint.
    pub heartbeats: BTreeMap<(SourceId, String), HeartbeatNow>,
}

/// An incident as it is now.
#[derive(Clone, Debug)]
pub struct IncidentNow {
    /// What people call it.
    pub title: String,
    /// Where it stands.
    pub state: IncidentState,
}

/// A run as it is now.
#[derive(Clone, Debug)]
pub struct RunNow {
    /// What its runbook is called.
    pub title: String,
    /// How it ended; `None` while it is live.
    pub result: Option<RunResult>,
    /// The newest fact of it.
    pub last: Event,
    /// When that was written down.
    pub at: DateTime<Utc>,
}

/// A step as it is now.
#[derive(Clone, Debug)]
pub struct StepNow {
    /// The newest fact about it.
    pub last: Event,
    /// When that was written down.
    pub at: DateTime<Utc>,
    /// Whether its outcome is unknown and its run waits for a person to say.
    pub awaits_person: bool,
}

/// A request for a decision as it is now.
#[derive(Clone, Debug)]
pub struct ApprovalNow {
    /// What was asked.
    pub title: String,
    /// Where it stands.
    pub state: ApprovalState,
}

/// A heartbeat as it is now.
#[derive(Clone, Debug)]
pub struct HeartbeatNow {
    /// What people call it.
    pub title: String,
    /// Its last sign of life.
    pub last_seen_at: DateTime<Utc>,
    /// The incident raised for its present silence.
    pub incident: Option<IncidentId>,
}

/// Looks where everything stands.
pub async fn load(conn: &mut PgConnection, report: &Report) -> Result<Aftermath, StoreError> {
    let heartbeats = heartbeats(conn, &report.heartbeats).await?;
    let raised = heartbeats.values().filter_map(|heartbeat| heartbeat.incident);
    let incidents: BTreeSet<IncidentId> = report.incidents().chain(raised).collect();
    Ok(Aftermath {
        incidents: find_incidents(conn, &incidents).await?,
        runs: runs(conn, &report.runs().collect()).await?,
        steps: steps(conn, report).await?,
        approvals: approvals(conn, report).await?,
        heartbeats,
    })
}

async fn find_incidents(
    conn: &mut PgConnection,
    ids: &BTreeSet<IncidentId>,
) -> Result<BTreeMap<IncidentId, IncidentNow>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query!("select id, title, state from incidents where id = any($1)", &ids)
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| {
            let now = IncidentNow {
                title: row.title,
                state: IncidentState::named(&row.state)
                    .ok_or_else(|| StoreError::corrupt("incidents", "state", row.state))?,
            };
            Ok((IncidentId(row.id), now))
        })
        .collect()
}

fn fact(run: i64, body: Value) -> Result<Event, StoreError> {
    Event::from_body(Some(RunId(run)), body).map_err(|error| StoreError::corrupt("events", "body", error))
}

async fn runs(conn: &mut PgConnection, ids: &BTreeSet<RunId>) -> Result<BTreeMap<RunId, RunNow>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        r#"select r.id, v.definition ->> 'title' as "title!", r.result, e.body, e.recorded_at
           from runs r join runbook_versions v on v.id = r.version_id
           join lateral (select body, recorded_at from events where run_id = r.id order by seq desc limit 1) e on true
           where r.id = any($1)"#,
        &ids
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let now = RunNow {
            title: row.title,
            result: row
                .result
                .map(|text| RunResult::named(&text).ok_or_else(|| StoreError::corrupt("runs", "result", text)))
                .transpose()?,
            last: fact(row.id, row.body)?,
            at: row.recorded_at,
        };
        Ok((RunId(row.id), now))
    })
    .collect()
}

async fn steps(
    conn: &mut PgConnection,
    report: &Report,
) -> Result<BTreeMap<(RunId, StepId), StepNow>, StoreError> {
    let cut_off = || report.unknown.items.iter().chain(&report.repeated.items);
    let runs: Vec<i64> = cut_off().map(|step| step.run.0).collect();
    let steps: Vec<String> = cut_off().map(|step| step.step.0.clone()).collect();
    sqlx::query!(
        r#"select s.run_id as "run_id!", s.step as "step!", e.body, e.recorded_at,
                  (e.kind in ('outcome_unknown', 'probe_inconclusive')
                   and exists (select from run_queue q where q.run_id = s.run_id)) as "awaits_person!"
           from unnest($1::bigint[], $2::text[]) as s (run_id, step)
           join lateral (select kind, body, recorded_at from events
                         where run_id = s.run_id and body ->> 'step' = s.step order by seq desc limit 1) e on true"#,
        &runs,
        &steps
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let now = StepNow {
            last: fact(row.run_id, row.body)?,
            at: row.recorded_at,
            awaits_person: row.awaits_person,
        };
        Ok(((RunId(row.run_id), StepId(row.step)), now))
    })
    .collect()
}

async fn approvals(
    conn: &mut PgConnection,
    report: &Report,
) -> Result<BTreeMap<ApprovalId, ApprovalNow>, StoreError> {
    let ids: Vec<i64> = report
        .approvals
        .items
        .iter()
        .map(|lapsed| lapsed.approval.0)
        .collect();
    sqlx::query!("select id, title, state from approvals where id = any($1)", &ids)
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| {
            let now = ApprovalNow {
                title: row.title,
                state: ApprovalState::named(&row.state)
                    .ok_or_else(|| StoreError::corrupt("approvals", "state", row.state))?,
            };
            Ok((ApprovalId(row.id), now))
        })
        .collect()
}

async fn heartbeats(
    conn: &mut PgConnection,
    silences: &Part<Silence>,
) -> Result<BTreeMap<(SourceId, String), HeartbeatNow>, StoreError> {
    let sources: Vec<i64> = silences.items.iter().map(|silence| silence.source.0).collect();
    let fingerprints: Vec<String> = silences
        .items
        .iter()
        .map(|silence| silence.fingerprint.clone())
        .collect();
    Ok(sqlx::query!(
        "select h.source_id, h.fingerprint, h.title, h.last_seen_at, h.incident_id
         from unnest($1::bigint[], $2::text[]) as s (source_id, fingerprint)
         join heartbeats h on h.source_id = s.source_id and h.fingerprint = s.fingerprint",
        &sources,
        &fingerprints
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let now = HeartbeatNow {
            title: row.title,
            last_seen_at: row.last_seen_at,
            incident: row.incident_id.map(IncidentId),
        };
        ((SourceId(row.source_id), row.fingerprint), now)
    })
    .collect())
}
