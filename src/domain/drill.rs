//! A drill: how deep it goes, how it stands, how old it is, and every fact of it that is not the incident's own.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{fault::FaultState, id::DrillId, simulation::Change, span::Span};

/// What people call a drill.
pub fn name(drill: DrillId) -> String {
    format!("DRILL-{drill}")
}

/// How the names of a drill's twins begin, wherever they stand beside those of real targets, which hold no blank.
pub fn twin_mark(drill: DrillId) -> String {
    format!("{} ", name(drill))
}

/// Whether this is the name of a twin and not of a target.
pub fn is_twin(target: &str) -> bool {
    let number = target
        .strip_prefix("DRILL-")
        .and_then(|rest| rest.split_once(' '));
    number.is_some_and(|(number, _)| number.parse::<i64>().is_ok())
}

/// How deep a drill goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Nothing is carried out: runs wait, people say what they would do.
    Tabletop,
    /// Runs act on twins in a simulated world.
    Simulated,
    /// Runs act on real targets of a drill environment, on which real faults are caused.
    GameDay,
}

impl Depth {
    /// All of them.
    pub const ALL: [Depth; 3] = [Self::Tabletop, Self::Simulated, Self::GameDay];

    /// Its name in the database and in forms.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tabletop => "tabletop",
            Self::Simulated => "simulated",
            Self::GameDay => "game_day",
        }
    }

    /// The depth of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|depth| depth.name() == name)
    }
}

/// How a drill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrillState {
    /// It has not begun.
    Planned,
    /// It goes on.
    Running,
    /// It stands still: its clock, its world, its runs.
    Paused,
    /// It is over.
    Ended,
}

impl DrillState {
    const ALL: [DrillState; 4] = [Self::Planned, Self::Running, Self::Paused, Self::Ended];

    /// Its name in the database and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether it goes on or stands still.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// Why a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndKind {
    /// Its incidents are over.
    Finished,
    /// Somebody ended it.
    Stopped,
    /// A stop rule of its scenario came true.
    Rule,
    /// Something real went wrong.
    RealIncident,
    /// Its world could not go on.
    Fault,
    /// It took more than twice its length.
    TooLong,
    /// What a game day is played on was not well enough to begin.
    NotSteady,
    /// It never began.
    Cancelled,
}

impl EndKind {
    const ALL: [EndKind; 8] = [
        Self::Finished,
        Self::Stopped,
        Self::Rule,
        Self::RealIncident,
        Self::Fault,
        Self::TooLong,
        Self::NotSteady,
        Self::Cancelled,
    ];

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Rule => "rule",
            Self::RealIncident => "real_incident",
            Self::Fault => "fault",
            Self::TooLong => "too_long",
            Self::NotSteady => "not_steady",
            Self::Cancelled => "cancelled",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for EndKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "played to its end",
            Self::Stopped => "ended by hand",
            Self::Rule => "ended by a stop rule",
            Self::RealIncident => "ended for a real incident",
            Self::Fault => "ended by a fault of its world",
            Self::TooLong => "ended because it took too long",
            Self::NotSteady => "ended before its first fault",
            Self::Cancelled => "cancelled",
        })
    }
}

/// The clock of a drill: it does not count while the drill stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrillClock {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Since when it stands still, or when it was over.
    pub stands_since: Option<DateTime<Utc>>,
    /// How long it had stood still before.
    pub paused: TimeDelta,
}

impl DrillClock {
    /// How old the drill is; never negative.
    pub fn age(&self, now: DateTime<Utc>) -> Span {
        let until = self.stands_since.unwrap_or(now).min(now);
        let age = until - self.started_at - self.paused;
        Span::from_millis(age.num_milliseconds().max(0).unsigned_abs())
    }

    /// When it is that old, if it goes on without standing still.
    pub fn when(&self, age: Span) -> DateTime<Utc> {
        self.started_at + self.paused + age.as_delta()
    }
}

/// What a trainer marks with one tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObserverTag {
    /// Well done.
    Good,
    /// It took long.
    Slow,
    /// Somebody looked at, or acted on, the wrong thing.
    WrongTarget,
    /// The others were not told.
    NoUpdate,
}

impl ObserverTag {
    /// All of them, in the order of the buttons.
    pub const ALL: [ObserverTag; 4] = [Self::Good, Self::Slow, Self::WrongTarget, Self::NoUpdate];

