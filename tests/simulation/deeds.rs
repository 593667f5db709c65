//! What people do to a run, as transactions: refused when it does not fit what is true now, and otherwise raising the
//! number that refuses a worker's stale turn.

use chrono::TimeDelta;
use muster::domain::{
    approval::ApprovalState,
    attempt::AttemptEnd,
    digest::Digest,
    evidence::to_read_again,
    id::{ApprovalId, StepId},
    run::{RunFact, UnknownChoice},
    state::{RunState, StepState},
    step::{Effect, StepKind},
};

use crate::{
    agenda::{Event, Ms, time},
    database::Turned,
    people::{Deed, What},
    reach::Seen,
    runbooks::Made,
    schedule::Schedule,
    turn::Write,
};

impl Schedule {
    /// A person acts: one transaction under the run's row.
    pub fn act_of(&mut self, person: usize, deed: Deed) {
        let Deed { run, what } = deed;
        self.says(|| format!("person {person} wants run {run}: {what:?}"));
        let clock = self.db.clock(self.now);
        let writes = match self.db.runs[run].queue.is_some() {
            true => self.writes_of(run, person, &what, clock),
            false => None,
        };
        let Some(writes) = writes else {
            self.reach(Seen::PersonTooLate);
            return self.says(|| "  and is refused".to_owned());
        };
        self.reach(match what {
            What::Approve { .. } => Seen::Approved,
            What::Reject { .. } => Seen::Rejected,
            What::BreakOpen { .. } => Seen::BrokenOpen,
            What::Withdraw { .. } => Seen::Withdrawn,
            What::SendBack { .. } => Seen::SentBack,
            What::Pause => Seen::PausedByPerson,
            What::GoOn => Seen::LetGoOn,
            What::Stop { undo: false } => Seen::Stopped,
            What::Stop { undo: true } => Seen::StoppedWithUndo,
            What::Skip { .. } => Seen::SkippedByPerson,
            What::SayDone { .. } => Seen::ManualDone,
            What::Decide { choice, .. } => match choice {
                UnknownChoice::RunCheck => Seen::RunCheck,
                UnknownChoice::MarkDone => Seen::MarkedDone,
                UnknownChoice::MarkNotDone => Seen::MarkedNotDone,
                UnknownChoice::RetrySameKey => Seen::RetriedSameKey,
                UnknownChoice::RetryNewKey => Seen::RetriedNewKey,
            },
        });
        self.write(run, None, writes);
        let now = self.now;
        let Some(queue) = &mut self.db.runs[run].queue else {
            return;
        };
        queue.acts += 1;
        if queue.stand == Turned::Running {
            return self.tell_worker(run);
        }
        queue.stand = Turned::Ready;
        queue.due = queue.due.min(self.db.offset + now);
        self.ring(0);
    }

    /// The worker that has the run hears of news, at the latest when it looks by itself.
    pub fn tell_worker(&mut self, run: usize) {
        for worker in 0..self.workers.len() {
            let claims: Vec<_> = (self.workers[worker].drives.iter())
                .map(|drive| drive.claim)
                .filter(|claim| claim.run == run)
                .collect();
            for claim in claims {
                let after = self.dice.delay(crate::worker::POLL);
                self.agenda.add(
                    self.now + after,
                    Event::Nudge {
                        claim,
                        has_news: true,
                    },
                );
            }
        }
    }

