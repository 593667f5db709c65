//! Where a run and each of its steps stand after their facts.
//!
//! [`MOVES`] is the whole machine: which fact may follow which state, and where it leads. [`RunState::after`] refuses
//! every other fact. The drawing below is made from it, and a test keeps it so.
#![doc = include_str!("state.md")]

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{
    id::{ApprovalId, StepId},
    run::{RunFact, RunResult, UnknownChoice},
    step::Effect,
};

/// The numbers of an attempt, made or to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Try {
    /// Its number, from 1; never used twice.
    pub attempt: u32,
    /// How many of the attempts its author allows are used up.
    pub spent: u32,
    /// How often a person has allowed another sending of an effect `once`.
    pub permit: u32,
    /// How often a person has asked for a new key.
    pub generation: u32,
}

impl Try {
    /// The first attempt of a step.
    pub const FIRST: Self = Self {
        attempt: 1,
        spent: 0,
        permit: 0,
        generation: 0,
    };

    fn next(self) -> Self {
        Self {
            attempt: self.attempt + 1,
            ..self
        }
    }
}

/// Where one step stands. Only [`RunState::after`] makes the next state.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields repeat the words of the variants")]
pub enum StepState {
    /// Not begun.
    Ready { next: Try },
    /// A `for_each` step whose items are known; each has a state of its own.
    Listed { items: Vec<Value> },
    /// Something may have been sent under this fence.
    Started { made: Try, fence: i64, effect: Effect },
    /// To be tried again then.
    RetryAt { next: Try, due: DateTime<Utc> },
    /// Nobody knows whether it was done. `probed` once the probe could not settle it.
    Unknown { made: Try, reason: String, probed: bool },
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
    Rejected { reason: String, expired: bool },
    /// A person is asked.
    ManualOpen { due: Option<DateTime<Utc>> },
    /// A timer runs.
    Waiting { until: DateTime<Utc> },
    /// Done.
    Succeeded,
    /// Was done already.
    Satisfied,
    /// Failed for good.
    Failed { message: String },
    /// Does not apply, was passed over, or a person let it be.
    Skipped,
}

/// The states by name, as the table, the drawing and the interface call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the variants of `StepState`")]
pub enum Stand {
    Ready,
    Listed,
    Started,
    RetryAt,
    Unknown,
    GateOpen,
    Approved,
    Rejected,
    ManualOpen,
    Waiting,
    Succeeded,
    Satisfied,
    Failed,
    Skipped,
}

impl Stand {
    /// All of them with their names, as the interface has them.
    pub const ALL: [(&str, Self); 14] = [
        ("ready", Self::Ready),
        ("listed", Self::Listed),
        ("started", Self::Started),
        ("retry_at", Self::RetryAt),
        ("unknown", Self::Unknown),
        ("gate_open", Self::GateOpen),
        ("approved", Self::Approved),
        ("rejected", Self::Rejected),
        ("manual_open", Self::ManualOpen),
        ("waiting", Self::Waiting),
        ("succeeded", Self::Succeeded),
        ("satisfied", Self::Satisfied),
        ("failed", Self::Failed),
        ("skipped", Self::Skipped),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, stand)| *stand == self)
            .map_or("", |(name, _)| name)
    }
}

/// Facts about a step by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names of the variants of `RunFact`")]
pub enum StepFact {
    Carried,
    Listed,
    Satisfied,
    Started,
    Succeeded,
    Failed,
    Held,
    Interrupted,
    OutcomeUnknown,
    ProbeInconclusive,
    Skipped,
    Reopened,
    GateOpened,
    GateApproval,
    GateApproved,
    GateBroken,
    GateRejected,
    GateWithdrawn,
    GateSentBack,
    GateExpired,
    GateVoided,
    ManualAsked,
    ManualDone,
    ManualOverdue,
    WaitBegan,
    WaitOver,
    UnknownDecided,
}

