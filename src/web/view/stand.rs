//! Where a step of a run stands: in a badge, in one line, with what people decided about it.

use chrono::{DateTime, Utc};

use super::{
    attempt::AttemptView,
    format,
    items::ItemsView,
    parts::{Ago, At, Badge, Said, ago, at, said},
    record::RunLog,
    step::{self, StepPlan},
    tail::TailPart,
    text,
};
use crate::domain::{
    event::Recorded,
    id::StepId,
    run::{RunFact, UnknownChoice},
    sentence::sentence,
    state::StepState,
    step::{OnFailure, Step, StepKind},
};

/// Characters of a finding on a page.
const FINDING_CHARS_MAX: usize = 400;

/// A step of a run.
#[derive(Clone, Debug)]
pub struct StepView {
    /// What the runbook says.
    pub plan: StepPlan,
    /// Its name on the page.
    pub anchor: String,
    /// Its own page.
    pub href: String,
    /// Where it stands.
    pub badge: Badge,
    /// When its next moment comes: a retry, the end of a wait, of a gate.
    pub due: Option<Ago>,
    /// Since when it is as it is.
    pub took: Option<String>,
    /// What it has written last, while it is at work.
    pub tail: TailPart,
    /// What was sent last, or will be, as far as it is known.
    pub command: Option<Said>,
    /// The newest finding or fault, in one line.
    pub finding: Said,
    /// Why nothing may be sent to its target now.
    pub held: Option<(Said, Ago)>,
    /// What people decided about it.
    pub decided: Vec<DecisionLine>,
    /// Its items, for a step that is done once for each.
    pub items: Option<ItemsView>,
    /// Whether it failed or nobody knows.
    pub is_trouble: bool,
    /// Whether it failed and the runbook lets the run go on.
    pub went_on: bool,
    /// Whether nothing more happens to it.
    pub is_over: bool,
    /// Whether it is at work or waits for something.
    pub is_active: bool,
    /// Whether the run stands here.
    pub is_current: bool,
    /// Whether it comes after that.
    pub is_next: bool,
    /// Its gate's page, and whether something can be decided there.
    pub gate: Option<(String, bool)>,
    /// Its attempts, those of its items among them.
    pub attempts: Vec<AttemptView>,
}

/// What one person decided.
#[derive(Clone, Debug)]
pub struct DecisionLine {
    /// Who.
    pub by: Said,
    /// When.
    pub at: At,
    /// What.
    pub words: Said,
}

impl DecisionLine {
    /// The line of a recorded act. `about` is the step whose name need not be said again.
    pub fn of(recorded: &Recorded, about: Option<&StepId>, now: DateTime<Utc>) -> Self {
        let words = sentence(&recorded.event);
        let named = about.map(|id| match id.undone() {
            Some(undone) => format!("taking back {undone}: "),
            None => format!("{id}: "),
        });
        let short = named.and_then(|named| words.strip_prefix(&named));
        Self {
            by: said(&recorded.actor.to_string()),
            at: at(recorded.recorded_at, now),
            words: said(&text::cut(short.unwrap_or(&words), FINDING_CHARS_MAX)),
        }
    }
}

