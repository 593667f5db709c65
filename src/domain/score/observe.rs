//! What people did, read off the timelines of a drill's incidents.

use std::collections::BTreeMap;

use crate::domain::{
    approval::Verdict,
    event::{Event, IncidentFact, Recorded},
    id::RunId,
    operator::Actor,
    run::RunFact,
    scenario::Deed,
    simulation::{GateWord, StepWord, Told},
};

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// An incident was opened.
    Opened,
    /// A person did this.
    Deed(Deed),
    /// An expected kind of milestone of the incident: the harm is over, whoever said so.
    Mitigated,
    /// It is over, whoever said so.
    Resolved,
    /// It was over by itself: its alerts had ended, and nobody was needed to say so.
    Recovered,
    /// A gate asks.
    GateOpened(String),
    /// It has its answer, or nobody gave one.
    GateClosed(String, GateWord),
    /// A step stands like this.
    Step(String, StepWord),
    /// Nobody knows what became of a step.
    Unknown(String),
    /// Somebody or something knows.
    Settled(String),
}

/// What was seen, with the time of the event.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// When.
    pub at: chrono::DateTime<chrono::Utc>,
    /// What.
    pub seen: Seen,
}

/// Reads timelines, in the order of their events.
pub fn observe<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Vec<Observed> {
    let mut runbooks: BTreeMap<RunId, String> = BTreeMap::new();
    let mut seen = Vec::new();
    for event in events {
        let is_person = matches!(event.actor, Actor::Person { .. });
        let mut see = |one: Seen| {
            seen.push(Observed {
                at: event.recorded_at,
                seen: one,
            });
        };
        match &event.event {
            Event::Incident(fact) => of_incident(fact, is_person, &mut see),
            Event::Run(run, fact) => {
                if let RunFact::RunStarted { runbook, .. } = fact {
                    runbooks.insert(*run, runbook.clone());
                }
                let runbook = runbooks.get(run).map_or("", String::as_str);
                of_run(fact, runbook, is_person, &mut see);
            }
        }
    }
    seen
}

fn of_incident(fact: &IncidentFact, is_person: bool, see: &mut impl FnMut(Seen)) {
    match fact {
        IncidentFact::Opened { .. } => see(Seen::Opened),
        IncidentFact::Acknowledged => see(Seen::Deed(Deed::Acknowledge)),
        IncidentFact::Note { .. } | IncidentFact::UpdatePosted { .. } if is_person => {
            see(Seen::Deed(Deed::Update));
        }
        IncidentFact::SeverityChanged { to, .. } if is_person => see(Seen::Deed(Deed::Severity(*to))),
        IncidentFact::Mitigated { .. } => {
            if is_person {
                see(Seen::Deed(Deed::Mitigate));
            }
            see(Seen::Mitigated);
        }
        IncidentFact::Resolved { .. } => {
            see(Seen::Deed(Deed::Resolve));
            see(Seen::Resolved);
        }
        IncidentFact::Recovered { .. } => {
            see(Seen::Recovered);
            see(Seen::Resolved);
        }
        _ => {}
    }
}

fn of_run(fact: &RunFact, runbook: &str, is_person: bool, see: &mut impl FnMut(Seen)) {
    let decided = |step: &str, verdict| {
        Seen::Deed(Deed::Decide {
            gate: step.to_owned(),
            verdict,
        })
    };
    match fact {
        RunFact::RunStarted { runbook, .. } if is_person => see(Seen::Deed(Deed::Start {
            runbook: runbook.clone(),
        })),
        RunFact::GateOpened { step, .. } => see(Seen::GateOpened(step.0.clone())),
        RunFact::GateApproved { step, .. } | RunFact::GateBroken { step, .. } => {
            see(decided(&step.0, Verdict::Approve));
            see(Seen::GateClosed(step.0.clone(), GateWord::Approved));
        }
        RunFact::GateRejected { step, .. } => {
            see(decided(&step.0, Verdict::Reject));
            see(Seen::GateClosed(step.0.clone(), GateWord::Rejected));
        }
        RunFact::GateExpired { step, .. } => {
            see(Seen::GateClosed(step.0.clone(), GateWord::Expired));
        }
        RunFact::ManualDone { step, .. } => {
            see(Seen::Deed(Deed::Manual { step: step.0.clone() }));
            see(Seen::Step(step.0.clone(), StepWord::Succeeded));
        }
        RunFact::OutcomeUnknown { step, .. } => {
            see(Seen::Unknown(step.0.clone()));
            see(Seen::Step(step.0.clone(), StepWord::Unknown));
        }
        RunFact::UnknownDecided { step, choice, .. } => {
            see(Seen::Deed(Deed::Settle {
                step: step.0.clone(),
                choice: *choice,
            }));
            see(Seen::Settled(step.0.clone()));
        }
        RunFact::StepStarted { step, .. } => see(Seen::Step(step.0.clone(), StepWord::Running)),
        RunFact::StepSucceeded { step, .. } | RunFact::StepSatisfied { step, .. } => {
            see(Seen::Settled(step.0.clone()));
            see(Seen::Step(step.0.clone(), StepWord::Succeeded));
        }
        RunFact::StepFailed {
            step, retry_at: None, ..
        } => see(Seen::Step(step.0.clone(), StepWord::Failed)),
        RunFact::StepSkipped { step, .. } => see(Seen::Step(step.0.clone(), StepWord::Skipped)),
        RunFact::StopRequested { .. } if is_person => see(Seen::Deed(Deed::Stop {
            runbook: runbook.to_owned(),
        })),
        _ => {}
    }
}

/// What conditions may ask, after all that was seen. Steps and gates that have not come up yet are those of the runbooks.
pub fn take_in(told: &mut Told, seen: &Seen) {
    match seen {
        Seen::Opened => told.open = true,
        Seen::Deed(Deed::Acknowledge) => told.acknowledged = true,
        Seen::Mitigated => told.mitigated = true,
        Seen::Resolved => told.resolved = true,
        Seen::GateOpened(step) => _ = told.gates.insert(step.clone(), GateWord::Open),
        Seen::GateClosed(step, word) => _ = told.gates.insert(step.clone(), *word),
        Seen::Step(step, word) => _ = told.steps.insert(step.clone(), *word),
        Seen::Deed(_) | Seen::Recovered | Seen::Unknown(_) | Seen::Settled(_) => {}
    }
}