    /// What an act writes; `None` when it does not fit what is true now.
    fn writes_of(&self, run: usize, person: usize, what: &What, clock: Ms) -> Option<Vec<Write>> {
        let row = &self.db.runs[run];
        let (state, made) = (&row.state, &*self.shelf[row.version]);
        let reason = || "because".to_owned();
        // Once the steps are over there is nothing to decide about them, but what nobody knows.
        let about = self.step_of(what).filter(|_| state.ending.is_some());
        if about.is_some_and(|id| {
            id.undone().is_none() && made.runbook.steps.iter().any(|step| step.id.0 == id.base())
        }) {
            return None;
        }
        match what {
            What::Approve { approval, digest } => self.vote(run, person, *approval, *digest, clock),
            What::Reject { approval, digest } => {
                let gate = self.open(run, *approval, clock)?;
                let is_same = self.db.approvals[approval.0 as usize].digest == *digest;
                let fact = RunFact::GateRejected {
                    step: gate,
                    approval: *approval,
                    reason: reason(),
                };
                is_same.then(|| {
                    vec![moves(
                        *approval,
                        ApprovalState::Pending,
                        ApprovalState::Rejected,
                        fact,
                    )]
                })
            }
            What::BreakOpen { approval } => {
                let gate = self.open(run, *approval, clock)?;
                let StepKind::Gate(rule) = &made.runbook.step(&gate)?.kind else {
                    return None;
                };
                let fact = RunFact::GateBroken {
                    step: gate,
                    approval: *approval,
                    reason: reason(),
                    use_by: time(clock) + rule.use_within.as_delta(),
                };
                rule.break_glass.then(|| {
                    vec![moves(
                        *approval,
                        ApprovalState::Pending,
                        ApprovalState::Approved,
                        fact,
                    )]
                })
            }
            What::Withdraw { approval } => {
                let row = &self.db.approvals[approval.0 as usize];
                let is_live = matches!(row.state, ApprovalState::Pending | ApprovalState::Approved);
                let fact = RunFact::GateWithdrawn {
                    step: row.step.clone(),
                    approval: *approval,
                    reason: reason(),
                };
                (is_live && !self.has_started_under(run, *approval))
                    .then(|| vec![moves(*approval, row.state, ApprovalState::Void, fact)])
            }
            What::SendBack { approval } => {
                let gate = self.open(run, *approval, clock)?;
                let fact = RunFact::GateSentBack {
                    step: gate.clone(),
                    approval: *approval,
                    note: reason(),
                };
                let mut writes = vec![moves(
                    *approval,
                    ApprovalState::Pending,
                    ApprovalState::Void,
                    fact,
                )];
                let again = to_read_again(&made.runbook, state, &gate);
                let again = again.into_iter().map(|step| RunFact::StepReopened { step });
                writes.extend(again.map(Write::Tell));
                Some(writes)
            }
            What::Pause => state
                .paused
                .is_none()
                .then(|| vec![Write::Tell(RunFact::PauseRequested { reason: reason() })]),
            What::GoOn => state
                .paused
                .is_some()
                .then(|| vec![Write::Tell(RunFact::PauseEnded)]),
            What::Stop { undo } => {
                let may = state.ending.is_none()
                    && !state.undo_requested
                    && (*undo || state.stop_requested.is_none());
                let fact = match undo {
                    true => RunFact::UndoRequested { reason: reason() },
                    false => RunFact::StopRequested { reason: reason() },
                };
                may.then(|| vec![Write::Tell(fact)])
            }
            What::Skip { step } => {
                let may = matches!(
                    state.step(step),
                    StepState::Ready { .. }
                        | StepState::RetryAt { .. }
                        | StepState::ManualOpen { .. }
                        | StepState::Waiting { .. }
                );
                let fact = RunFact::StepSkipped {
                    step: step.clone(),
                    reason: reason(),
                };
                may.then(|| vec![Write::Tell(fact)])
            }
            What::SayDone { step } => {
                let fact = RunFact::ManualDone {
                    step: step.clone(),
                    note: reason(),
                };
                matches!(state.step(step), StepState::ManualOpen { .. }).then(|| vec![Write::Tell(fact)])
            }
            What::Decide { step, choice } => self.decide(made, state, step, *choice),
        }
    }

    fn step_of<'a>(&'a self, what: &'a What) -> Option<&'a StepId> {
        match what {
            What::Approve { approval, .. }
            | What::Reject { approval, .. }
            | What::BreakOpen { approval }
            | What::Withdraw { approval }
            | What::SendBack { approval } => Some(&self.db.approvals[approval.0 as usize].step),
            What::Skip { step } | What::SayDone { step } => Some(step),
            What::Pause | What::GoOn | What::Stop { .. } | What::Decide { .. } => None,
        }
    }

