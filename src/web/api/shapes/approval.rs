//! A request for a decision, the votes on it, a decision.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    domain::approval::{ApprovalState, Verdict},
    store::approvals::{Approval, ApprovalLine, Vote},
};

/// A request for a decision in a list.
#[derive(Serialize, ToSchema)]
pub struct ApprovalRow {
    /// Its number.
    pub id: i64,
    /// Of which incident.
    pub incident: i64,
    /// What is asked.
    pub title: String,
    /// `pending`, `approved`, `rejected`, `expired`, `void`
    pub state: String,
    /// What it acts on.
    pub targets: Vec<String>,
    /// Approvals so far.
    pub given: i64,
    /// Approvals needed.
    pub needed: u32,
    /// Who started the run.
    pub requested_by: Option<String>,
    /// When it was asked.
    pub opened_at: DateTime<Utc>,
    /// When it lapses undecided.
    pub decide_by: DateTime<Utc>,
}

impl From<ApprovalLine> for ApprovalRow {
    fn from(line: ApprovalLine) -> Self {
        Self {
            id: line.id.0,
            incident: line.incident.0,
            title: line.title,
            state: line.state.name().to_owned(),
            targets: line.targets,
            given: line.given,
            needed: line.rule.approvals,
            requested_by: line.requester_name,
            opened_at: line.opened_at,
            decide_by: line.decide_by,
        }
    }
}

/// A request for a decision, whole.
#[derive(Serialize, ToSchema)]
pub struct ApprovalBody {
    /// Its number.
    pub id: i64,
    /// Of which incident.
    pub incident: i64,
    /// Of which run.
    pub run: i64,
    /// At which gate.
    pub step: String,
    /// `pending`, `approved`, `rejected`, `expired`, `void`
    pub state: String,
    /// What is asked.
    pub title: String,
    /// What the people affected will notice.
    pub impact: String,
    /// Everything a decision is given for.
    #[schema(value_type = Object)]
    pub bound: Value,
    /// The hash of it, which a decision must carry.
    pub digest: String,
    /// Approvals needed.
    pub needed: u32,
    /// The votes so far.
    pub votes: Vec<VoteBody>,
    /// When it was asked.
    pub opened_at: DateTime<Utc>,
    /// When it lapses undecided.
    pub decide_by: DateTime<Utc>,
    /// When it lapses unused.
    pub use_by: Option<DateTime<Utc>>,
}

/// One vote.
#[derive(Serialize, ToSchema)]
pub struct VoteBody {
    /// Who.
    pub name: String,
    /// `approve` or `reject`
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl ApprovalBody {
    /// The request with its votes.
    pub fn of(approval: Approval, votes: Vec<Vote>) -> Self {
        Self {
            id: approval.id.0,
            incident: approval.incident.0,
            run: approval.run.0,
            step: approval.step.0,
            state: approval.state.name().to_owned(),
            title: approval.title,
            impact: approval.impact,
            bound: serde_json::to_value(approval.bound).unwrap_or_default(),
            digest: approval.digest.to_string(),
            needed: approval.rule.approvals,
            votes: votes
                .into_iter()
                .map(|vote| VoteBody {
                    name: vote.name,
                    verdict: vote.verdict,
                    reason: vote.reason,
                    at: vote.at,
                })
                .collect(),
            opened_at: approval.opened_at,
            decide_by: approval.decide_by,
            use_by: approval.use_by,
        }
    }
}

/// A decision.
#[derive(Deserialize, ToSchema)]
pub struct DecisionBody {
    /// `approve` or `reject`
    #[schema(value_type = String)]
    pub verdict: Verdict,
    /// The digest of what you saw; when it is not the present one, nothing is decided.
    pub digest: String,
    /// Why; needed to reject.
    #[serde(default)]
    pub reason: String,
}

/// Where a request stands after a decision.
#[derive(Serialize, ToSchema)]
pub struct DecidedBody {
    /// `pending` while more approvals are needed, `approved`, `rejected`
    pub state: String,
}

impl From<ApprovalState> for DecidedBody {
    fn from(state: ApprovalState) -> Self {
        Self {
            state: state.name().to_owned(),
        }
    }
}
