//! One attempt in a line: what was sent and how it ended.

use chrono::{DateTime, Utc};

use super::{
    format,
    parts::{At, Badge, Said, at, said},
};
use crate::{domain::id::StepId, store::attempts::AttemptRow};

/// One attempt.
#[derive(Clone, Debug)]
pub struct AttemptView {
    /// The item it was made for: `drain[3]`.
    pub item: Option<String>,
    /// Its number.
    pub number: i32,
    /// How it stands.
    pub badge: Badge,
    /// What was sent.
    pub command: Said,
    /// What came back, in one line.
    pub summary: Said,
    /// The key it was sent with.
    pub key: Said,
    /// When it began.
    pub started: At,
    /// How long it took.
    pub took: Option<String>,
}

impl AttemptView {
    /// The attempt as people see it.
    pub fn of(row: &AttemptRow, now: DateTime<Utc>) -> Self {
        let badge = match row.state.as_str() {
            "started" => Badge::new("running", "play", "Running"),
            "succeeded" => Badge::new("done", "check", "Done"),
            "failed" => Badge::new("sev1", "cross", "Failed"),
            "interrupted" => Badge::new("quiet", "barred", "Cut off"),
            _ => Badge::new("unknown", "question", "Outcome unknown"),
        };
        let step = StepId::from(row.step.as_str());
        Self {
            item: step.index().map(|_| step.0),
            number: row.attempt,
            badge,
            command: said(&row.command),
            summary: said(row.summary.as_deref().unwrap_or_default()),
            key: said(&row.idempotency_key),
            started: at(row.started_at, now),
            took: row.finished_at.map(|end| format::length(end - row.started_at)),
        }
    }
}
