//! Publishing a runbook, proposals, and whether somebody may.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    catalog::{Fault, publish::Outcome, review::Review},
    domain::{
        difference::{self, Line},
        digest::Digest,
    },
};

/// A runbook to be published.
#[derive(Deserialize, ToSchema)]
pub struct NewRunbookBody {
    /// The text; its `runbook:` says which it is.
    pub yaml: String,
    /// What changes, and why.
    #[serde(default)]
    pub note: String,
    /// Number of the version it began from, 0 for none.
    pub base: Option<i32>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub struct PublishedBody {
    /// `published`, `unchanged` or `proposed`
    pub outcome: &'static str,
    /// Number of the version in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Number of the proposal that waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<i64>,
}

impl PublishedBody {
    /// What came of a text.
    pub fn of(outcome: Outcome) -> Self {
        let (outcome, version, proposal) = match outcome {
            Outcome::Published(version) => ("published", Some(version.number), None),
            Outcome::Unchanged(version) => ("unchanged", Some(version.number), None),
            Outcome::Proposed(id) => ("proposed", None, Some(id.0)),
        };
        Self {
            outcome,
            version,
            proposal,
        }
    }
}

/// What is wrong with a text.
#[derive(Serialize, ToSchema)]
pub struct FaultsAnswer {
    /// The refusal.
    pub error: FaultsBody,
}

/// What is wrong with a text, place by place.
#[derive(Serialize, ToSchema)]
pub struct FaultsBody {
    /// `refused`
    pub code: &'static str,
    /// For people: all of it.
    pub message: String,
    /// Each fault, in the order of the text.
    pub faults: Vec<TextFaultBody>,
}

/// One thing that is wrong at one place.
#[derive(Serialize, ToSchema)]
pub struct TextFaultBody {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The field, like `steps[3].with.target`; empty for the whole text.
    pub path: String,
    /// What is wrong, and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl FaultsAnswer {
    /// The refusal of a text.
    pub fn of(faults: &[Fault]) -> Self {
        let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Self {
            error: FaultsBody {
                code: "refused",
                message: words.join("\n"),
                faults: faults
                    .iter()
                    .map(|fault| TextFaultBody {
                        line: fault.line,
                        column: fault.column,
                        path: fault.path.clone(),
                        message: fault.message.clone(),
                        hint: fault.hint.clone(),
                    })
                    .collect(),
            },
        }
    }
}

/// A version that waits, or waited, until others had looked at it.
#[derive(Serialize, ToSchema)]
pub struct ProposalBody {
    /// Its number.
    pub id: i64,
    /// Of which runbook.
    pub runbook: String,
    /// `waiting`, `published`, `returned`, `replaced` or `withdrawn`
    pub state: &'static str,
    /// Who proposed it; absent for the folder.
    pub by: Option<String>,
    /// Where it comes from.
    pub origin: String,
    /// What they said with it.
    pub note: String,
    /// When they did.
    pub proposed_at: DateTime<Utc>,
    /// SHA-256 of the text: an approval carries it.
    pub digest: String,
    /// Number of the version it is compared with, 0 for none: an approval carries it.
    pub base: i32,
    /// Approvals needed.
    pub needed: u32,
    /// Approvals that count.
    pub given: u32,
    /// Every approval.
    pub approvals: Vec<ProposalApprovalBody>,
    /// The text.
    pub yaml: String,
    /// What it has otherwise than that version, line by line: `{kind: same | gone | new, text}`, or `cut` with a count.
    #[schema(value_type = Vec<Object>)]
    pub difference: Vec<Line>,
    /// What was said when it was settled.
    pub word: String,
    /// Number of the version it became.
    pub version: Option<i32>,
}

/// One approval of a proposal.
#[derive(Serialize, ToSchema)]
pub struct ProposalApprovalBody {
    /// Who.
    pub name: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What they said with it.
    pub note: String,
    /// Number of the version they compared it with, 0 for none.
    pub base: i32,
    /// Whether it counts.
    pub counts: bool,
}

impl ProposalBody {
    /// A proposal as it is now.
    pub fn of(review: Review) -> Self {
        let (given, base) = (review.given(), review.base());
        let old = review.standing.as_ref();
        let old = old.map_or("", |standing| standing.source.as_str());
        let difference = difference::lines(old, &review.proposal.source);
        let proposal = review.proposal;
        Self {
            id: proposal.id.0,
            runbook: proposal.runbook.slug,
            state: proposal.state.name(),
            by: proposal.by_name,
            origin: proposal.origin,
            note: proposal.note,
            proposed_at: proposal.proposed_at,
            digest: proposal.digest.to_string(),
            base,
            needed: review.needed,
            given,
            approvals: review
                .approvals
                .into_iter()
                .map(|(approval, counts)| ProposalApprovalBody {
                    name: approval.person.name,
                    at: approval.at,
                    note: approval.note,
                    base: approval.base_number.unwrap_or_default(),
                    counts,
                })
                .collect(),
            difference,
            yaml: proposal.source,
            word: proposal.word,
            version: proposal.number,
        }
    }
}

/// An approval.
#[derive(Deserialize, ToSchema)]
pub struct ApproveBody {
    /// The `digest` of the proposal that was looked at.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// The `base` it was compared with.
    pub base: i32,
    /// What was looked at.
    #[serde(default)]
    pub note: String,
}

/// What came of an approval.
#[derive(Serialize, ToSchema)]
pub struct ApprovedBody {
    /// Number of the version that is in use with it; absent while more approvals are needed.
    pub version: Option<i32>,
}

/// A word to the author.
#[derive(Deserialize, ToSchema)]
pub struct WordBody {
    /// What has to change.
    pub note: String,
}

/// Whether somebody may do something.
#[derive(Serialize, ToSchema)]
pub struct AccessBody {
    /// Whether they may.
    pub may: bool,
    /// The question in words.
    pub question: String,
    /// The answer with its reason; begins with `yes` or `no`.
    pub answer: String,
}
