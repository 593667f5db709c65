//! Runs: what each is pinned to and how it ended.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{IncidentId, OperatorId, RunId, VersionId},
    run::RunResult,
    runbook::StartMode,
};

/// A run to be started.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    /// Of which incident.
    pub incident: IncidentId,
    /// The runbook's row.
    pub runbook_id: i64,
    /// The version it is pinned to.
    pub version: VersionId,
    /// The person who started it; `None` when Muster does.
    pub requested_by: Option<OperatorId>,
    /// Its inputs, resolved.
    pub inputs: &'a BTreeMap<String, String>,
}

/// A run as it is kept.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// The version it is pinned to.
    pub version: VersionId,
    /// Who started it.
    pub requested_by: Option<OperatorId>,
    /// Its inputs.
    pub inputs: BTreeMap<String, String>,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub result: Option<RunResult>,
}

fn mode_name(mode: StartMode) -> &'static str {
    match mode {
        StartMode::Automatic => "automatic",
        StartMode::Suggest => "suggest",
        StartMode::Manual => "manual",
    }
}

/// Starts a run and queues it; `None` when this incident has started this runbook by itself before.
pub async fn insert(
    conn: &mut PgConnection,
    run: &NewRun<'_>,
    now: DateTime<Utc>,
) -> Result<Option<RunId>, StoreError> {
    let mode = if run.requested_by.is_some() {
        StartMode::Manual
    } else {
        StartMode::Automatic
    };
    let inputs =
        serde_json::to_value(run.inputs).map_err(|error| StoreError::corrupt("runs", "inputs", error))?;
    let id = sqlx::query_scalar!(
        r#"with started as (
               insert into runs (incident_id, runbook_id, version_id, mode, requested_by, inputs, started_at)
               values ($1, $2, $3, $4, $5, $6, $7)
               on conflict (incident_id, runbook_id) where mode = 'automatic' do nothing
               returning id, incident_id)
           insert into run_queue (run_id, incident_id, state, due) select id, incident_id, 0, $7 from started
           returning run_id"#,
        run.incident.0,
        run.runbook_id,
        run.version.0,
        mode_name(mode),
        run.requested_by.map(|by| by.0),
        inputs,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(RunId))
}

/// How many runs of a runbook Muster has started by itself since then.
pub async fn count_automatic_since(
    conn: &mut PgConnection,
    runbook_id: i64,
    since: DateTime<Utc>,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from runs where runbook_id = $1 and started_at > $2 and mode = 'automatic'"#,
        runbook_id,
        since
    )
    .fetch_one(conn)
    .await?)
}

struct Row {
    id: i64,
    incident_id: i64,
    version_id: i64,
    requested_by: Option<i64>,
    inputs: Value,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    result: Option<String>,
}

impl TryFrom<Row> for Run {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: RunId(row.id),
            incident: IncidentId(row.incident_id),
            version: VersionId(row.version_id),
            requested_by: row.requested_by.map(OperatorId),
            inputs: serde_json::from_value(row.inputs)
                .map_err(|error| StoreError::corrupt("runs", "inputs", error))?,
            started_at: row.started_at,
            finished_at: row.finished_at,
            result: row
                .result
                .map(|text| {
                    RunResult::named(&text).ok_or_else(|| StoreError::corrupt("runs", "result", text))
                })
                .transpose()?,
        })
    }
}

/// One run.
pub async fn find(conn: &mut PgConnection, id: RunId) -> Result<Option<Run>, StoreError> {
    sqlx::query_as!(
        Row,
        "select id, incident_id, version_id, requested_by, inputs, started_at, finished_at, result
         from runs where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Run::try_from)
    .transpose()
}

/// The newest runs of an incident, the newest first, at most `limit`.
pub async fn list_by_incident(
    conn: &mut PgConnection,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<Run>, StoreError> {
    sqlx::query_as!(
        Row,
        "select id, incident_id, version_id, requested_by, inputs, started_at, finished_at, result
         from runs where incident_id = $1 order by id desc limit $2",
        incident.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Run::try_from)
    .collect()
}

/// Writes how a run ended.
pub async fn finish(
    conn: &mut PgConnection,
    id: RunId,
    result: RunResult,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update runs set finished_at = $3, result = $2 where id = $1 and finished_at is null",
        id.0,
        result.name(),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Figures of a runbook's past.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Record {
    /// Runs that have ended.
    pub finished: i64,
    /// Those that worked.
    pub succeeded: i64,
    /// When the newest began.
    pub last_started_at: Option<DateTime<Utc>>,
}

/// How the runs of a runbook went.
pub async fn record(conn: &mut PgConnection, runbook_id: i64) -> Result<Record, StoreError> {
    Ok(sqlx::query_as!(
        Record,
        r#"select count(*) filter (where result is not null) as "finished!",
                  count(*) filter (where result = 'succeeded') as "succeeded!",
                  max(started_at) as last_started_at
           from runs where runbook_id = $1"#,
        runbook_id
    )
    .fetch_one(conn)
    .await?)
}
