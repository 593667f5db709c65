//! Proposals: a version that others must look at, and which of their approvals count.

use super::{
    access::{Access, may_publish},
    id::{OperatorId, VersionId},
    operator::Operator,
    runbook::Runbook,
};

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalState {
    /// Others are to look at it.
    Waiting,
    /// Enough have approved it, and it is a version.
    Published,
    /// Somebody sent it back with a word.
    Returned,
    /// A newer version of the same runbook took its place.
    Replaced,
    /// Its author took it back.
    Withdrawn,
}

impl ProposalState {
    const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Published,
        Self::Returned,
        Self::Replaced,
        Self::Withdrawn,
    ];

    /// Its name in the database and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Published => "published",
            Self::Returned => "returned",
            Self::Replaced => "replaced",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// How many others must look at a new version: as many as it asks for itself or as the one that stands asks for,
/// whichever are more, so that no version lifts its own review.
pub fn reviewers(standing: Option<&Runbook>, new: &Runbook) -> u32 {
    standing.map_or(0, |standing| standing.review).max(new.review)
}

/// A proposal as its approvals are weighed.
#[derive(Clone, Copy, Debug)]
pub struct Weighed<'a> {
    /// Who proposes it; nobody, for the folder.
    pub author: Option<OperatorId>,
    /// Whom the version that stands names, if one stands.
    pub standing: Option<&'a Access>,
    /// Whom the new one names.
    pub new: &'a Access,
    /// The version that stands, which it is compared with.
    pub base: Option<VersionId>,
}

impl Weighed<'_> {
    /// Whether an approval counts that was given by this person, as they are now, against that version: by somebody else
    /// than the author, who still may publish this, and against what stands now.
    pub fn counts(&self, person: &Operator, is_enabled: bool, base: Option<VersionId>) -> bool {
        let may = may_publish(person, self.standing, self.new);
        is_enabled && self.author != Some(person.id) && base == self.base && may.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        access::Circle,
        operator::{Role, Via},
    };

    #[test]
    fn an_approval_counts_by_who_gave_it_and_against_what() {
        let closed = Access {
            publish: Circle {
                teams: vec!["storage".to_owned()],
                ..Circle::default()
            },
            ..Access::default()
        };
        let open = Access::default();
        let person = |id, role, team: &str| Operator {
            id: OperatorId(id),
            name: format!("p{id}"),
            role,
            teams: vec![team.to_owned()],
            via: Via::Session,
        };
        let weighed = Weighed {
            author: Some(OperatorId(1)),
            standing: Some(&closed),
            new: &open,
            base: Some(VersionId(7)),
        };
        let now = Some(VersionId(7));
        for (person, is_enabled, base, counts) in [
            (person(2, Role::Approver, "storage"), true, now, true),
            (person(2, Role::Admin, "web"), true, now, true),
            (person(1, Role::Admin, "storage"), true, now, false),
            (person(2, Role::Approver, "web"), true, now, false),
            (person(2, Role::Responder, "storage"), true, now, false),
            (person(2, Role::Approver, "storage"), false, now, false),
            (
                person(2, Role::Approver, "storage"),
                true,
                Some(VersionId(6)),
                false,
            ),
            (person(2, Role::Approver, "storage"), true, None, false),
        ] {
            assert_eq!(
                weighed.counts(&person, is_enabled, base),
                counts,
                "{person:?} {base:?}"
            );
        }
    }

    #[test]
    fn states_are_read_back() {
        for state in ProposalState::ALL {
            assert_eq!(ProposalState::named(state.name()), Some(state));
        }
    }
}
