//! The names an expression may read at its place in a runbook.

use serde_json::Value;

use super::{
    findings::{Findings, Path},
    names::{self, Chain},
    nearest,
    order::Order,
    runbook::unknown,
    step::List,
};
use crate::domain::{
    runbook::Runbook,
    step::{Step, StepKind},
    template::{Expression, FILTERS, TESTS, Template},
};

const INCIDENT: [&str; 3] = ["id", "severity", "title"];

/// Every name that has a value somewhere.
const EVERYWHERE: [&str; 9] = [
    "inputs",
    "labels",
    "annotations",
    "incident",
    "run",
    "steps",
    "result",
    "item",
    "index",
];

/// Whose results an expression may read.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// Above all steps.
    Head,
    /// A step of `steps`; `done` when its own result is there as well.
    Step { at: usize, order: &'a Order, done: bool },
    /// A step of `finally`. Nobody knows which of `steps` have run by then.
    Finally { at: usize },
}

/// The names that have a value at one place of a runbook.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) runbook: &'a Runbook,
    pub(super) place: Place<'a>,
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

    pub(super) fn expression(&self, expression: &Expression, path: &Path, findings: &mut Findings<'_>) {
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
            return Some(self.unknown_root(root));
        }
        let below = chain.below.first().map(String::as_str);
        match (root, below) {
            ("inputs" | "incident" | "run" | "steps", None) => Some((
                format!("\"{root}\" must be followed by a name that is written out"),
                None,
            )),
            ("inputs", Some(name)) if !self.runbook.inputs.contains_key(name) => {
                let known: Vec<&str> = self.runbook.inputs.keys().map(String::as_str).collect();
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

    fn unknown_root(&self, root: &str) -> (String, Option<String>) {
        let has_items = self.reader().is_some_and(|step| step.for_each.is_some());
        match root {
            "result" => (
                "\"result\" is only known in expect; elsewhere write steps['id'].result".to_owned(),
                None,
            ),
            "item" | "index" if has_items => (
                format!(
                    "\"{root}\" is not known yet: the list and when are read once, before there are items"
                ),
                None,
            ),
            "item" | "index" => (format!("\"{root}\" is only known in a step with for_each"), None),
            _ if EVERYWHERE.contains(&root) => (
                format!("\"{root}\" is not known yet at this place"),
                Some(format!("known here: {}", self.roots.join(", "))),
            ),
            _ => unknown("name", root, self.roots),
        }
    }

    /// The step the expression belongs to.
    fn reader(&self) -> Option<&Step> {
        match self.place {
            Place::Head => None,
            Place::Step { at, .. } => self.runbook.steps.get(at),
            Place::Finally { at } => self.runbook.finally.get(at),
        }
    }

    /// Whether a step may have a result by then.
    fn is_readable(&self, list: List, other: usize) -> bool {
        match (self.place, list) {
            (Place::Head, _) | (Place::Step { .. }, List::Finally) => false,
            (Place::Step { at, order, done }, List::Steps) => {
                order.is_behind(other, at) || (done && other == at)
            }
            (Place::Finally { .. }, List::Steps) => true,
            (Place::Finally { at }, List::Finally) => other < at,
        }
    }

    fn step_problem(&self, id: &str, field: Option<&str>) -> Option<(String, Option<String>)> {
        let lists = [
            (List::Steps, &self.runbook.steps),
            (List::Finally, &self.runbook.finally),
        ];
        let all = lists.into_iter().flat_map(|(list, steps)| {
            let numbered = steps.iter().enumerate();
            numbered.map(move |(at, step)| (list, at, step))
        });
        let Some((list, at, step)) = all.clone().find(|(_, _, step)| step.id.0 == id) else {
            let readable = all.filter(|(list, at, step)| {
                self.is_readable(*list, *at) && matches!(step.kind, StepKind::Act(_))
            });
            let known: Vec<&str> = readable.map(|(_, _, step)| step.id.0.as_str()).collect();
            let dashed = known
                .iter()
                .find(|known| known.strip_prefix(id).is_some_and(|rest| rest.starts_with('-')));
            let hint = match dashed {
                Some(known) => Some(format!("write steps['{known}']")),
                None => nearest::hint(id, known.iter().copied()),
            };
            return Some((format!("there is no step \"{id}\""), hint));
        };
        let kind = match step.kind {
            StepKind::Gate(_) => "a gate",
            StepKind::Wait { .. } => "a wait",
            StepKind::Manual { .. } => "a manual step",
            StepKind::Act(_) => {
                let early = || self.too_early(list, at, step);
                return field_problem(step, field).or_else(|| (!self.is_readable(list, at)).then(early));
            }
        };
        // A step that could not be read is a placeholder, and what it was meant to be is not known.
        (!is_placeholder(step)).then(|| (format!("\"{id}\" is {kind} and has no result"), None))
    }

    /// Why a step that is there cannot be read here.
    fn too_early(&self, list: List, other: usize, step: &Step) -> (String, Option<String>) {
        let id = &step.id;
        let own = match self.place {
            Place::Head => None,
            Place::Step { at, .. } => Some((List::Steps, at)),
            Place::Finally { at } => Some((List::Finally, at)),
        };
        if own == Some((list, other)) {
            return (
                "this step is not done yet, so its result is not known here".to_owned(),
                Some("in expect its answer is called result".to_owned()),
            );
        }
        if list == List::Finally && matches!(self.place, Place::Step { .. }) {
            return (
                format!("\"{id}\" is a step of finally, which runs after all others"),
                None,
            );
        }
        match self.reader().is_some_and(|reader| reader.needs.is_some()) {
            true => (
                format!("\"{id}\" need not be done yet when this step begins"),
                Some(format!("add \"{id}\" to its needs")),
            ),
            false => (
                format!("\"{id}\" stands below and is not done yet"),
                Some("put it above this step".to_owned()),
            ),
        }
    }
}

/// What a step that acts has: `result`, or `results` when it is done for each item of a list.
fn field_problem(step: &Step, field: Option<&str>) -> Option<(String, Option<String>)> {
    let id = &step.id;
    match (field, step.for_each.is_some()) {
        (None, _) | (Some("result"), false) | (Some("results"), true) => None,
        (Some("result"), true) => Some((
            format!("\"{id}\" is done for each item of a list, so it has a list of results"),
            Some(format!("write steps['{id}'].results")),
        )),
        (Some("results"), false) => Some((
            format!("\"{id}\" is done once and has one result"),
            Some(format!("write steps['{id}'].result")),
        )),
        (Some(other), has_items) => {
            let known = if has_items { "results" } else { "result" };
            Some(unknown("step field", other, &[known]))
        }
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
