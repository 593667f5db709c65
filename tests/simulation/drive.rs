//! One claimed run in the hands of its worker: what it knows in memory, what it has out, and what it does about a plan.

use std::collections::{BTreeMap, BTreeSet};

use muster::domain::{
    attempt::{AttemptEnd, Conclusion, conclude, settled},
    id::StepId,
    judge::{Judgement, Told, judge},
    plan::Move,
    run::RunFact,
    state::{RunState, StepState, Try},
    step::{Act, Effect},
};
use serde_json::Value;

use crate::{
    agenda::{Claim, Event, Heard, Ms, ms, time},
    hands::Hands,
    reach::Seen,
    schedule::Schedule,
    turn::{Begin, Write},
    world::Sending,
};

/// A run that waits for a person without a deadline is looked at this often.
const PERSON_POLL: Ms = 3_600_000;
/// How often a run that waits for a lock looks again.
const LOCK_POLL: Ms = 20_000;

/// What a worker knows of a run.
#[derive(Clone, Debug)]
pub struct Memory {
    pub state: RunState,
    pub acts: i64,
    pub findings: BTreeMap<StepId, u64>,
}

/// Something on its way.
#[derive(Clone, Debug)]
pub struct Out {
    pub id: u32,
    pub step: StepId,
    pub made: Try,
    pub kind: OutKind,
}

/// What is on its way.
#[derive(Clone, Debug)]
pub enum OutKind {
    /// The attempt itself.
    Attempt,
    /// The question whether what the target said it did is there.
    Confirm { judgement: Judgement, value: u64 },
    /// The question whether it is there before anything is sent, or after nobody knows.
    Probe,
}

/// How an attempt ended that was sent; kept until it is written.
#[derive(Clone, Debug)]
pub struct Ended {
    step: StepId,
    attempt: u32,
    conclusion: Conclusion,
    finding: Option<u64>,
}

/// One claimed run.
pub struct Drive {
    pub claim: Claim,
    pub memory: Option<Memory>,
    /// A question or a turn is at the database.
    pub is_asking: bool,
    /// What it knows may be old.
    pub has_news: bool,
    pub needs_locks: bool,
    pub out: Vec<Out>,
    /// Outcomes to be written.
    pub ended: Vec<Ended>,
    /// What probes said, until the plan asks for it.
    pub told: Vec<(StepId, u32, Told)>,
    /// What the turn at the database holds.
    pub writing: (Vec<Ended>, Vec<Begin>),
    /// A turn that was given up without knowing what became of it.
    pub lost_turn: Option<usize>,
    /// Its next timer, by true time.
    timer: Option<Ms>,
    /// The turn at the database lets the run go, or ends it.
    pub is_leaving: bool,
    /// The turn at the database takes the locks.
    pub is_locking: bool,
}

impl Drive {
    pub fn new(claim: Claim, needs_locks: bool) -> Self {
        Self {
            claim,
            memory: None,
            is_asking: false,
            has_news: false,
            needs_locks,
            out: Vec::new(),
            ended: Vec::new(),
            told: Vec::new(),
            writing: Default::default(),
            lost_turn: None,
            timer: None,
            is_leaving: false,
            is_locking: false,
        }
    }
}

impl Schedule {
    pub fn is_driven(&self, claim: Claim) -> bool {
        let drives = &self.workers[claim.process.worker].drives;
        drives.iter().any(|drive| drive.claim == claim)
    }

    pub fn drive(&mut self, claim: Claim) -> &mut Drive {
        let drives = &mut self.workers[claim.process.worker].drives;
        drives.iter_mut().find(|drive| drive.claim == claim).unwrap()
    }

    pub fn drop_drive(&mut self, claim: Claim) {
        self.workers[claim.process.worker]
            .drives
            .retain(|drive| drive.claim != claim);
        self.poll_soon(claim.process.worker, 50);
    }

