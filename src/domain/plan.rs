//! What a run does next: one pure function of the runbook, the recorded facts, what is on its way, and the time.
//!
//! The planner that real runs, recovery, runbook tests and simulations share. It names every move that may be made
//! now; moves of one plan do not depend on each other. A step waits for the steps it needs, an effect for the gate
//! above it, the end for everything that is still out.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    id::{ApprovalId, StepId},
    run::RunResult,
    runbook::Runbook,
    state::{RunState, StepState, Try},
    step::{Effect, OnFailure, Step, StepKind},
};

mod closing;

/// Actions of one run that may be out at once.
pub const SIDE_BY_SIDE_MAX: usize = 8;

/// How often an attempt may be cut off by a stop of Muster before a person is asked: a step that kills its worker
/// must not do so for ever.
pub const INTERRUPTIONS_MAX: u32 = 5;

/// One move of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields repeat the words of the variants")]
pub enum Move {
    /// Start this attempt. `gate` is the approval it needs to be checked against, if it changes anything.
    Act {
        step: StepId,
        next: Try,
        gate: Option<(StepId, ApprovalId)>,
    },
    /// Find out the items of a `for_each` step.
    ListItems { step: StepId },
    /// The step can never run as things stand.
    Refuse { step: StepId, next: Try, reason: String },
    /// The run goes on behind this step.
    PassOver { step: StepId, reason: String },
    /// An attempt began and its worker is gone: say so, then plan again.
    Interrupted { step: StepId, made: Try, effect: Effect },
    /// Ask the verify probe whether it was done.
    Settle { step: StepId, made: Try },
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
    /// Nobody did it in time.
    ManualOverdue { step: StepId },
    /// Start a timer.
    BeginWait { step: StepId },
    /// The timer is over.
    EndWait { step: StepId },
    /// The steps are over: take back what was done if `undo`, then run the steps of `finally`.
    End {
        result: RunResult,
        reason: String,
        undo: bool,
    },
    /// The run is over.
    Finish { result: RunResult, reason: String },
}

/// What a run can do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Moves that may be made now, side by side.
    pub moves: Vec<Move>,
    /// When there may be more to do without anybody acting.
    pub due: Option<DateTime<Utc>>,
}

impl Plan {
    fn only(one: Move) -> Self {
        Self {
            moves: vec![one],
            due: None,
        }
    }

    /// Leaves only what goes on while nothing new may begin: clocks of people run on.
    pub fn hold(&mut self) {
        self.moves.retain(|one| {
            matches!(
                one,
                Move::ExpireGate { .. }
                    | Move::ManualOverdue { .. }
                    | Move::Interrupted { .. }
                    | Move::Settle { .. }
                    | Move::Finish { .. }
            )
        });
    }

    fn passes_over(&self, id: &StepId) -> bool {
        let is_it = |one: &Move| matches!(one, Move::PassOver { step, .. } if step == id);
        self.moves.iter().any(is_it)
    }

    fn at(&mut self, due: DateTime<Utc>) {
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }
}

/// What the run does next. `busy` are the steps that this worker has something on its way for: attempts, probes.
pub fn next(runbook: &Runbook, run: &RunState, busy: &BTreeSet<StepId>, now: DateTime<Utc>) -> Plan {
    if run.finished.is_some() {
        return Plan::default();
    }
    let planner = Planner {
        runbook,
        run,
        busy,
        now,
    };
    // What may be out there is settled before anything else: before a stop request, before a gate that has lapsed.
    let settling = planner.settling();
    if !settling.is_empty() {
        return Plan {
            moves: settling,
            due: None,
        };
    }
    match &run.ending {
        Some(ending) => planner.close(ending),
        None => planner.advance(),
    }
}

struct Planner<'a> {
    runbook: &'a Runbook,
    run: &'a RunState,
    busy: &'a BTreeSet<StepId>,
    now: DateTime<Utc>,
}

