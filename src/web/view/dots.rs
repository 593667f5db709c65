//! Durations as dots on a line that begins at zero: each run is one, so that one slow run is seen and not averaged away.

use askama::{Template, filters::HtmlSafe};
use chrono::TimeDelta;

use super::format;
use crate::domain::timing::Timing;

/// Width of the drawing, in its own units.
const WIDTH: i64 = 320;
/// Room left and right for half a dot.
const MARGIN: i64 = 6;

/// The drawing, with its summary.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "runbook/_dots.html")]
pub struct Dots {
    /// The whole in a sentence.
    pub summary: String,
    /// Where each run that worked stands.
    pub worked: Vec<i64>,
    /// Where each run that did not work stands.
    pub failed: Vec<i64>,
    /// Where the middle stands.
    pub median: Option<i64>,
    /// What the right end means.
    pub end: String,
}

impl HtmlSafe for Dots {}

impl Dots {
    /// The drawing of a step's times; `None` when there is nothing to draw.
    pub fn of(title: &str, timing: &Timing) -> Option<Self> {
        let longest = timing.times.iter().map(|took| took.length).max()?;
        let scale = longest.num_milliseconds().max(1);
        let place = |length: TimeDelta| {
            MARGIN + length.num_milliseconds().clamp(0, scale) * (WIDTH - 2 * MARGIN) / scale
        };
        let places = |worked: bool| {
            let times = timing.times.iter().filter(|took| took.worked == worked);
            times.map(|took| place(took.length)).collect()
        };
        let middle = timing.median.map_or_else(String::new, |median| {
            format!(", half of those that worked within {}", format::length(median))
        });
        Some(Self {
            summary: format!(
                "{title}: {}, {} worked{middle}; the longest took {}.",
                format::count(timing.times.len() as i64, "run", "runs"),
                timing.worked,
                format::length(longest)
            ),
            worked: places(true),
            failed: places(false),
            median: timing.median.map(place),
            end: format::length(longest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        id::{RunId, StepId},
        timing::{Took, by_step},
    };

    #[test]
    fn the_line_begins_at_zero_and_ends_at_the_longest() {
        let took = |run: i64, seconds: i64, worked: bool| Took {
            run: RunId(run),
            step: StepId::from("drain"),
            length: TimeDelta::seconds(seconds),
            worked,
        };
        assert_eq!(Dots::of("Drain", &Timing::default()), None);
        let seen = vec![took(1, 0, true), took(2, 5, true), took(3, 10, false)];
        let dots = Dots::of("Drain", &by_step(seen)[&StepId::from("drain")]).unwrap();
        assert_eq!(
            (dots.worked.as_slice(), dots.failed.as_slice()),
            (&[160, 6][..], &[314][..])
        );
        assert_eq!(dots.median, Some(6));
        assert_eq!(
            dots.summary,
            "Drain: 3 runs, 2 worked, half of those that worked within 0 ms; the longest took 10 s."
        );
        let instant = Dots::of("Drain", &by_step(vec![took(1, 0, true)])[&StepId::from("drain")]).unwrap();
        assert_eq!(instant.worked, [6]);
    }
}