    /// Its name in forms.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Slow => "slow",
            Self::WrongTarget => "wrong_target",
            Self::NoUpdate => "no_update",
        }
    }

    /// What people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Good => "Good",
            Self::Slow => "Slow",
            Self::WrongTarget => "Wrong target",
            Self::NoUpdate => "No update",
        }
    }

    /// The tag of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.name() == name)
    }
}

/// One fact of a drill besides those of its incidents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields repeat the words of the variants")]
pub enum DrillFact {
    /// It began.
    Began,
    /// A target was asked something that changed the world.
    Acted {
        target: String,
        asked: String,
        set: Vec<Change>,
    },
    /// A target was asked something that nobody had asked it on the night that is played again.
    NotRecorded { target: String, asked: String },
    /// A surprise happened.
    InjectSent { inject: String, set: Vec<Change> },
    /// The trainer passed one over.
    InjectSkipped { inject: String },
    /// A failing connector works again.
    ConnectorBack { target: String, set: Vec<Change> },
    /// Monitoring reports an alert, by its place in the scenario.
    AlertFired { alarm: usize },
    /// Monitoring takes it back.
    AlertResolved { alarm: usize },
    /// An alert of a surprise is taken back.
    InjectResolved { of: String },
    /// What was measured has changed.
    Measured { set: Vec<Change> },
    /// Whether what it is played on was steady before the first fault, or after the last was taken back; with what was
    /// measured.
    Steady { holds: bool, measured: String },
    /// How a fault stands from now on; `error` says what did not work, or what else is to be said of its end.
    Fault {
        inject: String,
        target: String,
        cause: String,
        state: FaultState,
        error: String,
    },
    /// The harm began, or is over.
    Harm { works: bool },
    /// The trainer told a hint.
    HintTold { hint: usize },
    /// The trainer noted something.
    Noted { tag: Option<ObserverTag>, text: String },
    /// It stands still.
    Paused { why: String },
    /// It goes on.
    Resumed,
    /// It is over.
    Ended { why: EndKind, reason: String },
}

impl DrillFact {
    /// What it changed in the world.
    pub fn changes(&self) -> &[Change] {
        match self {
            Self::Acted { set, .. }
            | Self::InjectSent { set, .. }
            | Self::ConnectorBack { set, .. }
            | Self::Measured { set } => set,
            _ => &[],
        }
    }
}

/// Whether a game day was seen to be steady before its first fault.
pub fn has_begun_steady(log: &[Logged]) -> bool {
    let first = log.iter().find_map(|logged| match logged.fact {
        DrillFact::Steady { holds, .. } => Some(holds),
        _ => None,
    });
    first == Some(true)
}

/// A fact with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Its place in the log, from 1.
    pub seq: i64,
    /// How old the drill was.
    pub age: Span,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub fact: DrillFact,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-03-01T{text}Z").parse().unwrap()
    }

    #[test]
    fn the_clock_of_a_drill_does_not_count_pauses() {
        let mut clock = DrillClock {
            started_at: at("12:00:00"),
            stands_since: None,
            paused: TimeDelta::zero(),
        };
        assert_eq!(clock.age(at("12:01:00")), Span::from_secs(60));
        assert_eq!(clock.age(at("11:59:00")), Span::from_secs(0), "never negative");
        clock.stands_since = Some(at("12:02:00"));
        assert_eq!(clock.age(at("12:10:00")), Span::from_secs(120), "it stands still");
        clock.stands_since = None;
        clock.paused = TimeDelta::minutes(8);
        assert_eq!(clock.age(at("12:11:00")), Span::from_secs(180));
        assert_eq!(clock.when(Span::from_secs(180)), at("12:11:00"));
    }

    #[test]
    fn twins_are_told_from_targets_by_their_names() {
        assert!(is_twin(&format!("{}checkout-primary", twin_mark(DrillId(17)))));
        for target in ["checkout-primary", "DRILL-17", "DRILL-x y", "drill-17 a"] {
            assert!(!is_twin(target), "{target}");
        }
    }

    #[test]
    fn names_come_back() {
        for depth in Depth::ALL {
            assert_eq!(Depth::named(depth.name()), Some(depth));
        }
        for state in DrillState::ALL {
            assert_eq!(DrillState::named(state.name()), Some(state));
        }
        for kind in EndKind::ALL {
            assert_eq!(EndKind::named(kind.name()), Some(kind));
        }
        for tag in ObserverTag::ALL {
            assert_eq!(ObserverTag::named(tag.name()), Some(tag));
        }
        assert_eq!(DrillState::named("over"), None);
    }
}
