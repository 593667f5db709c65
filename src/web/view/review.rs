//! Reviews: what was opened alone and must be looked at by somebody else.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::parts::{Ago, Hidden, Said, ago, hidden, said};
use crate::{
    domain::operator::{Operator, Role},
    store::reviews::Review,
};

/// Who may close a review.
const MAY_CLOSE: Role = Role::Approver;

/// One review, as one person sees it.
#[derive(Clone, Debug, Template)]
#[template(path = "approval/_review.html")]
pub struct ReviewCard {
    id: i64,
    approval: i64,
    incident: i64,
    title: Said,
    by: Said,
    at: Ago,
    reason: Said,
    closed: Option<Closed>,
    /// Why this person may not close it.
    refusal: Option<&'static str>,
    hidden: Hidden,
    back: &'static str,
}

impl HtmlSafe for ReviewCard {}

/// Who looked at it, and what they found.
#[derive(Clone, Debug)]
struct Closed {
    by: Said,
    at: Ago,
    finding: Said,
}

impl ReviewCard {
    /// The review; `back` names the page its form leads to: `incident`, `approval`, otherwise the inbox.
    pub fn of(review: &Review, me: &Operator, back: &'static str, now: DateTime<Utc>) -> Self {
        let refusal = if review.opened_by == me.id.0 {
            Some("You opened this gate alone, so somebody else has to look at it.")
        } else {
            (me.role < MAY_CLOSE).then_some("An approver has to look at it.")
        };
        let closed = match (&review.closed_by_name, review.closed_at) {
            (Some(name), Some(at)) => Some(Closed {
                by: said(name),
                at: ago(at, now),
                finding: said(&review.finding),
            }),
            _ => None,
        };
        Self {
            id: review.id,
            approval: review.approval,
            incident: review.incident,
            title: said(&review.title),
            by: said(&review.opened_by_name),
            at: ago(review.opened_at, now),
            reason: said(&review.reason),
            closed,
            refusal,
            hidden: hidden(None),
            back,
        }
    }
}
