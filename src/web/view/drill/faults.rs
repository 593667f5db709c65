//! What is really broken in a game day, and what became of it.

use std::collections::BTreeMap;

use askama::{Template, filters::HtmlSafe};

use super::{
    super::parts::{Badge, Said, said},
    clock,
};
use crate::domain::{
    drill::{DrillFact, DrillState, Logged},
    fault::FaultState,
};

/// The faults, the newest state of each; whether it was steady; and whether something is left.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_faults.html")]
pub struct FaultsPart {
    steady: Vec<(Badge, Said)>,
    faults: Vec<(Badge, Said)>,
    /// What could not be taken back so far.
    left: Vec<Said>,
    is_open: bool,
}

impl HtmlSafe for FaultsPart {}

impl FaultsPart {
    /// What the log tells of it.
    pub fn of(log: &[Logged], state: DrillState) -> Self {
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
        }
    }
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
        (FaultState::Undone, _) => format!("{fault} is taken back, and that was seen"),
        (FaultState::Failed, true) => format!("{fault} was not caused"),
        (FaultState::Failed, false) => format!("{fault} was not caused: {error}"),
    }
}
