//! The page of a fault.

use askama::Template;

use super::layout::Frame;

/// What went wrong and what to do next.
#[derive(Clone, Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The frame; its title is the headline.
    pub frame: Frame,
    /// What is true.
    pub message: String,
    /// What happened meanwhile.
    pub since: Vec<String>,
    /// What the person had typed.
    pub kept: Vec<KeptField>,
    /// The same form once more.
    pub again: Option<Again>,
    /// The way on: address and words.
    pub next: Option<(String, String)>,
    /// What to name when asking for help.
    pub reference: String,
    /// Whether the reference matters.
    pub says_reference: bool,
}

/// Text a person typed into a form that was not accepted.
#[derive(Clone, Debug)]
pub struct KeptField {
    /// What it was.
    pub label: &'static str,
    /// The text.
    pub text: String,
}

/// A form offered once more, with everything it held.
#[derive(Clone, Debug)]
pub struct Again {
    /// Where it goes.
    pub action: String,
    /// Words of its button.
    pub words: String,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}
