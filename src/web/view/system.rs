//! How Muster itself is.

use askama::Template;

use super::{layout::Frame, parts::Badge, standing::StandingPart};

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
    pub boot: Option<super::boots::Newest>,
    /// Version of the program.
    pub version: &'static str,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it is.
    pub badge: Badge,
    /// What that means and what to do.
    pub words: String,
}