/// Every move a step can make: from, by which fact, to one of these.
pub const MOVES: &[(&[Stand], StepFact, &[Stand])] = {
    use Stand::{
        Approved, Failed, GateOpen, Listed, ManualOpen, Ready, Rejected, RetryAt, Satisfied, Skipped,
        Started, Succeeded, Unknown, Waiting,
    };
    use StepFact as F;
    &[
        (&[Ready], F::Carried, &[Succeeded]),
        (&[Ready], F::Listed, &[Listed]),
        (&[Ready, RetryAt], F::Satisfied, &[Satisfied]),
        (&[Ready, RetryAt], F::Started, &[Started]),
        (&[Started, Unknown], F::Succeeded, &[Succeeded]),
        (&[Ready, RetryAt, Started], F::Failed, &[RetryAt, Failed]),
        (&[Ready, RetryAt, Started], F::Held, &[RetryAt]),
        (&[Started], F::Interrupted, &[Ready]),
        (&[Started], F::OutcomeUnknown, &[Unknown]),
        (&[Unknown], F::ProbeInconclusive, &[Unknown]),
        (
            &[Unknown],
            F::UnknownDecided,
            &[Unknown, Succeeded, Failed, Ready],
        ),
        (&[Ready, RetryAt, ManualOpen, Waiting], F::Skipped, &[Skipped]),
        (&[Succeeded], F::Reopened, &[Ready]),
        (&[Ready], F::GateOpened, &[GateOpen]),
        (&[GateOpen], F::GateApproval, &[GateOpen]),
        (&[GateOpen], F::GateApproved, &[Approved]),
        (&[GateOpen], F::GateBroken, &[Approved]),
        (&[GateOpen], F::GateRejected, &[Rejected]),
        (&[GateOpen, Approved], F::GateWithdrawn, &[Ready]),
        (&[GateOpen], F::GateSentBack, &[Ready]),
        (&[GateOpen], F::GateExpired, &[Rejected]),
        (&[Approved], F::GateExpired, &[Ready]),
        (&[GateOpen, Approved], F::GateVoided, &[Ready]),
        (&[Ready], F::ManualAsked, &[ManualOpen]),
        (&[ManualOpen], F::ManualDone, &[Succeeded]),
        (&[ManualOpen], F::ManualOverdue, &[Failed]),
        (&[Ready], F::WaitBegan, &[Waiting]),
        (&[Waiting], F::WaitOver, &[Succeeded]),
    ]
};

/// A fact that cannot follow the ones before it: the log is damaged or a rule was broken.
#[derive(Debug, thiserror::Error)]
#[error("{fact:?} cannot follow {state:?}")]
pub struct IllegalMove {
    /// Where the step stood.
    pub state: Box<StepState>,
    /// What was to follow.
    pub fact: Box<RunFact>,
}

/// What a run does once its steps are over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// How it will have ended.
    pub result: RunResult,
    /// Why.
    pub reason: String,
    /// Whether what was done is taken back first.
    pub undo: bool,
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
    /// The number of a step's newest attempt.
    pub attempts: BTreeMap<StepId, u32>,
    /// Steps that worked, in the order they were done; what was carried over comes first.
    pub done: Vec<StepId>,
    /// A person wants nothing new to begin, and why.
    pub paused: Option<String>,
    /// A person asked to stop, and why.
    pub stop_requested: Option<String>,
    /// A person asked for what was done to be taken back.
    pub undo_requested: bool,
    /// The steps are over.
    pub ending: Option<Ending>,
    /// The run is over.
    pub finished: Option<RunResult>,
    /// When it began to wait for a lock it still waits for.
    pub lock_awaited: Option<DateTime<Utc>>,
}

const FRESH: StepState = StepState::Ready { next: Try::FIRST };

