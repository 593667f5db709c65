//! Writing a runbook in the browser: the form with the text, and what is wrong with it.

use askama::Template;

use super::{
    layout::Frame,
    parts::{Hidden, Said, hidden, said},
    resume::DifferenceView,
};
use crate::{
    catalog::{FILE_BYTES_MAX, Fault, publish::NOTE_CHARS_MAX},
    web::error::sentence,
};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/edit.html")]
pub struct EditPage {
    /// The frame.
    pub frame: Frame,
    /// The runbook that is changed; none for a new one.
    pub slug: Option<String>,
    /// Where the form goes.
    pub action: String,
    /// The text.
    pub source: String,
    /// What is said with it.
    pub note: String,
    /// Number of the version it began from, 0 for none.
    pub base: i32,
    /// Whether the runbook has a file in the folder.
    pub has_file: bool,
    /// How many others must look at it, as far as the version that stands asks for it.
    pub needed: u32,
    /// What is wrong with the text, each with its place.
    pub faults: Vec<Said>,
    /// Why it was not published.
    pub refusal: Option<String>,
    /// What it has otherwise than the version that came into use meanwhile.
    pub difference: Option<DifferenceView>,
}

impl EditPage {
    /// The same with what is wrong with the text.
    pub fn with_faults(mut self, faults: &[Fault]) -> Self {
        self.faults = faults.iter().map(|fault| said(&fault.to_string())).collect();
        self
    }

    /// The same with why it was not published.
    pub fn with_refusal(mut self, message: &str) -> Self {
        self.refusal = Some(sentence(message));
        self
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn chars_max(&self) -> usize {
        FILE_BYTES_MAX
    }

    fn note_chars_max(&self) -> usize {
        NOTE_CHARS_MAX
    }
}
