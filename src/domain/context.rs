//! What expressions and templates of a run can read.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    id::{IncidentId, RunId, StepId},
    state::{RunState, StepState},
};

/// What a finished step left for the steps after it and for the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its result, as expressions see it.
    pub result: Value,
    /// One line for people.
    pub summary: String,
    /// When the answer was in.
    pub at: DateTime<Utc>,
}

/// What is known of a run before its first step.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Its inputs, resolved.
    pub inputs: &'a Value,
    /// `labels` and `annotations` of the alert it is about.
    pub alert: &'a Value,
    /// The run.
    pub run: RunId,
    /// Its incident.
    pub incident: IncidentId,
    /// What that is called.
    pub title: &'a str,
    /// How bad it is, from 1.
    pub severity: i16,
}

impl Setting<'_> {
    /// The names an expression can read: `inputs`, `labels`, `annotations`, `incident`, `run`, and `steps`, which is
    /// empty until [`learn`] is told of a finding.
    pub fn context(&self) -> Value {
        json!({
            "inputs": self.inputs,
            "labels": self.alert["labels"],
            "annotations": self.alert["annotations"],
            "incident": {
                "id": self.incident,
                "title": self.title,
                "severity": format!("SEV{}", self.severity),
            },
            "run": {"id": self.run},
            "steps": {},
        })
    }
}

/// Adds what a step found: `steps['id'].result` and `.summary`; of an item of a `for_each` step, one place in
/// `steps['id'].results`.
pub fn learn(context: &mut Value, step: &StepId, found: &Finding) {
    let Some(Value::Object(steps)) = context.get_mut("steps") else {
        return;
    };
    match step.index().filter(|_| step.undone().is_none()) {
        None => {
            let known = json!({"result": found.result, "summary": found.summary});
            steps.insert(step.0.clone(), known);
        }
        Some(index) => {
            let known = steps.entry(step.base()).or_insert_with(|| json!({"results": []}));
            if let Some(Value::Array(results)) = known.get_mut("results") {
                if results.len() <= index {
                    results.resize(index + 1, Value::Null);
                }
                results[index] = found.result.clone();
            }
        }
    }
}

/// Adds everything that was found.
pub fn learn_all(context: &mut Value, findings: &BTreeMap<StepId, Finding>) {
    for (step, found) in findings {
        learn(context, step, found);
    }
}

/// What expressions of this step can read: `item` and `index` as well, when it is one item of a `for_each` step.
pub fn read_by(context: &Arc<Value>, run: &RunState, step: &StepId) -> Arc<Value> {
    let Some(index) = step.index() else {
        return Arc::clone(context);
    };
    match run.step(&StepId::from(step.base())) {
        StepState::Listed { items } => match items.get(index) {
            Some(item) => Arc::new(with_item(context, item, index)),
            None => Arc::clone(context),
        },
        _ => Arc::clone(context),
    }
}

/// The context of one item of a `for_each` step: `item` and `index` are readable as well.
pub fn with_item(context: &Value, item: &Value, index: usize) -> Value {
    let mut context = context.clone();
    put_item(&mut context, item, index);
    context
}

/// Makes a context that of one item.
pub fn put_item(context: &mut Value, item: &Value, index: usize) {
    if let Value::Object(names) = context {
        names.insert("item".to_owned(), item.clone());
        names.insert("index".to_owned(), json!(index));
    }
}
