//! What earlier runs of a runbook have sent: for whoever decides whether it shall be sent again.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::RunId;

/// Earlier runs of a runbook that are looked through.
const RUNS_MAX: i64 = 50;
/// Commands of one earlier run that are kept.
const COMMANDS_MAX: i64 = 1000;

/// The newest earlier run that has sent something of this.
#[derive(Clone, Debug, PartialEq)]
pub struct Precedent {
    /// Which run.
    pub run: RunId,
    /// Number of its version.
    pub number: i32,
    /// Its inputs.
    pub inputs: BTreeMap<String, String>,
    /// When it began to send it.
    pub at: DateTime<Utc>,
    /// What it sent, by step; of each step what it sent last.
    pub commands: BTreeMap<String, String>,
}

/// The newest run of this runbook before `before` that has sent one of these steps, or one of their items. What a drill has
/// sent to its twins says nothing of what is real, nor the other way round.
pub async fn find(
    conn: &mut PgConnection,
    runbook_id: i64,
    before: RunId,
    steps: &[String],
) -> Result<Option<Precedent>, StoreError> {
    let rows = sqlx::query!(
        r#"with run as (
               select r.id, r.version_id, r.inputs
               from (select p.id, p.version_id, p.inputs, p.started_at from runs p join incidents i on i.id = p.incident_id
                     where p.runbook_id = $1 and p.id < $2
                       and (i.drill_id is null) = (select o.drill_id is null from runs n
                                                   join incidents o on o.id = n.incident_id where n.id = $2)
                     order by p.started_at desc limit $4) r
               where exists (select from attempts a where a.run_id = r.id and split_part(a.step, '[', 1) = any($3))
               order by r.started_at desc limit 1)
           select run.id, v.number, run.inputs, a.step, a.command, a.started_at
           from run join runbook_versions v on v.id = run.version_id
           join attempts a on a.run_id = run.id and split_part(a.step, '[', 1) = any($3)
           order by a.started_at, a.step, a.attempt limit $5"#,
        runbook_id,
        before.0,
        steps,
        RUNS_MAX,
        COMMANDS_MAX
    )
    .fetch_all(conn)
    .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let inputs: Value = first.inputs.clone();
    Ok(Some(Precedent {
        run: RunId(first.id),
        number: first.number,
        inputs: serde_json::from_value(inputs)
            .map_err(|error| StoreError::corrupt("runs", "inputs", error))?,
        at: first.started_at,
        commands: rows.into_iter().map(|row| (row.step, row.command)).collect(),
    }))
}
