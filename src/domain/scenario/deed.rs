//! What people do in a drill: what is expected of them, and what would be wrong.

use serde::{Deserialize, Serialize};

use super::At;
use crate::domain::{
    approval::Verdict, incident::Severity, run::UnknownChoice, span::Span, template::Expression,
};

/// One thing a person can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Deed {
    /// Says "I have it".
    Acknowledge,
    /// Starts this runbook.
    Start {
        /// Its slug.
        runbook: String,
    },
    /// Decides at a gate.
    Decide {
        /// The step.
        gate: String,
        /// How.
        verdict: Verdict,
    },
    /// Says that a step by hand is done.
    Manual {
        /// The step.
        step: String,
    },
    /// Says what became of a step whose outcome nobody knows.
    Settle {
        /// The step.
        step: String,
        /// How.
        choice: UnknownChoice,
    },
    /// Stops the run of this runbook.
    Stop {
        /// Its slug.
        runbook: String,
    },
    /// Tells the others how it goes, as a note of the incident.
    Update,
    /// Changes the severity.
    Severity(Severity),
    /// Says that the harm is over.
    Mitigate,
    /// Ends the incident.
    Resolve,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Where it stands.
    pub at: At,
    /// Its name.
    pub id: String,
    /// What.
    pub deed: Deed,
    /// The inject or the expected deed that must come first; the incident when absent.
    pub after: Option<String>,
    /// How soon after that.
    pub within: Span,
    /// Why it is right, for the scorecard.
    pub because: Option<String>,
}

/// What would be wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wrong {
    /// Where it stands.
    pub at: At,
    /// Its name.
    pub id: String,
    /// What.
    pub deed: Deed,
    /// Only while this is true of the world; always when absent.
    pub when: Option<Expression>,
    /// The expected deed that somebody does this in place of.
    pub instead_of: Option<String>,
    /// Why it is wrong, for the scorecard.
    pub because: String,
}
