//! What kind of thought a note is, when its author says so.

use serde::{Deserialize, Serialize};

/// The kind of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteTag {
    /// What was decided outside of Muster.
    Decision,
    /// What may be the cause.
    Hypothesis,
    /// What somebody saw.
    Observation,
}

impl NoteTag {
    /// All of them, the commonest first.
    pub const ALL: [Self; 3] = [Self::Observation, Self::Hypothesis, Self::Decision];

    /// Its name in forms.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Hypothesis => "hypothesis",
            Self::Observation => "observation",
        }
    }

    /// The tag of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.name() == name)
    }

    /// What people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Decision => "Decision",
            Self::Hypothesis => "Hypothesis",
            Self::Observation => "Observation",
        }
    }
}
