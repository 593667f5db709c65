//! The times of an incident and what the time between them was spent on. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{
    domain::{
        event::{Event, Recorded},
        run::RunFact,
    },
    store::incidents::Incident,
};

/// The moments an incident is measured by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Times {
    /// Earliest start of its alerts, by the senders.
    pub detected_at: DateTime<Utc>,
    /// When Muster opened it.
    pub opened_at: DateTime<Utc>,
    /// When a person took it.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// When the harm had stopped.
    pub mitigated_at: Option<DateTime<Utc>>,
    /// When the last alert ended, by the senders; when a person resolved it otherwise.
    pub resolved_at: Option<DateTime<Utc>>,
    /// What the time until it was mitigated was spent on.
    pub waits: Waits,
}

/// What time was spent on, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// From the first alert to the open incident: the sender's own waits.
    pub reporting_ms: i64,
    /// Steps at work.
    pub working_ms: i64,
    /// Gates and manual steps that waited for a person.
    pub people_ms: i64,
    /// Outcomes nobody knew.
    pub unknown_ms: i64,
}

/// Never below zero: the clocks of senders are theirs.
fn span_ms(from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
    (to - from).max(TimeDelta::zero()).num_milliseconds()
}

/// Measures an incident from its row and its timeline, in order.
pub fn measure(incident: &Incident, timeline: &[Recorded]) -> Times {
    let mut waits = Waits {
        reporting_ms: span_ms(incident.detected_at, incident.opened_at),
        ..Waits::default()
    };
    let mut open: Vec<(String, DateTime<Utc>, Activity)> = Vec::new();
    for recorded in timeline {
        let Event::Run(run, fact) = &recorded.event else {
            continue;
        };
        let Some(step) = fact.step() else { continue };
        let name = format!("{run}/{step}");
        let at = recorded.recorded_at;
        let next = match fact {
            RunFact::StepStarted { .. } => Some(Activity::Working),
            RunFact::GateOpened { .. } | RunFact::ManualAsked { .. } => Some(Activity::People),
            RunFact::OutcomeUnknown { .. } => Some(Activity::Unknown),
            // These say more about what is going on without ending it.
            RunFact::GateApproval { .. } | RunFact::ProbeInconclusive { .. } => continue,
            _ => None,
        };
        if let Some(position) = open.iter().position(|(open, _, _)| *open == name) {
            let (_, since, activity) = open.swap_remove(position);
            let spent = match activity {
                Activity::Working => &mut waits.working_ms,
                Activity::People => &mut waits.people_ms,
                Activity::Unknown => &mut waits.unknown_ms,
            };
            *spent += span_ms(since, at);
        }
        open.extend(next.map(|activity| (name, at, activity)));
    }
    Times {
        detected_at: incident.detected_at,
        opened_at: incident.opened_at,
        acknowledged_at: incident.acknowledged_at,
        mitigated_at: incident.mitigated_at,
        resolved_at: incident
            .resolved_at
            .map(|resolved_at| incident.recovered_at.unwrap_or(resolved_at)),
        waits,
    }
}

#[derive(Clone, Copy)]
enum Activity {
    Working,
    People,
    Unknown,
}
