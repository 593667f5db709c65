//! The order of things, written down a second time: what must be behind before a step begins, what ends a run, what is
//! taken back when.

use muster::domain::{
    id::StepId,
    run::{RunFact, UnknownChoice},
    state::{RunState, StepState},
    step::{OnFailure, Step, StepKind},
};

use crate::{database::RunRow, runbooks::Made, schedule::Schedule};

impl Schedule {
    /// Whether a failure has ended the steps of a run.
    pub fn has_failed(&self, run: usize) -> bool {
        let row = &self.db.runs[run];
        let made = &*self.shelf[row.version];
        made.runbook
            .steps
            .iter()
            .any(|step| ends_the_run(made, &row.state, step))
    }

    /// Whether it is the turn of a step that begins: what it needs is behind, nothing ended the run before.
    pub fn judge_turn_of(&self, run: usize, id: &StepId) -> Result<(), (&'static str, String)> {
        let row = &self.db.runs[run];
        let made = &*self.shelf[row.version];
        let state = &row.state;
        let no = |promise, what: &str| Err((promise, what.to_owned()));
        if state.paused.is_some() {
            return no("P5", "while the run is paused");
        }
        if id.undone().is_some() {
            return match &state.ending {
                Some(ending) if ending.undo => self.judge_undo_order(run, id),
                _ => no("undo", "while nothing is taken back"),
            };
        }
        if let Some(at) = made
            .runbook
            .finally
            .iter()
            .position(|step| step.id.0 == id.base())
        {
            return match &state.ending {
                None => no("finally", "before the end of the steps"),
                Some(ending) if ending.undo && !undo_is_over(made, state) => {
                    no("finally", "before everything is taken back")
                }
                _ if !made.runbook.finally[..at]
                    .iter()
                    .all(|above| is_past(state, above)) =>
                {
                    no("finally", "before the one above it")
                }
                _ => Ok(()),
            };
        }
        if state.ending.is_some() || state.stop_requested.is_some() {
            return no("P5", "after the run was to stop");
        }
        let steps = &made.runbook.steps;
        if self.has_failed {
            return no("core", "after a failure ended the run");
        }
        let at = steps.iter().position(|step| step.id.0 == id.base()).unwrap();
        let is_behind = |step: &Step| is_behind(made, state, step);
        let is_free = match &steps[at].needs {
            None => steps[..at].iter().all(is_behind),
            Some(needs) => needs
                .iter()
                .all(|need| steps.iter().any(|step| step.id == *need && is_behind(step))),
        };
        match is_free {
            true => Ok(()),
            false => no("needs", "before what it needs is behind"),
        }
    }

    /// Whatever was done later is taken back earlier.
    fn judge_undo_order(&self, run: usize, undo: &StepId) -> Result<(), (&'static str, String)> {
        let row = &self.db.runs[run];
        let made = &*self.shelf[row.version];
        let done = done_in_order(row);
        let Some(at) = done.iter().position(|done| done.undo() == *undo) else {
            // The gate that is asked for it.
            return Ok(());
        };
        let later = done[at + 1..].iter().filter(|done| can_be_undone(made, done));
        for done in later {
            if !row.state.step(&done.undo()).is_behind() {
                return Err(("undo", format!("before {done}, which was done later")));
            }
        }
        match can_be_undone(made, done[at]) {
            true => Ok(()),
            false => Err(("undo", "which nothing takes back".to_owned())),
        }
    }
}

/// What was done, in the order the log tells of it; what is read again counts from its last time.
pub fn done_in_order(row: &RunRow) -> Vec<&StepId> {
    let is_done = |fact: &&RunFact| match fact {
        RunFact::StepCarried { .. }
        | RunFact::StepSucceeded { .. }
        | RunFact::ManualDone { .. }
        | RunFact::WaitOver { .. } => true,
        RunFact::UnknownDecided { choice, .. } => *choice == UnknownChoice::MarkDone,
        _ => false,
    };
    let mut done: Vec<&StepId> = Vec::new();
    for (_, fact) in &row.log {
        match fact {
            RunFact::StepReopened { step } => done.retain(|other| *other != step),
            fact if is_done(&fact) => done.extend(fact.step()),
            _ => {}
        }
    }
    done
}

