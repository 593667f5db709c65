//! What people do to single steps: what is asked of them, what nobody knows, what need not be done.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PeopleError, moved, record, refused, steer, still_to_come};
use crate::{
    domain::{
        approval::ApprovalState,
        attempt::AttemptEnd,
        id::{RunId, StepId},
        judge::settled_result,
        operator::Operator,
        run::{RunFact, UnknownChoice},
        state::{RunState, StepState},
        step::StepKind,
    },
    store::{
        approvals,
        attempts::{self, EndedAttempt},
    },
};

/// A person says that a manual step is done.
pub async fn manual_done(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    note: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state, version) = steer(conn, run, by).await?;
    match state.step(step) {
        StepState::ManualOpen { .. } => {}
        StepState::Succeeded => return Err(moved("this step is done already")),
        _ => return Err(moved("this step does not wait for a person")),
    }
    still_to_come(&state, &version.runbook, step)?;
    let fact = RunFact::ManualDone {
        step: step.clone(),
        note: note.trim().to_owned(),
    };
    record(conn, incident, run, vec![fact], by, now).await
}

/// A person decides about a step whose outcome nobody knows.
pub async fn decide_unknown(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    choice: UnknownChoice,
    evidence: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state, version) = steer(conn, run, by).await?;
    if !matches!(state.step(step), StepState::Unknown { .. }) {
        return Err(moved(
            "the outcome of this step is not unknown any more; nothing was decided",
        ));
    }
    let has_probe = version
        .runbook
        .find(step)
        .is_some_and(|found| found.act.is_some_and(|act| act.verify.is_some()));
    match choice {
        UnknownChoice::RunCheck if !has_probe => {
            return Err(refused(
                "this step has no verify probe to run; look at the target yourself",
            ));
        }
        UnknownChoice::MarkDone | UnknownChoice::MarkNotDone | UnknownChoice::RetryNewKey
            if evidence.trim().is_empty() =>
        {
            return Err(refused("say how you know"));
        }
        _ => {}
    }
    if let (UnknownChoice::MarkDone, StepState::Unknown { made, .. }) = (choice, state.step(step)) {
        // Later steps and gates read a person's word as they read a target's answer.
        let ended = EndedAttempt {
            step: step.clone(),
            attempt: made.attempt,
            end: AttemptEnd::Succeeded,
            result: Some(settled_result(evidence.trim())),
            summary: evidence.trim().to_owned(),
        };
        attempts::finish(conn, run, &ended, now).await?;
    }
    let mut facts = Vec::new();
    if choice == UnknownChoice::RetryNewKey
        && let Some(gate) = version.runbook.gate_over(step)
    {
        let gate = match step.undone() {
            Some(_) => gate.id.undo(),
            None => gate.id.clone(),
        };
        // A new key is a new effect, and nobody has approved that one.
        if let StepState::Approved { approval, .. } = state.step(&gate) {
            let (from, to) = (ApprovalState::Approved, ApprovalState::Void);
            approvals::set_state(conn, *approval, from, to, None, now).await?;
            facts.push(RunFact::GateVoided {
                step: gate,
                approval: *approval,
                why: format!("{step} is to be sent again with a new key"),
            });
        }
    }
    let fact = RunFact::UnknownDecided {
        step: step.clone(),
        choice,
        evidence: evidence.trim().to_owned(),
    };
    facts.push(fact);
    record(conn, incident, run, facts, by, now).await
}

/// A person lets a step be, with a reason. What is out there cannot be skipped, nor can a gate. Of a `for_each` step every
/// item is let be that has not begun.
pub async fn skip(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state, version) = steer(conn, run, by).await?;
    let found = version
        .runbook
        .find(step)
        .filter(|_| is_part(&state, step))
        .ok_or(PeopleError::NotFound("step of this run"))?;
    still_to_come(&state, &version.runbook, step)?;
    if matches!(found.step.kind, StepKind::Gate(_)) {
        return Err(refused(
            "a gate cannot be skipped: have it approved, or break the glass",
        ));
    }
    if step.undone().is_some() && found.act.is_none() {
        return Err(PeopleError::NotFound("step of this run"));
    }
    let skipped: Vec<StepId> = match state.step(step) {
        StepState::Listed { items } => (0..items.len())
            .map(|index| step.item(index))
            .filter(|item| may_be_skipped(state.step(item)))
            .collect(),
        StepState::Started { .. } => {
            return Err(moved(
                "this step has started; wait for its answer or stop the run",
            ));
        }
        StepState::Unknown { .. } => {
            return Err(refused(
                "nobody knows whether this step was done; say first what became of it",
            ));
        }
        one if may_be_skipped(one) => vec![step.clone()],
        _ => Vec::new(),
    };
    if skipped.is_empty() {
        return Err(moved("nothing of this step is left to skip; nothing was skipped"));
    }
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(refused("say why it need not be done"));
    }
    let facts = skipped.into_iter().map(|step| RunFact::StepSkipped {
        step,
        reason: reason.to_owned(),
    });
    record(conn, incident, run, facts.collect(), by, now).await
}

/// Whether a step stands where a person may let it be.
pub fn may_be_skipped(state: &StepState) -> bool {
    matches!(
        state,
        StepState::Ready { .. }
            | StepState::RetryAt { .. }
            | StepState::ManualOpen { .. }
            | StepState::Waiting { .. }
    )
}

/// Whether the item of that number, if the name has one, is in the list.
fn is_part(state: &RunState, step: &StepId) -> bool {
    step.index().is_none_or(|index| {
        matches!(state.step(&StepId::from(step.base())), StepState::Listed { items } if index < items.len())
    })
}
