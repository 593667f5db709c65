//! What people call the steps of runs.

use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{IncidentId, RunId},
    runbook::Runbook,
    titles::Titles,
};

struct Row {
    id: i64,
    inputs: Value,
    context: Value,
    definition: Value,
}

/// The titles of the steps of these runs.
pub async fn list_of(conn: &mut PgConnection, runs: &[RunId]) -> Result<Titles, StoreError> {
    let runs: Vec<i64> = runs.iter().map(|run| run.0).collect();
    let rows = sqlx::query_as!(
        Row,
        "select r.id, r.inputs, r.context, v.definition
         from runs r join runbook_versions v on v.id = r.version_id where r.id = any($1)",
        &runs
    )
    .fetch_all(conn)
    .await?;
    learnt(rows)
}

/// The titles of the steps of an incident's runs, the newest `runs_max` of them.
pub async fn list(
    conn: &mut PgConnection,
    incident: IncidentId,
    runs_max: i64,
) -> Result<Titles, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select r.id, r.inputs, r.context, v.definition
         from runs r join runbook_versions v on v.id = r.version_id
         where r.incident_id = $1 order by r.id desc limit $2",
        incident.0,
        runs_max
    )
    .fetch_all(conn)
    .await?;
    learnt(rows)
}

fn learnt(rows: Vec<Row>) -> Result<Titles, StoreError> {
    let mut titles = Titles::default();
    for row in rows {
        let runbook: Runbook = serde_json::from_value(row.definition)
            .map_err(|error| StoreError::corrupt("runbook_versions", "definition", error))?;
        titles.learn(RunId(row.id), &runbook, &row.inputs, &row.context);
    }
    Ok(titles)
}
