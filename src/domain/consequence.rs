//! What follows from a move by itself: the fact it leads to when nothing has to be sent and nobody asked at a gate.
//!
//! The engine and the tests of runbooks make such moves by this one function.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    attempt::unusable,
    id::StepId,
    plan::{self, Move},
    run::RunFact,
    runbook::Runbook,
    state::Try,
    step::{Step, StepKind},
};

/// The fact a move leads to; `context` gives what expressions of a step can read. `None` for moves that need hands (an
/// attempt, a probe, a question at a gate) and for those that do not fit this runbook.
pub fn of(
    one: &Move,
    runbook: &Runbook,
    context: impl Fn(&StepId) -> Arc<Value>,
    now: DateTime<Utc>,
) -> Option<RunFact> {
    Some(match one {
        Move::Act { .. } | Move::Interrupted { .. } | Move::Settle { .. } | Move::OpenGate { .. } => {
            return None;
        }
        Move::ListItems { step } => list_items(step, runbook.step(step)?, &context(step)),
        Move::Refuse { step, next, reason } => unusable(step.clone(), *next, reason.clone()),
        Move::PassOver { step, reason } => RunFact::StepSkipped {
            step: step.clone(),
            reason: reason.clone(),
        },
        Move::ExpireGate {
            step,
            approval,
            unused,
        } => RunFact::GateExpired {
            step: step.clone(),
            approval: *approval,
            unused: *unused,
        },
        Move::AskManual { step } => ask_manual(step, runbook.step(step)?, &context(step), now)?,
        Move::ManualOverdue { step } => RunFact::ManualOverdue { step: step.clone() },
        Move::BeginWait { step } => begin_wait(step, runbook.step(step)?, &context(step), now)?,
        Move::EndWait { step } => RunFact::WaitOver { step: step.clone() },
        Move::End { result, reason, undo } => RunFact::RunEnding {
            result: *result,
            reason: reason.clone(),
            undo: *undo,
        },
        Move::Finish { result, reason } => RunFact::RunFinished {
            result: *result,
            reason: reason.clone(),
        },
    })
}

/// The fact that a step does not apply, or that nobody can say whether it does.
pub fn not_applying(id: &StepId, step: &Step, next: Try, context: &Value) -> Option<RunFact> {
    let when = step.when.as_ref()?;
    match when.holds(context) {
        Ok(true) => None,
        Ok(false) => Some(RunFact::StepSkipped {
            step: id.clone(),
            reason: not_holding(when.source()),
        }),
        Err(error) => Some(unusable(id.clone(), next, format!("when: {error}"))),
    }
}

/// Why a step with this `when` was skipped.
pub fn not_holding(when: &str) -> String {
    format!("{when} does not hold")
}

fn list_items(id: &StepId, step: &Step, context: &Value) -> RunFact {
    if let Some(fact) = not_applying(id, step, Try::FIRST, context) {
        return fact;
    }
    let listed = step.for_each.as_ref().map_or(Ok(Vec::new()), |each| {
        let list = each
            .items
            .evaluate(context)
            .map_err(|error| format!("for_each: {error}"))?;
        plan::items(list, each.max)
    });
    match listed {
        Ok(items) => RunFact::ItemsListed {
            step: id.clone(),
            items,
        },
        Err(problem) => unusable(id.clone(), Try::FIRST, problem),
    }
}

fn ask_manual(id: &StepId, step: &Step, context: &Value, now: DateTime<Utc>) -> Option<RunFact> {
    let StepKind::Manual { instruction, within } = &step.kind else {
        return None;
    };
    if let Some(fact) = not_applying(id, step, Try::FIRST, context) {
        return Some(fact);
    }
    Some(match instruction.render(context) {
        Ok(instruction) => RunFact::ManualAsked {
            step: id.clone(),
            instruction,
            due: within.map(|within| now + within.as_delta()),
        },
        Err(error) => unusable(id.clone(), Try::FIRST, error.to_string()),
    })
}

fn begin_wait(id: &StepId, step: &Step, context: &Value, now: DateTime<Utc>) -> Option<RunFact> {
    let StepKind::Wait { length } = &step.kind else {
        return None;
    };
    let waits = || RunFact::WaitBegan {
        step: id.clone(),
        until: now + length.as_delta(),
    };
    Some(not_applying(id, step, Try::FIRST, context).unwrap_or_else(waits))
}