    /// The gate of a request that can be decided still.
    fn open(&self, run: usize, approval: ApprovalId, clock: Ms) -> Option<StepId> {
        let row = &self.db.approvals[approval.0 as usize];
        let is_open = row.run == run && row.state == ApprovalState::Pending && row.decide_by > clock;
        is_open.then(|| row.step.clone())
    }

    fn vote(
        &self,
        run: usize,
        person: usize,
        approval: ApprovalId,
        digest: Digest,
        clock: Ms,
    ) -> Option<Vec<Write>> {
        let gate = self.open(run, approval, clock)?;
        let row = &self.db.approvals[approval.0 as usize];
        if row.digest != digest || row.votes.contains(&person) {
            return None;
        }
        let StepKind::Gate(rule) = &self.shelf[self.db.runs[run].version].runbook.step(&gate)?.kind else {
            return None;
        };
        let given = row.votes.len() as u32 + 1;
        let fact = RunFact::GateApproval {
            step: gate.clone(),
            approval,
            reason: String::new(),
            given,
            needed: row.needed,
        };
        let mut writes = vec![Write::Vote {
            approval,
            person,
            fact,
        }];
        if given >= row.needed {
            let use_by = time(clock) + TimeDelta::milliseconds(rule.use_within.as_millis() as i64);
            let fact = RunFact::GateApproved {
                step: gate,
                approval,
                use_by,
            };
            writes.push(moves(
                approval,
                ApprovalState::Pending,
                ApprovalState::Approved,
                fact,
            ));
        }
        Some(writes)
    }

    /// Whether something that changes anything has started under an approval.
    pub fn has_started_under(&self, run: usize, approval: ApprovalId) -> bool {
        let row = &self.db.approvals[approval.0 as usize];
        let kept = &self.db.runs[run];
        let under: Vec<&StepId> = self.shelf[kept.version]
            .runbook
            .steps_under(&row.step)
            .map(|step| &step.id)
            .collect();
        kept.attempts.iter().any(|attempt| {
            attempt.effect != Effect::Safe
                && attempt.started >= row.approved
                && attempt.step.undone().is_some() == row.step.undone().is_some()
                && under.iter().any(|step| step.0 == attempt.step.base())
        })
    }

    fn decide(
        &self,
        made: &Made,
        state: &RunState,
        step: &StepId,
        choice: UnknownChoice,
    ) -> Option<Vec<Write>> {
        let StepState::Unknown { made: tried, .. } = state.step(step) else {
            return None;
        };
        let has_probe = made.runbook.find(step)?.act?.verify.is_some();
        if choice == UnknownChoice::RunCheck && !has_probe {
            return None;
        }
        let fact = RunFact::UnknownDecided {
            step: step.clone(),
            choice,
            evidence: "seen".to_owned(),
        };
        let mut writes = vec![match choice {
            UnknownChoice::MarkDone => Write::Conclude {
                step: step.clone(),
                attempt: tried.attempt,
                end: AttemptEnd::Succeeded,
                finding: Some(u64::MAX - 1),
                fact,
            },
            _ => Write::Tell(fact),
        }];
        // A new key is a new effect: its gate asks again.
        if choice == UnknownChoice::RetryNewKey
            && let Some(gate) = made.runbook.gate_over(step)
        {
            let gate = if step.undone().is_some() {
                gate.id.undo()
            } else {
                gate.id.clone()
            };
            if let StepState::Approved { approval, .. } = state.step(&gate) {
                let fact = RunFact::GateVoided {
                    step: gate,
                    approval: *approval,
                    why: "a new effect was asked for".to_owned(),
                };
                writes.push(moves(
                    *approval,
                    ApprovalState::Approved,
                    ApprovalState::Void,
                    fact,
                ));
            }
        }
        Some(writes)
    }
}

fn moves(approval: ApprovalId, from: ApprovalState, to: ApprovalState, fact: RunFact) -> Write {
    Write::MoveApproval {
        approval,
        from,
        to,
        fact,
    }
}
