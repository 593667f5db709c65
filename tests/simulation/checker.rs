//! The promises, looked at after everything that happens, by rules written down a second time and without the planner.

use muster::domain::{
    approval::ApprovalState,
    attempt::{AttemptEnd, idempotency_key},
    id::{RunId, StepId},
    plan::SIDE_BY_SIDE_MAX,
    run::{RunFact, Settled},
    state::{RunState, StepState},
    step::{Effect, OnFailure, Step, StepKind},
};
use uuid::Uuid;

use crate::{
    agenda::{Claim, ms},
    bound,
    drive::OutKind,
    runbooks::Made,
    schedule::{Broken, Schedule},
    turn::Begin,
    world::Sending,
};

impl Schedule {
    /// A promise is broken; the first one ends the schedule.
    pub fn broken(&mut self, promise: &'static str, what: String) {
        self.says(|| format!("BROKEN {promise}: {what}"));
        self.broken.get_or_insert(Broken { promise, what });
    }

    /// P3: what is sent was committed as started before, with the same key and fence.
    pub fn may_send(&mut self, sending: &Sending) {
        let row = &self.db.runs[sending.claim.run];
        let is_started = row.attempts.iter().any(|attempt| {
            attempt.step == sending.step
                && attempt.attempt == sending.attempt
                && attempt.fence == sending.claim.fence
                && attempt.key == sending.key
        });
        if !is_started {
            self.broken("P3", format!("{} is sent and nothing says that it was started", sending.step));
        }
    }

    /// P6: what arrives with an old fence left before the newer claim was made. Clocks that were moved or stood still
    /// since excuse it: then the sender could not know.
    pub fn stale_arrival(&mut self, at: usize) {
        let sending = &self.world.sendings[at];
        let sent = sending.sent;
        let newer = self.claims.iter().filter(|(claim, _)| {
            claim.run == sending.claim.run && claim.fence > sending.claim.fence
        });
        let Some(claimed) = newer.map(|(_, claimed)| *claimed).min() else {
            return;
        };
        if sent > claimed && self.first_lie.is_none_or(|lied| lied > sent) {
            let text = format!("{} left under fence {} after a newer claim", sending.step, sending.claim.fence);
            self.broken("P6", text);
        }
    }

    /// Looks at the intent of an attempt: everything that must hold at the instant it is committed.
    pub fn check_begin(&mut self, run: usize, begin: &Begin) {
        if let Err((promise, what)) = self.judge_begin(run, begin) {
            self.broken(promise, format!("run {run} starts {} {what}", begin.step));
        }
    }

    fn judge_begin(&self, run: usize, begin: &Begin) -> Result<(), (&'static str, String)> {
        let row = &self.db.runs[run];
        let made = &*self.shelf[row.version];
        let id = &begin.step;
        let must = |holds: bool, promise, what: &str| match holds {
            true => Ok(()),
            false => Err((promise, what.to_owned())),
        };
        must(begin.version == row.version, "P8", "from another version")?;
        let act = made.runbook.find(id).and_then(|found| found.act);
        let effect = act.map(|act| act.effect);
        must(effect == Some(begin.effect), "core", "with another effect class")?;
        let target = ["t0", "t1", "t2"][made.nature(id).target];
        let key = idempotency_key(Uuid::nil(), RunId(run as i64), id, target, begin.made.generation);
        must(key == begin.key, "P4", "with another key")?;
        let same = |attempt: &&crate::database::AttemptRow| attempt.step == *id;
        let is_second = row.attempts.iter().filter(same).any(|other| {
            other.permit == begin.made.permit && other.end != Some(AttemptEnd::Failed)
        });
        must(
            !(begin.effect == Effect::Once && is_second),
            "P4",
            "again under the same permit, which only an index can stop now",
        )?;
        let is_used = row.attempts.iter().filter(same).any(|other| other.attempt == begin.made.attempt);
        must(!is_used, "P7", "with a number that was used")?;
        let held = made.locks.iter().all(|lock| self.db.locks[*lock] == Some(run));
        must(held, "P6", "without holding its locks")?;
        let out = row.state.steps.values().filter(|state| matches!(state, StepState::Started { .. }));
        must(out.count() < SIDE_BY_SIDE_MAX, "P13", "beside too many others")?;
        if let (Some(index), Some(each)) = (id.index().filter(|_| id.undone().is_none()), each_of(made, id)) {
            let others = row.state.steps.iter().filter(|(other, state)| {
                other.base() == id.base()
                    && other.undone().is_none()
                    && other.index().is_some_and(|other| other != index)
                    && matches!(state, StepState::Started { .. } | StepState::Unknown { .. })
            });
            must(others.count() < each as usize, "P13", "beside too many other items")?;
        }
        if let StepState::RetryAt { due, .. } = row.state.step(id) {
            must(ms(*due) <= self.db.clock(self.now), "P9", "before its retry is due")?;
        }
        self.judge_gate(run, begin)
    }