impl StepState {
    /// Its name.
    pub fn stand(&self) -> Stand {
        match self {
            Self::Ready { .. } => Stand::Ready,
            Self::Listed { .. } => Stand::Listed,
            Self::Started { .. } => Stand::Started,
            Self::RetryAt { .. } => Stand::RetryAt,
            Self::Unknown { .. } => Stand::Unknown,
            Self::GateOpen { .. } => Stand::GateOpen,
            Self::Approved { .. } => Stand::Approved,
            Self::Rejected { .. } => Stand::Rejected,
            Self::ManualOpen { .. } => Stand::ManualOpen,
            Self::Waiting { .. } => Stand::Waiting,
            Self::Succeeded => Stand::Succeeded,
            Self::Satisfied => Stand::Satisfied,
            Self::Failed { .. } => Stand::Failed,
            Self::Skipped => Stand::Skipped,
        }
    }

    /// Whether it is done, was done, or need not be done.
    pub fn is_behind(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Satisfied | Self::Skipped)
    }
}

impl StepFact {
    /// The fact by name; `None` for facts about the run as a whole.
    pub fn of(fact: &RunFact) -> Option<Self> {
        Some(match fact {
            RunFact::RunStarted { .. }
            | RunFact::LockAwaited { .. }
            | RunFact::PauseRequested { .. }
            | RunFact::PauseEnded
            | RunFact::StopRequested { .. }
            | RunFact::UndoRequested { .. }
            | RunFact::RunEnding { .. }
            | RunFact::RunFinished { .. } => return None,
            RunFact::StepCarried { .. } => Self::Carried,
            RunFact::ItemsListed { .. } => Self::Listed,
            RunFact::StepSatisfied { .. } => Self::Satisfied,
            RunFact::StepStarted { .. } => Self::Started,
            RunFact::StepSucceeded { .. } => Self::Succeeded,
            RunFact::StepFailed { .. } => Self::Failed,
            RunFact::StepHeld { .. } => Self::Held,
            RunFact::StepInterrupted { .. } => Self::Interrupted,
            RunFact::OutcomeUnknown { .. } => Self::OutcomeUnknown,
            RunFact::ProbeInconclusive { .. } => Self::ProbeInconclusive,
            RunFact::StepSkipped { .. } => Self::Skipped,
            RunFact::StepReopened { .. } => Self::Reopened,
            RunFact::GateOpened { .. } => Self::GateOpened,
            RunFact::GateApproval { .. } => Self::GateApproval,
            RunFact::GateApproved { .. } => Self::GateApproved,
            RunFact::GateBroken { .. } => Self::GateBroken,
            RunFact::GateRejected { .. } => Self::GateRejected,
            RunFact::GateWithdrawn { .. } => Self::GateWithdrawn,
            RunFact::GateSentBack { .. } => Self::GateSentBack,
            RunFact::GateExpired { .. } => Self::GateExpired,
            RunFact::GateVoided { .. } => Self::GateVoided,
            RunFact::ManualAsked { .. } => Self::ManualAsked,
            RunFact::ManualDone { .. } => Self::ManualDone,
            RunFact::ManualOverdue { .. } => Self::ManualOverdue,
            RunFact::WaitBegan { .. } => Self::WaitBegan,
            RunFact::WaitOver { .. } => Self::WaitOver,
            RunFact::UnknownDecided { .. } => Self::UnknownDecided,
        })
    }
}