impl Planner<'_> {
    /// What can be found out about attempts that may have been sent.
    fn settling(&self) -> Vec<Move> {
        let settle = |(step, state): (&StepId, &StepState)| match state {
            _ if self.busy.contains(step) => None,
            StepState::Started { made, effect, .. } => Some(Move::Interrupted {
                step: step.clone(),
                made: *made,
                effect: *effect,
            }),
            StepState::Unknown {
                made, probed: false, ..
            } if self.has_probe(step) => Some(Move::Settle {
                step: step.clone(),
                made: *made,
            }),
            _ => None,
        };
        self.run.steps.iter().filter_map(settle).collect()
    }

    fn has_probe(&self, id: &StepId) -> bool {
        self.runbook
            .find(id)
            .and_then(|found| found.act)
            .is_some_and(|act| act.verify.is_some())
    }

    fn advance(&self) -> Plan {
        if let Some(reason) = &self.run.stop_requested {
            return self.over(RunResult::Stopped, reason.clone(), self.run.undo_requested);
        }
        if let Some((result, reason, undo)) = self.failure() {
            // A failure never buries what nobody knows.
            return match self.is_in_doubt() {
                true => Plan::default(),
                false => self.over(result, reason, undo),
            };
        }
        let mut plan = Plan::default();
        let mut is_over = true;
        let mut waits_for_somebody = !self.busy.is_empty();
        let mut lapse = Plan::default();
        for (at, step) in self.runbook.steps.iter().enumerate() {
            self.pass_over(at, step, &mut plan);
            self.lapse(step, &mut lapse);
            if self.is_behind(step) {
                continue;
            }
            is_over = false;
            waits_for_somebody |= self.waits_for_somebody(step);
            match self.is_free(at, step) {
                true => self.step(step, &mut plan),
                false => self.clocks(step, &mut plan),
            }
        }
        if is_over {
            return self.over(RunResult::Succeeded, String::new(), false);
        }
        // An approval that will lapse is nothing to wait for: people would be asked again and again.
        let is_stuck = plan.moves.is_empty() && plan.due.is_none() && !waits_for_somebody;
        plan.moves.append(&mut lapse.moves);
        lapse.due.into_iter().for_each(|due| plan.at(due));
        if self.run.paused.is_some() {
            plan.hold();
            return plan;
        }
        if is_stuck && plan.moves.is_empty() {
            let waiting: Vec<&str> = self
                .runbook
                .steps
                .iter()
                .filter(|step| !self.is_behind(step))
                .map(|step| step.id.0.as_str())
                .collect();
            let reason = format!("these steps wait for each other: {}", waiting.join(", "));
            return self.over(RunResult::Failed, reason, false);
        }
        self.cap(&mut plan);
        plan
    }

    /// No more actions at once than the bound allows.
    fn cap(&self, plan: &mut Plan) {
        let mut free = SIDE_BY_SIDE_MAX.saturating_sub(self.busy.len());
        plan.moves.retain(|one| match one {
            Move::Act { .. } => {
                let fits = free > 0;
                free = free.saturating_sub(1);
                fits
            }
            _ => true,
        });
    }

    /// The first failure that ends the run, and whether what was done is taken back.
    fn failure(&self) -> Option<(RunResult, String, bool)> {
        self.runbook.steps.iter().find_map(|step| {
            let rejected = self.parts(step).find_map(|id| match self.run.step(&id) {
                StepState::Rejected { expired: true, .. } if self.expiry_path(step).is_some() => None,
                StepState::Rejected { reason, .. } => Some(reason),
                _ => None,
            });
            if let Some(reason) = rejected {
                return Some((RunResult::Rejected, reason.clone(), false));
            }
            let (id, message) = self.final_failure(step)?;
            let reason = format!("{id}: {message}");
            match &step.on_failure {
                OnFailure::Continue => None,
                OnFailure::Stop => Some((RunResult::Failed, reason, false)),
                OnFailure::Undo => Some((RunResult::Failed, reason, true)),
                OnFailure::GoTo(to) => self.later(step, to).is_none().then(|| {
                    let reason = format!("{reason}; and there is no later step {to} to go on at");
                    (RunResult::Failed, reason, false)
                }),
            }
        })
    }

    /// The step itself or its first item that has failed for good.
    fn final_failure(&self, step: &Step) -> Option<(StepId, &str)> {
        self.parts(step).find_map(|id| match self.run.step(&id) {
            StepState::Failed { message } => Some((id, message.as_str())),
            _ => None,
        })
    }

    /// The step, or its items once they are known.
    fn parts(&self, step: &Step) -> impl Iterator<Item = StepId> {
        let items = match self.run.step(&step.id) {
            StepState::Listed { items } => Some(items.len()),
            _ => None,
        };
        let id = step.id.clone();
        let itself = items.is_none().then(|| id.clone());
        itself
            .into_iter()
            .chain((0..items.unwrap_or(0)).map(move |index| id.item(index)))
    }

    /// Whether nothing is left to do for this step, so that what needs it may begin.
    fn is_behind(&self, step: &Step) -> bool {
        self.parts(step).all(|id| match self.run.step(&id) {
            StepState::Succeeded | StepState::Satisfied | StepState::Skipped => true,
            StepState::Approved { use_by, .. } => !self.has_lapsed(&id, *use_by),
            StepState::Failed { .. } => step.on_failure != OnFailure::Stop,
            StepState::Rejected { expired, .. } => *expired && self.expiry_path(step).is_some(),
            _ => false,
        })
    }

    /// Whether everything it needs is behind.
    fn is_free(&self, at: usize, step: &Step) -> bool {
        match &step.needs {
            None => self.runbook.steps[..at].iter().all(|above| self.is_behind(above)),
            Some(needs) => needs.iter().all(|need| {
                self.runbook
                    .steps
                    .iter()
                    .find(|other| other.id == *need)
                    .is_some_and(|other| self.is_behind(other))
            }),
        }
    }

    /// Where in the runbook a step stands that comes after this one.
    fn later(&self, step: &Step, to: &StepId) -> Option<usize> {
        let position = |id: &StepId| self.runbook.steps.iter().position(|other| other.id == *id);
        position(to).filter(|to| position(&step.id).is_some_and(|from| from < *to))
    }

    fn expiry_path(&self, step: &Step) -> Option<usize> {
        match &step.kind {
            StepKind::Gate(rule) => self.later(step, rule.on_expiry.as_ref()?),
            _ => None,
        }
    }

    /// The steps between a failure and the step the run goes on at.
    fn pass_over(&self, at: usize, step: &Step, plan: &mut Plan) {
        let (to, why) = match (self.run.step(&step.id), &step.on_failure) {
            (StepState::Rejected { expired: true, .. }, _) => (self.expiry_path(step), "nobody decided at"),
            (_, OnFailure::GoTo(to)) if self.final_failure(step).is_some() => {
                (self.later(step, to), "after the failure of")
            }
            _ => return,
        };
        let Some(to) = to else { return };
        let between = self.runbook.steps[at + 1..to].iter();
        for id in between.flat_map(|between| self.parts(between)) {
            let has_not_begun = matches!(
                self.run.step(&id),
                StepState::Ready { .. } | StepState::RetryAt { .. }
            );
            if has_not_begun && !self.busy.contains(&id) && !plan.passes_over(&id) {
                let to = &self.runbook.steps[to].id;
                plan.moves.push(Move::PassOver {
                    step: id,
                    reason: format!("{why} {} the run goes on at {to}", step.id),
                });
            }
        }
    }

    /// A gate that is open to its steps is behind the run until it lapses.
    fn lapse(&self, step: &Step, plan: &mut Plan) {
        for id in self.parts(step) {
            if let StepState::Approved { approval, use_by } = self.run.step(&id) {
                if self.has_lapsed(&id, *use_by) {
                    plan.moves.push(Move::ExpireGate {
                        step: id,
                        approval: *approval,
                        unused: true,
                    });
                } else if *use_by > self.now && self.waits_under(&id) {
                    plan.at(*use_by);
                }
            }
        }
    }

    fn has_lapsed(&self, gate: &StepId, use_by: DateTime<Utc>) -> bool {
        use_by <= self.now && self.waits_under(gate)
    }

    /// Whether a step that changes something still has to start under this gate. While one of them is out or its
    /// outcome is unknown the gate does not ask again yet: what people would be shown is about to change.
    fn waits_under(&self, gate: &StepId) -> bool {
        let mut waits = false;
        for step in self
            .runbook
            .steps_under(gate)
            .filter(|step| step.effect() != Effect::Safe)
        {
            for id in self.parts(step) {
                match self.run.step(&id) {
                    StepState::Unknown { .. } | StepState::Started { .. } => return false,
                    _ if self.busy.contains(&id) => return false,
                    StepState::Ready { .. } | StepState::RetryAt { .. } => waits = true,
                    _ => {}
                }
            }
        }
        waits
    }

    fn waits_for_somebody(&self, step: &Step) -> bool {
        self.parts(step).any(|id| {
            matches!(
                self.run.step(&id),
                StepState::Unknown { .. } | StepState::ManualOpen { .. } | StepState::GateOpen { .. }
            )
        })
    }

    fn is_in_doubt(&self) -> bool {
        let in_doubt = |state: &StepState| matches!(state, StepState::Unknown { .. });
        self.run.steps.values().any(in_doubt)
    }

    /// What has begun keeps its clocks, even when something it needs is not behind any more: a gate above it may have
    /// lapsed since.
    fn clocks(&self, step: &Step, plan: &mut Plan) {
        for id in self.parts(step) {
            if matches!(
                self.run.step(&id),
                StepState::GateOpen { .. } | StepState::ManualOpen { .. } | StepState::Waiting { .. }
            ) {
                self.part(step, &id, plan);
            }
        }
    }

    /// The moves of a step whose turn it is.
    fn step(&self, step: &Step, plan: &mut Plan) {
        let StepState::Listed { items } = self.run.step(&step.id) else {
            return self.part(step, &step.id, plan);
        };
        let at_once = step.for_each.as_ref().map_or(1, |each| each.at_once as usize);
        let is_open = |id: &StepId| {
            let state = self.run.step(id);
            !(state.is_behind() || matches!(state, StepState::Failed { .. }))
        };
        let open = (0..items.len()).map(|index| step.id.item(index)).filter(is_open);
        for id in open.take(at_once) {
            self.part(step, &id, plan);
        }
    }

    /// The moves of a step without items, or of one item.
    fn part(&self, step: &Step, id: &StepId, plan: &mut Plan) {
        if self.busy.contains(id) || plan.passes_over(id) {
            return;
        }
        let own = || id.clone();
        match self.run.step(id) {
            StepState::Ready { .. } if step.for_each.is_some() && id.index().is_none() => {
                plan.moves.push(Move::ListItems { step: own() });
            }
            StepState::Ready { next } => match &step.kind {
                StepKind::Gate(_) => plan.moves.push(Move::OpenGate { step: own() }),
                StepKind::Manual { .. } => plan.moves.push(Move::AskManual { step: own() }),
                StepKind::Wait { .. } => plan.moves.push(Move::BeginWait { step: own() }),
                StepKind::Act(_) => plan.moves.extend(self.act(id, *next)),
            },
            StepState::RetryAt { due, .. } if *due > self.now => plan.at(*due),
            StepState::RetryAt { next, .. } => plan.moves.extend(self.act(id, *next)),
            StepState::GateOpen { approval, decide_by } if *decide_by <= self.now => {
                plan.moves.push(Move::ExpireGate {
                    step: own(),
                    approval: *approval,
                    unused: false,
                });
            }
            StepState::GateOpen { decide_by, .. } => plan.at(*decide_by),
            StepState::ManualOpen { due: Some(due) } if *due <= self.now => {
                plan.moves.push(Move::ManualOverdue { step: own() });
            }
            StepState::ManualOpen { due: Some(due) } => plan.at(*due),
            StepState::Waiting { until } if *until > self.now => plan.at(*until),
            StepState::Waiting { .. } => plan.moves.push(Move::EndWait { step: own() }),
            _ => {}
        }
    }

    /// The next attempt of an acting step. What changes something needs its gate open; until then it waits.
    fn act(&self, id: &StepId, next: Try) -> Option<Move> {
        let step = id.clone();
        let changes = self
            .runbook
            .find(id)
            .and_then(|found| found.act)
            .is_some_and(|act| act.effect != Effect::Safe);
        let Some(gate) = self.runbook.gate_over(id).filter(|_| changes) else {
            return Some(Move::Act {
                step,
                next,
                gate: None,
            });
        };
        match self.run.step(&gate.id) {
            // Once it has lapsed it asks again, as soon as nothing that went out under it is open.
            StepState::Approved { approval, use_by } if *use_by > self.now => Some(Move::Act {
                step,
                next,
                gate: Some((gate.id.clone(), *approval)),
            }),
            StepState::Skipped
            | StepState::Rejected { .. }
            | StepState::Failed { .. }
            | StepState::Succeeded => Some(Move::Refuse {
                step,
                next,
                reason: format!("it stands below the gate {}, which nobody opened", gate.id),
            }),
            _ => None,
        }
    }

    /// The steps are over, once nothing is out any more.
    fn over(&self, result: RunResult, reason: String, undo: bool) -> Plan {
        if !self.busy.is_empty() {
            return Plan::default();
        }
        match undo || !self.runbook.finally.is_empty() {
            true => Plan::only(Move::End { result, reason, undo }),
            false => Plan::only(Move::Finish {
                result,
                reason: self.with_doubts(reason),
            }),
        }
    }

    /// A run that ends while nobody knows about a step says so.
    fn with_doubts(&self, reason: String) -> String {
        let unknown: Vec<&str> = self
            .run
            .steps
            .iter()
            .filter(|(_, state)| matches!(state, StepState::Unknown { .. }))
            .map(|(id, _)| id.0.as_str())
            .collect();
        match (unknown.is_empty(), reason.is_empty()) {
            (true, _) => reason,
            (false, true) => format!("may still be running or done: {}", unknown.join(", ")),
            (false, false) => format!("{reason}; may still be running or done: {}", unknown.join(", ")),
        }
    }
}

/// Why a list cannot be carried out over, if so; the items otherwise.
pub fn items(value: Value, max: u32) -> Result<Vec<Value>, String> {
    let Value::Array(items) = value else {
        return Err(format!("for_each needs a list, and this is {}", kind_of(&value)));
    };
    if items.len() > max as usize {
        return Err(format!(
            "for_each gives {} items, and at most {max} are allowed; narrow the list, or raise for_each.max (up to {})",
            items.len(),
            super::step::ITEMS_MAX
        ));
    }
    let bytes: usize = items.iter().map(|item| item.to_string().len()).sum();
    match bytes > super::step::ITEMS_BYTES_MAX {
        true => Err(format!(
            "the items of for_each have {bytes} bytes together, and at most {} are allowed",
            super::step::ITEMS_BYTES_MAX
        )),
        false => Ok(items),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests;
