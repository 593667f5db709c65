//! Gates: what an approval is bound to, who may give it, and when it lapses.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    access::{self, Circle, Denial, Grant},
    action::Rendered,
    digest::Digest,
    id::{OperatorId, StepId},
    operator::{Operator, Role},
    permission::Permission,
    step::GateRule,
};

/// Everything an approval is given for. Two that are equal have the same digest; any change voids the approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Content of the runbook version.
    pub version: Digest,
    /// The gate.
    pub gate: StepId,
    /// Every action below the gate up to the next one, as it will be sent.
    pub steps: Vec<BoundStep>,
    /// What was found before the gate.
    pub evidence: Vec<Evidence>,
}

/// One action below a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundStep {
    /// Which step.
    pub step: StepId,
    /// What a person reads.
    pub title: String,
    /// What will be sent.
    pub request: Rendered,
    /// The same, as a person can check it.
    pub command: String,
    /// Address, login and limits of its target.
    pub target: Digest,
    /// What would take it back.
    pub undo: Option<String>,
    /// Whether it changes anything.
    pub changes: bool,
    /// Whether nothing can take it back. Left out where it is not so: the digests of requests from before still hold.
    #[serde(default, skip_serializing_if = "is_not")]
    pub irreversible: bool,
}

fn is_not(flag: &bool) -> bool {
    !flag
}

/// One finding made before a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The step that found it.
    pub step: StepId,
    /// What a person reads.
    pub title: String,
    /// The finding in one line.
    pub summary: String,
    /// When it was true.
    pub at: DateTime<Utc>,
}

impl Bound {
    /// The hash a decision carries.
    pub fn digest(&self) -> Digest {
        Digest::of_json(&serde_json::to_value(self).unwrap_or_default())
    }
}

/// What a person says at a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Do it.
    Approve,
    /// Do not.
    Reject,
}

impl Verdict {
    /// Its name in the database and in forms.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }
}

/// Where a request for a decision stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalState {
    /// Waits for people.
    Pending,
    /// Enough people approved; good until its use-by time.
    Approved,
    /// Somebody rejected it.
    Rejected,
    /// A clock ran out.
    Expired,
    /// What it was bound to changed, or its run ended.
    Void,
    /// It was taken back before anything started under it.
    Withdrawn,
    /// It was sent back with a note.
    Returned,
}

impl ApprovalState {
    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Void => "void",
            Self::Withdrawn => "withdrawn",
            Self::Returned => "returned",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Approved,
            Self::Rejected,
            Self::Expired,
            Self::Void,
            Self::Withdrawn,
            Self::Returned,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }
}

/// Why a person may not decide.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody in their role decides at any gate, or what they showed does not let them.
    #[error("{0}")]
    Denied(#[from] Denial),
    /// Their role is not among those the gate names.
    #[error("this gate asks for {wanted}; you are {actual}")]
    Role {
        /// Roles the gate names.
        wanted: String,
        /// Theirs.
        actual: Role,
    },
    /// They are not among the people or in the teams the gate names.
    #[error("this gate asks for {wanted} by name")]
    Named {
        /// Teams and people the gate names.
        wanted: String,
    },
    /// They started the run and the gate wants a second person.
    #[error("you started this run, and this gate wants somebody else to decide")]
    Requester,
    /// Its runbook forbids that anybody opens the gate alone.
    #[error("this gate cannot be opened alone: its runbook says break_glass: false")]
    Unbreakable,
}

/// Whether this person may decide at a gate with this rule, on a run that `requester` started.
pub fn may_decide(
    rule: &GateRule,
    person: &Operator,
    requester: Option<OperatorId>,
) -> Result<Grant, Refusal> {
    if requester == Some(person.id) && !rule.requester_may_approve {
        return Err(Refusal::Requester);
    }
    if !rule.people.is_empty() || !rule.teams.is_empty() {
        let wanted = named(rule);
        // Whoever is named is named by hand, so an admin who is not does not decide either.
        let Some(grant) = wanted.names(person) else {
            let wanted = wanted.words();
            return Err(Refusal::Named { wanted });
        };
        access::may(person, Permission::Decide)?;
        return Ok(grant);
    }
    if person.role != Role::Admin && !rule.roles.contains(&person.role) {
        let wanted: Vec<&str> = rule.roles.iter().map(|role| role.name()).collect();
        return Err(Refusal::Role {
            wanted: wanted.join(" or "),
            actual: person.role,
        });
    }
    access::may(person, Permission::Decide)?;
    Ok(Grant::NamedRole(person.role))
}

