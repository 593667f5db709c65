//! What a worker makes of the moves of a plan: facts and rows for its next turn, attempts to begin, probes to ask.

use std::rc::Rc;

use chrono::TimeDelta;
use muster::domain::{
    approval::ApprovalState,
    attempt::{AttemptEnd, idempotency_key, unusable},
    id::{ApprovalId, RunId, StepId},
    judge::Told,
    plan::{self, Move},
    run::RunFact,
    state::Try,
    step::{Effect, StepKind},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    agenda::{Claim, Ms, time},
    bound,
    drive::{Memory, settle},
    reach::Seen,
    runbooks::{Listing, Made},
    schedule::Schedule,
    trace::brief,
    turn::{Begin, Write},
};

/// One plan being carried out, on a copy of what the worker knows.
pub struct Hands {
    pub claim: Claim,
    made: Rc<Made>,
    /// What the worker takes the database's clock to show.
    estimate: Ms,
    pub memory: Memory,
    pub writes: Vec<Write>,
    pub begins: Vec<Begin>,
    pub probes: Vec<(StepId, Try)>,
    /// An approval that the plan stands on is not good any more: only this is written, and the plan made anew.
    pub closes: Option<Write>,
}

impl Hands {
    pub fn new(claim: Claim, made: Rc<Made>, estimate: Ms, memory: Memory, writes: Vec<Write>) -> Self {
        Self {
            claim,
            made,
            estimate,
            memory,
            writes,
            begins: Vec::new(),
            probes: Vec::new(),
            closes: None,
        }
    }
}

impl Schedule {
    /// Carries one move out.
    pub fn carry_out(&mut self, hands: &mut Hands, one: Move) {
        let now = time(hands.estimate);
        match one {
            Move::Act { step, next, gate } => self.act(hands, step, next, gate),
            Move::ListItems { step } => {
                let nature = hands.made.nature(&step);
                if !nature.applies {
                    return self.skip(hands, step);
                }
                let value = match nature.list {
                    Listing::Items(count) => Value::Array((0..count).map(Value::from).collect()),
                    Listing::NotAList => Value::from("a text"),
                };
                let found = hands.made.runbook.step(&step).unwrap();
                let max = found.for_each.as_ref().unwrap().max;
                let fact = match plan::items(value, max) {
                    Ok(items) => RunFact::ItemsListed { step, items },
                    Err(problem) => unusable(step, Try::FIRST, problem),
                };
                self.put(hands, Write::Tell(fact));
            }
            Move::Refuse { step, next, reason } => {
                self.put(hands, Write::Tell(unusable(step, next, reason)));
            }
            Move::PassOver { step, reason } => {
                self.put(hands, Write::Tell(RunFact::StepSkipped { step, reason }));
            }
            Move::Interrupted { step, made, effect } => {
                let cut_off = hands
                    .memory
                    .state
                    .interruptions
                    .get(&step)
                    .copied()
                    .unwrap_or_default();
                let conclusion = (self.rules.interrupted)(&step, made, effect, cut_off);
                if effect != Effect::Once && conclusion.end == AttemptEnd::Unknown {
                    self.reach(Seen::CutOffTooOften);
                }
                let write = Write::Conclude {
                    step,
                    attempt: made.attempt,
                    end: conclusion.end,
                    finding: None,
                    fact: conclusion.fact,
                };
                self.put(hands, write);
            }
            Move::Settle { step, made } => match self.take_told(hands.claim, &step, made.attempt) {
                Some(told) => self.put(hands, settle(&step, made, told)),
                None => hands.probes.push((step, made)),
            },
            Move::OpenGate { step } => self.open_gate(hands, step),
            Move::ExpireGate {
                step,
                approval,
                unused,
            } => {
                let from = if unused {
                    ApprovalState::Approved
                } else {
                    ApprovalState::Pending
                };
                let fact = RunFact::GateExpired {
                    step,
                    approval,
                    unused,
                };
                self.close(hands, approval, from, ApprovalState::Expired, fact);
            }
            Move::AskManual { step } => {
                if !hands.made.nature(&step).applies {
                    return self.skip(hands, step);
                }
                let StepKind::Manual { within, .. } = &hands.made.runbook.step(&step).unwrap().kind else {
                    return self.broken("core", format!("{step} is not a manual step"));
                };
                let fact = RunFact::ManualAsked {
                    step: step.clone(),
                    instruction: String::new(),
                    due: within.map(|within| now + within.as_delta()),
                };
                self.put(hands, Write::Tell(fact));
            }
            Move::ManualOverdue { step } => self.put(hands, Write::Tell(RunFact::ManualOverdue { step })),
            Move::BeginWait { step } => {
                if !hands.made.nature(&step).applies {
                    return self.skip(hands, step);
                }
                let StepKind::Wait { length } = &hands.made.runbook.step(&step).unwrap().kind else {
                    return self.broken("core", format!("{step} is not a wait"));
                };
                let until = now + length.as_delta();
                self.put(hands, Write::Tell(RunFact::WaitBegan { step, until }));
            }
            Move::EndWait { step } => self.put(hands, Write::Tell(RunFact::WaitOver { step })),
            Move::End { result, reason, undo } => {
                self.put(hands, Write::Tell(RunFact::RunEnding { result, reason, undo }));
            }
            Move::Finish { result, reason } => {
                hands.writes.push(Write::Finish { result, reason });
            }
        }
    }

