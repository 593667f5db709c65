//! What a new version of a runbook does otherwise than an old one, rule by rule, in words; and which of these changes
//! take a safeguard away.
//!
//! [`super::difference`] says which steps differ, and which lines of the text; here stands what that means.

mod act;
mod head;
mod step;

#[cfg(test)]
mod tests;

use serde::Serialize;

use super::{difference::Difference, runbook::Runbook, step::StepKind};

/// One thing a new version does otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What, like `step promote: timeout 30s → 2m`.
    pub words: String,
    /// Whether it takes a safeguard away: a gate, an approval, a probe, a way back.
    pub is_grave: bool,
}

/// Everything that changed: what takes a safeguard away first, the rest in the order of the file.
pub fn changes(old: &Runbook, new: &Runbook) -> Vec<Change> {
    let mut notes = Notes::default();
    head::compare(old, new, &mut notes);
    for before in old.all_steps().filter(|step| new.step(&step.id).is_none()) {
        match before.kind {
            StepKind::Gate(_) => notes.grave(format!("gate {} removed", before.id)),
            _ => notes.plain(format!("step {} removed", before.id)),
        }
    }
    for after in new.all_steps() {
        match old.step(&after.id) {
            None => notes.plain(format!("{} {} added", noun(&after.kind), after.id)),
            Some(before) => step::compare(before, after, &mut notes),
        }
    }
    for after in new
        .steps
        .iter()
        .filter(|step| step.effect() != super::step::Effect::Safe)
    {
        let gate = old
            .gate_over(&after.id)
            .filter(|gate| new.step(&gate.id).is_some());
        if let (Some(gate), None) = (gate, new.gate_over(&after.id)) {
            notes.grave(format!("step {} no longer waits for gate {}", after.id, gate.id));
        }
    }
    if Difference::between(old, new).moved {
        notes.plain("steps stand in another order".to_owned());
    }
    notes.0.sort_by_key(|change| !change.is_grave);
    notes.0
}

fn noun(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Gate(_) => "gate",
        _ => "step",
    }
}

/// Characters of a value that are told; longer ones are only said to differ.
const VALUE_CHARS_MAX: usize = 60;
/// What stands for a value that is not there.
const NONE: &str = "none";

/// The changes found so far.
#[derive(Debug, Default)]
struct Notes(Vec<Change>);

impl Notes {
    fn plain(&mut self, words: String) {
        self.add(words, false);
    }

    fn grave(&mut self, words: String) {
        self.add(words, true);
    }

    fn add(&mut self, words: String, is_grave: bool) {
        self.0.push(Change { words, is_grave });
    }

    /// Says that a value went from one to another, if it did.
    fn value(&mut self, subject: &str, name: &str, old: Option<String>, new: Option<String>, is_grave: bool) {
        if old == new {
            return;
        }
        let is_told = |value: &Option<String>| {
            let value = value.as_deref().unwrap_or_default();
            value.chars().count() <= VALUE_CHARS_MAX && !value.contains('\n')
        };
        let words = match (&old, &new) {
            (Some(_), None) => format!("{subject}{name} removed"),
            (None, Some(new)) if new.contains('\n') => format!("{subject}{name} added"),
            _ if is_told(&old) && is_told(&new) => {
                let shown = |value: Option<String>| value.unwrap_or_else(|| NONE.to_owned());
                format!("{subject}{name} {} → {}", shown(old), shown(new))
            }
            _ => format!("{subject}{name} changed"),
        };
        self.add(words, is_grave);
    }
}