/// Whether this person may open a gate alone: their role and the runbook's own people for starting must agree, and the
/// gate must allow it at all.
pub fn may_break(rule: &GateRule, start: &Circle, person: &Operator) -> Result<Grant, Refusal> {
    let grant = access::may_within(person, Permission::BreakGlass, start)?;
    match rule.break_glass {
        true => Ok(grant),
        false => Err(Refusal::Unbreakable),
    }
}

/// The teams and people a gate names; nobody, where it asks for roles.
pub fn named(rule: &GateRule) -> Circle {
    Circle {
        roles: Vec::new(),
        teams: rule.teams.clone(),
        people: rule.people.clone(),
    }
}

/// Whether as many of these people as the gate asks for may decide there, one of them having started the run unless the
/// rule lets the requester decide.
pub fn within_reach(rule: &GateRule, people: &[Operator]) -> bool {
    let able = people
        .iter()
        .filter(|person| may_decide(rule, person, None).is_ok())
        .count() as u32;
    let starter = u32::from(!rule.requester_may_approve);
    let others_start = people.len() as u32 > able;
    able >= rule.approvals + if others_start { 0 } else { starter }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{operator::Via, span::Span, step::EVIDENCE_WITHIN};

    #[test]
    fn the_requester_and_the_wrong_role_are_refused() {
        let mut rule = GateRule {
            approvals: 1,
            roles: vec![Role::Approver],
            teams: Vec::new(),
            people: Vec::new(),
            requester_may_approve: false,
            decide_within: Span::from_secs(900),
            use_within: Span::from_secs(600),
            evidence_within: EVIDENCE_WITHIN,
            impact: None,
            on_expiry: None,
            break_glass: true,
        };
        let person = |id, role| Operator {
            id: OperatorId(id),
            name: "p".to_owned(),
            role,
            teams: vec!["storage".to_owned()],
            via: Via::Session,
        };
        let requester = Some(OperatorId(1));
        assert_eq!(
            may_decide(&rule, &person(1, Role::Admin), requester),
            Err(Refusal::Requester)
        );
        let by_role = |role| Ok(Grant::NamedRole(role));
        assert_eq!(
            may_decide(&rule, &person(2, Role::Admin), requester),
            by_role(Role::Admin)
        );
        assert_eq!(
            may_decide(&rule, &person(2, Role::Approver), requester),
            by_role(Role::Approver)
        );
        assert!(matches!(
            may_decide(&rule, &person(2, Role::Responder), None),
            Err(Refusal::Role { .. })
        ));
        rule.requester_may_approve = true;
        assert_eq!(
            may_decide(&rule, &person(1, Role::Approver), requester),
            by_role(Role::Approver)
        );
    }

    #[test]
    fn whom_a_gate_names_decides_whatever_their_role_unless_it_only_reads() {
        let mut rule = GateRule {
            approvals: 1,
            roles: vec![Role::Approver],
            teams: vec!["storage".to_owned()],
            people: vec!["eve".to_owned()],
            requester_may_approve: true,
            decide_within: Span::from_secs(900),
            use_within: Span::from_secs(600),
            evidence_within: EVIDENCE_WITHIN,
            impact: None,
            on_expiry: None,
            break_glass: false,
        };
        let person = |name: &str, role, team: &str| Operator {
            id: OperatorId(1),
            name: name.to_owned(),
            role,
            teams: vec![team.to_owned()],
            via: Via::Session,
        };
        for (name, role, team, wanted) in [
            (
                "ana",
                Role::Responder,
                "storage",
                Some(Grant::Team("storage".to_owned())),
            ),
            ("eve", Role::Responder, "web", Some(Grant::Person)),
            ("ana", Role::Approver, "web", None),
            ("ana", Role::Admin, "web", None),
            ("eve", Role::Viewer, "storage", None),
        ] {
            let answer = may_decide(&rule, &person(name, role, team), None).ok();
            assert_eq!(answer, wanted, "{name} {role} {team}");
        }
        let refusal = may_decide(&rule, &person("ana", Role::Admin, "web"), None).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "this gate asks for the team storage or eve by name"
        );
        let circle = Circle {
            teams: vec!["storage".to_owned()],
            ..Circle::default()
        };
        let alone = |rule: &GateRule, role, team| may_break(rule, &circle, &person("ana", role, team));
        assert_eq!(alone(&rule, Role::Admin, "storage"), Err(Refusal::Unbreakable));
        rule.break_glass = true;
        assert!(alone(&rule, Role::Responder, "storage").is_ok());
        assert!(alone(&rule, Role::Approver, "web").is_err());
        assert!(alone(&rule, Role::Viewer, "storage").is_err());
    }
}