/// Where a fact may lead from a state; empty when it may not follow.
fn allowed(from: Stand, fact: StepFact) -> &'static [Stand] {
    MOVES
        .iter()
        .find(|(states, by, _)| *by == fact && states.contains(&from))
        .map_or(&[], |(_, _, to)| to)
}

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

    /// Steps that may have been done, for all anybody knows: their outcome is unknown, or a person allowed another
    /// sending of one and it has not been made.
    pub fn in_doubt(&self) -> impl Iterator<Item = &StepId> {
        let in_doubt = |state: &StepState| match state {
            StepState::Unknown { .. } => true,
            StepState::Ready { next } | StepState::RetryAt { next, .. } => next.permit > 0,
            _ => false,
        };
        self.steps
            .iter()
            .filter(move |(_, state)| in_doubt(state))
            .map(|(id, _)| id)
    }

    /// Folds one recorded fact in.
    pub fn after(mut self, at: DateTime<Utc>, fact: &RunFact) -> Result<Self, IllegalMove> {
        self.apply(at, fact)?;
        Ok(self)
    }

    /// Folds one recorded fact in; nothing has changed when it may not follow.
    pub fn apply(&mut self, at: DateTime<Utc>, fact: &RunFact) -> Result<(), IllegalMove> {
        let illegal = |state: &StepState| IllegalMove {
            state: Box::new(state.clone()),
            fact: Box::new(fact.clone()),
        };
        if self.finished.is_some() {
            return Err(illegal(
                fact.step().map_or(&StepState::Skipped, |step| self.step(step)),
            ));
        }
        let (Some(step), Some(name)) = (fact.step(), StepFact::of(fact)) else {
            self.of_run(at, fact);
            return Ok(());
        };
        let before = self.step(step);
        let to = allowed(before.stand(), name);
        let after = match (to.is_empty(), fact) {
            (true, _) => None,
            // Its state has forgotten its numbers, and none is used twice.
            (false, RunFact::StepReopened { step }) => Some(StepState::Ready {
                next: Try {
                    attempt: self.attempts.get(step).map_or(1, |made| made + 1),
                    ..Try::FIRST
                },
            }),
            (false, fact) => step_after(before, fact).filter(|after| to.contains(&after.stand())),
        };
        let Some(after) = after else {
            return Err(illegal(before));
        };
        self.lock_awaited = None;
        match fact {
            RunFact::StepStarted { attempt, .. } => {
                self.first_started.entry(step.clone()).or_insert(at);
                self.attempts.insert(step.clone(), *attempt);
            }
            RunFact::StepReopened { .. } => {
                self.first_started.remove(step);
                self.done.retain(|done| done != step);
            }
            RunFact::StepInterrupted { .. } => *self.interruptions.entry(step.clone()).or_default() += 1,
            RunFact::GateSentBack { note, .. } => self.paused = Some(format!("sent back: {note}")),
            _ => {}
        }
        if after == StepState::Succeeded {
            self.done.push(step.clone());
        }
        self.steps.insert(step.clone(), after);
        Ok(())
    }

    fn of_run(&mut self, at: DateTime<Utc>, fact: &RunFact) {
        match fact {
            RunFact::LockAwaited { .. } => _ = self.lock_awaited.get_or_insert(at),
            RunFact::PauseRequested { reason } => self.paused = Some(reason.clone()),
            RunFact::PauseEnded => self.paused = None,
            RunFact::StopRequested { reason } => self.stop_requested = Some(reason.clone()),
            RunFact::UndoRequested { reason } => {
                self.stop_requested = Some(reason.clone());
                self.undo_requested = true;
            }
            RunFact::RunEnding { result, reason, undo } => {
                self.ending = Some(Ending {
                    result: *result,
                    reason: reason.clone(),
                    undo: *undo,
                });
            }
            RunFact::RunFinished { result, .. } => self.finished = Some(*result),
            _ => {}
        }
    }
}

