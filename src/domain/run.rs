//! A run of a runbook: the facts recorded of it.
//!
//! The log is the state: loading a run is folding its facts through [`super::state::RunState::after`]. `StepStarted`
//! is committed before anything is sent, so a crash leaves it behind as the last word on a step.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    action::FailureClass,
    digest::Digest,
    id::{ApprovalId, RunId, StepId},
    runbook::StartMode,
    step::Effect,
};

/// One fact about a run, as the timeline keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields repeat the words of the variants")]
pub enum RunFact {
    /// The run exists, pinned to one version and its inputs; it may go on where another one ended.
    RunStarted {
        runbook: String,
        version: i32,
        digest: Digest,
        mode: StartMode,
        inputs: BTreeMap<String, String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continues: Option<RunId>,
    },
    /// The run this one continues has done it; it is not done again.
    StepCarried { step: StepId, from: RunId },
    /// Another run holds a lock this one needs.
    LockAwaited { lock: String, holder: String },
    /// The items a `for_each` step is carried out over.
    ItemsListed { step: StepId, items: Vec<Value> },
    /// The probe said that the effect is there already; nothing was sent.
    StepSatisfied { step: StepId, summary: String },
    /// Committed before anything is sent.
    StepStarted {
        step: StepId,
        attempt: u32,
        key: String,
        fence: i64,
        effect: Effect,
        command: String,
    },
    /// The attempt worked.
    StepSucceeded {
        step: StepId,
        attempt: u32,
        summary: String,
        settled: Settled,
    },
    /// The attempt failed; with `retry_at` another follows then, without it the failure is final.
    StepFailed {
        step: StepId,
        attempt: u32,
        class: FailureClass,
        message: String,
        retry_at: Option<DateTime<Utc>>,
    },
    /// Nothing was sent for a reason of Muster's own: it costs no attempt of those the author allows.
    StepHeld {
        step: StepId,
        attempt: u32,
        reason: String,
        retry_at: DateTime<Utc>,
    },
    /// Muster stopped in the middle of an attempt that may be repeated.
    StepInterrupted { step: StepId, attempt: u32 },
    /// It was sent, or may have been, and nobody knows whether it was done.
    OutcomeUnknown {
        step: StepId,
        attempt: u32,
        reason: String,
    },
    /// The probe could not tell, or told that it is not done: a person decides.
    ProbeInconclusive { step: StepId, finding: String },
    /// The step does not apply, was passed over, or a person let it be.
    StepSkipped { step: StepId, reason: String },
    /// What it found is to be read again: the gate it was evidence for was sent back.
    StepReopened { step: StepId },
    /// A gate asks for a decision.
    GateOpened {
        step: StepId,
        approval: ApprovalId,
        digest: Digest,
        decide_by: DateTime<Utc>,
        needed: u32,
    },
    /// A person approved; more may be needed.
    GateApproval {
        step: StepId,
        approval: ApprovalId,
        reason: String,
        given: u32,
        needed: u32,
    },
    /// Enough people approved.
    GateApproved {
        step: StepId,
        approval: ApprovalId,
        use_by: DateTime<Utc>,
    },
    /// One person opened it alone, with a reason that will be reviewed.
    GateBroken {
        step: StepId,
        approval: ApprovalId,
        reason: String,
        use_by: DateTime<Utc>,
    },
    /// A person rejected.
    GateRejected {
        step: StepId,
        approval: ApprovalId,
        reason: String,
    },
    /// A person took an approval back before anything had started under it; the gate asks again.
    GateWithdrawn {
        step: StepId,
        approval: ApprovalId,
        reason: String,
    },
    /// A person wants something changed first: the run pauses, and the gate asks again afterwards.
    GateSentBack {
        step: StepId,
        approval: ApprovalId,
        note: String,
    },
    /// A clock of the gate ran out: undecided, or approved and not used. Nothing ran under it since.
    GateExpired {
        step: StepId,
        approval: ApprovalId,
        unused: bool,
    },
    /// What the approval was bound to changed; the gate asks again.
    GateVoided {
        step: StepId,
        approval: ApprovalId,
        why: String,
    },
    /// A person is asked to do something.
    ManualAsked {
        step: StepId,
        instruction: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<DateTime<Utc>>,
    },
    /// A person says it is done.
    ManualDone { step: StepId, note: String },
    /// Nobody did it in time.
    ManualOverdue { step: StepId },
    /// A timer runs.
    WaitBegan { step: StepId, until: DateTime<Utc> },
    /// The timer is over.
    WaitOver { step: StepId },
    /// A person decided about an unknown outcome.
    UnknownDecided {
        step: StepId,
        choice: UnknownChoice,
        evidence: String,
    },
    /// A person wants nothing new to begin.
    PauseRequested { reason: String },
    /// A person lets it go on.
    PauseEnded,
    /// A person wants the run to stop.
    StopRequested { reason: String },
    /// A person wants the run to stop and what it did to be taken back.
    UndoRequested { reason: String },
    /// The steps are over; with `undo` what was done is taken back now, then the steps of `finally` run.
    RunEnding {
        result: RunResult,
        reason: String,
        undo: bool,
    },
    /// The run is over.
    RunFinished { result: RunResult, reason: String },
}

