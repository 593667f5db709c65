//! The track of a runbook in one line, wherever the runbook is named: the library, its page, an incident that it matched,
//! a gate of one of its runs.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    coverage, format,
    parts::{Ago, Icon, Said, ago, icon, said},
    text,
};
use crate::{
    domain::{
        run::RunResult,
        track::{Mark, Track},
    },
    store::tracks::COUNTED_MAX,
};

/// Characters of what was found to be broken.
const REASON_CHARS_MAX: usize = 120;

/// The line.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/_track.html")]
pub struct TrackPart {
    /// Number of the version it is about.
    pub number: i32,
    /// What it says, in order.
    pub items: Vec<TrackItem>,
}

impl HtmlSafe for TrackPart {}

/// One thing it says: words, a moment, more words.
#[derive(Clone, Debug)]
pub struct TrackItem {
    /// Before the moment.
    pub words: Said,
    /// The moment.
    pub at: Option<Ago>,
    /// After the moment.
    pub then: &'static str,
    /// Whether it is a reason to look twice.
    pub is_bad: bool,
}

impl TrackPart {
    /// The line of a runbook; one without a past has one too.
    pub fn of(track: Option<&Track>, number: i32, now: DateTime<Utc>) -> Self {
        let nothing = Track::default();
        let marks = track.unwrap_or(&nothing).marks(number);
        Self {
            number,
            items: marks.iter().map(|mark| TrackItem::of(mark, now)).collect(),
        }
    }

    fn icon(&self) -> Icon {
        icon("triangle")
    }
}

impl TrackItem {
    fn of(mark: &Mark, now: DateTime<Utc>) -> Self {
        let reason = |what: &str| text::cut(what, REASON_CHARS_MAX);
        let (words, at, then) = match mark {
            Mark::NeverRun => ("never run".to_owned(), None, ""),
            Mark::LastRun { other, at, result } => {
                let words = match other {
                    None => "last run".to_owned(),
                    Some(number) => format!("this version has not run; v{number} ran"),
                };
                let then = match result {
                    None => ", still running",
                    Some(RunResult::Succeeded) => ", worked",
                    Some(RunResult::Failed) => ", failed",
                    Some(RunResult::Rejected) => ", ended at its gate",
                    Some(RunResult::Stopped) => ", stopped by a person",
                };
                (words, Some(*at), then)
            }
            Mark::NeverDrilled => ("never drilled".to_owned(), None, ""),
            Mark::LastDrill {
                other,
                at,
                result,
                is_cut_short,
            } => {
                let words = match other {
                    None => "last drill".to_owned(),
                    Some(number) => format!("this version was never drilled; v{number} was"),
                };
                let then = match result {
                    _ if *is_cut_short => ", cut short",
                    None => ", still going",
                    Some(RunResult::Succeeded) => ", the run worked",
                    Some(RunResult::Failed) => ", the run failed",
                    Some(RunResult::Rejected) => ", the run ended at its gate",
                    Some(RunResult::Stopped) => ", the run was stopped",
                };
                (words, Some(*at), then)
            }
            Mark::Covered(tally) => (coverage::words(tally), None, ""),
            Mark::Worked { worked, ended } if *ended >= COUNTED_MAX => {
                (format!("{worked} of the last {ended} runs worked"), None, "")
            }
            Mark::Worked { worked, ended } => {
                let runs = format::count(*ended, "run", "runs");
                (format!("{worked} of {runs} worked"), None, "")
            }
            Mark::Median(median) => (format!("median {}", format::length(*median)), None, ""),
            Mark::NotChecked => ("credentials never checked".to_owned(), None, ""),
            Mark::Checked(at) => ("credentials checked".to_owned(), Some(*at), ""),
            Mark::Missing { what, at } => (
                format!("credential missing: {}, seen", reason(what)),
                Some(*at),
                "",
            ),
            Mark::Broken { what, at } => (format!("cannot work: {}, seen", reason(what)), Some(*at), ""),
        };
        Self {
            words: said(&words),
            at: at.map(|at| ago(at, now)),
            then,
            is_bad: mark.is_bad(),
        }
    }
}
