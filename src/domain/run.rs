//! A run of a runbook: the facts recorded of it, and where each step stands after them.
//!
//! The log is the state: loading a run is folding its facts through [`RunState::after`]. `StepStarted` is committed
//! before anything is sent, so a crash leaves it behind as the last word on a step.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    action::FailureClass,
    digest::Digest,
    id::{ApprovalId, StepId},
    runbook::StartMode,
    step::Effect,
};

/// One fact about a run, as the timeline keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields repeat the words of the variants")]
pub enum RunFact {
    /// The run exists, pinned to one version and its inputs.
    RunStarted {
        runbook: String,
        version: i32,
        digest: Digest,
        mode: StartMode,
        inputs: BTreeMap<String, String>,
    },
    /// Another run holds a lock this one needs.
    LockAwaited { lock: String, holder: String },
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
    /// The step does not apply.
    StepSkipped { step: StepId, reason: String },
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
    /// A person rejected.
    GateRejected {
        step: StepId,
        approval: ApprovalId,
        reason: String,
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
    ManualAsked { step: StepId, instruction: String },
    /// A person says it is done.
    ManualDone { step: StepId, note: String },
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
    /// A person wants the run to stop.
    StopRequested { reason: String },
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
    /// Send it again with the same key.
    RetrySameKey,
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

/// Where one step stands. Only [`RunState::after`] makes the next state.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields repeat the words of the variants")]
pub enum StepState {
    /// Not begun; the next attempt has this number.
    Ready { attempt: u32, permit: u32 },
    /// Something may have been sent under this fence.
    Started {
        attempt: u32,
        fence: i64,
        effect: Effect,
        permit: u32,
    },
    /// Failed, to be tried again.
    RetryAt {
        attempt: u32,
        due: DateTime<Utc>,
        permit: u32,
    },
    /// Nobody knows whether it was done. `probed` once the probe could not settle it.
    Unknown {
        attempt: u32,
        reason: String,
        probed: bool,
        permit: u32,
    },
    /// A gate waits for people.
    GateOpen {
        approval: ApprovalId,
        decide_by: DateTime<Utc>,
    },
    /// A gate is open to its steps until then.
    Approved {
        approval: ApprovalId,
        use_by: DateTime<Utc>,
    },
    /// A gate was rejected, or nobody decided.
    Rejected { reason: String },
    /// A person is asked.
    ManualOpen,
    /// A timer runs.
    Waiting { until: DateTime<Utc> },
    /// Done.
    Succeeded,
    /// Was done already.
    Satisfied,
    /// Failed for good.
    Failed { message: String },
    /// Does not apply.
    Skipped,
}

/// A fact that cannot follow the ones before it: the log is damaged or a rule was broken.
#[derive(Debug, thiserror::Error)]
#[error("{fact:?} cannot follow {state:?}")]
pub struct IllegalMove {
    /// Where the step stood.
    pub state: Box<StepState>,
    /// What was to follow.
    pub fact: Box<RunFact>,
}

/// A whole run after its facts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunState {
    /// Steps that have a fact; all others are ready for their first attempt.
    pub steps: BTreeMap<StepId, StepState>,
    /// Attempts cut off by a stop of Muster, by step.
    pub interruptions: BTreeMap<StepId, u32>,
    /// When the first attempt of a step began.
    pub first_started: BTreeMap<StepId, DateTime<Utc>>,
    /// A person asked to stop.
    pub stop_requested: Option<String>,
    /// The run is over.
    pub finished: Option<RunResult>,
}

const FRESH: StepState = StepState::Ready {
    attempt: 1,
    permit: 0,
};

impl RunState {
    /// Folds a whole log, in order.
    pub fn fold<'a>(
        facts: impl IntoIterator<Item = (DateTime<Utc>, &'a RunFact)>,
    ) -> Result<Self, IllegalMove> {
        facts
            .into_iter()
            .try_fold(Self::default(), |state, (at, fact)| state.after(at, fact))
    }