/// Who told that a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Settled {
    /// The target's own answer.
    Answer,
    /// The verify probe, after the answer was lost.
    Probe,
}

/// What a person can say about an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownChoice {
    /// Ask the probe once more.
    RunCheck,
    /// It was done.
    MarkDone,
    /// It was not done; the step has failed.
    MarkNotDone,
    /// Send it again with the same key: a target that keeps keys does it at most once.
    RetrySameKey,
    /// Send it again with a new key, as a new effect; its gate asks again.
    RetryNewKey,
}

impl UnknownChoice {
    /// All of them, in the order they are offered.
    pub const ALL: [Self; 5] = [
        Self::RunCheck,
        Self::MarkDone,
        Self::MarkNotDone,
        Self::RetrySameKey,
        Self::RetryNewKey,
    ];
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunResult {
    /// Every step is done, skipped or allowed to fail.
    Succeeded,
    /// A step failed for good.
    Failed,
    /// A gate was rejected or nobody decided in time.
    Rejected,
    /// A person stopped it.
    Stopped,
}

impl RunResult {
    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Stopped => "stopped",
        }
    }

    /// The result of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Succeeded, Self::Failed, Self::Rejected, Self::Stopped]
            .into_iter()
            .find(|result| result.name() == name)
    }
}

impl RunFact {
    /// The step a fact is about.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::RunStarted { .. }
            | Self::LockAwaited { .. }
            | Self::PauseRequested { .. }
            | Self::PauseEnded
            | Self::StopRequested { .. }
            | Self::UndoRequested { .. }
            | Self::RunEnding { .. }
            | Self::RunFinished { .. } => None,
            Self::StepCarried { step, .. }
            | Self::ItemsListed { step, .. }
            | Self::StepSatisfied { step, .. }
            | Self::StepStarted { step, .. }
            | Self::StepSucceeded { step, .. }
            | Self::StepFailed { step, .. }
            | Self::StepHeld { step, .. }
            | Self::StepInterrupted { step, .. }
            | Self::OutcomeUnknown { step, .. }
            | Self::ProbeInconclusive { step, .. }
            | Self::StepSkipped { step, .. }
            | Self::StepReopened { step }
            | Self::GateOpened { step, .. }
            | Self::GateApproval { step, .. }
            | Self::GateApproved { step, .. }
            | Self::GateBroken { step, .. }
            | Self::GateRejected { step, .. }
            | Self::GateWithdrawn { step, .. }
            | Self::GateSentBack { step, .. }
            | Self::GateExpired { step, .. }
            | Self::GateVoided { step, .. }
            | Self::ManualAsked { step, .. }
            | Self::ManualDone { step, .. }
            | Self::ManualOverdue { step }
            | Self::WaitBegan { step, .. }
            | Self::WaitOver { step }
            | Self::UnknownDecided { step, .. } => Some(step),
        }
    }
}
