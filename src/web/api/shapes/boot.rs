//! A start of Muster.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    domain::{boot::Boot, overdue::CutOff},
    store::aftermath::Aftermath,
};

/// A start in a list. Counts are as of the start, before anything was handled.
#[derive(Serialize, ToSchema)]
pub struct BootRow {
    /// Its number.
    pub id: i64,
    /// When.
    pub started_at: DateTime<Utc>,
    /// When any replica was last heard of before it; absent when none was known.
    pub last_alive_at: Option<DateTime<Utc>>,
    /// How long nobody was there, in milliseconds; absent when that is not known, or not yet.
    pub away_ms: Option<i64>,
    /// Whether the last one stopped by itself.
    pub clean_stop: bool,
    /// `alone`, `beside` another replica, or `unsettled` for the seconds until that shows; till then the counts are
    /// what holds if it was alone.
    pub company: String,
    /// What happened, in one sentence.
    pub text: String,
    /// Steps whose outcome nobody knew.
    pub unknown: i64,
    /// Attempts that were cut off and may be repeated.
    pub repeated: i64,
    /// Runs whose worker was gone.
    pub taken: i64,
    /// Decisions and heartbeats that had lapsed.
    pub expired: i64,
    /// Timers that fire late.
    pub late: i64,
}

/// A start, whole.
#[derive(Serialize, ToSchema)]
pub struct BootFull {
    /// The start.
    #[serde(flatten)]
    pub boot: BootRow,
    /// Each kind of thing that was overdue, with `count` and the first 100 `items`: what they are and when they were
    /// due. Where they stand now is told by the runs, approvals and incidents they name.
    #[schema(value_type = Object)]
    pub report: Value,
    /// Of the listed steps whose outcome nobody knew, those that wait for a person now.
    pub awaiting_person: usize,
}

impl From<&Boot> for BootRow {
    fn from(boot: &Boot) -> Self {
        let report = &boot.report;
        Self {
            id: boot.id.0,
            started_at: boot.started_at,
            last_alive_at: boot.last_alive_at,
            away_ms: boot.away().map(|away| away.num_milliseconds()),
            clean_stop: boot.clean_stop,
            company: boot.company.name().to_owned(),
            text: boot.sentence(),
            unknown: report.unknown.count,
            repeated: report.repeated.count,
            taken: report.taken.count,
            expired: report.expired(),
            late: report.late(),
        }
    }
}

impl BootFull {
    /// The start with what became of it.
    pub fn of(boot: &Boot, aftermath: &Aftermath) -> Self {
        let waits = |found: &&CutOff| {
            let key = (found.run, found.step.clone());
            aftermath.steps.get(&key).is_some_and(|now| now.awaits_person)
        };
        Self {
            boot: boot.into(),
            report: serde_json::to_value(&boot.report).unwrap_or_default(),
            awaiting_person: boot.report.unknown.items.iter().filter(waits).count(),
        }
    }
}
