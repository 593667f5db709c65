//! A request for a decision, the votes on it, a decision.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    domain::approval::{ApprovalState, Verdict},
    store::{
        approvals::{Approval, ApprovalLine, Vote},
        reviews::Review,
    },
};

/// A request for a decision in a list.
#[derive(Serialize, ToSchema)]
pub struct ApprovalRow {
    /// Its number.
    pub id: i64,
    /// Of which incident.
    pub incident: i64,
    /// The drill it belongs to, when nothing of it is real.
    pub drill: Option<i64>,
    /// What is asked.
    pub title: String,
    /// `pending`, `approved`, `rejected`, `expired`, `void`, `withdrawn`, `returned`
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
            drill: line.drill.map(|drill| drill.0),
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
    /// `pending`, `approved`, `rejected`, `expired`, `void`, `withdrawn`, `returned`
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
    /// Roles that may decide, unless teams or people are named; an admin always may.
    pub roles: Vec<String>,
    /// When teams are named, only who is in one of them may decide, or is named.
    pub teams: Vec<String>,
    /// The only people who may decide, if any are named.
    pub people: Vec<String>,
    /// The step the run goes on at when nobody decides in time; without it the run ends.
    pub on_expiry: Option<String>,
    /// Whether a responder may open it alone.
    pub break_glass: bool,
    /// How old evidence that can be read again may be to approve by, like `5m`.
    pub evidence_within: String,
    /// What opening it alone has left.
    pub review: Option<ReviewBody>,
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
    pub fn of(approval: Approval, votes: Vec<Vote>, review: Option<Review>) -> Self {
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
            roles: approval
                .rule
                .roles
                .iter()
                .map(|role| role.name().to_owned())
                .collect(),
            teams: approval.rule.teams,
            people: approval.rule.people,
            on_expiry: approval.rule.on_expiry.map(|step| step.0),
            break_glass: approval.rule.break_glass,
            evidence_within: approval.rule.evidence_within.to_string(),
            review: review.map(ReviewBody::from),
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
    /// The short name of the target, where what is let through cannot be taken back.
    #[serde(default)]
    pub typed: String,
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

/// A request to be sent back.
#[derive(Deserialize, ToSchema)]
pub struct SendBackBody {
    /// The digest of what you saw; when it is not the present one, nothing is done.
    pub digest: String,
    /// What has to change.
    pub note: String,
}

/// A request whose evidence is to be read again.
#[derive(Deserialize, ToSchema)]
pub struct ReadAgainBody {
    /// The digest of what you saw; when it is not the present one, nothing is done.
    pub digest: String,
}

/// A question about a request.
#[derive(Deserialize, ToSchema)]
pub struct QuestionBody {
    /// What you want to know, in at most 2000 bytes.
    pub question: String,
}

/// A gate to be opened alone.
#[derive(Deserialize, ToSchema)]
pub struct BreakBody {
    /// The digest of what you saw; when it is not the present one, nothing is done.
    pub digest: String,
    /// Why this cannot wait for somebody else, in at least 10 characters.
    pub reason: String,
    /// The short name of the target, where what is let through cannot be taken back.
    #[serde(default)]
    pub typed: String,
}

/// What a second person found.
#[derive(Deserialize, ToSchema)]
pub struct FindingBody {
    /// In words.
    pub finding: String,
}

/// What opening a gate alone has left.
#[derive(Serialize, ToSchema)]
pub struct ReviewBody {
    /// Its number.
    pub id: i64,
    /// The request that was opened alone.
    pub approval: i64,
    /// Of which incident.
    pub incident: i64,
    /// What was asked.
    pub title: String,
    /// Who opened it.
    pub opened_by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub opened_at: DateTime<Utc>,
    /// Who has looked at it; absent while it is open.
    pub closed_by: Option<String>,
    /// When.
    pub closed_at: Option<DateTime<Utc>>,
    /// What they found.
    pub finding: String,
}

impl From<Review> for ReviewBody {
    fn from(review: Review) -> Self {
        Self {
            id: review.id,
            approval: review.approval,
            incident: review.incident,
            title: review.title,
            opened_by: review.opened_by_name,
            reason: review.reason,
            opened_at: review.opened_at,
            closed_by: review.closed_by_name,
            closed_at: review.closed_at,
            finding: review.finding,
        }
    }
}
