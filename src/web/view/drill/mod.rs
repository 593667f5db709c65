//! Drills as pages show them: the catalogue, a scenario, a drill that goes on, its scorecard.

pub mod calendar;
pub mod card;
pub mod catalogue;
pub mod desk;
pub mod facts;
pub mod faults;
pub mod going_on;
pub mod night;
pub mod pace;
pub mod play;
pub mod scenario;
pub mod show;

use chrono::{DateTime, Utc};

use super::{
    format,
    parts::{Ago, Badge, Said, ago, said},
};
use crate::{
    domain::{
        drill::{Depth, DrillState, EndKind, name},
        id::DrillId,
        span::Span,
    },
    store::drills::Drill,
};

/// The drill's state as a badge.
pub fn badge(state: DrillState, end: Option<EndKind>) -> Badge {
    match (state, end) {
        (DrillState::Planned, _) => Badge::new("quiet", "clock", "Planned"),
        (DrillState::Running, _) => Badge::new("running", "play", "Running"),
        (DrillState::Paused, _) => Badge::new("sev3", "pause", "Paused"),
        (DrillState::Ended, Some(EndKind::Cancelled)) => Badge::new("quiet", "barred", "Cancelled"),
        (DrillState::Ended, Some(EndKind::Finished) | None) => Badge::new("done", "check", "Over"),
        (DrillState::Ended, Some(_)) => Badge::new("quiet", "barred", "Cut short"),
    }
}

/// What stands beside whatever is part of a drill.
pub fn mark(drill: DrillId) -> Badge {
    Badge::new("drill", "chevrons", name(drill))
}

/// A depth as people read it.
pub fn depth_words(depth: Depth) -> &'static str {
    match depth {
        Depth::Tabletop => "Tabletop",
        Depth::Simulated => "Simulated",
        Depth::GameDay => "Game day",
    }
}

/// An age by the clock of a drill: `03:10`, `1:03:10`.
pub fn clock(age: Span) -> String {
    let s = age.as_millis() / 1000;
    match s / 3600 {
        0 => format!("{:02}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// A length as people say it.
pub fn length(span: Span) -> String {
    format::length(span.as_delta())
}

/// One drill in a list.
#[derive(Clone, Debug)]
pub struct DrillRow {
    /// Its page: the scorecard once it is over.
    pub href: String,
    /// `DRILL-17`
    pub name: String,
    /// What is played.
    pub title: Said,
    /// How it stands.
    pub badge: Badge,
    /// How deep it goes.
    pub depth: &'static str,
    /// Why it was over; empty before.
    pub end: String,
    /// What the moment is: `began`, `begins`.
    pub word: &'static str,
    /// When.
    pub when: Option<Ago>,
}

impl DrillRow {
    /// The line of a drill.
    pub fn of(drill: &Drill, now: DateTime<Utc>) -> Self {
        let end = drill.ended.as_ref().map(|(_, kind, _)| *kind);
        let is_scored = drill.clock.is_some() && end.is_some();
        let (word, when) = match &drill.clock {
            Some(clock) => ("began", Some(clock.started_at)),
            None => ("begins", drill.planned_for),
        };
        Self {
            href: format!("/drills/{}{}", drill.id, if is_scored { "/score" } else { "" }),
            name: name(drill.id),
            title: said(&drill.title),
            badge: badge(drill.state, end),
            depth: depth_words(drill.depth),
            end: end.map_or_else(String::new, |kind| kind.to_string()),
            word,
            when: when.map(|when| ago(when, now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_hours_only_when_there_are_some() {
        for (s, text) in [(0, "00:00"), (190, "03:10"), (3_790, "1:03:10")] {
            assert_eq!(clock(Span::from_secs(s)), text);
        }
    }
}
