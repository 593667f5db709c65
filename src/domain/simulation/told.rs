//! What people and runs have done so far, in the words that injects and stop rules ask for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// How a gate stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GateWord {
    /// It has not been asked.
    #[default]
    None,
    /// It waits for an answer.
    Open,
    /// Yes.
    Approved,
    /// No.
    Rejected,
    /// Nobody answered in time, or nobody used the answer.
    Expired,
}

impl GateWord {
    /// As expressions read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// How a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepWord {
    /// It has not begun.
    #[default]
    Waiting,
    /// It has begun.
    Running,
    /// It did what it should.
    Succeeded,
    /// It did not.
    Failed,
    /// It was passed over.
    Skipped,
    /// Nobody knows whether it was done.
    Unknown,
}

impl StepWord {
    fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
        }
    }
}

/// Everything that conditions may ask besides the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The gates of the drill's runbooks, by step.
    pub gates: BTreeMap<String, GateWord>,
    /// All steps of them.
    pub steps: BTreeMap<String, StepWord>,
    /// Whether each inject has happened.
    pub injects: BTreeMap<String, bool>,
    /// Whether there is an incident.
    pub open: bool,
    /// Whether somebody has it.
    pub acknowledged: bool,
    /// Whether the harm is over.
    pub mitigated: bool,
    /// Whether it is over.
    pub resolved: bool,
}

impl Told {
    /// Under the names that expressions read.
    pub(super) fn add_to(&self, names: &mut Map<String, Value>) {
        let gates: BTreeMap<&str, &str> = self
            .gates
            .iter()
            .map(|(step, gate)| (step.as_str(), gate.word()))
            .collect();
        let steps: BTreeMap<&str, &str> = self
            .steps
            .iter()
            .map(|(step, state)| (step.as_str(), state.word()))
            .collect();
        names.insert("gates".to_owned(), json!(gates));
        names.insert("steps".to_owned(), json!(steps));
        names.insert("injects".to_owned(), json!(self.injects));
        let incident = json!({
            "open": self.open, "acknowledged": self.acknowledged,
            "mitigated": self.mitigated, "resolved": self.resolved,
        });
        names.insert("incident".to_owned(), incident);
    }
}