/// The state a fact leads to, with what it says; `None` when its numbers do not fit.
fn step_after(before: &StepState, fact: &RunFact) -> Option<StepState> {
    use StepState as State;
    let tried = match before {
        State::Ready { next } | State::RetryAt { next, .. } => Some(*next),
        State::Started { made, .. } | State::Unknown { made, .. } => Some(*made),
        _ => None,
    };
    // What was never started has used up no number.
    let following = |tried: Try| match before {
        State::Started { .. } => tried.next(),
        _ => tried,
    };
    Some(match fact {
        RunFact::StepCarried { .. }
        | RunFact::StepSucceeded { .. }
        | RunFact::ManualDone { .. }
        | RunFact::WaitOver { .. } => State::Succeeded,
        RunFact::ItemsListed { items, .. } => State::Listed { items: items.clone() },
        RunFact::StepSatisfied { .. } => State::Satisfied,
        RunFact::StepSkipped { .. } => State::Skipped,
        RunFact::StepStarted {
            attempt,
            fence,
            effect,
            ..
        } => State::Started {
            made: tried.filter(|next| next.attempt == *attempt)?,
            fence: *fence,
            effect: *effect,
        },
        RunFact::StepFailed {
            message,
            retry_at: None,
            ..
        } => State::Failed {
            message: message.clone(),
        },
        RunFact::StepFailed {
            retry_at: Some(due), ..
        } => {
            let tried = tried?;
            State::RetryAt {
                next: Try {
                    spent: tried.spent + 1,
                    ..following(tried)
                },
                due: *due,
            }
        }
        RunFact::StepHeld { retry_at, .. } => State::RetryAt {
            next: following(tried?),
            due: *retry_at,
        },
        RunFact::StepInterrupted { .. } => State::Ready { next: tried?.next() },
        RunFact::OutcomeUnknown { reason, .. } => State::Unknown {
            made: tried?,
            reason: reason.clone(),
            probed: false,
        },
        RunFact::ProbeInconclusive { finding, .. } => State::Unknown {
            made: tried?,
            reason: finding.clone(),
            probed: true,
        },
        RunFact::UnknownDecided { choice, evidence, .. } => unknown_after(before, *choice, evidence)?,
        RunFact::GateOpened {
            approval, decide_by, ..
        } => State::GateOpen {
            approval: *approval,
            decide_by: *decide_by,
        },
        RunFact::GateApproval { .. } => before.clone(),
        RunFact::GateApproved { approval, use_by, .. } | RunFact::GateBroken { approval, use_by, .. } => {
            State::Approved {
                approval: *approval,
                use_by: *use_by,
            }
        }
        RunFact::GateRejected { reason, .. } => State::Rejected {
            reason: reason.clone(),
            expired: false,
        },
        RunFact::GateExpired { unused: false, .. } => State::Rejected {
            reason: "nobody decided in time".to_owned(),
            expired: true,
        },
        RunFact::GateExpired { unused: true, .. }
        | RunFact::GateWithdrawn { .. }
        | RunFact::GateSentBack { .. }
        | RunFact::GateVoided { .. } => FRESH,
        RunFact::ManualAsked { due, .. } => State::ManualOpen { due: *due },
        RunFact::ManualOverdue { .. } => State::Failed {
            message: "nobody did it in time".to_owned(),
        },
        RunFact::WaitBegan { until, .. } => State::Waiting { until: *until },
        RunFact::StepReopened { .. }
        | RunFact::RunStarted { .. }
        | RunFact::LockAwaited { .. }
        | RunFact::PauseRequested { .. }
        | RunFact::PauseEnded
        | RunFact::StopRequested { .. }
        | RunFact::UndoRequested { .. }
        | RunFact::RunEnding { .. }
        | RunFact::RunFinished { .. } => return None,
    })
}

fn unknown_after(before: &StepState, choice: UnknownChoice, evidence: &str) -> Option<StepState> {
    let StepState::Unknown { made, reason, .. } = before else {
        return None;
    };
    let again = Try {
        permit: made.permit + 1,
        ..made.next()
    };
    Some(match choice {
        UnknownChoice::RunCheck => StepState::Unknown {
            made: *made,
            reason: reason.clone(),
            probed: false,
        },
        UnknownChoice::MarkDone => StepState::Succeeded,
        UnknownChoice::MarkNotDone => StepState::Failed {
            message: format!("marked as not done: {evidence}"),
        },
        UnknownChoice::RetrySameKey => StepState::Ready { next: again },
        UnknownChoice::RetryNewKey => StepState::Ready {
            next: Try {
                generation: made.generation + 1,
                ..again
            },
        },
    })
}

#[cfg(test)]
mod tests;
