//! The names of things: one newtype each, so that a run can never be taken for an incident.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

numbered! {
    /// One incident; people see it as `INC-204`.
    IncidentId,
    /// One run of a runbook version.
    RunId,
    /// One immutable version of a runbook (its row, not its number within the runbook).
    VersionId,
    /// One alert: a source and a fingerprint.
    AlertId,
    /// One firing period of an alert.
    EpisodeId,
    /// One drill; people see it as `DRILL-17`.
    DrillId,
    /// One immutable version of a scenario (its row, not its number within the scenario).
    ScenarioVersionId,
    /// One thing to be done after an incident or a drill.
    ActionItemId,
    /// One configured sender.
    SourceId,
    /// One received webhook body.
    DeliveryId,
    /// One request for a decision at a gate.
    ApprovalId,
    /// One version of a runbook that others are to look at.
    ProposalId,
    /// One person who can sign in.
    OperatorId,
    /// One time in which nothing starts by itself on certain alerts.
    FreezeId,
    /// One rule about what new episodes of alerts open.
    RoutingRuleId,
    /// One silence that somebody asked for.
    SilenceId,
    /// One process start of Muster; never reused.
    ReplicaId,
    /// The record of a process start: what it found.
    BootId,
}

/// A step's name inside its run. A step of the runbook has lower-case letters, digits and dashes; one item of a
/// `for_each` step is `drain[3]`, and what takes a step back is `undo:drain[3]`. No author can write these signs, so no
/// two names meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub String);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for StepId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

const UNDO: &str = "undo:";

impl StepId {
    /// The name of one item of this `for_each` step, counted from 0.
    pub fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The name of what takes this step back, and of the gate that is asked for it.
    pub fn undo(&self) -> Self {
        Self(format!("{UNDO}{}", self.0))
    }

    /// The step this one takes back.
    pub fn undone(&self) -> Option<Self> {
        self.0.strip_prefix(UNDO).map(Self::from)
    }

    /// The step as the runbook names it.
    pub fn base(&self) -> &str {
        let name = self.0.strip_prefix(UNDO).unwrap_or(&self.0);
        name.split_once('[').map_or(name, |(base, _)| base)
    }

    /// Which item of its `for_each` step it is, from 0.
    pub fn index(&self) -> Option<usize> {
        let (_, rest) = self.0.split_once('[')?;
        rest.strip_suffix(']')?.parse().ok()
    }
}

/// Whether `text` can name a step, a runbook, a target or a source: 1 to 63 lower-case letters, digits and inner
/// dashes.
pub fn is_slug(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
