//! Where a new episode goes when its alert is in no open incident. Pure; each answer is a reason for the page.

use chrono::{DateTime, Utc};

use crate::domain::{id::IncidentId, incident::IncidentState, span::Span};

/// Where a group's new episodes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Into the open incident of the group.
    Join(IncidentId),
    /// Into the group's last incident, which was over a moment ago.
    Reopen(IncidentId),
    /// Into a new incident; linked to the one before it.
    Open {
        /// The group's last incident.
        recurrence_of: Option<IncidentId>,
    },
}

/// The newest incident of a group.
pub type KeyHolder = crate::store::incidents::KeyHolder;

impl Placement {
    /// The reason of an alert that joins its group's open incident.
    pub const JOINED: &str = "same sender, receiver and group as the open incident";
    /// The reason of an alert whose group's incident was merged into another one.
    pub const THROUGH: &str = "same sender, receiver and group as an incident that was merged into this one";
    /// The reason of the alert that opens a group's first incident.
    pub const FIRST: &str = "first alert of this sender, receiver and group";

    /// The named reason, kept with each episode.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Join(_) => Self::JOINED,
            Self::Reopen(_) => "same group as an incident that was over a moment ago",
            Self::Open { recurrence_of: None } => Self::FIRST,
            Self::Open {
                recurrence_of: Some(_),
            } => "same group as an earlier incident, long over",
        }
    }
}

/// Decides from the newest incident with the group's key.
pub fn place(newest: Option<&KeyHolder>, reopen_within: Span, now: DateTime<Utc>) -> Placement {
    let Some(newest) = newest else {
        return Placement::Open { recurrence_of: None };
    };
    let over_for = newest.resolved_at.map(|at| now - at);
    match newest.state {
        state if state.is_open() => Placement::Join(newest.id),
        IncidentState::Resolved if over_for.is_some_and(|over_for| over_for <= reopen_within.as_delta()) => {
            Placement::Reopen(newest.id)
        }
        _ => Placement::Open {
            recurrence_of: Some(newest.id),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_joins_reopens_or_opens() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let id = IncidentId(7);
        let holder = |state, over_for_s: Option<i64>| {
            let resolved_at = over_for_s.map(|seconds| now - chrono::TimeDelta::seconds(seconds));
            Some(KeyHolder {
                id,
                state,
                resolved_at,
                through: None,
            })
        };
        for (newest, placement) in [
            (None, Placement::Open { recurrence_of: None }),
            (holder(IncidentState::Triggered, None), Placement::Join(id)),
            (holder(IncidentState::Mitigated, None), Placement::Join(id)),
            (holder(IncidentState::Resolved, Some(600)), Placement::Reopen(id)),
            (
                holder(IncidentState::Resolved, Some(601)),
                Placement::Open {
                    recurrence_of: Some(id),
                },
            ),
            (
                holder(IncidentState::Closed, Some(1)),
                Placement::Open {
                    recurrence_of: Some(id),
                },
            ),
        ] {
            assert_eq!(
                place(newest.as_ref(), Span::from_secs(600), now),
                placement,
                "{newest:?}"
            );
        }
    }
}
