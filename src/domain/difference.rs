//! What differs between two versions of a runbook, step by step.

use serde::Serialize;

use super::{id::StepId, runbook::Runbook};

/// What changed from one version to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Steps only the new one has.
    pub added: Vec<StepId>,
    /// Steps only the old one has.
    pub removed: Vec<StepId>,
    /// Steps that both have, and not alike.
    pub changed: Vec<StepId>,
    /// Steps that both have, in another order or list.
    pub moved: bool,
    /// Something about the runbook as a whole: inputs, locks, matching, start.
    pub head: bool,
}

impl Difference {
    /// Compares two versions.
    pub fn between(old: &Runbook, new: &Runbook) -> Self {
        let mut difference = Self::default();
        for step in new.all_steps() {
            match old.step(&step.id) {
                None => difference.added.push(step.id.clone()),
                Some(before) if before != step => difference.changed.push(step.id.clone()),
                Some(_) => {}
            }
        }
        let gone = old.all_steps().filter(|step| new.step(&step.id).is_none());
        difference.removed = gone.map(|step| step.id.clone()).collect();
        let order = |runbook: &Runbook, other: &Runbook| -> Vec<(bool, StepId)> {
            let normal = runbook.steps.iter().map(|step| (false, step.id.clone()));
            let last = runbook.finally.iter().map(|step| (true, step.id.clone()));
            normal
                .chain(last)
                .filter(|(_, id)| other.step(id).is_some())
                .collect()
        };
        difference.moved = order(old, new) != order(new, old);
        let head = |runbook: &Runbook| Runbook {
            steps: Vec::new(),
            finally: Vec::new(),
            ..runbook.clone()
        };
        difference.head = head(old) != head(new);
        difference
    }

    /// Whether nothing differs.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
