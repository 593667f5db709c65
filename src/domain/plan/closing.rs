//! The end of a run: what was done is taken back in reverse order if it must be, then the steps of `finally` run one
//! after the other, whatever becomes of each, and then it is over.

use super::{Move, Plan, Planner};
use crate::domain::{
    id::StepId,
    run::RunResult,
    state::{Ending, StepState},
    step::{OnFailure, Step},
};

/// How far taking back has come.
enum Undoing {
    /// There is something to do or to wait for.
    Going(Plan),
    /// It is over; what could not be taken back, if anything.
    Over(Option<String>),
}

impl Planner<'_> {
    /// One thing at a time: what takes back depends on the order.
    pub(super) fn close(&self, ending: &Ending) -> Plan {
        if !self.busy.is_empty() {
            return Plan::default();
        }
        let mut left = None;
        if ending.undo {
            match self.undo() {
                Undoing::Going(plan) => return self.unless_paused(plan),
                Undoing::Over(problem) => left = problem,
            }
        }
        for step in &self.runbook.finally {
            if self.is_past(step) {
                continue;
            }
            let mut plan = Plan::default();
            self.step(step, &mut plan);
            self.cap(&mut plan);
            return self.unless_paused(plan);
        }
        let mut reason = ending.reason.clone();
        let finally = self
            .runbook
            .finally
            .iter()
            .filter_map(|step| self.final_failure(step));
        let also = left
            .into_iter()
            .chain(finally.map(|(id, message)| format!("finally {id}: {message}")));
        for words in also {
            reason = if reason.is_empty() {
                words
            } else {
                format!("{reason}; {words}")
            };
        }
        let failed_late = ending.result == RunResult::Succeeded
            && self
                .runbook
                .finally
                .iter()
                .any(|step| self.final_failure(step).is_some() && step.on_failure != OnFailure::Continue);
        Plan::only(Move::Finish {
            result: if failed_late {
                RunResult::Failed
            } else {
                ending.result
            },
            reason: self.with_doubts(reason),
        })
    }

    fn unless_paused(&self, mut plan: Plan) -> Plan {
        if self.run.paused.is_some() {
            plan.hold();
        }
        plan
    }

    /// A step of `finally` does not keep the ones after it from running. A gate has no place there; one that stands
    /// there all the same lets the run end, however it was decided.
    fn is_past(&self, step: &Step) -> bool {
        self.parts(step).all(|id| match self.run.step(&id) {
            StepState::Failed { .. } | StepState::Approved { .. } | StepState::Rejected { .. } => true,
            state => state.is_behind(),
        })
    }

    /// The steps that were done and can be taken back, the last one first. What `finally` did stays.
    fn undo(&self) -> Undoing {
        let is_closing = |id: &StepId| self.runbook.finally.iter().any(|step| step.id.0 == id.base());
        let done = self.run.done.iter().rev();
        for id in done.filter(|id| id.undone().is_none() && !is_closing(id)) {
            let undo = id.undo();
            if self.runbook.find(&undo).is_none_or(|found| found.act.is_none()) {
                continue;
            }
            let next = match self.run.step(&undo) {
                StepState::Ready { next } => *next,
                StepState::RetryAt { next, due } if *due <= self.now => *next,
                StepState::RetryAt { due, .. } => {
                    return Undoing::Going(Plan {
                        moves: Vec::new(),
                        due: Some(*due),
                    });
                }
                StepState::Failed { message } => {
                    return Undoing::Over(Some(format!("{id} was not taken back: {message}")));
                }
                StepState::Unknown { .. } => return Undoing::Going(Plan::default()),
                _ => continue,
            };
            let gate = self.runbook.gate_over(id).map(|gate| gate.id.undo());
            return match gate {
                None => Undoing::Going(Plan::only(Move::Act {
                    step: undo,
                    next,
                    gate: None,
                })),
                Some(gate) => self.undo_under(id, undo, next, gate),
            };
        }
        Undoing::Over(None)
    }

    /// What takes a gated step back asks at the same gate again.
    fn undo_under(&self, id: &StepId, step: StepId, next: super::Try, gate: StepId) -> Undoing {
        let mut plan = Plan::default();
        match self.run.step(&gate) {
            StepState::Approved { approval, use_by } => plan.moves.push(match *use_by <= self.now {
                true => Move::ExpireGate {
                    step: gate,
                    approval: *approval,
                    unused: true,
                },
                false => Move::Act {
                    step,
                    next,
                    gate: Some((gate, *approval)),
                },
            }),
            StepState::Rejected { reason, .. } | StepState::Failed { message: reason } => {
                return Undoing::Over(Some(format!("{id} was not taken back: {reason}")));
            }
            StepState::Skipped => {
                return Undoing::Over(Some(format!(
                    "{id} was not taken back: nobody is asked at {gate}"
                )));
            }
            StepState::GateOpen { approval, decide_by } if *decide_by <= self.now => {
                plan.moves.push(Move::ExpireGate {
                    step: gate,
                    approval: *approval,
                    unused: false,
                });
            }
            StepState::GateOpen { decide_by, .. } => plan.at(*decide_by),
            _ => plan.moves.push(Move::OpenGate { step: gate }),
        }
        Undoing::Going(plan)
    }
}
