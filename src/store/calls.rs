//! What runs sent to one target lately; what drills sent to its twins is none of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::{IncidentId, RunId};

/// The newest real runs that are looked through.
pub const RUNS_MAX: i64 = 500;

/// One attempt of a step, as its run's page shows it: without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Of which run.
    pub run: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// Of which step.
    pub step: String,
    /// What was sent.
    pub command: String,
    /// How it stands: `started`, `succeeded`, `failed`, `interrupted` or `unknown`.
    pub state: String,
    /// What came back, in a line.
    pub summary: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The newest attempts on a target in the last [`RUNS_MAX`] runs, at most `limit`.
pub async fn list(conn: &mut PgConnection, target: &str, limit: i64) -> Result<Vec<Call>, StoreError> {
    Ok(sqlx::query!(
        "select a.run_id, r.incident_id, a.step, a.command, a.state, a.summary, a.started_at, a.finished_at
         from (select n.id, n.incident_id from runs n join incidents i on i.id = n.incident_id
               where i.drill_id is null order by n.id desc limit $2) r
         join attempts a on a.run_id = r.id
         where a.request ->> 'target' = $1 order by a.started_at desc, a.run_id desc, a.step limit $3",
        target,
        RUNS_MAX,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Call {
        run: RunId(row.run_id),
        incident: IncidentId(row.incident_id),
        step: row.step,
        command: row.command,
        state: row.state,
        summary: row.summary,
        started_at: row.started_at,
        finished_at: row.finished_at,
    })
    .collect())
}