/// How many items of a step may be out at once.
pub fn each_of(made: &Made, id: &StepId) -> Option<u32> {
    made.runbook.step(id)?.for_each.as_ref().map(|each| each.at_once)
}

/// The nearest gate above a step; steps of `finally` have none.
pub fn gate_above(made: &Made, id: &StepId) -> Option<StepId> {
    let mut gate = None;
    for step in &made.runbook.steps {
        if step.id.0 == id.base() {
            return gate;
        }
        if let StepKind::Gate(_) = step.kind {
            gate = Some(step.id.clone());
        }
    }
    None
}

/// A step, or its items once they are known.
pub fn parts(state: &RunState, step: &Step) -> Vec<StepId> {
    match state.step(&step.id) {
        StepState::Listed { items } => (0..items.len()).map(|at| step.id.item(at)).collect(),
        _ => vec![step.id.clone()],
    }
}

fn comes_later(made: &Made, step: &Step, to: &StepId) -> bool {
    let at = |id: &StepId| made.runbook.steps.iter().position(|other| other.id == *id);
    at(to) > at(&step.id)
}

fn has_expiry_path(made: &Made, step: &Step) -> bool {
    matches!(&step.kind, StepKind::Gate(rule) if rule.on_expiry.as_ref().is_some_and(|to| comes_later(made, step, to)))
}

/// Whether what needs a step may begin.
pub fn is_behind(made: &Made, state: &RunState, step: &Step) -> bool {
    !ends_the_run(made, state, step)
        && parts(state, step).iter().all(|id| match state.step(id) {
            StepState::Rejected { .. } | StepState::Failed { .. } | StepState::Approved { .. } => true,
            other => other.is_behind(),
        })
}

/// Whether a step has failed in a way that ends the run.
pub fn ends_the_run(made: &Made, state: &RunState, step: &Step) -> bool {
    parts(state, step).iter().any(|id| match state.step(id) {
        StepState::Rejected { expired, .. } => !(*expired && has_expiry_path(made, step)),
        StepState::Failed { .. } => match &step.on_failure {
            OnFailure::Continue => false,
            OnFailure::Stop | OnFailure::Undo => true,
            OnFailure::GoTo(to) => !comes_later(made, step, to),
        },
        _ => false,
    })
}

/// Whether a step of `finally` has run, however it went.
pub fn is_past(state: &RunState, step: &Step) -> bool {
    parts(state, step).iter().all(|id| match state.step(id) {
        StepState::Failed { .. } | StepState::Rejected { .. } | StepState::Approved { .. } => true,
        other => other.is_behind(),
    })
}

/// Whether a step that was done can be taken back: `finally` never is.
fn can_be_undone(made: &Made, done: &StepId) -> bool {
    done.undone().is_none()
        && made.runbook.steps.iter().any(|step| {
            step.id.0 == done.base() && matches!(&step.kind, StepKind::Act(act) if act.undo.is_some())
        })
}

/// Whether everything that was done is taken back, or nothing more can be.
pub fn undo_is_over(made: &Made, state: &RunState) -> bool {
    for done in state.done.iter().rev().filter(|done| can_be_undone(made, done)) {
        match state.step(&done.undo()) {
            StepState::Failed { .. } => return true,
            stand if stand.is_behind() => {}
            _ => {
                let gate = gate_above(made, done).map(|gate| gate.undo());
                return gate.is_some_and(|gate| {
                    matches!(
                        state.step(&gate),
                        StepState::Rejected { .. } | StepState::Failed { .. } | StepState::Skipped
                    )
                });
            }
        }
    }
    true
}
