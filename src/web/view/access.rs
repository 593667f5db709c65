//! Explain access: may this person do that, and why.

use askama::Template;

use super::{layout::Frame, parts::Said};

/// One value of a choice.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What people read.
    pub words: String,
    /// Whether it is chosen.
    pub is_chosen: bool,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "access/show.html")]
pub struct AccessPage {
    /// The frame.
    pub frame: Frame,
    /// Who can be asked about.
    pub people: Vec<Choice>,
    /// What can be asked.
    pub actions: Vec<Choice>,
    /// Of which runbook.
    pub runbooks: Vec<Choice>,
    /// At which gate.
    pub gate: String,
    /// Of a run they started themselves.
    pub own: bool,
    /// The question in words, and its answer.
    pub answer: Option<(Said, bool, Said)>,
    /// Why there is none.
    pub fault: Option<String>,
}
