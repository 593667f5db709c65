//! The names an expression may read at its place in a runbook.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    findings::{Findings, Path},
    names::{self, Chain},
    nearest,
    runbook::unknown,
};
use crate::domain::{
    runbook::Input,
    step::{Step, StepKind},
    template::{Expression, FILTERS, TESTS, Template},
};

const INCIDENT: [&str; 3] = ["id", "severity", "title"];

/// The names that have a value at one place of a runbook.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) inputs: &'a BTreeMap<String, Input>,
    pub(super) earlier: &'a [Step],
    pub(super) roots: &'a [&'a str],
}

impl Scope<'_> {
    pub(super) fn template(&self, template: &Template, path: &Path, findings: &mut Findings<'_>) {
        for expression in template.expressions() {
            self.expression(&expression, path, findings);
        }
    }

    pub(super) fn tree(&self, tree: &Value, path: &Path, findings: &mut Findings<'_>) {
        texts(tree, path, &mut |text, path| {
            if let Ok(template) = Template::parse(text) {
                self.template(&template, path, findings);
            }
        });
    }

    pub(super) fn maybe(&self, expression: &Option<Expression>, path: &Path, findings: &mut Findings<'_>) {
        if let Some(expression) = expression {
            self.expression(expression, path, findings);
        }
    }

    /// An expression that judges an answer, the only place where there is one.
    pub(super) fn judging(&self, expression: &Option<Expression>, path: &Path, findings: &mut Findings<'_>) {
        let roots: Vec<&str> = self.roots.iter().copied().chain(["result"]).collect();
        let scope = Scope {
            roots: &roots,
            ..*self
        };
        scope.maybe(expression, path, findings);
    }

    fn expression(&self, expression: &Expression, path: &Path, findings: &mut Findings<'_>) {
        let names = names::read(expression.source());
        for chain in &names.chains {
            if let Some((message, hint)) = self.problem(chain) {
                findings.fault_with_hint(path, message, hint);
            }
        }
        for (noun, used, known) in [
            ("filter", &names.filters, FILTERS.as_slice()),
            ("test", &names.tests, TESTS.as_slice()),
        ] {
            for name in used.iter().filter(|name| !known.contains(&name.as_str())) {
                let (message, hint) = unknown(noun, name, known);
                findings.fault_with_hint(path, message, hint);
            }
        }
    }

    fn problem(&self, chain: &Chain) -> Option<(String, Option<String>)> {
        let root = chain.root.as_str();
        if chain.is_called {
            return Some(("there are no functions in expressions".to_owned(), None));
        }
        if !self.roots.contains(&root) {
            let everywhere = [
                "inputs",
                "labels",
                "annotations",
                "incident",
                "run",
                "steps",
                "result",
            ];
            return Some(match everywhere.contains(&root) {
                true if root == "result" => (
                    "\"result\" is only known in expect; elsewhere write steps['id'].result".to_owned(),
                    None,
                ),
                true => (
                    format!("\"{root}\" is not known yet at this place"),
                    Some(format!("known here: {}", self.roots.join(", "))),
                ),
                false => unknown("name", root, self.roots),
            });
        }
        let below = chain.below.first().map(String::as_str);
        match (root, below) {
            ("inputs" | "incident" | "run" | "steps", None) => Some((
                format!("\"{root}\" must be followed by a name that is written out"),
                None,
            )),
            ("inputs", Some(name)) if !self.inputs.contains_key(name) => {
                let known: Vec<&str> = self.inputs.keys().map(String::as_str).collect();
                Some(unknown("input", name, &known))
            }
            ("incident", Some(name)) if !INCIDENT.contains(&name) => {
                Some(unknown("incident field", name, &INCIDENT))
            }
            ("run", Some(name)) if name != "id" => Some(unknown("run field", name, &["id"])),
            ("steps", Some(id)) => self.step_problem(id, chain.below.get(1).map(String::as_str)),
            _ => None,
        }
    }

    fn step_problem(&self, id: &str, field: Option<&str>) -> Option<(String, Option<String>)> {
        let Some(step) = self.earlier.iter().find(|step| step.id.0 == id) else {
            let known: Vec<&str> = self.earlier.iter().map(|step| step.id.0.as_str()).collect();
            let dashed = known
                .iter()
                .find(|known| known.strip_prefix(id).is_some_and(|rest| rest.starts_with('-')));
            let hint = match dashed {
                Some(known) => Some(format!("write steps['{known}']")),
                None => nearest::hint(id, known.iter().copied()),
            };
            return Some((format!("there is no earlier step \"{id}\""), hint));
        };
        let kind = match step.kind {
            StepKind::Gate(_) => "a gate",
            StepKind::Wait { .. } => "a wait",
            StepKind::Manual { .. } => "a manual step",
            StepKind::Act(_) => {
                return match field {
                    None | Some("result") => None,
                    Some(other) => Some(unknown("step field", other, &["result"])),
                };
            }
        };
        // A step that could not be read is a placeholder, and what it was meant to be is not known.
        (!is_placeholder(step)).then(|| (format!("\"{id}\" is {kind} and has no result"), None))
    }
}

fn is_placeholder(step: &Step) -> bool {
    matches!(step.kind, StepKind::Wait { length } if length.as_millis() == 0)
}

/// Calls `each` with every text inside `tree`.
pub(super) fn texts(tree: &Value, path: &Path, each: &mut impl FnMut(&str, &Path)) {
    match tree {
        Value::String(text) => each(text, path),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                texts(item, &path.index(i), each);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                texts(value, &path.key(key), each);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
