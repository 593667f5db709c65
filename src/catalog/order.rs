//! What waits for what: which steps are surely done when another one begins, and where steps wait for each other.
//!
//! The same rule as the planner's: a step waits for what it needs, or for everything above it when it names nothing;
//! an effect waits for the gate above it as well.

use std::collections::{BTreeSet, VecDeque};

use super::{
    findings::{Findings, Path},
    nearest,
};
use crate::domain::{
    runbook::Runbook,
    step::{Effect, Step, StepKind},
};

/// Why one step waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It says so.
    Needed,
    /// It has no needs, so it waits for everything above it.
    Above,
    /// It changes something, and the other is the gate above it.
    Gate,
}

/// Which steps of `steps` are surely over when another one begins.
#[derive(Debug)]
pub(super) struct Order {
    behind: Vec<Vec<bool>>,
}

impl Order {
    /// Checks every `needs` and says what waits for what.
    pub(super) fn of(runbook: &Runbook, findings: &mut Findings<'_>) -> Self {
        let steps = runbook.steps.as_slice();
        for at in 0..steps.len() {
            names(runbook, at, findings);
        }
        let needs_path = |at: usize| Path::default().key("steps").index(at).key("needs");
        let is_faulty = (0..steps.len()).any(|at| findings.has_fault_under(&needs_path(at)));
        let waits: Vec<Vec<(usize, Why)>> = (0..steps.len()).map(|at| waits_of(steps, at)).collect();
        if !is_faulty {
            loops(steps, &waits, findings);
        }
        let behind = (0..steps.len())
            .map(|at| match is_faulty && findings.has_value(&needs_path(at)) {
                // What was meant is not known, and is no reason for further faults.
                true => (0..steps.len()).map(|other| other != at).collect(),
                false => reached(&waits, at),
            })
            .collect();
        Self { behind }
    }

    /// Whether the step at `other` is over, one way or another, when the step at `at` begins.
    pub(super) fn is_behind(&self, other: usize, at: usize) -> bool {
        self.behind[at][other]
    }
}

/// The gate above a step, which everything that changes something there waits for.
pub(super) fn gate_above(steps: &[Step], at: usize) -> Option<usize> {
    steps[..at]
        .iter()
        .rposition(|step| matches!(step.kind, StepKind::Gate(_)))
}

fn position(steps: &[Step], id: &str) -> Option<usize> {
    steps.iter().position(|step| step.id.0 == id)
}

/// Every need must be another step of `steps`.
fn names(runbook: &Runbook, at: usize, findings: &mut Findings<'_>) {
    let own = &runbook.steps[at].id;
    let path = Path::default().key("steps").index(at).key("needs");
    for (i, need) in runbook.steps[at].needs.iter().flatten().enumerate() {
        let is_other = need != own && position(&runbook.steps, &need.0).is_some();
        if is_other || need.0.is_empty() {
            continue;
        }
        let (message, hint) = if need == own {
            ("a step cannot wait for itself".to_owned(), None)
        } else if runbook.finally.iter().any(|step| step.id == *need) {
            let message = format!("\"{need}\" is a step of finally, which runs after all others");
            (message, None)
        } else {
            let ids = runbook.steps.iter().map(|other| other.id.0.as_str());
            let known: Vec<&str> = ids.filter(|id| *id != own.0 && !id.is_empty()).collect();
            (
                format!("there is no step \"{need}\""),
                nearest::hint(&need.0, known),
            )
        };
        findings.fault_with_hint(&path.index(i), message, hint);
    }
}

fn waits_of(steps: &[Step], at: usize) -> Vec<(usize, Why)> {
    let step = &steps[at];
    let mut waits: Vec<(usize, Why)> = match &step.needs {
        None => (0..at).map(|above| (above, Why::Above)).collect(),
        Some(needs) => needs
            .iter()
            .filter_map(|need| Some((position(steps, &need.0)?, Why::Needed)))
            .filter(|(need, _)| *need != at)
            .collect(),
    };
    let gate = gate_above(steps, at).filter(|_| step.effect() != Effect::Safe);
    if let Some(gate) = gate
        && waits.iter().all(|(other, _)| *other != gate)
    {
        waits.push((gate, Why::Gate));
    }
    waits
}

fn reached(waits: &[Vec<(usize, Why)>], from: usize) -> Vec<bool> {
    let mut behind = vec![false; waits.len()];
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for (other, _) in &waits[at] {
            if !std::mem::replace(&mut behind[*other], true) {
                open.push(*other);
            }
        }
    }
    behind
}

/// Waiting upwards never comes back, so every loop holds a need of a later step; there it is told.
fn loops(steps: &[Step], waits: &[Vec<(usize, Why)>], findings: &mut Findings<'_>) {
    let mut told: BTreeSet<BTreeSet<usize>> = BTreeSet::new();
    for (at, step) in steps.iter().enumerate() {
        for (i, need) in step.needs.iter().flatten().enumerate() {
            let Some(way) = position(steps, &need.0)
                .filter(|later| *later > at)
                .and_then(|later| way(waits, later, at))
            else {
                continue;
            };
            if !told.insert(way.iter().map(|(step, _)| *step).collect()) {
                continue;
            }
            let ids: Vec<&str> = std::iter::once(at)
                .chain(way.iter().map(|(step, _)| *step))
                .map(|at| steps[at].id.0.as_str())
                .collect();
            findings.fault_with_hint(
                &Path::default().key("steps").index(at).key("needs").index(i),
                format!("these steps wait for each other: {}", ids.join(" -> ")),
                way_out(steps, &way),
            );
        }
    }
}

/// The shortest way from `from` back to `to`: each step on it with why it waits for the next.
fn way(waits: &[Vec<(usize, Why)>], from: usize, to: usize) -> Option<Vec<(usize, Option<Why>)>> {
    let mut came: Vec<Option<(usize, Why)>> = vec![None; waits.len()];
    let mut open = VecDeque::from([from]);
    while let Some(at) = open.pop_front() {
        if at == to {
            let mut way = vec![(to, None)];
            let mut at = to;
            while let Some((before, why)) = came[at].filter(|_| at != from) {
                way.push((before, Some(why)));
                at = before;
            }
            way.reverse();
            return Some(way);
        }
        for (other, why) in &waits[at] {
            if came[*other].is_none() && *other != from {
                came[*other] = Some((at, *why));
                open.push_back(*other);
            }
        }
    }
    None
}

fn way_out(steps: &[Step], way: &[(usize, Option<Why>)]) -> String {
    let unsaid = way.iter().zip(way.iter().skip(1)).find_map(|((step, why), (next, _))| {
        let (step, next) = (&steps[*step].id, &steps[*next].id);
        match why {
            Some(Why::Above) => Some(format!(
                "\"{step}\" has no needs, so it waits for everything above it; name what it needs, or needs: []"
            )),
            Some(Why::Gate) => Some(format!(
                "\"{step}\" changes something below the gate \"{next}\", so it waits for it"
            )),
            _ => None,
        }
    });
    unsaid.unwrap_or_else(|| "take one of these needs out".to_owned())
}
