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

/// Keeps a person's word on a step that no attempt of this run was made for.
pub async fn insert_vouched(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    result: &Value,
    summary: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into attempts (run_id, step, attempt, effect, idempotency_key, fence, request, command, state, result,
                               summary, started_at, finished_at)
         values ($1, $2, 1, 'safe', '', 0, '{}', 'a person says that it is done', 'succeeded', $3, $4, $5, $5)",
        run.0,
        step.0,
        result,
        summary,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
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

/// The same without what came back, which may be large: of the whole run, or of one step of it.
pub async fn list_heads(
    conn: &mut PgConnection,
    run: RunId,
    step: Option<&StepId>,
    limit: i64,
) -> Result<Vec<AttemptRow>, StoreError> {
    Ok(sqlx::query_as!(
        AttemptRow,
        r#"select step as "step!", attempt as "attempt!", state as "state!", command as "command!",
                  idempotency_key as "idempotency_key!", null::jsonb as result, summary, started_at as "started_at!",
                  finished_at
           from (select step, attempt, state, command, idempotency_key, summary, started_at, finished_at
                 from attempts where run_id = $1 and ($2::text is null or step = $2)
                 order by started_at desc, step desc, attempt desc limit $3) newest
           order by started_at, step, attempt"#,
        run.0,
        step.map(|step| step.0.as_str()),
        limit
    )
    .fetch_all(conn)
    .await?)
}

/// One attempt with everything kept of it.
#[derive(Clone, Debug)]
pub struct AttemptDetail {
    /// What a list of attempts has of it, with what came back.
    pub row: AttemptRow,
    /// `safe`, `idempotent`, `once`
    pub effect: String,
    /// The rising number of the claim it was sent under.
    pub fence: i64,
    /// What was sent: action, target and inputs. Empty where a person only gave their word.
    pub request: Value,
}

/// One attempt of a step; the newest when no number is named.
pub async fn find(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    number: Option<i32>,
) -> Result<Option<AttemptDetail>, StoreError> {
    let row = sqlx::query!(
        "select step, attempt, state, command, idempotency_key, result, summary, started_at, finished_at, effect,
                fence, request
         from attempts where run_id = $1 and step = $2 and ($3::integer is null or attempt = $3)
         order by attempt desc limit 1",
        run.0,
        step.0,
        number
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| AttemptDetail {
        row: AttemptRow {
            step: row.step,
            attempt: row.attempt,
            state: row.state,
            command: row.command,
            idempotency_key: row.idempotency_key,
            result: row.result,
            summary: row.summary,
            started_at: row.started_at,
            finished_at: row.finished_at,
        },
        effect: row.effect,
        fence: row.fence,
        request: row.request,
    }))
}
