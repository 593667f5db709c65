//! An incident: its severity, its states and the moves between them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::labels::Labels;

/// How bad it is; `Sev1` is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Customers cannot use the service.
    Sev1,
    /// A part is down or badly slow.
    Sev2,
    /// Worth working hours.
    Sev3,
    /// Worth knowing.
    Sev4,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Self; 4] = [Self::Sev1, Self::Sev2, Self::Sev3, Self::Sev4];

    /// 1 to 4.
    pub fn number(self) -> i16 {
        self as i16 + 1
    }

    /// The severity of that number.
    pub fn numbered(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.number() == number)
    }

    /// Reads the `severity` label as senders commonly write it; unknown words and none count as `Sev3`, so that
    /// nothing unlabelled hides among the merely informative.
    pub fn of(labels: &Labels) -> Self {
        match labels.get("severity").to_ascii_lowercase().as_str() {
            "critical" | "page" | "emergency" | "fatal" | "sev1" | "p1" => Self::Sev1,
            "error" | "high" | "major" | "sev2" | "p2" => Self::Sev2,
            "info" | "low" | "none" | "debug" | "sev4" | "p4" => Self::Sev4,
            _ => Self::Sev3,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SEV{}", self.number())
    }
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentState {
    /// Nobody has taken it.
    Triggered,
    /// A person has it.
    Acknowledged,
    /// The harm has stopped; the cause may be there still.
    Mitigated,
    /// It is over.
    Resolved,
    /// It is over and written up.
    Closed,
    /// It lives on in another incident.
    Merged,
    /// It was none.
    Cancelled,
}

impl IncidentState {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Triggered,
        Self::Acknowledged,
        Self::Mitigated,
        Self::Resolved,
        Self::Closed,
        Self::Merged,
        Self::Cancelled,
    ];

    /// Its name in the database and the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Triggered => "triggered",
            Self::Acknowledged => "acknowledged",
            Self::Mitigated => "mitigated",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
            Self::Merged => "merged",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether new alerts of its group still join it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Triggered | Self::Acknowledged | Self::Mitigated)
    }

    /// Where a move leads, or `None` when it changes nothing or is not allowed from here.
    pub fn after(self, step: IncidentMove) -> Option<Self> {
        use IncidentMove as Move;
        match (self, step) {
            (Self::Triggered, Move::Acknowledge) => Some(Self::Acknowledged),
            (Self::Triggered | Self::Acknowledged, Move::Mitigate) => Some(Self::Mitigated),
            (Self::Triggered | Self::Acknowledged | Self::Mitigated, Move::Resolve) => Some(Self::Resolved),
            (Self::Acknowledged, Move::Unacknowledge) => Some(Self::Triggered),
            (Self::Resolved, Move::Reopen) => Some(Self::Triggered),
            (Self::Resolved, Move::Close) => Some(Self::Closed),
            _ => None,
        }
    }
}

impl fmt::Display for IncidentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What moves an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentMove {
    /// A person takes it.
    Acknowledge,
    /// They take that back.
    Unacknowledge,
    /// The harm has stopped.
    Mitigate,
    /// It is over.
    Resolve,
    /// It came back.
    Reopen,
    /// It is written up.
    Close,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_drawn_moves_exist() {
        use IncidentMove::*;
        let drawn: Vec<(IncidentState, IncidentMove)> = IncidentState::ALL
            .into_iter()
            .flat_map(|state| {
                [Acknowledge, Unacknowledge, Mitigate, Resolve, Reopen, Close].map(|step| (state, step))
            })
            .filter(|(state, step)| state.after(*step).is_some())
            .collect();
        use IncidentState::*;
        assert_eq!(
            drawn,
            [
                (Triggered, Acknowledge),
                (Triggered, Mitigate),
                (Triggered, Resolve),
                (Acknowledged, Unacknowledge),
                (Acknowledged, Mitigate),
                (Acknowledged, Resolve),
                (Mitigated, Resolve),
                (Resolved, Reopen),
                (Resolved, Close),
            ]
        );
    }
}