    /// P5: what changes something below a gate stands on an approval that is good now, for what will be sent.
    fn judge_gate(&self, run: usize, begin: &Begin) -> Result<(), (&'static str, String)> {
        let row = &self.db.runs[run];
        let made = &*self.shelf[row.version];
        let is_undo = begin.step.undone().is_some();
        let Some(gate) = gate_above(made, &begin.step).filter(|_| begin.effect != Effect::Safe || is_undo) else {
            return Ok(());
        };
        let gate = if is_undo { gate.undo() } else { gate };
        let clock = self.db.clock(self.now);
        let approval = self.db.approvals.iter().rev().find(|approval| {
            approval.run == run && approval.step == gate && approval.state == ApprovalState::Approved
        });
        let Some(approval) = approval else {
            return Err(("P5", format!("and {gate} is not approved")));
        };
        if approval.use_by <= clock {
            return Err(("P5", format!("and the approval of {gate} has lapsed")));
        }
        let now = bound::digest(made, begin.version, &gate, &begin.config, &row.findings, &row.state.done);
        if approval.digest != now {
            return Err(("P5", format!("and {gate} was approved for something else")));
        }
        Ok(())
    }

    /// Looks at one fact before it is folded in.
    pub fn check_fact(&mut self, run: usize, by: Option<Claim>, fact: &RunFact) {
        if let Err((promise, what)) = self.judge_fact(run, by, fact) {
            self.broken(promise, format!("run {run}: {} {what}", crate::trace::brief(fact)));
        }
    }

    fn judge_fact(&self, run: usize, by: Option<Claim>, fact: &RunFact) -> Result<(), (&'static str, String)> {
        let row = &self.db.runs[run];
        let clock = self.db.clock(self.now);
        let state = &row.state;
        let must = |holds: bool, promise, what: &str| match holds {
            true => Ok(()),
            false => Err((promise, what.to_owned())),
        };
        must(state.finished.is_none(), "I11", "after the end of the run")?;
        if let (Some(claim), Some(queue)) = (by, &row.queue) {
            must(queue.is_held(claim.fence), "P6", "written with a stale fence")?;
        }
        match fact {
            RunFact::StepStarted { step, .. }
            | RunFact::ItemsListed { step, .. }
            | RunFact::GateOpened { step, .. }
            | RunFact::ManualAsked { step, .. }
            | RunFact::WaitBegan { step, .. } => self.judge_turn_of(run, step),
            RunFact::WaitOver { step } => match state.step(step) {
                StepState::Waiting { until } => must(ms(*until) <= clock, "P9", "fires early"),
                _ => Ok(()),
            },
            RunFact::ManualOverdue { step } => match state.step(step) {
                StepState::ManualOpen { due: Some(due) } => must(ms(*due) <= clock, "P9", "fires early"),
                _ => Err(("P9", "without a due time".to_owned())),
            },
            RunFact::GateExpired { step, .. } => match state.step(step) {
                StepState::GateOpen { decide_by, .. } => must(ms(*decide_by) <= clock, "P9", "fires early"),
                StepState::Approved { use_by, .. } => must(ms(*use_by) <= clock, "P9", "fires early"),
                _ => Ok(()),
            },
            RunFact::GateApproved { step, .. } | RunFact::GateBroken { step, .. } => match state.step(step) {
                StepState::GateOpen { decide_by, .. } => must(ms(*decide_by) > clock, "P5", "after the time to decide"),
                _ => Ok(()),
            },
            RunFact::StepSucceeded { step, settled, .. } => {
                let was_unknown = matches!(state.step(step), StepState::Unknown { .. });
                must(
                    !was_unknown || *settled == Settled::Probe,
                    "P4",
                    "settles an unknown outcome by itself",
                )?;
                self.judge_effect(run, step)
            }
            RunFact::StepInterrupted { step, .. } | RunFact::OutcomeUnknown { step, .. } => {
                let is_awaited = by.is_some_and(|claim| self.awaits(claim, step));
                must(!is_awaited, "I7", "while its worker waits for the answer")
            }
            RunFact::StepSatisfied { step, .. } => self.judge_effect(run, step),
            RunFact::RunEnding { .. } => must(state.ending.is_none(), "P7", "twice"),
            RunFact::RunFinished { result, reason } => self.judge_end(run, *result, reason),
            _ => Ok(()),
        }
    }

