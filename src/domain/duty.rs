//! What a person takes on in one incident. Everybody has their role in Muster besides; a duty gives no right.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A duty; one person has it at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duty {
    /// Leads: decides what is done next and by whom.
    Commander,
    /// Tells everybody outside the team how it stands.
    Communications,
    /// Writes down what happens.
    Scribe,
}

impl Duty {
    /// All of them, the one without which nothing goes on first.
    pub const ALL: [Self; 3] = [Self::Commander, Self::Communications, Self::Scribe];

    /// Its name in the database and in forms.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commander => "commander",
            Self::Communications => "communications",
            Self::Scribe => "scribe",
        }
    }

    /// The duty of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|duty| duty.name() == name)
    }

    /// What people call who has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Commander => "Incident commander",
            Self::Communications => "Communications",
            Self::Scribe => "Scribe",
        }
    }

    /// What taking it on is called on a button.
    pub fn take(self) -> &'static str {
        match self {
            Self::Commander => "Take command",
            Self::Communications => "Take communications",
            Self::Scribe => "Be the scribe",
        }
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
