//! The promises, looked at after everything that happens, by rules written down a second time and without the planner.

use muster::domain::{
    approval::ApprovalState,
    attempt::{AttemptEnd, idempotency_key},
    id::{RunId, StepId},
    plan::SIDE_BY_SIDE_MAX,
    run::{RunFact, Settled},
    state::StepState,
    step::Effect,
};
use uuid::Uuid;

use crate::{
    agenda::{Claim, ms},
    bound,
    drive::OutKind,
    order::{each_of, gate_above},
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
            self.broken(
                "P3",
                format!("{} is sent and nothing says that it was started", sending.step),
            );
        }
    }

    /// P6: what arrives with an old fence left before the newer claim was made. Clocks that were moved or stood still
    /// since excuse it: then the sender could not know.
    pub fn stale_arrival(&mut self, at: usize) {
        let sending = &self.world.sendings[at];
        let sent = sending.sent;
        let newer = self
            .claims
            .iter()
            .filter(|(claim, _)| claim.run == sending.claim.run && claim.fence > sending.claim.fence);
        let Some(claimed) = newer.map(|(_, claimed)| *claimed).min() else {
            return;
        };
        if sent > claimed && self.first_lie.is_none_or(|lied| lied > sent) {
            let text = format!(
                "{} left under fence {} after a newer claim",
                sending.step, sending.claim.fence
            );
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
        let is_second = row
            .attempts
            .iter()
            .filter(same)
            .any(|other| other.permit == begin.made.permit && other.end != Some(AttemptEnd::Failed));
        must(
            !(begin.effect == Effect::Once && is_second),
            "P4",
            "again under the same permit, which only an index can stop now",
        )?;
        let is_used = row
            .attempts
            .iter()
            .filter(same)
            .any(|other| other.attempt == begin.made.attempt);
        must(!is_used, "P7", "with a number that was used")?;
        let held = made.locks.iter().all(|lock| self.db.locks[*lock] == Some(run));
        must(held, "P6", "without holding its locks")?;
        let out = row
            .state
            .steps
            .values()
            .filter(|state| matches!(state, StepState::Started { .. }));
        must(out.count() < SIDE_BY_SIDE_MAX, "P13", "beside too many others")?;
        if let (Some(index), Some(each)) = (id.index().filter(|_| id.undone().is_none()), each_of(made, id)) {
            let others = row.state.steps.iter().filter(|(other, state)| {
                other.base() == id.base()
                    && other.undone().is_none()
                    && other.index().is_some_and(|other| other != index)
                    && matches!(state, StepState::Started { .. } | StepState::Unknown { .. })
            });
            must(
                others.count() < each as usize,
                "P13",
                "beside too many other items",
            )?;
        }
        if let StepState::RetryAt { due, .. } = row.state.step(id) {
            must(
                ms(*due) <= self.db.clock(self.now),
                "P9",
                "before its retry is due",
            )?;
        }
        self.judge_gate(run, begin)
    }

    /// P5: what changes something below a gate stands on an approval that is good now, for what will be sent.
    fn judge_gate(&self, run: usize, begin: &Begin) -> Result<(), (&'static str, String)> {
        let row = &self.db.runs[run];
        let made = &*self.shelf[row.version];
        let is_undo = begin.step.undone().is_some();
        let Some(gate) = gate_above(made, &begin.step).filter(|_| begin.effect != Effect::Safe || is_undo)
        else {
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
        let now = bound::digest(
            made,
            begin.version,
            &gate,
            &begin.config,
            &row.findings,
            &row.state.done,
        );
        if approval.digest != now {
            return Err(("P5", format!("and {gate} was approved for something else")));
        }
        Ok(())
    }

    /// Looks at one fact before it is folded in.
    pub fn check_fact(&mut self, run: usize, by: Option<Claim>, fact: &RunFact) {
        if let Err((promise, what)) = self.judge_fact(run, by, fact) {
            self.broken(
                promise,
                format!("run {run}: {} {what}", crate::trace::brief(fact)),
            );
        }
    }

    fn judge_fact(
        &self,
        run: usize,
        by: Option<Claim>,
        fact: &RunFact,
    ) -> Result<(), (&'static str, String)> {
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
                StepState::GateOpen { decide_by, .. } => {
                    must(ms(*decide_by) > clock, "P5", "after the time to decide")
                }
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
        let mut out = drives
            .filter(|drive| drive.claim == claim)
            .flat_map(|drive| &drive.out);
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
                problem = Some(format!(
                    "attempt {} of {} is not what the log says",
                    attempt.attempt, attempt.step
                ));
            }
        }
        for (id, approval) in self
            .db
            .approvals
            .iter()
            .enumerate()
            .filter(|(_, approval)| approval.run == run)
        {
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
                problem = Some(format!(
                    "approval {id} of {} is not what the log says",
                    approval.step
                ));
            }
        }
        if let Some(problem) = problem {
            self.broken("P7", format!("run {run}: {problem}"));
        }
    }
}