    /// Does whatever can be done now for a run: writes what ended, and begins what the plan offers.
    pub fn think(&mut self, claim: Claim) {
        if self.broken.is_some() || !self.is_driven(claim) {
            return;
        }
        let drive = self.drive(claim);
        if drive.is_asking {
            return;
        }
        if drive.memory.is_none() || drive.has_news {
            drive.has_news = false;
            return self.ask(claim);
        }
        let (now, takes_locks) = (self.now, self.rules.takes_locks);
        let may_begin = self.workers[claim.process.worker].may_begin(claim.owner, self.now);
        let estimate = self.workers[claim.process.worker].estimate(self.now);
        let drive = self.drive(claim);
        let mut memory = drive.memory.clone().unwrap();
        let mut writes = Vec::new();
        let mut ended = std::mem::take(&mut drive.ended);
        let had = ended.len();
        ended.retain(|ended| match memory.state.step(&ended.step) {
            StepState::Started { made, fence, .. } => made.attempt == ended.attempt && *fence == claim.fence,
            _ => false,
        });
        if ended.len() < had {
            self.reach(Seen::OutcomeDropped);
        }
        for ended in &ended {
            writes.push(Write::Conclude {
                step: ended.step.clone(),
                attempt: ended.attempt,
                end: ended.conclusion.end,
                finding: ended.finding,
                fact: ended.conclusion.fact.clone(),
            });
            if let Err(illegal) = memory.state.apply(time(estimate), &ended.conclusion.fact) {
                return self.broken("core", format!("an outcome cannot be written: {illegal}"));
            }
            if let Some(finding) = ended.finding {
                memory.findings.insert(ended.step.clone(), finding);
            }
        }
        let drive = self.drive(claim);
        if !may_begin {
            let is_empty = writes.is_empty();
            let has_sent = drive.out.iter().any(|out| !matches!(out.kind, OutKind::Probe));
            if is_empty && !has_sent {
                let due = self.workers[claim.process.worker].estimate(self.now);
                self.turn(claim, None, vec![Write::LetGo { due }], Vec::new(), Vec::new());
            } else if !is_empty {
                let acts = Some(memory.acts);
                self.turn(claim, acts, writes, ended, Vec::new());
            }
            return;
        }
        if drive.needs_locks && takes_locks {
            let locks = self.shelf[self.db.runs[claim.run].version].locks.clone();
            return self.turn(
                claim,
                Some(memory.acts),
                vec![Write::TakeLocks(locks)],
                Vec::new(),
                Vec::new(),
            );
        }
        let busy: BTreeSet<StepId> = drive.out.iter().map(|out| out.step.clone()).collect();
        if busy.len() > 1 {
            self.reach(Seen::SideBySide);
        }
        let made = self.shelf[self.db.runs[claim.run].version].clone();
        let plan = (self.rules.next)(&made.runbook, &memory.state, &busy, time(estimate));
        if plan.due.is_some_and(|due| ms(due) <= estimate) {
            return self.broken("core", format!("the plan waits for what is past: {:?}", plan.due));
        }
        let outcomes = writes.len();
        let mut hands = Hands::new(claim, made, estimate, memory, writes);
        for one in plan.moves {
            self.reach_move(&one);
            if let Move::Act { step, .. } | Move::Settle { step, .. } | Move::Interrupted { step, .. } = &one
                && busy.contains(step)
            {
                return self.broken("I7", format!("the plan holds {step}, whose answer is awaited"));
            }
            self.carry_out(&mut hands, one);
            if self.broken.is_some() {
                return;
            }
            if let Some(close) = hands.closes.take() {
                hands.writes.truncate(outcomes);
                hands.writes.push(close);
                hands.begins.clear();
                hands.probes.clear();
                break;
            }
        }
        let Hands {
            writes,
            begins,
            probes,
            memory,
            ..
        } = hands;
        let asks = !probes.is_empty();
        for (step, made) in probes {
            let out = self.out(claim, step, made, OutKind::Probe);
            self.probe(claim, out);
        }
        let drive = self.drive(claim);
        // What the plan did not ask for is old by the time it does.
        drive.told.clear();
        if !writes.is_empty() {
            return self.turn(claim, Some(memory.acts), writes, ended, begins);
        }
        if asks {
            // What the plan offers beside a question that is out shows only now.
            let now = self.now;
            return self.agenda.add(
                now,
                Event::Nudge {
                    claim,
                    has_news: false,
                },
            );
        }
        if drive.out.is_empty() {
            let due = plan.due.map_or(estimate + PERSON_POLL, ms);
            return self.turn(
                claim,
                Some(memory.acts),
                vec![Write::LetGo { due }],
                ended,
                begins,
            );
        }
        let until = plan.due.map_or(Ms::MAX, ms);
        if self.knows_all(claim, memory.acts) {
            self.check_clocks(claim.run, until, &busy);
        }
        let drive = self.drive(claim);
        if let Some(due) = plan.due {
            let at = now + (ms(due) - estimate).max(1);
            if drive.timer.is_none_or(|timer| timer <= now || timer > at) {
                drive.timer = Some(at);
                self.agenda.add(
                    at,
                    Event::Nudge {
                        claim,
                        has_news: false,
                    },
                );
            }
        }
    }

