//! What is kept of a real incident, read to play it again: its alerts, what its runs asked and were told. And which
//! incidents could be.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{StoreError, alerts};
use crate::domain::{
    action::Rendered,
    id::{IncidentId, RunId, ScenarioVersionId, StepId},
    night::{Answered, Asking, FiredAlert},
};

/// Keeps what a verify probe of a real run was told, unless the claim it was asked under is over.
pub async fn insert_probe_answer(
    conn: &mut PgConnection,
    run: RunId,
    fence: i64,
    step: &StepId,
    (request, command): (&Rendered, &str),
    result: &Value,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let request = serde_json::to_value(request)
        .map_err(|error| StoreError::corrupt("probe_answers", "request", error))?;
    sqlx::query!(
        "insert into probe_answers (run_id, step, asked_at, request, command, result)
         select $1, $3, $4, $5, $6, $7 where exists (select from run_queue where run_id = $1 and fence = $2)",
        run.0,
        fence,
        step.0,
        now,
        request,
        command,
        result
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The firings of an incident's alerts in the order they came, also of those it took from others; at most `limit`.
pub async fn fired(
    conn: &mut PgConnection,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<FiredAlert>, StoreError> {
    sqlx::query!(
        "select a.labels, a.annotations, e.starts_at, e.opened_at, e.ended_at
         from episodes e join alerts a on a.id = e.alert_id
         where e.incident_id = $1 order by e.opened_at, e.id limit $2",
        incident.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(FiredAlert {
            labels: alerts::labels(row.labels)?,
            annotations: alerts::labels(row.annotations)?,
            starts_at: row.starts_at,
            fired_at: row.opened_at,
            ended_at: row.ended_at,
        })
    })
    .collect()
}

/// What a run asked and was told, attempts and probes, in the order of the answers; at most `limit` of each.
pub async fn asked(conn: &mut PgConnection, run: RunId, limit: i64) -> Result<Vec<Asking>, StoreError> {
    let rows = sqlx::query!(
        r#"select a.request, a.command, a.started_at, a.finished_at as "finished_at!", a.effect, a.state, a.result,
                  exists (select from events e where e.run_id = a.run_id and e.kind = 'outcome_unknown'
                          and e.body ->> 'step' = a.step and (e.body ->> 'attempt')::integer = a.attempt) as "was_lost!"
           from attempts a
           where a.run_id = $1 and a.finished_at is not null and a.request <> '{}' and a.state <> 'interrupted'
           order by a.finished_at, a.step, a.attempt limit $2"#,
        run.0,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut all = Vec::new();
    for row in rows {
        let answer = match row.result {
            Some(result) if !row.was_lost => Answered::of(result),
            _ => Answered::Lost,
        };
        all.push(Asking {
            request: rendered(row.request, "attempts")?,
            command: row.command,
            sent_at: row.started_at,
            answered_at: row.finished_at,
            is_effect: row.effect != "safe",
            is_done: row.state == "succeeded",
            answer,
        });
    }
    let probes = sqlx::query!(
        "select request, command, asked_at, result from probe_answers where run_id = $1 order by id limit $2",
        run.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    for row in probes {
        all.push(Asking {
            request: rendered(row.request, "probe_answers")?,
            command: row.command,
            sent_at: row.asked_at,
            answered_at: row.asked_at,
            is_effect: false,
            is_done: false,
            answer: Answered::of(row.result),
        });
    }
    all.sort_by_key(|asking| asking.answered_at);
    Ok(all)
}

fn rendered(request: Value, table: &'static str) -> Result<Rendered, StoreError> {
    serde_json::from_value(request).map_err(|error| StoreError::corrupt(table, "request", error))
}

/// A real incident that is over and had a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastIncident {
    /// Its number.
    pub id: IncidentId,
    /// What people call it.
    pub title: String,
    /// When it was over.
    pub resolved_at: DateTime<Utc>,
}

/// The last real incidents that are over and had a run, the newest first, at most `limit` of the newest `among`.
pub async fn list(conn: &mut PgConnection, among: i64, limit: i64) -> Result<Vec<PastIncident>, StoreError> {
    let rows = sqlx::query!(
        r#"select i.id, i.title, i.resolved_at as "resolved_at!"
           from (select id, title, resolved_at, state from incidents where drill_id is null order by id desc limit $1) i
           where i.resolved_at is not null and i.state in ('resolved', 'closed')
                 and exists (select from runs r where r.incident_id = i.id)
           order by i.id desc limit $2"#,
        among,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| PastIncident {
            id: IncidentId(row.id),
            title: row.title,
            resolved_at: row.resolved_at,
        })
        .collect())
}

/// Says of which incident a scenario is made. The database takes a real one only.
pub async fn set_incident(
    conn: &mut PgConnection,
    version: ScenarioVersionId,
    incident: IncidentId,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update scenarios s set incident_id = $2 from scenario_versions v
         where v.id = $1 and s.id = v.scenario_id and s.incident_id is distinct from $2",
        version.0,
        incident.0
    )
    .execute(conn)
    .await?;
    Ok(())
}
