//! What expressions can read in a rehearsal, and what nobody can know before the run is under way. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::{
    context::{Finding, learn},
    id::StepId,
    names::{self, Chain},
    template::{Expression, Template, TemplateError},
};

/// Why an expression gives no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It reads what will be known later.
    Later {
        /// For people: what, and when.
        reason: String,
        /// When alone: `after promote was sent`.
        when: String,
    },
    /// It would fail in a run as well.
    Wrong(String),
}

/// What is known so far.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Everything expressions can read.
    pub context: Value,
    /// Steps whose result will be known, and when.
    later: BTreeMap<String, String>,
    /// Steps that will have no result, and why.
    without: BTreeMap<String, String>,
    /// Inputs that nobody has given.
    inputs: Vec<String>,
    /// Whether there is an incident.
    has_incident: bool,
}

impl Known {
    /// What is known before the first step.
    pub fn new(context: Value, inputs: Vec<String>, has_incident: bool) -> Self {
        Self {
            context,
            later: BTreeMap::new(),
            without: BTreeMap::new(),
            inputs,
            has_incident,
        }
    }

    /// Takes in what a step, or an item of one, found.
    pub fn learn(&mut self, step: &StepId, found: &Finding) {
        learn(&mut self.context, step, found);
    }

    /// The step will have a result then: `after promote was sent`.
    pub fn later(&mut self, step: &StepId, when: String) {
        self.later.insert(step.base().to_owned(), when);
    }

    /// The step will have no result, and why: `is skipped`.
    pub fn without(&mut self, step: &StepId, why: String) {
        self.without.insert(step.base().to_owned(), why);
    }

    /// Evaluates, once everything that is read is known.
    pub fn read<T>(
        &self,
        chains: &[Chain],
        evaluate: impl FnOnce() -> Result<T, TemplateError>,
    ) -> Result<T, Unreadable> {
        if let Some(later) = chains.iter().find_map(|chain| self.unknown(chain)) {
            return Err(later);
        }
        evaluate().map_err(|error| {
            let gone = chains.iter().find_map(|chain| {
                let step = chain.below.first().filter(|_| chain.root == "steps")?;
                Some(format!(
                    "; {step} has no result, since it {}",
                    self.without.get(step)?
                ))
            });
            Unreadable::Wrong(format!("{error}{}", gone.unwrap_or_default()))
        })
    }

    fn unknown(&self, chain: &Chain) -> Option<Unreadable> {
        let (reason, when) = match (chain.root.as_str(), chain.below.first()) {
            ("steps", Some(step)) => {
                let when = self.later.get(step)?;
                (
                    format!("reads the result of {step}, which is only known {when}"),
                    when.clone(),
                )
            }
            // Which step it is about is computed, so it may be any.
            ("steps", None) => {
                let (step, when) = self.later.first_key_value()?;
                (
                    format!("may read the result of {step}, which is only known {when}"),
                    when.clone(),
                )
            }
            ("inputs", Some(input)) if self.inputs.contains(input) => (
                format!("needs the input {input}, which nobody has given"),
                format!("once the input {input} is given"),
            ),
            ("run", _) => {
                let when = "once the run has begun".to_owned();
                (
                    format!("reads the number of the run, which is only known {when}"),
                    when,
                )
            }
            ("incident", _) if !self.has_incident => {
                let when = "once there is an incident".to_owned();
                (format!("reads the incident, which is only known {when}"), when)
            }
            _ => return None,
        };
        Some(Unreadable::Later { reason, when })
    }
}

/// What an expression reads.
pub(super) fn of_expression(expression: &Expression) -> Vec<Chain> {
    names::read(expression.source()).chains
}

/// What all places of a template read.
pub(super) fn of_template(template: &Template) -> Vec<Chain> {
    template.expressions().iter().flat_map(of_expression).collect()
}

/// What all texts inside a tree read.
pub(super) fn of_tree(tree: &Value) -> Vec<Chain> {
    match tree {
        Value::String(text) => Template::parse(text).map_or_else(|_| Vec::new(), |text| of_template(&text)),
        Value::Array(items) => items.iter().flat_map(of_tree).collect(),
        Value::Object(map) => map.values().flat_map(of_tree).collect(),
        _ => Vec::new(),
    }
}

/// The steps whose results are read; `None` when a name is computed, so that it may be any.
pub(super) fn steps_of(chains: &[Chain]) -> Option<BTreeSet<StepId>> {
    chains
        .iter()
        .filter(|chain| chain.root == "steps")
        .map(|chain| chain.below.first().map(|step| StepId(step.clone())))
        .collect()
}
