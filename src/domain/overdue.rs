//! What is overdue when Muster starts: how much of each kind, and the first of them by name. What became of them is not
//! kept: whoever reads a report looks where they stand.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    id::{ApprovalId, IncidentId, RunId, SourceId, StepId},
    step::Effect,
};

/// Items of one kind that a report names; it counts all.
pub const ITEMS_MAX: usize = 100;

/// What was overdue at a start, before anything of it was handled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Incidents that were open.
    pub open_incidents: i64,
    /// Attempts that were cut off and may not be repeated: sent or not, nobody knows.
    pub unknown: Part<CutOff>,
    /// Attempts that were cut off and may be repeated.
    pub repeated: Part<CutOff>,
    /// Runs whose worker was gone.
    pub taken: Part<Taken>,
    /// Decisions that lapsed.
    pub approvals: Part<Lapsed>,
    /// Heartbeats that were not heard in time.
    pub heartbeats: Part<Silence>,
    /// Runs that were due.
    pub timers: Part<LateRun>,
    /// Incidents whose hold-down was over.
    pub recoveries: Part<LateIncident>,
    /// Alerts that were said to fire again and were to be believed.
    pub refires: Part<LateIncident>,
}

/// Things of one kind: how many, and the first [`ITEMS_MAX`] of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part<T> {
    /// How many there were.
    pub count: i64,
    /// The first of them, the longest overdue first.
    #[serde(default = "Vec::new")]
    pub items: Vec<T>,
}

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self {
            count: 0,
            items: Vec::new(),
        }
    }
}

/// An attempt that began and whose worker was gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutOff {
    /// Of which run.
    pub run: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// Of which step.
    pub step: StepId,
    /// Its number.
    pub attempt: i32,
    /// Whether it may be repeated.
    pub effect: Effect,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

/// A run whose worker was gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Which.
    pub run: RunId,
    /// Of which incident.
    pub incident: IncidentId,
}

/// A request for a decision, one of whose clocks had run out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lapsed {
    /// Which.
    pub approval: ApprovalId,
    /// Of which run.
    pub run: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// Whether it was approved and not used; otherwise nobody had decided.
    pub unused: bool,
    /// When it lapsed.
    pub due: DateTime<Utc>,
}

/// A heartbeat that was not heard in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Whose.
    pub source: SourceId,
    /// Which.
    pub fingerprint: String,
    /// When it should have been heard.
    pub due: DateTime<Utc>,
}

/// A run that was due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateRun {
    /// Which.
    pub run: RunId,
    /// Of which incident.
    pub incident: IncidentId,
    /// What it waited for.
    pub timer: Timer,
    /// The step whose timer it was.
    pub step: Option<StepId>,
    /// When it was due.
    pub due: DateTime<Utc>,
}

/// What a run in the queue waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timer {
    /// The next attempt of a step that failed.
    Retry,
    /// The end of a wait.
    Wait,
    /// The end of the time to decide.
    Gate,
    /// Nothing but a worker.
    Ready,
    /// To be looked at again: a lock somebody held, a person who was to act.
    Look,
}

/// An incident that was due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateIncident {
    /// Which.
    pub incident: IncidentId,
    /// When.
    pub due: DateTime<Utc>,
}

impl Report {
    /// What expired.
    pub fn expired(&self) -> i64 {
        self.approvals.count + self.heartbeats.count
    }

    /// Timers that fire late.
    pub fn late(&self) -> i64 {
        self.timers.count + self.recoveries.count + self.refires.count
    }

    /// The incidents it names, each as often as it is named.
    pub fn incidents(&self) -> impl Iterator<Item = IncidentId> {
        let cut_off = self.unknown.items.iter().chain(&self.repeated.items);
        let late = self.recoveries.items.iter().chain(&self.refires.items);
        (cut_off.map(|step| step.incident))
            .chain(self.taken.items.iter().map(|run| run.incident))
            .chain(self.approvals.items.iter().map(|lapsed| lapsed.incident))
            .chain(self.timers.items.iter().map(|run| run.incident))
            .chain(late.map(|late| late.incident))
    }

    /// The runs it names, each as often as it is named.
    pub fn runs(&self) -> impl Iterator<Item = RunId> {
        let cut_off = self.unknown.items.iter().chain(&self.repeated.items);
        (cut_off.map(|step| step.run))
            .chain(self.taken.items.iter().map(|run| run.run))
            .chain(self.approvals.items.iter().map(|lapsed| lapsed.run))
            .chain(self.timers.items.iter().map(|run| run.run))
    }

    /// Whether nothing was overdue.
    pub fn is_empty(&self) -> bool {
        self.unknown.count + self.repeated.count + self.taken.count + self.expired() + self.late() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back_also_from_a_release_that_knew_less() {
        let mut report = Report {
            open_incidents: 2,
            ..Report::default()
        };
        assert!(report.is_empty());
        report.timers = Part {
            count: 1,
            items: vec![LateRun {
                run: RunId(4),
                incident: IncidentId(2),
                timer: Timer::Retry,
                step: Some("strike".into()),
                due: "2026-11-21T03:02:00Z".parse().unwrap(),
            }],
        };
        assert!(!report.is_empty());
        let kept = serde_json::to_value(&report).unwrap();
        assert_eq!(serde_json::from_value::<Report>(kept).unwrap(), report);
        let older = serde_json::json!({"timers": {"count": 3}});
        let read: Report = serde_json::from_value(older).unwrap();
        assert_eq!((read.timers.count, read.late(), read.expired()), (3, 3, 0));
    }
}
