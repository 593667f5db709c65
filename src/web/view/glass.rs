//! Breaking the glass: the page on which one person opens a gate alone.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    approval::ApprovalRecord,
    decision::BUTTON_CHARS_MAX,
    format,
    gate::ApprovalFacts,
    hold::{self, Hold},
    layout::Frame,
    parts::{Hidden, hidden},
    text,
};
use crate::{
    domain::{access, operator::Operator, permission::Permission, proof::Presence},
    execute::people::BREAK_REASON_MIN,
};

/// Reviewers who are named.
const NAMES_MAX: usize = 6;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "approval/break.html")]
pub struct GlassPage {
    /// The frame.
    pub frame: Frame,
    /// The request.
    pub id: i64,
    /// What is asked and shown.
    pub facts: ApprovalFacts,
    /// The hash of that.
    pub digest: String,
    /// What opening does, in the button.
    pub open_words: String,
    /// The shortest reason.
    pub reason_min: usize,
    /// Before whom the review will stand.
    pub reviewers: String,
    /// How long what is below may start then.
    pub use_within: String,
    /// Why they cannot open it now.
    pub hold: Option<Hold>,
    /// The name they have to type.
    pub to_type: Option<String>,
    /// Hidden fields.
    pub hidden: Hidden,
}

impl GlassPage {
    /// The page of a request that waits.
    pub fn of(
        frame: Frame,
        record: &ApprovalRecord,
        me: &Operator,
        presence: Presence,
        now: DateTime<Utc>,
    ) -> Self {
        let approval = &record.approval;
        let back = format!("/approvals/{}/break-glass", approval.id);
        let question = text::visible(approval.title.trim_end_matches(['?', ' ']));
        Self {
            frame,
            id: approval.id.0,
            facts: ApprovalFacts::of(record, now),
            digest: approval.digest.to_string(),
            open_words: format!("Open alone: {}", text::cut(&question, BUTTON_CHARS_MAX)),
            reason_min: BREAK_REASON_MIN,
            reviewers: reviewers(record, me),
            use_within: approval.rule.use_within.to_string(),
            hold: Hold::proof(record, presence, &back, now),
            to_type: hold::to_type(record),
            hidden: hidden(Some(record.run.incident.last_seq)),
        }
    }
}

/// Who may look at it afterwards: `Ben, Cleo and 4 others`; nobody but this person is no reviewer.
fn reviewers(record: &ApprovalRecord, me: &Operator) -> String {
    let may = |person: &&Operator| person.id != me.id && access::may(person, Permission::Review).is_ok();
    let names: Vec<String> = record
        .people
        .iter()
        .filter(may)
        .map(|person| text::visible(&person.name))
        .collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => format::listed(&names),
        more => format!("{} and {more} others", names[..NAMES_MAX].join(", ")),
    }
}
