//! Attempts: written before anything is sent, finished with what came back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    action::Rendered,
    attempt::AttemptEnd,
    id::{RunId, StepId},
    step::Effect,
};

/// An attempt about to be made.
#[derive(Clone, Debug)]
pub struct NewAttempt<'a> {
    /// Of which run.
    pub run: RunId,
    /// Of which step.
    pub step: &'a StepId,
    /// Its number, from 1.
    pub attempt: u32,
    /// Whether it may be repeated.
    pub effect: Effect,
    /// How often a person has allowed another sending.
    pub permit: u32,
    /// The same for every attempt of the step.
    pub key: &'a str,
    /// The claim it is made under.
    pub fence: i64,
    /// What is sent.
    pub request: &'a Rendered,
    /// The same, for people.
    pub command: &'a str,
}

fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Safe => "safe",
        Effect::Idempotent => "idempotent",
        Effect::Once => "once",
    }
}

/// Records an attempt as started. The database refuses a second sending of an effect `once`.
pub async fn insert(
    conn: &mut PgConnection,
    attempt: &NewAttempt<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let request = serde_json::to_value(attempt.request)
        .map_err(|error| StoreError::corrupt("attempts", "request", error))?;
    sqlx::query!(
        "insert into attempts (run_id, step, attempt, effect, permit, idempotency_key, fence, request, command,
                               state, started_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'started', $10)",
        attempt.run.0,
        attempt.step.0,
        attempt.attempt as i32,
        effect_name(attempt.effect),
        attempt.permit as i32,
        attempt.key,
        attempt.fence,
        request,
        attempt.command,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What an attempt led to.
#[derive(Clone, Copy, Debug)]
pub struct Conclusion<'a> {
    /// How it ended.
    pub end: AttemptEnd,
    /// What came back, as expressions see it.
    pub result: Option<&'a Value>,
    /// The same in one line.
    pub summary: &'a str,
}

/// Records how an attempt ended. An attempt that was left in doubt may be settled later.
pub async fn finish(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    attempt: u32,
    conclusion: Conclusion<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update attempts set state = $4, result = coalesce($5, result), summary = $6, finished_at = $7
         where run_id = $1 and step = $2 and attempt = $3 and state in ('started', 'unknown')",
        run.0,
        step.0,
        attempt as i32,
        conclusion.end.name(),
        conclusion.result,
        conclusion.summary,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a finished step left for the steps after it and for the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its result, as expressions see it.
    pub result: Value,
    /// One line for people.
    pub summary: String,
    /// When the answer was in.
    pub at: DateTime<Utc>,
}

/// The result of the newest finished attempt of each step of a run. Results are capped when they are made.
pub async fn findings(conn: &mut PgConnection, run: RunId) -> Result<BTreeMap<StepId, Finding>, StoreError> {
    Ok(sqlx::query!(
        r#"select distinct on (step) step, result as "result!", coalesce(summary, '') as "summary!",
                  finished_at as "finished_at!"
           from attempts where run_id = $1 and result is not null and finished_at is not null
           order by step, attempt desc"#,
        run.0
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        (
            StepId(row.step),
            Finding {
                result: row.result,
                summary: row.summary,
                at: row.finished_at,
            },
        )
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

/// The attempts of a run in the order they began, at most `limit`.
pub async fn list(conn: &mut PgConnection, run: RunId, limit: i64) -> Result<Vec<AttemptRow>, StoreError> {
    Ok(sqlx::query_as!(
        AttemptRow,
        "select step, attempt, state, command, idempotency_key, result, summary, started_at, finished_at
         from attempts where run_id = $1 order by started_at, step, attempt limit $2",
        run.0,
        limit
    )
    .fetch_all(conn)
    .await?)
}