impl StepView {
    /// The step of that name as it stands in a run.
    pub fn of(plan: StepPlan, id: &StepId, step: &Step, log: &RunLog<'_>) -> Self {
        let state = log.state(id);
        let rows = log.attempts(id);
        let (badge, due) = standing(id, log);
        let items = match state {
            StepState::Listed { items } => Some(ItemsView::of(id, items, log)),
            _ => None,
        };
        let took = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => last.finished_at.map(|end| format::length(end - first.started_at)),
            _ => None,
        };
        let act = log.record.version.runbook.find(id).and_then(|found| found.act);
        let held = match state {
            StepState::Ready { .. } | StepState::RetryAt { .. } | StepState::Listed { .. } => {
                act.and_then(|act| log.record.held(id, act, log.now))
            }
            _ => None,
        };
        let mut attempts: Vec<AttemptView> = rows
            .iter()
            .map(|attempt| AttemptView::of(attempt, log.now))
            .collect();
        if let Some(items) = &items {
            attempts.extend(items.attempts.iter().cloned());
        }
        Self {
            anchor: format!("run-{}-{id}", log.record.run.id),
            href: step::href(log.record.run.id, id),
            badge,
            due,
            took,
            tail: log.tail(id),
            command: log.command(id).map(said),
            finding: said(&text::cut(&finding(id, log), FINDING_CHARS_MAX)),
            held: held.map(|held| (said(&held.reason), ago(held.retry_at, log.now))),
            decided: log
                .decided(id)
                .map(|recorded| DecisionLine::of(recorded, Some(id), log.now))
                .collect(),
            is_trouble: is_trouble(state) || items.as_ref().is_some_and(|items| items.is_trouble),
            went_on: matches!(state, StepState::Failed { .. })
                && matches!(step.on_failure, OnFailure::Continue | OnFailure::GoTo(_)),
            is_over: is_over(state) || items.as_ref().is_some_and(|items| items.is_over),
            is_active: !log.is_left(id)
                && (is_active(state) || items.as_ref().is_some_and(|items| !items.is_over)),
            is_current: false,
            is_next: false,
            gate: match (state, log.last(id)) {
                (StepState::GateOpen { approval, .. }, _) => Some((*approval, !log.is_left(id))),
                (StepState::Approved { approval, .. }, _)
                | (
                    _,
                    Some(
                        RunFact::GateSentBack { approval, .. }
                        | RunFact::GateRejected { approval, .. }
                        | RunFact::GateVoided { approval, .. }
                        | RunFact::GateExpired { approval, .. },
                    ),
                ) => Some((*approval, false)),
                _ => None,
            }
            .map(|(approval, is_open)| (format!("/approvals/{approval}"), is_open)),
            items,
            attempts,
            plan,
        }
    }
}

/// Whether a step failed, or nobody knows.
pub fn is_trouble(state: &StepState) -> bool {
    matches!(
        state,
        StepState::Failed { .. } | StepState::Unknown { .. } | StepState::Rejected { .. }
    )
}

/// Whether nothing more happens to a step.
pub fn is_over(state: &StepState) -> bool {
    state.is_behind()
        || matches!(
            state,
            StepState::Approved { .. } | StepState::Failed { .. } | StepState::Rejected { .. }
        )
}

/// Whether a step is at work or waits for something that it asked for.
pub fn is_active(state: &StepState) -> bool {
    !is_over(state) && !matches!(state, StepState::Ready { .. } | StepState::Listed { .. })
}

/// The newest finding or fault of a step, in one line.
pub fn finding(id: &StepId, log: &RunLog<'_>) -> String {
    let newest = || {
        let last = log.attempts(id).last();
        last.and_then(|attempt| attempt.summary.clone())
            .unwrap_or_default()
    };
    match (log.state(id), log.last(id)) {
        (StepState::Failed { message }, _) => message.clone(),
        (StepState::Rejected { reason, .. } | StepState::Unknown { reason, .. }, _) => reason.clone(),
        (StepState::RetryAt { .. }, Some(RunFact::StepHeld { reason, .. })) => {
            format!("Nothing was sent: {reason}")
        }
        (_, Some(RunFact::StepFailed { message, .. })) => message.clone(),
        (_, Some(RunFact::StepSkipped { reason, .. })) => reason.clone(),
        (_, Some(RunFact::StepSatisfied { summary, .. })) => summary.clone(),
        (StepState::Succeeded, Some(RunFact::ManualDone { note, .. })) => note.clone(),
        (StepState::Succeeded, Some(RunFact::StepCarried { from, .. })) => {
            format!("carried over from run {from}")
        }
        (
            StepState::Succeeded,
            Some(RunFact::UnknownDecided {
                choice: UnknownChoice::MarkDone,
                evidence,
                ..
            }),
        ) => format!("a person says it was done: {evidence}"),
        (StepState::ManualOpen { .. }, Some(RunFact::ManualAsked { instruction, .. })) => instruction.clone(),
        // What people said of it stands beside it.
        (_, Some(RunFact::GateSentBack { .. } | RunFact::GateWithdrawn { .. })) => String::new(),
        (_, Some(RunFact::GateVoided { why, .. })) => format!("it asks again: {why}"),
        _ => newest(),
    }
}

