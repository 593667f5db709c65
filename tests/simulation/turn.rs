//! Transactions on one run: a worker's turn, guarded by its claim's fence and the number of people's acts it has seen,
//! and a person's act, which raises that number.

use chrono::{DateTime, Utc};
use muster::domain::{
    approval::ApprovalState,
    attempt::AttemptEnd,
    digest::Digest,
    id::{ApprovalId, StepId},
    run::{RunFact, RunResult},
    state::{StepState, Try},
    step::Effect,
};

use crate::{
    agenda::{Claim, Ms, ms, time},
    bound::Config,
    database::{ApprovalRow, AttemptRow, Refused, Turned},
    reach::Seen,
    schedule::Schedule,
};

/// What a worker wants written, all of it or nothing.
#[derive(Debug)]
pub struct Turn {
    pub claim: Claim,
    /// How many acts of people it has seen; `None` when it lets go without a plan, which no act contradicts.
    pub acts: Option<i64>,
    pub writes: Vec<Write>,
    /// Nobody waits for its answer.
    pub is_given_up: bool,
}

/// One part of a transaction: rows and the fact that tells of them.
#[derive(Clone, Debug)]
pub enum Write {
    /// A fact, and no row beside the log.
    Tell(RunFact),
    /// An attempt begins.
    Begin(Begin),
    /// An attempt is over.
    Conclude {
        step: StepId,
        attempt: u32,
        end: AttemptEnd,
        finding: Option<u64>,
        fact: RunFact,
    },
    /// People are asked.
    OpenGate {
        step: StepId,
        digest: Digest,
        decide_by: DateTime<Utc>,
        needed: u32,
    },
    /// A person votes.
    Vote {
        approval: ApprovalId,
        person: usize,
        fact: RunFact,
    },
    /// A request for a decision moves on.
    MoveApproval {
        approval: ApprovalId,
        from: ApprovalState,
        to: ApprovalState,
        fact: RunFact,
    },
    /// All of these locks or none.
    TakeLocks(Vec<usize>),
    /// The worker lets the run go.
    LetGo { due: Ms },
    /// The run is over.
    Finish { result: RunResult, reason: String },
}

/// The intent of an attempt.
#[derive(Clone, Debug)]
pub struct Begin {
    pub step: StepId,
    pub made: Try,
    pub key: String,
    pub effect: Effect,
    /// The approval it stands on.
    pub gate: Option<(StepId, ApprovalId)>,
    /// The targets as the worker knew them when it rendered what it will send.
    pub config: Config,
    /// The version it was rendered from.
    pub version: usize,
}

impl Begin {
    pub fn fact(&self, fence: i64) -> RunFact {
        RunFact::StepStarted {
            step: self.step.clone(),
            attempt: self.made.attempt,
            key: self.key.clone(),
            fence,
            effect: self.effect,
            command: String::new(),
        }
    }
}

/// What was written.
#[derive(Debug)]
pub struct Committed {
    pub facts: Vec<(DateTime<Utc>, RunFact)>,
    pub findings: Vec<(StepId, u64)>,
}

impl Schedule {
    /// A worker's turn, at the database.
    pub fn take_turn(&mut self, turn: Turn) -> Result<Committed, Refused> {
        let claim = turn.claim;
        if let Some(queue) = &self.db.runs[claim.run].queue {
            if self.rules.guards_fence && !queue.is_held(claim.fence) {
                self.reach(Seen::TurnFenced);
                return Err(Refused::Fenced);
            }
            if self.rules.guards_acts && turn.acts.is_some_and(|acts| acts != queue.acts) {
                self.reach(Seen::TurnStale);
                return Err(Refused::Stale);
            }
        } else if self.rules.guards_fence {
            self.reach(Seen::TurnFenced);
            return Err(Refused::Fenced);
        }
        if self.rules.guards_time
            && !turn
                .writes
                .iter()
                .all(|write| self.is_timely(claim.run, write, &turn.writes))
        {
            self.reach(Seen::TurnUntimely);
            return Err(Refused::Untimely);
        }
        for write in &turn.writes {
            if let Write::TakeLocks(names) = write {
                let held =
                    |name: &usize| Some((*name, self.db.locks[*name].filter(|holder| *holder != claim.run)?));
                if let Some((lock, holder)) = names.iter().find_map(held) {
                    self.reach(Seen::LockHeld);
                    return Err(Refused::Held { lock, holder });
                }
            }
        }
        if turn
            .writes
            .iter()
            .filter(|write| matches!(write, Write::Conclude { .. }))
            .count()
            > 0
            && turn.writes.iter().any(|write| matches!(write, Write::Begin(_)))
        {
            self.reach(Seen::OutcomeWithIntent);
        }
        Ok(self.write(claim.run, Some(claim), turn.writes))
    }

