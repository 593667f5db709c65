//! People: they look at a run, think, and act on what they saw, which may not be true any more.

use muster::domain::{
    digest::Digest,
    id::{ApprovalId, StepId},
    run::UnknownChoice,
    state::StepState,
};

use crate::{agenda::Event, schedule::Schedule};

/// How many people there are; a gate may want two.
pub const PEOPLE: usize = 3;

/// What a person has made up their mind to do.
#[derive(Clone, Debug)]
pub struct Deed {
    pub run: usize,
    pub what: What,
}

/// Everything people can do to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// `digest` is the one of what they saw.
    Approve {
        approval: ApprovalId,
        digest: Digest,
    },
    Reject {
        approval: ApprovalId,
        digest: Digest,
    },
    BreakOpen {
        approval: ApprovalId,
    },
    Withdraw {
        approval: ApprovalId,
    },
    SendBack {
        approval: ApprovalId,
    },
    Pause,
    GoOn,
    Stop {
        undo: bool,
    },
    Skip {
        step: StepId,
    },
    Decide {
        step: StepId,
        choice: UnknownChoice,
    },
    SayDone {
        step: StepId,
    },
}

impl Schedule {
    /// A person looks at a run and makes up their mind.
    pub fn look(&mut self, person: usize) {
        let live: Vec<usize> = (0..self.db.runs.len())
            .filter(|run| self.db.runs[*run].queue.is_some())
            .collect();
        if live.is_empty() {
            return;
        }
        let run = self.dice.one_of(&live);
        let what = match self.is_calm {
            true => self.kind_deed(run, person),
            false => self.any_deed(run),
        };
        let (thinks, rests) = match self.is_calm {
            true if what.is_none() => (1, 20_000),
            true => (200, 1500),
            false => (15_000, self.mood.people_rest),
        };
        if let Some(what) = what {
            let after = self.dice.delay(thinks);
            let deed = Deed { run, what };
            // Two of them have the same idea now and then.
            if !self.is_calm && self.dice.chance(10) {
                let (other, deed) = ((person + 1) % PEOPLE, deed.clone());
                let after = self.dice.delay(thinks);
                self.agenda
                    .add(self.now + after, Event::Act { person: other, deed });
            }
            self.agenda.add(self.now + after, Event::Act { person, deed });
        }
        let after = self.dice.between(rests / 2, rests);
        self.agenda.add(self.now + after, Event::Look { person });
    }

    /// Anything that the page offers, the helpful more often than the rest.
    fn any_deed(&mut self, run: usize) -> Option<What> {
        let meddles = self.dice.chance(self.mood.meddling);
        let row = &self.db.runs[run];
        let state = &row.state;
        let mut offers: Vec<(u32, What)> = Vec::new();
        for (step, stand) in &state.steps {
            match stand {
                StepState::GateOpen { approval, .. } => {
                    let (approval, digest) = (*approval, self.db.approvals[approval.0 as usize].digest);
                    offers.push((20, What::Approve { approval, digest }));
                    if meddles {
                        offers.push((4, What::Reject { approval, digest }));
                        offers.push((8, What::BreakOpen { approval }));
                        offers.push((4, What::Withdraw { approval }));
                        offers.push((5, What::SendBack { approval }));
                    }
                }
                StepState::Approved { approval, .. } if meddles => {
                    offers.push((8, What::Withdraw { approval: *approval }));
                }
                StepState::ManualOpen { .. } => offers.push((15, What::SayDone { step: step.clone() })),
                StepState::Unknown { .. } => {
                    for choice in UnknownChoice::ALL {
                        offers.push((
                            6,
                            What::Decide {
                                step: step.clone(),
                                choice,
                            },
                        ));
                    }
                }
                _ => {}
            }
            let may_skip = matches!(
                stand,
                StepState::Ready { .. }
                    | StepState::RetryAt { .. }
                    | StepState::ManualOpen { .. }
                    | StepState::Waiting { .. }
            );
            if meddles && may_skip {
                offers.push((3, What::Skip { step: step.clone() }));
            }
        }
        if state.paused.is_some() {
            offers.push((12, What::GoOn));
        }
        if meddles {
            let made = &self.shelf[row.version];
            offers.push((4, What::Pause));
            offers.push((2, What::Stop { undo: false }));
            offers.push((3, What::Stop { undo: true }));
            let steps: Vec<&StepId> = made.runbook.all_steps().map(|step| &step.id).collect();
            let step = steps[self.dice.below(steps.len())].clone();
            offers.push((3, What::Skip { step }));
        }
        if offers.is_empty() {
            return None;
        }
        let weights: Vec<u32> = offers.iter().map(|(weight, _)| *weight).collect();
        let at = self.dice.weighted(&weights);
        Some(offers.swap_remove(at).1)
    }

    /// What somebody does who wants the run to come to its end.
    fn kind_deed(&mut self, run: usize, person: usize) -> Option<What> {
        let state = &self.db.runs[run].state;
        if state.paused.is_some() {
            return Some(What::GoOn);
        }
        let mut offers = Vec::new();
        for (step, stand) in &state.steps {
            let step = step.clone();
            match stand {
                StepState::GateOpen { approval, .. } => {
                    let row = &self.db.approvals[approval.0 as usize];
                    if !row.votes.contains(&person) {
                        offers.push(What::Approve {
                            approval: *approval,
                            digest: row.digest,
                        });
                    }
                }
                StepState::ManualOpen { .. } => offers.push(What::SayDone { step }),
                StepState::Unknown { .. } => offers.push(What::Decide {
                    step,
                    choice: UnknownChoice::MarkDone,
                }),
                _ => {}
            }
        }
        match offers.len() {
            0 => None,
            count => Some(offers.swap_remove(self.dice.below(count))),
        }
    }
}
