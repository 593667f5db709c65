//! What people call the steps of runs. A runbook names its steps for itself (`promote-or-not`); who reads a timeline
//! knows them by the titles that stood on the pages.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    id::{RunId, StepId},
    runbook::Runbook,
};

/// The titles of the steps of some runs.
#[derive(Clone, Debug, Default)]
pub struct Titles(BTreeMap<RunId, BTreeMap<String, String>>);

impl Titles {
    /// Learns the titles of a run's steps, rendered with its inputs and what its start read of the alert.
    pub fn learn(&mut self, run: RunId, runbook: &Runbook, inputs: &Value, context: &Value) {
        let context = json!({
            "inputs": inputs,
            "labels": context.get("labels"),
            "annotations": context.get("annotations"),
        });
        let steps = runbook.all_steps();
        let named = steps.filter(|step| step.title.is_some());
        for step in named {
            self.call(run, &step.id.0, step.title_in(&context));
        }
    }

    /// Calls one step of a run by a title.
    pub fn call(&mut self, run: RunId, step: &str, title: String) {
        self.0.entry(run).or_default().insert(step.to_owned(), title);
    }

    /// What people call a step, one item of it, or what takes it back.
    pub fn name(&self, run: RunId, step: &StepId) -> Option<String> {
        let title = self.0.get(&run)?.get(step.base())?;
        let item = step.index().map(|index| format!(", item {}", index + 1));
        let words = format!("{title}{}", item.unwrap_or_default());
        Some(match step.undone() {
            Some(_) => format!("Taking back: {words}"),
            None => words,
        })
    }
}
