//! A run, its steps, its attempts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    domain::{
        id::StepId,
        run::UnknownChoice,
        state::{RunState, StepState},
        step::Step,
    },
    store::attempts::AttemptRow,
    web::view::record::RunRecord,
};

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
    /// The run it goes on from.
    pub continues: Option<i64>,
    /// The run that goes on from here.
    pub continued_by: Option<i64>,
    /// Why nothing new begins, while it is paused.
    pub paused: Option<String>,
    /// Why it is to stop, once somebody asked.
    pub stop_requested: Option<String>,
    /// What it does once its steps are over.
    pub ending: Option<EndingBody>,
    /// The run that holds the lock it waits for.
    pub waits_for_run: Option<i64>,
    /// What keeps Muster from going on with it.
    pub fault: Option<FaultBody>,
    /// Its steps in order.
    pub steps: Vec<StepBody>,
    /// What takes back what was done, and the gates asked for it, as far as it has begun.
    pub undo: Vec<StepBody>,
    /// The steps that run at the end, in order.
    pub finally: Vec<StepBody>,
    /// Its attempts in order, the newest 500.
    pub attempts: Vec<AttemptBody>,
}

/// What keeps Muster from going on with a run. Nothing is sent meanwhile.
#[derive(Serialize, ToSchema)]
pub struct FaultBody {
    /// How often in a row.
    pub times: i32,
    /// What was in the way, the last time.
    pub reason: String,
    /// When it is tried again.
    pub next: DateTime<Utc>,
}

/// What a run does once its steps are over.
#[derive(Serialize, ToSchema)]
pub struct EndingBody {
    /// How it will have ended.
    pub result: String,
    /// Why.
    pub reason: String,
    /// Whether what was done is taken back first.
    pub undo: bool,
}

/// A step of a run.
#[derive(Serialize, ToSchema)]
pub struct StepBody {
    /// Its name in the runbook; of an item `drain[3]`, of what takes it back `undo:drain[3]`.
    pub id: String,
    /// Where it stands, with what belongs to that.
    #[schema(value_type = Object)]
    pub state: Value,
    /// Where each item of a list stands, once the list is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub items: Vec<StepBody>,
}

impl StepBody {
    fn of(id: &StepId, run: &RunState) -> Self {
        let state = run.step(id);
        let items = match state {
            StepState::Listed { items } => (0..items.len())
                .map(|index| Self::of(&id.item(index), run))
                .collect(),
            _ => Vec::new(),
        };
        Self {
            id: id.0.clone(),
            state: serde_json::to_value(state).unwrap_or_default(),
            items,
        }
    }
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
        let (runbook, state) = (&record.version.runbook, &record.state);
        let undo = state.steps.keys().filter(|id| id.undone().is_some());
        let undo = undo.map(|id| StepBody::of(id, state)).collect();
        let of = |step: &Step| StepBody::of(&step.id, state);
        let (steps, finally) = (
            runbook.steps.iter().map(of).collect(),
            runbook.finally.iter().map(of).collect(),
        );
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
            continues: record.run.continues.map(|run| run.0),
            continued_by: record.continued_by.map(|run| run.0),
            paused: state.paused.clone(),
            stop_requested: state.stop_requested.clone(),
            ending: state.ending.as_ref().map(|ending| EndingBody {
                result: ending.result.name().to_owned(),
                reason: ending.reason.clone(),
                undo: ending.undo,
            }),
            fault: record.fault.map(|fault| FaultBody {
                times: fault.times,
                reason: fault.reason,
                next: fault.next,
            }),
            waits_for_run: record.holder.as_ref().map(|holder| holder.run.0),
            steps,
            undo,
            finally,
            attempts: record.attempts.into_iter().map(AttemptBody::from).collect(),
        }
    }
}

/// A run to be started.
#[derive(Deserialize, ToSchema)]
pub struct StartBody {
    /// The runbook's slug.
    pub runbook: String,
    /// Number of the version; the newest without it.
    pub version: Option<i32>,
    /// Values that go before those of the alert and the defaults.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
}

/// A run that was made.
#[derive(Serialize, ToSchema)]
pub struct RunMade {
    /// Its number.
    pub run: i64,
}

/// Why, for acts that do without.
#[derive(Default, Deserialize, ToSchema)]
pub struct OptionalReasonBody {
    /// Why; may be empty unless the act says otherwise.
    #[serde(default)]
    pub reason: String,
}

/// That a manual step is done.
#[derive(Deserialize, ToSchema)]
pub struct DoneBody {
    /// What was done or seen.
    #[serde(default)]
    pub note: String,
}

/// What is said of an outcome that nobody knows.
#[derive(Deserialize, ToSchema)]
pub struct UnknownBody {
    /// `run_check`, `mark_done`, `mark_not_done`, `retry_same_key`, `retry_new_key`
    #[schema(value_type = String)]
    pub choice: UnknownChoice,
    /// How you know; needed for all but `run_check` and `retry_same_key`.
    #[serde(default)]
    pub evidence: String,
}

/// How a run goes on where it ended.
#[derive(Default, Deserialize, ToSchema)]
pub struct ResumeBody {
    /// Number of the version to go on with; the run's own without it.
    pub version: Option<i32>,
    /// Steps you vouch for: they count as done, whatever the run knew of them.
    #[serde(default)]
    pub done: Vec<String>,
    /// Steps whose outcome was unknown and that were not done.
    #[serde(default)]
    pub not_done: Vec<String>,
    /// Steps that need not be done.
    #[serde(default)]
    pub skip: Vec<String>,
    /// How you know, or why they need not be done; needed when a step is named.
    #[serde(default)]
    pub reason: String,
}