    /// Whether what a write stands on is due, or still good, by the database's clock.
    fn is_timely(&self, run: usize, write: &Write, turn: &[Write]) -> bool {
        let clock = self.db.clock(self.now);
        let state = &self.db.runs[run].state;
        match write {
            Write::Begin(begin) => {
                // A pause that has only just begun counts as well.
                let pause = turn.iter().find_map(|write| match write {
                    Write::Conclude { step, fact, .. } if *step == begin.step => match fact {
                        RunFact::StepFailed { retry_at, .. } => *retry_at,
                        RunFact::StepHeld { retry_at, .. } => Some(*retry_at),
                        _ => None,
                    },
                    _ => None,
                });
                let is_due = match (pause, state.step(&begin.step)) {
                    (Some(due), _) => ms(due) <= clock,
                    (None, StepState::RetryAt { due, .. }) => ms(*due) <= clock,
                    _ => true,
                };
                let is_good = |(_, approval): &(StepId, ApprovalId)| {
                    self.db.approvals[approval.0 as usize].use_by > clock || !self.rules.checks_use_by
                };
                is_due && begin.gate.as_ref().is_none_or(is_good)
            }
            Write::Tell(fact) | Write::MoveApproval { fact, .. } => {
                match (fact, fact.step().map(|id| state.step(id))) {
                    (RunFact::WaitOver { .. }, Some(StepState::Waiting { until })) => ms(*until) <= clock,
                    (RunFact::ManualOverdue { .. }, Some(StepState::ManualOpen { due: Some(due) })) => {
                        ms(*due) <= clock
                    }
                    (RunFact::GateExpired { .. }, Some(StepState::GateOpen { decide_by, .. })) => {
                        ms(*decide_by) <= clock
                    }
                    (RunFact::GateExpired { .. }, Some(StepState::Approved { use_by, .. })) => {
                        ms(*use_by) <= clock
                    }
                    _ => true,
                }
            }
            _ => true,
        }
    }

    /// Writes everything, with the checker looking at each fact, and at the rows beside them afterwards.
    pub fn write(&mut self, run: usize, by: Option<Claim>, writes: Vec<Write>) -> Committed {
        let clock = self.db.clock(self.now);
        let at = time(clock);
        let mut committed = Committed {
            facts: Vec::with_capacity(writes.len()),
            findings: Vec::new(),
        };
        // What begins beside a failure, in the same turn, does not come after it; what begins beside an outcome does.
        self.has_failed = self.has_failed(run);
        for write in writes {
            let is_outcome = matches!(write, Write::Conclude { .. });
            let fact = self.rows(run, by, clock, write, &mut committed.findings);
            let Some(fact) = fact else { continue };
            self.reach_fact(&fact);
            self.says(|| match by {
                Some(claim) => format!("{claim} writes {}", crate::trace::brief(&fact)),
                None => format!("somebody writes {}", crate::trace::brief(&fact)),
            });
            self.check_fact(run, by, &fact);
            if self.broken.is_some() {
                return committed;
            }
            let row = &mut self.db.runs[run];
            let folded = row.state.apply(at, &fact);
            if let Err(illegal) = folded {
                self.broken(
                    "P7",
                    format!("the log of run {run} cannot be folded any more: {illegal}"),
                );
                return committed;
            }
            self.db.runs[run].log.push((at, fact.clone()));
            committed.facts.push((at, fact));
            if is_outcome {
                self.has_failed = self.has_failed(run);
            }
        }
        self.check_rows(run);
        committed
    }