/// Where a step stands, and when its next moment comes.
pub fn standing(id: &StepId, log: &RunLog<'_>) -> (Badge, Option<Ago>) {
    let now = log.now;
    let badge = |tint, icon, word: &str| (Badge::new(tint, icon, word), None);
    let until = |tint, icon, word: &str, due| (Badge::new(tint, icon, word), Some(ago(due, now)));
    let found = log.record.version.runbook.find(id);
    let has_probe = found.is_some_and(|found| found.act.is_some_and(|act| act.verify.is_some()));
    let is_gate = found.is_some_and(|found| matches!(found.step.kind, StepKind::Gate(_)));
    match (log.state(id), log.last(id)) {
        (StepState::Ready { .. }, _) if log.is_left(id) => badge("quiet", "barred", "Not reached"),
        (state, _) if log.is_left(id) && is_active(state) && !is_trouble(state) => {
            badge("quiet", "barred", "Left undone")
        }
        (StepState::Ready { .. }, Some(RunFact::StepReopened { .. })) => {
            badge("running", "clock", "To be read again")
        }
        (StepState::Ready { .. }, Some(RunFact::GateSentBack { .. })) => badge("quiet", "bent", "Sent back"),
        (StepState::Ready { .. }, Some(_)) if is_gate => badge("gate", "lock", "Asks again"),
        (StepState::Ready { next }, _) if next.attempt == 1 => badge("quiet", "circle-open", "Not started"),
        (StepState::Ready { .. }, _) => badge("running", "clock", "Will be sent again"),
        (StepState::Listed { items }, _) => (ItemsView::badge(id, items, log), None),
        (StepState::Started { .. }, _) => {
            let since = log
                .attempts(id)
                .last()
                .map(|attempt| ago(attempt.started_at, now));
            (Badge::new("running", "play", "Running"), since)
        }
        (StepState::RetryAt { due, .. }, Some(RunFact::StepHeld { .. })) => {
            until("sev3", "clock", "Held, will be tried", *due)
        }
        (StepState::RetryAt { due, .. }, _) => until("sev3", "clock", "Will retry", *due),
        (StepState::Unknown { probed: false, .. }, _) if has_probe => {
            badge("unknown", "question", "Outcome unknown, checking")
        }
        (StepState::Unknown { .. }, _) => badge("unknown", "question", "Outcome unknown"),
        (StepState::GateOpen { decide_by, .. }, _) => {
            until("gate", "lock", "Waits for a decision, lapses", *decide_by)
        }
        (StepState::Approved { .. }, Some(RunFact::GateBroken { .. })) => {
            badge("sev3", "triangle", "Opened alone")
        }
        (StepState::Approved { .. }, _) => badge("done", "check", "Approved"),
        (StepState::Rejected { expired: true, .. }, _) => badge("quiet", "clock", "Nobody decided"),
        (StepState::Rejected { .. }, _) => badge("sev1", "cross", "Not approved"),
        (StepState::ManualOpen { due: Some(due) }, _) => {
            until("gate", "person", "Waits for a person, fails", *due)
        }
        (StepState::ManualOpen { due: None }, _) => badge("gate", "person", "Waits for a person"),
        (StepState::Waiting { until: over }, _) => until("running", "clock", "Waits, over", *over),
        (StepState::Succeeded, Some(RunFact::StepCarried { .. })) => match is_gate {
            true => badge("quiet", "check", "Need not be asked"),
            false => badge("done", "check", "Counts as done"),
        },
        (StepState::Succeeded, _) => badge("done", "check", "Done"),
        (StepState::Satisfied, _) => badge("done", "check", "Was done already"),
        (StepState::Failed { .. }, _) => badge("sev1", "cross", "Failed"),
        (StepState::Skipped, _) => badge("quiet", "bent", "Skipped"),
    }
}
