//! Breaking the glass: the page on which one person opens a gate alone.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    approval::{ApprovalFacts, ApprovalRecord, BUTTON_CHARS_MAX},
    layout::Frame,
    parts::{Hidden, hidden},
    text,
};
use crate::execute::people::BREAK_REASON_MIN;

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
    /// How long what is below may start then.
    pub use_within: String,
    /// Hidden fields.
    pub hidden: Hidden,
}

impl GlassPage {
    /// The page of a request that waits.
    pub fn of(frame: Frame, record: &ApprovalRecord, now: DateTime<Utc>) -> Self {
        let approval = &record.approval;
        let question = text::visible(approval.title.trim_end_matches(['?', ' ']));
        Self {
            frame,
            id: approval.id.0,
            facts: ApprovalFacts::of(record, now),
            digest: approval.digest.to_string(),
            open_words: format!("Open alone: {}", text::cut(&question, BUTTON_CHARS_MAX)),
            reason_min: BREAK_REASON_MIN,
            use_within: approval.rule.use_within.to_string(),
            hidden: hidden(Some(record.run.incident.last_seq)),
        }
    }
}
