//! How Muster itself is: the page.

use askama::Template;

use super::{
    boots::Newest,
    check::{Check, State},
    layout::Frame,
    standing::StandingPart,
};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "system/show.html")]
pub struct SystemPage {
    /// The frame.
    pub frame: Frame,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// What stands over every run.
    pub standing: StandingPart,
    /// The newest start.
    pub boot: Option<Newest>,
    /// Version of the program.
    pub version: &'static str,
}

impl SystemPage {
    /// Everything in one sentence.
    fn overall(&self) -> &'static str {
        let is = |state| self.checks.iter().any(|check| check.state == state);
        match (is(State::Down), is(State::Degraded), is(State::CannotTell)) {
            (true, _, _) => "Something Muster needs is down.",
            (_, true, _) => "Muster works, but not as it should.",
            (_, _, true) => "Not everything could be looked at.",
            _ => "Muster is well, as far as it can see.",
        }
    }
}
