//! What is really broken in a game day, and what became of it.

use std::collections::BTreeMap;

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    super::parts::{Badge, Hidden, Said, hidden, said},
    clock,
};
use crate::{
    domain::{
        drill::{DrillFact, DrillState, Logged},
        fault::FaultState,
        id::DrillId,
    },
    drill::declare::may_be_declared,
    store::faults::Standing,
};

/// How late its machine may be before that is told.
const LATE: TimeDelta = TimeDelta::seconds(60);

/// The faults, the newest state of each; whether it was steady; and whether something is left.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_faults.html")]
pub struct FaultsPart {
    steady: Vec<(Badge, Said)>,
    faults: Vec<(Badge, Said)>,
    /// What could not be taken back so far.
    left: Vec<Said>,
    /// What is planned or may stand, with all that is known of it.
    standing: Vec<StandingRow>,
    id: i64,
    is_open: bool,
}

/// A fault that is planned or may stand.
#[derive(Clone, Debug)]
struct StandingRow {
    inject: String,
    name: Said,
    known: Vec<(&'static str, Said)>,
    /// Whether the reader may say that it is over.
    may_declare: bool,
}

impl HtmlSafe for FaultsPart {}

impl FaultsPart {
    /// What the log tells of it, and the journal of what may stand, for who `may_declare` it over.
    pub fn of(
        id: DrillId,
        (log, state): (&[Logged], DrillState),
        standing: &[Standing],
        may_declare: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let mut newest = BTreeMap::new();
        let mut steady = Vec::new();
        for logged in log {
            match &logged.fact {
                DrillFact::Fault {
                    inject,
                    target,
                    cause,
                    state,
                    error,
                } => _ = newest.insert(inject.as_str(), (target, cause, *state, error)),
                DrillFact::Steady { holds, measured } => {
                    let badge = match holds {
                        true => Badge::new("done", "check", format!("Steady at {}", clock(logged.age))),
                        false => Badge::new("sev1", "cross", format!("Not steady at {}", clock(logged.age))),
                    };
                    steady.push((badge, said(measured)));
                }
                _ => {}
            }
        }
        let is_left = |state: FaultState, error: &str| state == FaultState::Undoing && !error.is_empty();
        let rows = newest.values();
        Self {
            is_open: is_open(log, state),
            left: rows
                .clone()
                .filter(|(_, _, state, error)| is_left(*state, error))
                .map(|(target, cause, state, error)| said(&words(target, cause, *state, error)))
                .collect(),
            faults: rows
                .map(|(target, cause, state, error)| {
                    (badge(*state), said(&words(target, cause, *state, error)))
                })
                .collect(),
            steady,
            standing: standing
                .iter()
                .map(|fault| StandingRow {
                    inject: fault.inject.clone(),
                    name: said(&format!("{} of {}", fault.cause, fault.target)),
                    known: known(fault, now),
                    may_declare: may_declare && may_be_declared(fault, now),
                })
                .collect(),
            id: id.0,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }
}

/// Everything that is known of a fault.
fn known(fault: &Standing, now: DateTime<Utc>) -> Vec<(&'static str, Said)> {
    let minute = |at: DateTime<Utc>| format!("{} UTC", at.format("%Y-%m-%d %H:%M:%S"));
    let late = now - fault.due;
    let tried = match (fault.tries, fault.error.is_empty()) {
        (0, _) => None,
        (tries, true) => Some(format!("{tries} times")),
        (tries, false) => Some(format!("{tries} times, the last time: {}", fault.error)),
    };
    let rows = [
        ("Real target", Some(fault.target_name.clone())),
        ("On the machine", fault.host.clone()),
        ("Acts on", fault.acts_on.clone()),
        (
            "What it does",
            fault.order.as_ref().map(|order| order.harm.words()),
        ),
        ("Planned", Some(minute(fault.planned_at))),
        ("Seen to stand", fault.caused_at.map(minute)),
        ("Tried", tried),
        (
            "Overdue",
            (late > LATE).then(|| {
                format!(
                    "since {}: no Muster of that machine has seen to it",
                    minute(fault.due)
                )
            }),
        ),
        (
            "Its files",
            fault
                .order
                .as_ref()
                .map(|order| order.folder.display().to_string()),
        ),
    ];
    let told = rows
        .into_iter()
        .filter_map(|(name, words)| Some((name, said(&words?))));
    told.collect()
}

/// Whether a game day that is over is still being cleaned up.
pub fn is_open(log: &[Logged], state: DrillState) -> bool {
    let last = log.iter().rev().find_map(|logged| match logged.fact {
        DrillFact::Steady { holds, .. } => Some((logged.seq, holds)),
        _ => None,
    });
    let ended = log
        .iter()
        .find(|logged| matches!(logged.fact, DrillFact::Ended { .. }))
        .map(|logged| logged.seq);
    state == DrillState::Ended && last.is_some_and(|(seq, holds)| holds && Some(seq) < ended)
}

fn badge(state: FaultState) -> Badge {
    match state {
        FaultState::Planned | FaultState::Causing => Badge::new("quiet", "clock", "To be caused"),
        FaultState::Caused => Badge::new("sev3", "triangle", "Stands"),
        FaultState::Undoing => Badge::new("sev1", "cross", "May still stand"),
        FaultState::Undone => Badge::new("done", "check", "Taken back"),
        FaultState::Failed => Badge::new("quiet", "barred", "Not caused"),
        FaultState::Declared => Badge::new("sev3", "question", "Declared over"),
    }
}

/// A fault as people read it.
pub fn words(target: &str, cause: &str, state: FaultState, error: &str) -> String {
    let fault = format!("{cause} of {target}");
    match (state, error.is_empty()) {
        (FaultState::Planned | FaultState::Causing, _) => format!("{fault} is to be caused"),
        (FaultState::Caused, _) => format!("{fault} stands"),
        (FaultState::Undoing, true) => format!("{fault} is being taken back"),
        (FaultState::Undoing, false) => {
            format!("{fault} could not be taken back and is tried again: {error}")
        }
        (FaultState::Undone, true) => format!("{fault} is taken back, and that was seen"),
        (FaultState::Undone, false) => format!("{fault} is over: {error}"),
        (FaultState::Declared, _) => format!("{fault} was declared over, which nobody saw: {error}"),
        (FaultState::Failed, true) => format!("{fault} was not caused"),
        (FaultState::Failed, false) => format!("{fault} was not caused: {error}"),
    }
}
