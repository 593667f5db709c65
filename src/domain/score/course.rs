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

/// What comes first of the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Deed,
    World,
    Finding,
}

/// A drill, step by step.
#[derive(Clone, Debug)]
pub struct Course {
    /// The world at the moment.
    pub world: Simulation,
    /// What had been told.
    pub told: Told,
    is_stuck: bool,
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
        let of_drill = log
            .iter()
            .map(|logged| (logged.age, Rank::World, Moment::Drill(logged.fact.clone())));
        let mut moments: Vec<(Span, Rank, Moment)> = of_drill.collect();
        if let Some(started_at) = log.first().map(|first| first.at) {
            let of_incidents = observed.iter().map(|one| {
                let rank = match one.seen {
                    Seen::Deed(_) => Rank::Deed,
                    _ => Rank::Finding,
                };
                (
                    age_of(one.at, started_at, &pauses),
                    rank,
                    Moment::Seen(one.seen.clone()),
                )
            });
            moments.extend(of_incidents);
        }
        // In compressed time much has the same time: what people do comes before what follows from it, and that before
        // what is found. What is alike keeps its order.
        moments.sort_by_key(|(age, rank, _)| (*age, *rank));
        let moments: Vec<(Span, Moment)> = moments
            .into_iter()
            .map(|(age, _, moment)| (age, moment))
            .collect();
        Ok(Self {
            world: Simulation::begin(rules, seed)?,
            told,
            is_stuck: false,
            moments: moments.into_iter(),
        })
    }

    /// The next moment, with the world and what is told brought up to it. `None` after the last. A world that cannot go on
    /// stands still from then on.
    pub fn step(&mut self) -> Option<(Span, Moment)> {
        let (age, moment) = self.moments.next()?;
        self.is_stuck = self.is_stuck || self.world.advance(age).is_err();
        match &moment {
            Moment::Drill(fact) => {
                self.is_stuck = self.is_stuck || self.world.apply(fact.changes()).is_err();
                if let DrillFact::InjectSent { inject, .. } = fact {
                    self.told.injects.insert(inject.clone(), true);
                }
            }
            Moment::Seen(seen) => take_in(&mut self.told, seen),
        }
        Some((age, moment))
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
