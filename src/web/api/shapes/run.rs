//! A run, its steps, its attempts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{store::attempts::AttemptRow, web::view::record::RunRecord};

/// A run.
#[derive(Serialize, ToSchema)]
pub struct RunBody {
    /// Its number.
    pub id: i64,
    /// Of which incident.
    pub incident: i64,
    /// The runbook's slug.
    pub runbook: String,
    /// The version's number.
    pub version: i32,
    /// Who started it; absent when Muster did.
    pub requested_by: Option<String>,
    /// Its inputs.
    pub inputs: BTreeMap<String, String>,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
    /// `succeeded`, `failed`, `rejected`, `stopped`; absent while it is live.
    pub result: Option<String>,
    /// Its steps in order.
    pub steps: Vec<StepBody>,
    /// Its attempts in order.
    pub attempts: Vec<AttemptBody>,
}

/// A step of a run.
#[derive(Serialize, ToSchema)]
pub struct StepBody {
    /// Its name in the runbook.
    pub id: String,
    /// Where it stands, with what belongs to that.
    #[schema(value_type = Object)]
    pub state: Value,
}

/// An attempt.
#[derive(Serialize, ToSchema)]
pub struct AttemptBody {
    /// Of which step.
    pub step: String,
    /// Its number.
    pub attempt: i32,
    /// `started`, `succeeded`, `failed`, `interrupted`, `unknown`
    pub state: String,
    /// What was sent.
    pub command: String,
    /// The key it was sent with.
    pub idempotency_key: String,
    /// What came back.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// The same in one line.
    pub summary: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<AttemptRow> for AttemptBody {
    fn from(row: AttemptRow) -> Self {
        Self {
            step: row.step,
            attempt: row.attempt,
            state: row.state,
            command: row.command,
            idempotency_key: row.idempotency_key,
            result: row.result,
            summary: row.summary,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

impl From<RunRecord> for RunBody {
    fn from(record: RunRecord) -> Self {
        let steps = record
            .version
            .runbook
            .steps
            .iter()
            .map(|step| StepBody {
                id: step.id.0.clone(),
                state: serde_json::to_value(record.state.step(&step.id)).unwrap_or_default(),
            })
            .collect();
        Self {
            id: record.run.id.0,
            incident: record.run.incident.0,
            runbook: record.version.runbook.slug.clone(),
            version: record.version.number,
            requested_by: record.requested_by,
            inputs: record.run.inputs,
            started_at: record.run.started_at,
            finished_at: record.run.finished_at,
            result: record.run.result.map(|result| result.name().to_owned()),
            steps,
            attempts: record.attempts.into_iter().map(AttemptBody::from).collect(),
        }
    }
}