    /// Puts a write into the turn, on top of what is in it already.
    fn put(&mut self, hands: &mut Hands, write: Write) {
        let fact = match &write {
            Write::Tell(fact) | Write::Conclude { fact, .. } | Write::MoveApproval { fact, .. } => {
                Some(fact.clone())
            }
            Write::Begin(begin) => Some(begin.fact(hands.claim.fence)),
            _ => None,
        };
        if let Some(fact) = fact
            && let Err(illegal) = hands.memory.state.apply(time(hands.estimate), &fact)
        {
            return self.broken(
                "core",
                format!(
                    "one plan holds moves that cannot be made together: {} after {illegal}",
                    brief(&fact)
                ),
            );
        }
        if let Write::Conclude {
            step,
            finding: Some(finding),
            ..
        } = &write
        {
            hands.memory.findings.insert(step.clone(), *finding);
        }
        hands.writes.push(write);
    }

    fn skip(&mut self, hands: &mut Hands, step: StepId) {
        let reason = "its condition does not hold".to_owned();
        self.put(hands, Write::Tell(RunFact::StepSkipped { step, reason }));
    }

    /// One attempt, from its condition to its intent.
    fn act(&mut self, hands: &mut Hands, step: StepId, next: Try, gate: Option<(StepId, ApprovalId)>) {
        let made = hands.made.clone();
        let nature = made.nature(&step);
        if !nature.applies && step.undone().is_none() {
            return self.skip(hands, step);
        }
        let Some(act) = made.runbook.find(&step).and_then(|found| found.act) else {
            return self.broken("core", format!("{step} does not act"));
        };
        if !nature.renders {
            let problem = "undefined value".to_owned();
            return self.put(hands, Write::Tell(unusable(step, next, problem)));
        }
        if act.effect != Effect::Safe && act.verify.is_some() {
            match self.take_told(hands.claim, &step, next.attempt) {
                None => return hands.probes.push((step, next)),
                Some(Told::Done { summary }) => {
                    return self.put(hands, Write::Tell(RunFact::StepSatisfied { step, summary }));
                }
                Some(Told::NotShown { .. }) => {}
            }
        }
        let config = self.workers[hands.claim.process.worker].config;
        if let Some((gate, approval)) = &gate
            && !self.still_allows(hands, gate, *approval, &config)
        {
            return;
        }
        let target = ["t0", "t1", "t2"][nature.target];
        let run = RunId(hands.claim.run as i64);
        let version = match self.rules.pins_version {
            true => self.db.runs[hands.claim.run].version,
            false => self.shelf.len() - 1,
        };
        let begin = Begin {
            key: idempotency_key(Uuid::nil(), run, &step, target, next.generation),
            step,
            made: next,
            effect: act.effect,
            gate,
            config,
            version,
        };
        hands.begins.push(begin.clone());
        self.put(hands, Write::Begin(begin));
    }

    /// Whether an approval still covers what is about to be sent; if not, the plan ends with closing it.
    fn still_allows(
        &mut self,
        hands: &mut Hands,
        gate: &StepId,
        approval: ApprovalId,
        config: &bound::Config,
    ) -> bool {
        let row = &self.db.approvals[approval.0 as usize];
        if row.use_by <= hands.estimate && self.rules.checks_use_by {
            let fact = RunFact::GateExpired {
                step: gate.clone(),
                approval,
                unused: true,
            };
            hands.closes = Some(Write::MoveApproval {
                approval,
                from: ApprovalState::Approved,
                to: ApprovalState::Expired,
                fact,
            });
            return false;
        }
        let digest = self.db.approvals[approval.0 as usize].digest;
        if self.rules.compares_digest && self.digest(hands, gate, config) != digest {
            self.reach(Seen::DigestChanged);
            let fact = RunFact::GateVoided {
                step: gate.clone(),
                approval,
                why: "something has changed since".to_owned(),
            };
            hands.closes = Some(Write::MoveApproval {
                approval,
                from: ApprovalState::Approved,
                to: ApprovalState::Void,
                fact,
            });
            return false;
        }
        true
    }

    fn digest(&self, hands: &Hands, gate: &StepId, config: &bound::Config) -> muster::domain::digest::Digest {
        let version = self.db.runs[hands.claim.run].version;
        let memory = &hands.memory;
        bound::digest(
            &hands.made,
            version,
            gate,
            config,
            &memory.findings,
            &memory.state.done,
        )
    }

    fn close(
        &mut self,
        hands: &mut Hands,
        approval: ApprovalId,
        from: ApprovalState,
        to: ApprovalState,
        fact: RunFact,
    ) {
        let write = Write::MoveApproval {
            approval,
            from,
            to,
            fact,
        };
        self.put(hands, write);
    }

    fn open_gate(&mut self, hands: &mut Hands, step: StepId) {
        let made = hands.made.clone();
        let StepKind::Gate(rule) = &made.runbook.step(&step).unwrap().kind else {
            return self.broken("core", format!("{step} is not a gate"));
        };
        if !made.nature(&step).renders {
            let problem = "undefined value".to_owned();
            return self.put(hands, Write::Tell(unusable(step, Try::FIRST, problem)));
        }
        let config = self.workers[hands.claim.process.worker].config;
        let digest = self.digest(hands, &step, &config);
        let decide_by = time(hands.estimate) + TimeDelta::milliseconds(rule.decide_within.as_millis() as i64);
        hands.writes.push(Write::OpenGate {
            step,
            digest,
            decide_by,
            needed: rule.approvals,
        });
    }

    /// What a probe said about this attempt, once.
    fn take_told(&mut self, claim: Claim, step: &StepId, attempt: u32) -> Option<Told> {
        let drives = &mut self.workers[claim.process.worker].drives;
        let drive = drives.iter_mut().find(|drive| drive.claim == claim)?;
        let at = drive
            .told
            .iter()
            .position(|(id, made, _)| id == step && *made == attempt)?;
        Some(drive.told.remove(at).2)
    }
}