    /// Whether nobody has written since the worker looked.
    fn knows_all(&self, claim: Claim, acts: i64) -> bool {
        let queue = self.db.runs[claim.run].queue.as_ref();
        queue.is_some_and(|queue| queue.is_held(claim.fence) && queue.acts == acts)
    }

    /// Something is on its way from now on.
    fn out(&mut self, claim: Claim, step: StepId, made: Try, kind: OutKind) -> u32 {
        let worker = &mut self.workers[claim.process.worker];
        worker.last_out += 1;
        let id = worker.last_out;
        self.drive(claim).out.push(Out { id, step, made, kind });
        id
    }

    /// An intent is committed: sends it, if the lease still holds.
    pub fn start_attempt(&mut self, claim: Claim, begin: Begin) {
        let made = self.shelf[self.db.runs[claim.run].version].clone();
        let step = made.runbook.step(&begin.step).unwrap();
        let may_begin = self.workers[claim.process.worker].may_begin(claim.owner, self.now);
        if !may_begin && self.rules.trusts_lease_only {
            self.reach(Seen::NotBegun);
            let judgement = Judgement::NotBegun {
                reason: "the lease may be over".to_owned(),
            };
            return self.conclude(claim, &begin.step, begin.made, judgement, 0);
        }
        let out = self.out(claim, begin.step.clone(), begin.made, OutKind::Attempt);
        let fate = self.fate();
        let sending = Sending {
            claim,
            step: begin.step,
            key: begin.key,
            attempt: begin.made.attempt,
            permit: begin.made.permit,
            effect: begin.effect,
            sent: self.now,
            fate,
        };
        self.send(sending, out, step.timeout.as_millis() as Ms);
    }

    /// What a target or a probe says reaches its worker.
    pub fn heard(&mut self, claim: Claim, out: u32, heard: Heard) {
        if !self.is_driven(claim) {
            return;
        }
        let drive = self.drive(claim);
        let Some(at) = drive.out.iter().position(|one| one.id == out) else {
            return;
        };
        let Out { step, made, kind, .. } = drive.out.remove(at);
        let shelf = self.shelf[self.db.runs[claim.run].version].clone();
        let act = shelf.runbook.find(&step).and_then(|found| found.act).unwrap();
        match (kind, heard) {
            (OutKind::Attempt, Heard::Target { answer, value }) => {
                self.says(|| match &answer {
                    Ok(_) => format!("{claim} hears that {step} is done"),
                    Err(failure) => format!("{claim} hears of {step}: {:?}", failure.class),
                });
                let judgement = (self.rules.judge)(act, &Value::Null, answer);
                let is_done = matches!(judgement, Judgement::Done(_));
                if is_done && act.verify.is_some() && act.effect != Effect::Safe {
                    let out = self.out(claim, step, made, OutKind::Confirm { judgement, value });
                    return self.probe(claim, out);
                }
                self.conclude(claim, &step, made, judgement, value);
            }
            (OutKind::Confirm { judgement, value }, Heard::Probe { lag }) => {
                let told = self.told(claim.run, &step, lag);
                let judgement = self.confirm(act, judgement, told);
                self.conclude(claim, &step, made, judgement, value);
            }
            (OutKind::Probe, Heard::Probe { lag }) => {
                let told = self.told(claim.run, &step, lag);
                self.says(|| format!("{claim} hears from the probe of {step}: {told:?}"));
                let drive = self.drive(claim);
                drive.told.retain(|(other, ..)| *other != step);
                drive.told.push((step, made.attempt, told));
            }
            _ => self.broken("simulation", "an answer to another question".to_owned()),
        }
        self.think(claim);
    }