    /// The rows of one write, and its fact.
    fn rows(
        &mut self,
        run: usize,
        by: Option<Claim>,
        clock: Ms,
        write: Write,
        findings: &mut Vec<(StepId, u64)>,
    ) -> Option<RunFact> {
        let row = &mut self.db.runs[run];
        match write {
            Write::Tell(fact) => Some(fact),
            Write::Begin(begin) => {
                let fence = by.map_or(0, |claim| claim.fence);
                self.check_begin(run, &begin);
                let row = &mut self.db.runs[run];
                row.attempts.push(AttemptRow {
                    step: begin.step.clone(),
                    attempt: begin.made.attempt,
                    effect: begin.effect,
                    permit: begin.made.permit,
                    key: begin.key.clone(),
                    fence,
                    end: None,
                    started: clock,
                });
                Some(begin.fact(fence))
            }
            Write::Conclude {
                step,
                attempt,
                end,
                finding,
                fact,
            } => {
                let open = row.attempts.iter_mut().find(|row| {
                    row.step == step
                        && row.attempt == attempt
                        && matches!(row.end, None | Some(AttemptEnd::Unknown))
                });
                if let Some(open) = open {
                    open.end = Some(end);
                }
                if let Some(finding) = finding {
                    row.findings.insert(step.clone(), finding);
                    findings.push((step, finding));
                }
                Some(fact)
            }
            Write::OpenGate {
                step,
                digest,
                decide_by,
                needed,
            } => {
                let approval = ApprovalId(self.db.approvals.len() as i64);
                self.db.approvals.push(ApprovalRow {
                    run,
                    step: step.clone(),
                    state: ApprovalState::Pending,
                    digest,
                    needed,
                    decide_by: ms(decide_by),
                    use_by: Ms::MIN,
                    approved: Ms::MAX,
                    votes: Vec::new(),
                });
                Some(RunFact::GateOpened {
                    step,
                    approval,
                    digest,
                    decide_by,
                    needed,
                })
            }
            Write::Vote {
                approval,
                person,
                fact,
            } => {
                self.db.approvals[approval.0 as usize].votes.push(person);
                Some(fact)
            }
            Write::MoveApproval {
                approval,
                from,
                to,
                fact,
            } => {
                let row = &mut self.db.approvals[approval.0 as usize];
                if row.state == from {
                    row.state = to;
                }
                if let RunFact::GateApproved { use_by, .. } | RunFact::GateBroken { use_by, .. } = &fact {
                    row.use_by = ms(*use_by);
                    row.approved = clock;
                }
                Some(fact)
            }
            Write::TakeLocks(names) => {
                for name in names {
                    self.db.locks[name] = Some(run);
                }
                self.db.runs[run].has_held = true;
                None
            }
            Write::LetGo { due } => {
                if let Some(queue) = &mut row.queue {
                    queue.stand = Turned::Waiting;
                    queue.owner = None;
                    queue.due = due;
                    let after = (due - clock).max(0);
                    self.ring(after);
                }
                None
            }
            Write::Finish { result, reason } => {
                row.queue = None;
                for held in self.db.locks.iter_mut().filter(|held| **held == Some(run)) {
                    *held = None;
                }
                for approval in self
                    .db
                    .approvals
                    .iter_mut()
                    .filter(|approval| approval.run == run)
                {
                    if matches!(approval.state, ApprovalState::Pending | ApprovalState::Approved) {
                        approval.state = ApprovalState::Void;
                    }
                }
                Some(RunFact::RunFinished { result, reason })
            }
        }
    }
}
