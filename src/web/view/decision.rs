//! What a person can do at a gate: approve or reject, and the ways beside that.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    approval::ApprovalRecord,
    hold::{self, Hold},
    parts::{Hidden, Said, hidden, said},
    review::ReviewCard,
    text,
};
use crate::domain::{
    approval::{ApprovalState, may_decide},
    operator::{Operator, Role},
    proof::Presence,
};

/// Reasons that one tap gives.
const PHRASES: [&str; 3] = [
    "The evidence is clear",
    "Agreed with the team",
    "Waiting costs more",
];
/// Characters of the question inside a button.
pub const BUTTON_CHARS_MAX: usize = 44;
/// People offered for a link.
const NAMES_MAX: usize = 200;

/// What a person decides with.
#[derive(Clone, Debug)]
pub struct DecisionForm {
    /// The request.
    pub id: i64,
    /// The hash of what is shown above.
    pub digest: String,
    /// The code of the link by which the person came.
    pub code: Option<String>,
    /// Operation id.
    pub hidden: Hidden,
    /// The number of the newest event the person has seen.
    pub seen: i64,
    /// What approving does, in the button.
    pub approve_words: String,
    /// Why this person may not decide.
    pub refusal: Option<String>,
    /// Why they cannot approve now, though they may.
    pub hold: Option<Hold>,
    /// The name they have to type to approve.
    pub to_type: Option<String>,
    /// Hidden fields of the form that has it read.
    pub again: Hidden,
    /// One-tap reasons.
    pub phrases: [&'static str; 3],
}

impl DecisionForm {
    /// The form, while the request is pending and its time is not over.
    pub fn of(
        record: &ApprovalRecord,
        me: &Operator,
        presence: Presence,
        code: Option<String>,
        seen: i64,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let approval = &record.approval;
        if !record.is_open(now) {
            return None;
        }
        let voted = record.votes.iter().any(|vote| vote.name == me.name);
        let refusal = match may_decide(&approval.rule, me, approval.requester) {
            Err(refusal) => Some(refusal.to_string()),
            Ok(_) => voted.then(|| "you have decided here already".to_owned()),
        };
        let back = match &code {
            Some(code) => format!("/a/{code}"),
            None => format!("/approvals/{}", approval.id),
        };
        let hold = match refusal {
            Some(_) => None,
            None => Hold::of(record, presence, &back, now),
        };
        let question = text::visible(approval.title.trim_end_matches(['?', ' ']));
        Some(Self {
            id: approval.id.0,
            digest: approval.digest.to_string(),
            code,
            hidden: hidden(Some(seen)),
            seen,
            approve_words: {
                let question = text::cut(&question, BUTTON_CHARS_MAX);
                match record.run.incident.drill {
                    None => format!("Approve: {question}"),
                    Some(_) => format!("Practise, approve: {question}"),
                }
            },
            refusal,
            hold,
            to_type: hold::to_type(record),
            again: hidden(Some(seen)),
            phrases: PHRASES,
        })
    }
}

impl DecisionForm {
    /// Whether approving is impossible now.
    pub fn is_held(&self) -> bool {
        self.hold.as_ref().is_some_and(Hold::is_now)
    }

    /// Whether the evidence can be read again from here.
    pub fn may_read_again(&self) -> bool {
        let way = self.hold.as_ref().map(|hold| &hold.way);
        way == Some(&hold::Way::ReadAgain)
    }
}

/// What can be done at a gate besides approving and rejecting: ask, send it back, take an approval back, bring somebody
/// here, break the glass.
#[derive(Clone, Debug, Template)]
#[template(path = "approval/_others.html")]
pub struct Others {
    id: i64,
    digest: String,
    seen: i64,
    may_ask: bool,
    may_send_back: bool,
    /// People for whom a link can be made.
    names: Vec<String>,
    withdraw: Option<Withdrawal>,
    glass: Option<Glass>,
    review: Option<ReviewCard>,
}

impl HtmlSafe for Others {}

/// Whether an approval can be taken back.
#[derive(Clone, Debug)]
enum Withdrawal {
    /// By this person, now.
    Open,
    /// Not any more: this step has started under it.
    Started(Said),
}

/// Whether one person can open the gate alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glass {
    /// This person can.
    Breakable,
    /// Nobody can.
    Forbidden,
}

impl Others {
    /// What this person can do besides.
    pub fn of(record: &ApprovalRecord, me: &Operator, seen: i64, now: DateTime<Utc>) -> Self {
        let approval = &record.approval;
        let is_pending = record.is_open(now);
        let may_act = me.role >= Role::Responder;
        let may_decide = may_decide(&approval.rule, me, approval.requester).is_ok();
        let is_theirs = may_decide
            || approval.requester == Some(me.id)
            || record.votes.iter().any(|vote| vote.name == me.name)
            || record
                .review
                .as_ref()
                .is_some_and(|review| review.opened_by == me.id.0);
        let is_given = match approval.state {
            ApprovalState::Pending => is_pending && !record.votes.is_empty(),
            ApprovalState::Approved => true,
            _ => false,
        };
        Self {
            id: approval.id.0,
            digest: approval.digest.to_string(),
            seen,
            may_ask: is_pending && may_act,
            may_send_back: is_pending && may_decide,
            names: match is_pending && may_act {
                true => record
                    .deciders(me)
                    .take(NAMES_MAX)
                    .map(|person| person.name.clone())
                    .collect(),
                false => Vec::new(),
            },
            withdraw: (is_given && is_theirs).then(|| match record.started() {
                Some(step) => Withdrawal::Started(said(&step.0)),
                None => Withdrawal::Open,
            }),
            glass: (is_pending && may_act).then_some(match approval.rule.break_glass {
                true => Glass::Breakable,
                false => Glass::Forbidden,
            }),
            review: record
                .review
                .as_ref()
                .map(|review| ReviewCard::of(review, me, "approval", now)),
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(Some(self.seen))
    }
}
