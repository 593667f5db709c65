//! The pause of all automation: nothing starts by itself and no step that changes anything begins until a person
//! resumes.

use chrono::{DateTime, Utc};

/// A pause that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub at: DateTime<Utc>,
    /// Name of who paused.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
}

impl Pause {
    /// Why nothing happens, for the timeline and the page, one line.
    pub fn why(&self) -> String {
        let at = self.at.format("%-d %b %Y %H:%M:%S UTC");
        format!(
            "all automation is paused by {} since {at}: {}",
            self.by, self.reason
        )
    }
}
