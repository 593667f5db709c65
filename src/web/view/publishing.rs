//! Writing a runbook in the browser: the text with what is said of it, and the last look before it is published.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    checked::CheckedPart,
    coverage::LossPart,
    diff::DiffView,
    layout::Frame,
    parts::{At, Hidden, Said, at, hidden},
};
use crate::{
    catalog::{FILE_BYTES_MAX, publish::NOTE_CHARS_MAX},
    web::{assets, error::sentence},
};

/// Lines that the field of the text shows at least.
const ROWS_MIN: usize = 12;
/// Lines that it shows at most; the others are reached by scrolling in it.
const ROWS_MAX: usize = 30;

/// The page with the text.
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
    /// What is said of the text.
    pub checked: CheckedPart,
    /// Why it was not published.
    pub refusal: Option<String>,
    /// What somebody else published meanwhile.
    pub conflict: Option<Conflict>,
    /// The draft that the person left.
    pub draft: DraftNote,
    /// Whether the text is kept somewhere but in the page.
    pub is_saved: bool,
}

/// What is known of the person's draft.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DraftNote {
    /// There is none.
    #[default]
    None,
    /// There is one, and the page shows another text.
    Left(At),
    /// The page shows it.
    Shown(At),
}

impl DraftNote {
    /// A draft as the page tells of it.
    pub fn of(saved: DateTime<Utc>, is_shown: bool, now: DateTime<Utc>) -> Self {
        match is_shown {
            true => Self::Shown(at(saved, now)),
            false => Self::Left(at(saved, now)),
        }
    }
}

/// Two people changed the same version.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// Who published which version.
    pub who: Said,
    /// Its number.
    pub number: i32,
    /// Number of the version both began from, 0 for none.
    pub base: i32,
    /// What they changed.
    pub theirs: DiffView,
    /// What this person changed.
    pub yours: DiffView,
    /// What this person's text would change of theirs.
    pub over: DiffView,
}

impl EditPage {
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

    /// Lines that the field shows at once: the whole of a short text, with room to go on.
    fn rows(&self) -> usize {
        (self.source.lines().count() + 3).clamp(ROWS_MIN, ROWS_MAX)
    }

    fn script(&self) -> &'static str {
        assets::address("editor.js")
    }
}

/// The last look before a text is published.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/publish.html")]
pub struct PublishPage {
    /// The frame.
    pub frame: Frame,
    /// The runbook that is changed; none for a new one.
    pub slug: Option<String>,
    /// What the runbook is called.
    pub title: Said,
    /// Where the form goes.
    pub action: String,
    /// The text.
    pub source: String,
    /// What is said with it.
    pub note: String,
    /// Number of the version it is compared with, 0 for none.
    pub base: i32,
    /// Whether the runbook has a file in the folder.
    pub has_file: bool,
    /// How many others must look at it.
    pub needed: u32,
    /// What it has otherwise.
    pub difference: DiffView,
    /// What it un-drills.
    pub loss: LossPart,
    /// Warnings, and what it would match.
    pub checked: CheckedPart,
}

impl PublishPage {
    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn note_chars_max(&self) -> usize {
        NOTE_CHARS_MAX
    }
}
