//! What a run does next: one pure function of the runbook, the recorded facts and the time.

use chrono::{DateTime, Utc};

use super::{
    id::{ApprovalId, StepId},
    run::{RunResult, RunState, StepState},
    runbook::Runbook,
    step::{Effect, OnFailure, Step, StepKind},
};

/// The next move of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields repeat the words of the variants")]
pub enum Next {
    /// Start this attempt. `gate` is the approval it needs to be checked against, if it changes anything.
    Act {
        step: StepId,
        attempt: u32,
        permit: u32,
        gate: Option<(StepId, ApprovalId)>,
    },
    /// An attempt began and its worker is gone: say so, then plan again.
    Interrupted {
        step: StepId,
        attempt: u32,
        effect: Effect,
    },
    /// Ask the verify probe whether it was done.
    Settle { step: StepId, attempt: u32 },
    /// Ask people.
    OpenGate { step: StepId },
    /// A gate's clock ran out; `unused` when it was approved.
    ExpireGate {
        step: StepId,
        approval: ApprovalId,
        unused: bool,
    },
    /// Ask a person to do something.
    AskManual { step: StepId },
    /// Start a timer.
    BeginWait { step: StepId },
    /// The timer is over.
    EndWait { step: StepId },
    /// Nothing until then.
    Sleep { until: DateTime<Utc> },
    /// Nothing until a person acts.
    AwaitPerson,
    /// The run is over.
    Finish { result: RunResult, reason: String },
}

/// How often an attempt may be cut off by a stop of Muster before a person is asked: a step that kills its worker
/// must not do so for ever.
pub const INTERRUPTIONS_MAX: u32 = 5;

/// What the run does next. The planner that real runs, recovery and simulations share.
pub fn next(runbook: &Runbook, run: &RunState, now: DateTime<Utc>) -> Next {
    // An attempt that may be out there is settled before anything else: before a stop request, and before a gate above
    // it that has lapsed since.
    if let Some(settling) = runbook.steps.iter().find_map(|step| settle(step, run)) {
        return settling;
    }
    for step in &runbook.steps {
        let id = || step.id.clone();
        let state = run.step(&step.id);
        match state {
            StepState::Succeeded | StepState::Satisfied | StepState::Skipped => continue,
            StepState::Failed { .. } if step.on_failure == OnFailure::Continue => continue,
            // A gate that is open to its steps is behind us, until it lapses.
            StepState::Approved { approval, use_by }
                if step_waits_under(runbook, run, &step.id) && *use_by <= now =>
            {
                return Next::ExpireGate {
                    step: id(),
                    approval: *approval,
                    unused: true,
                };
            }
            StepState::Approved { .. } => continue,
            _ => {}
        }
        if let Some(reason) = &run.stop_requested {
            return Next::Finish {
                result: RunResult::Stopped,
                reason: reason.clone(),
            };
        }
        return match state {
            StepState::Ready { attempt, permit } => match &step.kind {
                StepKind::Gate(_) => Next::OpenGate { step: id() },
                StepKind::Manual { .. } => Next::AskManual { step: id() },
                StepKind::Wait { .. } => Next::BeginWait { step: id() },
                StepKind::Act(_) => act(runbook, run, &step.id, *attempt, *permit),
            },
            StepState::RetryAt { due, .. } if *due > now => Next::Sleep { until: *due },
            StepState::RetryAt { attempt, permit, .. } => act(runbook, run, &step.id, attempt + 1, *permit),
            StepState::Unknown { .. } | StepState::ManualOpen => Next::AwaitPerson,
            StepState::GateOpen { approval, decide_by } if *decide_by <= now => Next::ExpireGate {
                step: id(),
                approval: *approval,
                unused: false,
            },
            StepState::GateOpen { decide_by, .. } => Next::Sleep { until: *decide_by },
            StepState::Waiting { until } if *until > now => Next::Sleep { until: *until },
            StepState::Waiting { .. } => Next::EndWait { step: id() },
            StepState::Rejected { reason } => Next::Finish {
                result: RunResult::Rejected,
                reason: reason.clone(),
            },
            StepState::Failed { message } => Next::Finish {
                result: RunResult::Failed,
                reason: format!("{}: {message}", step.id),
            },
            StepState::Started { .. }
            | StepState::Succeeded
            | StepState::Satisfied
            | StepState::Skipped
            | StepState::Approved { .. } => continue,
        };
    }
    Next::Finish {
        result: RunResult::Succeeded,
        reason: String::new(),
    }
}

/// What can be found out about an attempt of this step that may have been sent.
fn settle(step: &Step, run: &RunState) -> Option<Next> {
    let id = step.id.clone();
    match run.step(&step.id) {
        StepState::Started { attempt, effect, .. } => Some(Next::Interrupted {
            step: id,
            attempt: *attempt,
            effect: *effect,
        }),
        StepState::Unknown {
            attempt,
            probed: false,
            ..
        } if has_probe(&step.kind) => Some(Next::Settle {
            step: id,
            attempt: *attempt,
        }),
        _ => None,
    }
}

fn act(runbook: &Runbook, run: &RunState, id: &StepId, attempt: u32, permit: u32) -> Next {
    let changes = runbook.step(id).is_some_and(|step| step.effect() != Effect::Safe);
    let gate = runbook
        .gate_over(id)
        .filter(|_| changes)
        .and_then(|gate| match run.step(&gate.id) {
            StepState::Approved { approval, .. } => Some((gate.id.clone(), *approval)),
            _ => None,
        });
    Next::Act {
        step: id.clone(),
        attempt,
        permit,
        gate,
    }
}

fn has_probe(kind: &StepKind) -> bool {
    matches!(kind, StepKind::Act(act) if act.verify.is_some())
}

/// Whether a step that changes something still has to start under this gate. While the outcome of one of them is
/// unknown none can start, so the gate need not ask again yet.
fn step_waits_under(runbook: &Runbook, run: &RunState, gate: &StepId) -> bool {
    let is_in_doubt = |step: &Step| matches!(run.step(&step.id), StepState::Unknown { .. });
    if runbook.steps_under(gate).any(is_in_doubt) {
        return false;
    }
    runbook.steps_under(gate).any(|step| {
        step.effect() != Effect::Safe
            && matches!(
                run.step(&step.id),
                StepState::Ready { .. } | StepState::RetryAt { .. }
            )
    })
}

#[cfg(test)]
mod tests;