    /// Where a step stands.
    pub fn step(&self, id: &StepId) -> &StepState {
        self.steps.get(id).unwrap_or(&FRESH)
    }

    /// Folds one recorded fact in: the whole transition table of runs and steps.
    pub fn after(mut self, at: DateTime<Utc>, fact: &RunFact) -> Result<Self, IllegalMove> {
        use RunFact as Fact;
        use StepState as State;
        match fact {
            Fact::RunStarted { .. } | Fact::LockAwaited { .. } | Fact::GateApproval { .. } => {}
            Fact::StopRequested { reason } => self.stop_requested = Some(reason.clone()),
            Fact::RunFinished { result, .. } => self.finished = Some(*result),
            Fact::StepSatisfied { step, .. } => self.go(step, fact, |state| match state {
                State::Ready { .. } | State::RetryAt { .. } => Some(State::Satisfied),
                _ => None,
            })?,
            Fact::StepStarted {
                step,
                attempt,
                fence,
                effect,
                ..
            } => {
                self.first_started.entry(step.clone()).or_insert(at);
                self.go(step, fact, |state| match state {
                    State::Ready {
                        attempt: next,
                        permit,
                    } if *attempt == next => Some(State::Started {
                        attempt: next,
                        fence: *fence,
                        effect: *effect,
                        permit,
                    }),
                    State::RetryAt {
                        attempt: last,
                        permit,
                        ..
                    } if *attempt == last + 1 => Some(State::Started {
                        attempt: *attempt,
                        fence: *fence,
                        effect: *effect,
                        permit,
                    }),
                    _ => None,
                })?;
            }
            Fact::StepSucceeded { step, .. } => self.go(step, fact, |state| match state {
                State::Started { .. } | State::Unknown { .. } => Some(State::Succeeded),
                _ => None,
            })?,
            Fact::StepFailed {
                step,
                attempt,
                message,
                retry_at,
                ..
            } => self.go(step, fact, |state| match state {
                State::Started { permit, .. }
                | State::Ready { permit, .. }
                | State::RetryAt { permit, .. } => Some(match retry_at {
                    Some(due) => State::RetryAt {
                        attempt: *attempt,
                        due: *due,
                        permit,
                    },
                    None => State::Failed {
                        message: message.clone(),
                    },
                }),
                _ => None,
            })?,
            Fact::StepInterrupted { step, attempt } => {
                *self.interruptions.entry(step.clone()).or_default() += 1;
                self.go(step, fact, |state| match state {
                    State::Started { permit, .. } => Some(State::Ready {
                        attempt: attempt + 1,
                        permit,
                    }),
                    _ => None,
                })?;
            }
            Fact::OutcomeUnknown {
                step,
                attempt,
                reason,
            } => self.go(step, fact, |state| match state {
                State::Started { permit, .. } => Some(State::Unknown {
                    attempt: *attempt,
                    reason: reason.clone(),
                    probed: false,
                    permit,
                }),
                _ => None,
            })?,
            Fact::ProbeInconclusive { step, finding } => self.go(step, fact, |state| match state {
                State::Unknown { attempt, permit, .. } => Some(State::Unknown {
                    attempt,
                    reason: finding.clone(),
                    probed: true,
                    permit,
                }),
                _ => None,
            })?,
            Fact::UnknownDecided {
                step,
                choice,
                evidence,
            } => self.go(step, fact, |state| match (state, choice) {
                (
                    State::Unknown {
                        attempt,
                        reason,
                        permit,
                        ..
                    },
                    UnknownChoice::RunCheck,
                ) => Some(State::Unknown {
                    attempt,
                    reason,
                    probed: false,
                    permit,
                }),
                (State::Unknown { .. }, UnknownChoice::MarkDone) => Some(State::Succeeded),
                (State::Unknown { .. }, UnknownChoice::MarkNotDone) => Some(State::Failed {
                    message: format!("marked as not done: {evidence}"),
                }),
                (State::Unknown { attempt, permit, .. }, UnknownChoice::RetrySameKey) => Some(State::Ready {
                    attempt: attempt + 1,
                    permit: permit + 1,
                }),
                _ => None,
            })?,
            Fact::StepSkipped { step, .. } => self.go(step, fact, |state| match state {
                State::Ready { .. } | State::RetryAt { .. } => Some(State::Skipped),
                _ => None,
            })?,
            Fact::GateOpened {
                step,
                approval,
                decide_by,
                ..
            } => self.go(step, fact, |state| match state {
                State::Ready { .. } => Some(State::GateOpen {
                    approval: *approval,
                    decide_by: *decide_by,
                }),
                _ => None,
            })?,
            Fact::GateApproved {
                step,
                approval,
                use_by,
            } => self.go(step, fact, |state| match state {
                State::GateOpen { .. } => Some(State::Approved {
                    approval: *approval,
                    use_by: *use_by,
                }),
                _ => None,
            })?,
            Fact::GateRejected { step, reason, .. } => self.go(step, fact, |state| match state {
                State::GateOpen { .. } => Some(State::Rejected {
                    reason: reason.clone(),
                }),
                _ => None,
            })?,
            Fact::GateExpired { step, unused, .. } => self.go(step, fact, |state| match (state, unused) {
                (State::GateOpen { .. }, false) => Some(State::Rejected {
                    reason: "nobody decided in time".to_owned(),
                }),
                (State::Approved { .. }, true) => Some(FRESH),
                _ => None,
            })?,
            Fact::GateVoided { step, .. } => self.go(step, fact, |state| match state {
                State::GateOpen { .. } | State::Approved { .. } => Some(FRESH),
                _ => None,
            })?,
            Fact::ManualAsked { step, .. } => self.go(step, fact, |state| match state {
                State::Ready { .. } => Some(State::ManualOpen),
                _ => None,
            })?,
            Fact::ManualDone { step, .. } => self.go(step, fact, |state| match state {
                State::ManualOpen => Some(State::Succeeded),
                _ => None,
            })?,
            Fact::WaitBegan { step, until } => self.go(step, fact, |state| match state {
                State::Ready { .. } => Some(State::Waiting { until: *until }),
                _ => None,
            })?,
            Fact::WaitOver { step } => self.go(step, fact, |state| match state {
                State::Waiting { .. } => Some(State::Succeeded),
                _ => None,
            })?,
        }
        Ok(self)
    }

