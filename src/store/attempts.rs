//! Attempts: written before anything is sent, finished with what came back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    action::Rendered,
    attempt::AttemptEnd,
    context::Finding,
    id::{RunId, StepId},
    step::Effect,
};

/// An attempt about to be made. The database refuses a second sending of an effect `once` under one permit.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// Of which step.
    pub step: StepId,
    /// Its number, from 1.
    pub number: u32,
    /// Whether it may be repeated.
    pub effect: Effect,
    /// How often a person has allowed another sending.
    pub permit: u32,
    /// The same for every attempt of the step.
    pub key: String,
    /// What is sent.
    pub request: Rendered,
    /// The same, for people.
    pub command: String,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct EndedAttempt {
    /// Of which step.
    pub step: StepId,
    /// Its number.
    pub attempt: u32,
    /// How.
    pub end: AttemptEnd,
    /// What came back, as expressions see it.
    pub result: Option<Value>,
    /// The same in one line.
    pub summary: String,
}

/// Records how an attempt ended. An attempt that was left in doubt may be settled later.
pub async fn finish(
    conn: &mut PgConnection,
    run: RunId,
    ended: &EndedAttempt,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts set state = $4, result = coalesce($5, result), summary = $6, finished_at = $7,
                             freed = ($4 = 'failed')
         where run_id = $1 and step = $2 and attempt = $3 and state in ('started', 'unknown')",
        run.0,
        ended.step.0,
        ended.attempt as i32,
        ended.end.name(),
        ended.result,
        ended.summary,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The result of the newest finished attempt of each step of these runs. Results are capped when they are made.
pub async fn findings(
    conn: &mut PgConnection,
    runs: &[RunId],
) -> Result<BTreeMap<(RunId, StepId), Finding>, StoreError> {
    let runs: Vec<i64> = runs.iter().map(|run| run.0).collect();
    Ok(sqlx::query!(
        r#"select distinct on (run_id, step) run_id, step, result as "result!", coalesce(summary, '') as "summary!",
                  finished_at as "finished_at!"
           from attempts where run_id = any($1) and result is not null and finished_at is not null
           order by run_id, step, attempt desc"#,
        &runs
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let found = Finding {
            result: row.result,
            summary: row.summary,
            at: row.finished_at,
        };
        ((RunId(row.run_id), StepId(row.step)), found)
    })
    .collect())
}

/// One attempt, for people.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AttemptRow {
    /// Of which step.
    pub step: String,
    /// Its number.
    pub attempt: i32,
    /// How it stands.
    pub state: String,
    /// What was sent.
    pub command: String,
    /// The key it was sent with.
    pub idempotency_key: String,
    /// What came back.
    pub result: Option<Value>,
    /// The same in one line.
    pub summary: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The attempts of a run in the order they began; the newest `limit` of them.
pub async fn list(conn: &mut PgConnection, run: RunId, limit: i64) -> Result<Vec<AttemptRow>, StoreError> {
    Ok(sqlx::query_as!(
        AttemptRow,
        r#"select step as "step!", attempt as "attempt!", state as "state!", command as "command!",
                  idempotency_key as "idempotency_key!", result, summary, started_at as "started_at!", finished_at
           from (select step, attempt, state, command, idempotency_key, result, summary, started_at, finished_at
                 from attempts where run_id = $1 order by started_at desc, step desc, attempt desc limit $2) newest
           order by started_at, step, attempt"#,
        run.0,
        limit
    )
    .fetch_all(conn)
    .await?)
}
