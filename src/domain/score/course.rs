//! The course of a drill: its log and what was seen of its incidents, in one order, with the world and what had been
//! told at each moment. Directing a drill and judging it go by the same course.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::observe::{Observed, Seen, take_in};
use crate::domain::{
    drill::{DrillFact, Logged},
    scenario::Scenario,
    simulation::{Rules, Simulation, Told, WorldFault},
    span::Span,
};

/// One thing of a course.
#[derive(Clone, Debug, PartialEq)]
pub enum Moment {
    /// Of the drill.
    Drill(DrillFact),
    /// Of an incident.
    Seen(Seen),
}

/// A drill, step by step.
#[derive(Clone, Debug)]
pub struct Course {
    /// The world at the moment.
    pub world: Simulation,
    /// What had been told.
    pub told: Told,
    moments: std::vec::IntoIter<(Span, Moment)>,
}

impl Course {
    /// From the beginning. `steps` are the steps of the drill's runbooks, `gates` those that are gates.
    pub fn begin(
        rules: Arc<Rules>,
        seed: u64,
        told: Told,
        log: &[Logged],
        observed: &[Observed],
    ) -> Result<Self, WorldFault> {
        let pauses = pauses(log);
        let mut moments: Vec<(Span, u8, Moment)> = log
            .iter()
            .map(|logged| (logged.age, 0, Moment::Drill(logged.fact.clone())))
            .collect();
        if let Some(started_at) = log.first().map(|first| first.at) {
            let of_incidents = observed.iter().map(|one| {
                let age = age_of(one.at, started_at, &pauses);
                (age, 1, Moment::Seen(one.seen.clone()))
            });
            moments.extend(of_incidents);
        }
        // The world changes before people see it; what came at the same time keeps its order.
        moments.sort_by_key(|(age, rank, _)| (*age, *rank));
        let moments: Vec<(Span, Moment)> = moments
            .into_iter()
            .map(|(age, _, moment)| (age, moment))
            .collect();
        Ok(Self {
            world: Simulation::begin(rules, seed)?,
            told,
            moments: moments.into_iter(),
        })
    }

    /// The next moment, with the world and what is told brought up to it. `None` after the last.
    pub fn step(&mut self) -> Result<Option<(Span, Moment)>, WorldFault> {
        let Some((age, moment)) = self.moments.next() else {
            return Ok(None);
        };
        self.world.advance(age)?;
        match &moment {
            Moment::Drill(fact) => {
                self.world.apply(fact.changes())?;
                if let DrillFact::InjectSent { inject, .. } = fact {
                    self.told.injects.insert(inject.clone(), true);
                }
            }
            Moment::Seen(seen) => take_in(&mut self.told, seen),
        }
        Ok(Some((age, moment)))
    }

    /// All that is left.
    pub fn finish(&mut self) -> Result<(), WorldFault> {
        while self.step()?.is_some() {}
        Ok(())
    }
}

/// What has been told when nothing has happened yet: every step waits, no gate has asked, no inject has happened.
pub fn nothing_told<'a>(
    scenario: &Scenario,
    steps: impl IntoIterator<Item = &'a str>,
    gates: impl IntoIterator<Item = &'a str>,
) -> Told {
    Told {
        gates: gates
            .into_iter()
            .map(|gate| (gate.to_owned(), Default::default()))
            .collect(),
        steps: steps
            .into_iter()
            .map(|step| (step.to_owned(), Default::default()))
            .collect(),
        injects: scenario
            .injects
            .iter()
            .map(|inject| (inject.id.clone(), false))
            .collect(),
        ..Told::default()
    }
}

/// From when until when the drill stood still.
fn pauses(log: &[Logged]) -> Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> {
    let mut pauses: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> = Vec::new();
    for logged in log {
        match &logged.fact {
            DrillFact::Paused { .. } => pauses.push((logged.at, None)),
            DrillFact::Resumed | DrillFact::Ended { .. } => {
                if let Some((_, end @ None)) = pauses.last_mut() {
                    *end = Some(logged.at);
                }
            }
            _ => {}
        }
    }
    pauses
}

fn age_of(
    at: DateTime<Utc>,
    started_at: DateTime<Utc>,
    pauses: &[(DateTime<Utc>, Option<DateTime<Utc>>)],
) -> Span {
    let mut age = at - started_at;
    for (from, until) in pauses {
        let until = until.unwrap_or(at).min(at);
        age -= (until - *from).max(TimeDelta::zero());
    }
    Span::from_millis(age.num_milliseconds().max(0).unsigned_abs())
}