    fn go(
        &mut self,
        step: &StepId,
        fact: &RunFact,
        rule: impl FnOnce(StepState) -> Option<StepState>,
    ) -> Result<(), IllegalMove> {
        let state = self.step(step).clone();
        if self.finished.is_some() {
            return Err(IllegalMove {
                state: Box::new(state),
                fact: Box::new(fact.clone()),
            });
        }
        match rule(state.clone()) {
            Some(next) => {
                self.steps.insert(step.clone(), next);
                Ok(())
            }
            None => Err(IllegalMove {
                state: Box::new(state),
                fact: Box::new(fact.clone()),
            }),
        }
    }
}

impl RunFact {
    /// The step a fact is about.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::RunStarted { .. }
            | Self::LockAwaited { .. }
            | Self::StopRequested { .. }
            | Self::RunFinished { .. } => None,
            Self::StepSatisfied { step, .. }
            | Self::StepStarted { step, .. }
            | Self::StepSucceeded { step, .. }
            | Self::StepFailed { step, .. }
            | Self::StepInterrupted { step, .. }
            | Self::OutcomeUnknown { step, .. }
            | Self::ProbeInconclusive { step, .. }
            | Self::StepSkipped { step, .. }
            | Self::GateOpened { step, .. }
            | Self::GateApproval { step, .. }
            | Self::GateApproved { step, .. }
            | Self::GateRejected { step, .. }
            | Self::GateExpired { step, .. }
            | Self::GateVoided { step, .. }
            | Self::ManualAsked { step, .. }
            | Self::ManualDone { step, .. }
            | Self::WaitBegan { step, .. }
            | Self::WaitOver { step }
            | Self::UnknownDecided { step, .. } => Some(step),
        }
    }
}
