//! Which names a template may read: a name that can never be there is a fault now, not at 3 am.

use std::collections::BTreeSet;

use super::{
    reader::{Faults, hint},
    tree::{Node, Place, Tree},
};
use crate::domain::template::{Expression, Template};

/// What is known where a template stands.
pub(super) struct Scope<'a> {
    /// Declared inputs.
    pub inputs: &'a BTreeSet<String>,
    /// Steps above.
    pub steps: &'a BTreeSet<String>,
    /// Whether the answer under judgement is there as `result`.
    pub has_result: bool,
}

impl Scope<'_> {
    /// Checks what an expression reads.
    pub fn check_expression(&self, expression: &Expression, at: Place, path: &str, faults: &mut Faults) {
        self.check(expression.references(), at, path, faults);
    }

    /// Checks what a template reads.
    pub fn check_template(&self, template: &Template, at: Place, path: &str, faults: &mut Faults) {
        self.check(template.references(), at, path, faults);
    }

    /// Checks every text of a tree.
    pub fn check_tree(&self, node: &Node, path: &str, faults: &mut Faults) {
        match &node.value {
            Tree::Text(text) => match Template::parse(text) {
                Ok(template) => self.check_template(&template, node.at, path, faults),
                Err(error) => faults.add(node.at, path, error.to_string()),
            },
            Tree::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.check_tree(item, &format!("{path}[{index}]"), faults);
                }
            }
            Tree::Map(pairs) => {
                for (key, item) in pairs {
                    self.check_tree(item, &format!("{path}.{}", key.name), faults);
                }
            }
            _ => {}
        }
    }

    fn check(&self, references: BTreeSet<String>, at: Place, path: &str, faults: &mut Faults) {
        for reference in references {
            let mut parts = reference.split('.');
            let (root, second) = (parts.next().unwrap_or_default(), parts.next());
            let problem = match (root, second) {
                ("labels" | "annotations" | "incident" | "run", _) => continue,
                ("result", _) if self.has_result => continue,
                ("result", _) => "result is only there in expect".to_owned(),
                ("inputs", None) | ("steps", None) => continue,
                ("inputs", Some(name)) if self.inputs.contains(name) => continue,
                ("inputs", Some(name)) => {
                    let known: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
                    format!("there is no input \"{name}\"{}", hint(name, &known))
                }
                ("steps", Some(name)) if self.steps.contains(name) => continue,
                ("steps", Some(name)) => {
                    let known: Vec<&str> = self.steps.iter().map(String::as_str).collect();
                    format!("there is no step \"{name}\" above this one{}", hint(name, &known))
                }
                (other, _) => {
                    let known = [
                        "inputs",
                        "labels",
                        "annotations",
                        "incident",
                        "run",
                        "steps",
                        "result",
                    ];
                    format!("\"{other}\" is not defined{}", hint(other, &known))
                }
            };
            faults.add(at, path, problem);
        }
    }
}

/// The steps whose findings a text reads. Names with dashes are read as `steps['a-b']`, which the expression's own
/// list of names cannot show, so the text is searched.
pub(super) fn steps_read(text: &str, steps: &BTreeSet<String>) -> Vec<String> {
    steps
        .iter()
        .filter(|step| {
            [
                format!("steps.{step}"),
                format!("steps['{step}']"),
                format!("steps[\"{step}\"]"),
            ]
            .iter()
            .any(|form| text.contains(form.as_str()))
        })
        .cloned()
        .collect()
}