    /// Whether a worker still waits for the answer to an attempt.
    fn awaits(&self, claim: Claim, step: &StepId) -> bool {
        let drives = self.workers[claim.process.worker].drives.iter();
        let mut out = drives.filter(|drive| drive.claim == claim).flat_map(|drive| &drive.out);
        out.any(|out| out.step == *step && !matches!(out.kind, OutKind::Probe))
    }

    /// A step that is said to be done by its target or its probe was done.
    fn judge_effect(&self, run: usize, step: &StepId) -> Result<(), (&'static str, String)> {
        let made = &*self.shelf[self.db.runs[run].version];
        let act = made.runbook.find(step).and_then(|found| found.act);
        let changes = act.is_some_and(|act| act.effect != Effect::Safe);
        match !changes || self.world.shows(run, step, self.now) {
            true => Ok(()),
            false => Err(("I14", "and nothing has happened".to_owned())),
        }
    }

    /// Whether a failure has ended the steps of a run.
    pub fn has_failed(&self, run: usize) -> bool {
        let row = &self.db.runs[run];
        let made = &*self.shelf[row.version];
        made.runbook.steps.iter().any(|step| ends_the_run(made, &row.state, step))
    }

    /// Whether it is the turn of a step that begins: what it needs is behind, nothing ended the run before.
    fn judge_turn_of(&self, run: usize, id: &StepId) -> Result<(), (&'static str, String)> {
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
        if let Some(at) = made.runbook.finally.iter().position(|step| step.id.0 == id.base()) {
            return match &state.ending {
                None => no("finally", "before the end of the steps"),
                Some(ending) if ending.undo && !undo_is_over(made, state) => {
                    no("finally", "before everything is taken back")
                }
                _ if !made.runbook.finally[..at].iter().all(|above| is_past(state, above)) => {
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
            Some(needs) => needs.iter().all(|need| steps.iter().any(|step| step.id == *need && is_behind(step))),
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
        let Some(at) = row.state.done.iter().position(|done| done.undo() == *undo) else {
            // The gate that is asked for it.
            return Ok(());
        };
        let later = row.state.done[at + 1..].iter().filter(|done| can_be_undone(made, done));
        for done in later {
            if !row.state.step(&done.undo()).is_behind() {
                return Err(("undo", format!("before {done}, which was done later")));
            }
        }
        match can_be_undone(made, &row.state.done[at]) {
            true => Ok(()),
            false => Err(("undo", "which nothing takes back".to_owned())),
        }
    }

    /// P7: the rows beside the log say what the log says.
    pub fn check_rows(&mut self, run: usize) {
        let row = &self.db.runs[run];
        let finished = row.state.finished.is_some();
        let mut problem = None;
        if finished != row.queue.is_none() {
            problem = Some("the queue and the log disagree about the end".to_owned());
        }
        if finished && self.db.locks.contains(&Some(run)) {
            problem = Some("it is over and holds a lock".to_owned());
        }
        for attempt in &row.attempts {
            let says = |wanted: u32| wanted == attempt.attempt;
            let agrees = match (row.state.step(&attempt.step), attempt.end) {
                (StepState::Started { made, .. }, None) => says(made.attempt),
                (_, None) => false,
                (StepState::Started { made, .. }, Some(_)) => !says(made.attempt),
                _ => true,
            };
            if !agrees {
                problem = Some(format!("attempt {} of {} is not what the log says", attempt.attempt, attempt.step));
            }
        }
        for (id, approval) in self.db.approvals.iter().enumerate().filter(|(_, approval)| approval.run == run) {
            let agrees = match (row.state.step(&approval.step), approval.state) {
                _ if finished => !matches!(approval.state, ApprovalState::Pending | ApprovalState::Approved),
                (StepState::GateOpen { approval, .. }, ApprovalState::Pending)
                | (StepState::Approved { approval, .. }, ApprovalState::Approved) => approval.0 == id as i64,
                (_, ApprovalState::Pending | ApprovalState::Approved) => false,
                (StepState::GateOpen { approval, .. } | StepState::Approved { approval, .. }, _) => {
                    approval.0 != id as i64
                }
                _ => true,
            };
            if !agrees {
                problem = Some(format!("approval {id} of {} is not what the log says", approval.step));
            }
        }
        if let Some(problem) = problem {
            self.broken("P7", format!("run {run}: {problem}"));
        }
    }
}

fn each_of(made: &Made, id: &StepId) -> Option<u32> {
    made.runbook.step(id)?.for_each.as_ref().map(|each| each.at_once)
}

/// The nearest gate above a step; steps of `finally` have none.
fn gate_above(made: &Made, id: &StepId) -> Option<StepId> {
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
