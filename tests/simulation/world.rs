//! The world outside: targets that do what they are sent, refuse it, are down, lose the answer or the question, or do
//! it long after everybody stopped waiting; probes that tell the truth, lag behind, or cannot be asked. A witness at
//! the targets counts what really happened.

use std::collections::BTreeMap;

use muster::domain::{
    action::{Failure, FailureClass, Outcome},
    id::StepId,
    judge::Told,
    step::Effect,
};
use serde_json::json;

use crate::{
    agenda::{Claim, Event, Heard, Ms},
    reach::Seen,
    schedule::Schedule,
};

/// One request on its way out.
#[derive(Debug)]
pub struct Sending {
    pub claim: Claim,
    pub step: StepId,
    pub key: String,
    pub attempt: u32,
    pub permit: u32,
    pub effect: Effect,
    /// When it left.
    pub sent: Ms,
    pub fate: Fate,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done, and the answer says so.
    Done,
    /// The target answers that it does not do it.
    Refused,
    /// There is no connection; nothing was sent.
    Down,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It never arrives, and nobody says so.
    Lost,
    /// It arrives when nobody waits for it any more.
    Late,
}

/// What the witness saw of one step of one run.
#[derive(Debug, Default)]
pub struct Witnessed {
    /// When the effect happened.
    pub effects: Vec<Ms>,
    /// Under which permit, if the effect may not be repeated.
    permits: Vec<u32>,
}

/// The targets and their witness.
#[derive(Default)]
pub struct World {
    pub sendings: Vec<Sending>,
    pub witnessed: BTreeMap<(usize, StepId), Witnessed>,
    /// The highest fence each run has shown to any target.
    fences: BTreeMap<usize, i64>,
}

impl World {
    /// Whether the effect of a step was there at a time.
    pub fn shows(&self, run: usize, step: &StepId, at: Ms) -> bool {
        self.witnessed
            .get(&(run, step.clone()))
            .is_some_and(|witnessed| witnessed.effects.iter().any(|when| *when <= at))
    }
}

impl Schedule {
    /// Sends a request out and plans what becomes of it.
    pub fn send(&mut self, sending: Sending, out: u32, timeout: Ms) {
        let claim = sending.claim;
        let fate = sending.fate;
        let is_check = sending.effect == Effect::Safe;
        self.says(|| {
            format!(
                "{} sends {} #{} key {} fence {}: {fate:?}",
                claim, sending.step, sending.attempt, sending.key, claim.fence
            )
        });
        if fate != Fate::Down {
            self.may_send(&sending);
        }
        let at = self.world.sendings.len();
        self.world.sendings.push(sending);
        let (there, back) = (self.dice.delay(1500), self.dice.delay(1500));
        self.reach(match fate {
            Fate::Done => Seen::TargetDid,
            Fate::Refused => Seen::TargetRefused,
            Fate::Down => Seen::TargetDown,
            Fate::AnswerLost => Seen::AnswerLost,
            Fate::Lost => Seen::RequestLost,
            Fate::Late => Seen::EffectLate,
        });
        let arrives = match fate {
            Fate::Down | Fate::Lost => None,
            Fate::Late => Some(timeout + self.dice.delay(30_000)),
            _ => Some(there),
        };
        if let Some(arrives) = arrives {
            self.agenda.add(self.now + arrives, Event::Arrive { sending: at });
        }
        let answered = match fate {
            // Some answers are slow, and some outlive the lease of the sender.
            Fate::Done | Fate::Refused if self.dice.chance(15) => there + self.dice.delay(timeout),
            Fate::Done | Fate::Refused => there + back,
            Fate::Down => there,
            _ => timeout,
        };
        let lost = |message: &str| Err(Failure::new(FailureClass::Lost, message));
        let value = at as u64 + 1;
        let answer = match fate {
            _ if answered > timeout => lost("no answer in time"),
            Fate::Done => Ok(Outcome {
                result: json!({"ok": true, "value": value}),
                summary: String::new(),
            }),
            Fate::Refused => Err(Failure::new(FailureClass::Refused, "refused")),
            Fate::Down => Err(Failure::new(FailureClass::NotSent, "connection refused")),
            Fate::AnswerLost | Fate::Lost | Fate::Late => lost("no answer"),
        };
        if answered > 10_000 && !is_check {
            self.reach(Seen::AnswerAfterALease);
        }
        let heard = Heard::Target { answer, value };
        let heard = Event::Heard { claim, out, heard };
        self.agenda.add(self.now + answered.min(timeout), heard);
    }

    /// What the schedule has in mind for a request.
    pub fn fate(&mut self) -> Fate {
        if !self.dice.chance(self.mood.losses) {
            return Fate::Done;
        }
        match self.dice.weighted(&[20, 20, 25, 20, 15]) {
            0 => Fate::Refused,
            1 => Fate::Down,
            2 => Fate::AnswerLost,
            3 => Fate::Lost,
            _ => Fate::Late,
        }
    }

    /// A request reaches its target.
    pub fn arrive(&mut self, at: usize) {
        let sending = &self.world.sendings[at];
        if sending.fate == Fate::Refused || sending.effect == Effect::Safe {
            return;
        }
        let (run, step) = (sending.claim.run, sending.step.clone());
        let newest = self.world.fences.entry(run).or_default();
        let is_stale = sending.claim.fence < *newest;
        *newest = (*newest).max(sending.claim.fence);
        let witnessed = self.world.witnessed.entry((run, step.clone())).or_default();
        witnessed.effects.push(self.now);
        let is_repeated = sending.effect == Effect::Once && witnessed.permits.contains(&sending.permit);
        witnessed.permits.push(sending.permit);
        let permit = sending.permit;
        self.says(|| format!("the target does {step} of run {run}"));
        if is_repeated {
            self.broken(
                "P4",
                format!("{step} of run {run} was done twice under permit {permit}"),
            );
        }
        if is_stale {
            self.reach(Seen::StaleFenceAtTarget);
            self.stale_arrival(at);
        }
    }

    /// Asks a probe and plans its answer.
    pub fn probe(&mut self, claim: Claim, out: u32) {
        let lag = match self.dice.chance(self.mood.losses) {
            false => Some(0),
            true if self.dice.chance(50) => {
                self.reach(Seen::ProbeDown);
                None
            }
            true => {
                self.reach(Seen::ProbeLags);
                Some(self.dice.delay(20_000))
            }
        };
        let after = self.dice.delay(3000);
        let heard = Heard::Probe { lag };
        self.agenda
            .add(self.now + after, Event::Heard { claim, out, heard });
    }

    /// What a probe of a step says.
    pub fn told(&self, run: usize, step: &StepId, lag: Option<Ms>) -> Told {
        let Some(lag) = lag else {
            return Told::NotShown {
                finding: "connection refused".to_owned(),
            };
        };
        match self.world.shows(run, step, self.now - lag) {
            true => Told::Done {
                summary: "it is there".to_owned(),
            },
            false => Told::NotShown {
                finding: "it is not there".to_owned(),
            },
        }
    }
}