    /// An effect with a verify probe is done when the probe says so, not when the target says so.
    fn confirm(&mut self, act: &Act, judgement: Judgement, told: Told) -> Judgement {
        match told {
            Told::Done { .. } => {
                self.reach(Seen::Confirmed);
                judgement
            }
            Told::NotShown { finding } => {
                self.reach(Seen::NotConfirmed);
                match act.effect == Effect::Once {
                    true => Judgement::Unknown { reason: finding },
                    false => judge(
                        act,
                        &Value::Null,
                        Err(muster::domain::action::Failure::new(
                            muster::domain::action::FailureClass::Lost,
                            finding,
                        )),
                    ),
                }
            }
        }
    }

    fn conclude(&mut self, claim: Claim, step: &StepId, made: Try, judgement: Judgement, value: u64) {
        let shelf = self.shelf[self.db.runs[claim.run].version].clone();
        let retry = &shelf.runbook.step(step).unwrap().retry;
        let now = time(self.workers[claim.process.worker].estimate(self.now));
        let jitter = self.dice.share();
        let conclusion = conclude(step, made, retry, judgement, now, jitter);
        let finding = conclusion.result.as_ref().map(|_| value);
        self.drive(claim).ended.push(Ended {
            step: step.clone(),
            attempt: made.attempt,
            conclusion,
            finding,
        });
    }

    /// Something woke the worker of a run.
    pub fn nudged(&mut self, claim: Claim, has_news: bool) {
        if self.is_driven(claim) {
            let drive = self.drive(claim);
            drive.has_news |= has_news;
            self.think(claim);
        }
    }

    /// Another run holds a lock: the run says so once and looks again later.
    pub fn wait_for_lock(&mut self, claim: Claim, lock: usize, holder: usize) {
        let estimate = self.workers[claim.process.worker].estimate(self.now);
        let drive = self.drive(claim);
        let memory = drive.memory.as_ref().unwrap();
        let acts = Some(memory.acts);
        let mut writes = Vec::new();
        if let Some(reason) = &memory.state.stop_requested {
            let reason = reason.clone();
            let result = muster::domain::run::RunResult::Stopped;
            return self.turn(
                claim,
                acts,
                vec![Write::Finish { result, reason }],
                Vec::new(),
                Vec::new(),
            );
        }
        if memory.state.lock_awaited.is_none() {
            writes.push(Write::Tell(RunFact::LockAwaited {
                lock: format!("lock-{lock}"),
                holder: format!("run {holder}"),
            }));
        }
        writes.push(Write::LetGo {
            due: estimate + LOCK_POLL,
        });
        self.turn(claim, acts, writes, Vec::new(), Vec::new());
    }
}

/// What a probe settles, as a write.
pub fn settle(step: &StepId, made: Try, told: Told) -> Write {
    let conclusion = settled(step, made, told);
    Write::Conclude {
        step: step.clone(),
        attempt: made.attempt,
        end: conclusion.end,
        finding: (conclusion.end == AttemptEnd::Succeeded).then_some(u64::MAX),
        fact: conclusion.fact,
    }
}
