//! A runbook file, read.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Fault,
    reader::{Faults, Fields},
    references::{Scope, steps_read},
    step::{self, ReadStep, literal},
    tree::{self, Place, Tree},
};
use crate::domain::{
    id::is_slug,
    matcher::Matcher,
    runbook::{Budget, Input, Runbook, StartMode},
    span::Span,
    step::{Effect, StepKind},
    template::Template,
};

const STEPS_MAX: usize = 100;
const LINES_MAX: usize = 50;
const STARTS: [(&str, StartMode); 3] = [
    ("automatic", StartMode::Automatic),
    ("suggest", StartMode::Suggest),
    ("manual", StartMode::Manual),
];

/// A target named in plain text, and where: it can be looked for as soon as the targets are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTarget {
    /// Its name.
    pub name: String,
    /// Line and column of the step that names it.
    pub line: u64,
    /// Column.
    pub column: u64,
    /// Field path.
    pub path: String,
}

/// A runbook that was read without a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The runbook.
    pub runbook: Runbook,
    /// Targets it names in plain text.
    pub targets: Vec<NamedTarget>,
}

/// Reads a runbook. Every fault that can be seen at once is returned, in the order of the file.
pub fn parse_runbook(source: &str) -> Result<Parsed, Vec<Fault>> {
    let document = tree::parse(source).map_err(|fault| vec![fault])?;
    let mut faults = Faults::default();
    let parsed = read(document, &mut faults);
    faults.0.sort_by_key(|fault| (fault.line, fault.column));
    match parsed {
        Some(parsed) if faults.0.is_empty() => Ok(parsed),
        _ => Err(faults.0),
    }
}

fn read(document: tree::Node, faults: &mut Faults) -> Option<Parsed> {
    let mut fields = Fields::open(document, "", faults)?;
    let slug = required_text(&mut fields, "runbook", faults);
    if let Some((at, slug)) = &slug
        && !is_slug(slug)
    {
        let message = format!("\"{slug}\" is no name; use lower-case letters, digits and dashes, at most 63");
        faults.add(*at, "runbook", message);
    }
    let title = required_text(&mut fields, "title", faults);
    let summary = fields.text("summary", faults);
    let owner = fields.text("owner", faults);
    let services = fields.texts("services", LINES_MAX, faults);
    let triggers = triggers(&mut fields, faults);
    let start = fields
        .word("start", &STARTS, faults)
        .map_or(StartMode::Suggest, |(_, start)| start);
    let budget = budget(&mut fields, faults);
    let inputs = inputs(&mut fields, faults);
    let input_names: BTreeSet<String> = inputs.keys().cloned().collect();
    let locks = locks(&mut fields, &input_names, faults);
    let steps = steps(&mut fields, &input_names, faults);
    fields.close(faults);
    let targets = steps.iter().filter_map(named_target).collect();
    check_gates(&steps, faults);
    Some(Parsed {
        targets,
        runbook: Runbook {
            slug: slug?.1,
            title: title?.1,
            summary: summary.map_or_else(String::new, |(_, summary)| summary),
            owner: owner.map(|(_, owner)| owner),
            services: services.into_iter().map(|(_, service)| service).collect(),
            triggers,
            start,
            budget,
            inputs,
            locks,
            steps: steps.into_iter().map(|read| read.step).collect(),
        },
    })
}

fn required_text(fields: &mut Fields, key: &'static str, faults: &mut Faults) -> Option<(Place, String)> {
    if !fields.has(key) {
        fields.missing(key, faults);
    }
    fields.text(key, faults)
}

fn triggers(fields: &mut Fields, faults: &mut Faults) -> Vec<Vec<Matcher>> {
    let mut triggers = Vec::new();
    for (index, (at, line)) in fields.texts("match", LINES_MAX, faults).into_iter().enumerate() {
        match Matcher::parse_list(&line) {
            Ok(matchers) => triggers.push(matchers),
            Err(error) => faults.add(at, &format!("match[{index}]"), error.to_string()),
        }
    }
    triggers
}

fn budget(fields: &mut Fields, faults: &mut Faults) -> Option<Budget> {
    let mut fields = fields
        .take("budget")
        .and_then(|node| Fields::open(node, "budget", faults))?;
    let runs = fields.count("runs", 10_000, faults);
    let per = fields.span("per", Span::from_secs(1), Span::from_secs(30 * 86_400), faults);
    for (key, is_there) in [("runs", runs.is_some()), ("per", per.is_some())] {
        if !is_there {
            fields.missing(key, faults);
        }
    }
    fields.close(faults);
    Some(Budget {
        runs: runs?,
        per: per?,
    })
}

fn inputs(fields: &mut Fields, faults: &mut Faults) -> BTreeMap<String, Input> {
    let mut inputs = BTreeMap::new();
    let Some(mut fields) = fields
        .take("inputs")
        .and_then(|node| Fields::open(node, "inputs", faults))
    else {
        return inputs;
    };
    for (key, node) in fields.rest() {
        let path = format!("inputs.{}", key.name);
        let is_name = key.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && key.name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !is_name {
            faults.add(
                key.at,
                &path,
                "an input's name has letters, digits and _ and begins with a letter",
            );
        }
        let Some(mut input) = Fields::open(node, &path, faults) else {
            continue;
        };
        let from = input.expression("from", faults);
        if let Some((at, from)) = &from {
            let foreign = from.references().into_iter().find(|name| {
                !matches!(
                    name.split('.').next(),
                    Some("labels" | "annotations" | "incident")
                )
            });
            if let Some(foreign) = foreign {
                let message =
                    format!("reads {foreign}; only labels, annotations and incident are there at the start");
                faults.add(*at, &input.path_of("from"), message);
            }
        }
        let read = Input {
            from: from.map(|(_, from)| from),
            required: input.flag("required", faults).unwrap_or(false),
            default: input.text("default", faults).map(|(_, default)| default),
        };
        input.close(faults);
        inputs.insert(key.name, read);
    }
    inputs
}

fn locks(fields: &mut Fields, inputs: &BTreeSet<String>, faults: &mut Faults) -> Vec<Template> {
    let scope = Scope {
        inputs,
        steps: &BTreeSet::new(),
        has_result: false,
    };
    let mut locks = Vec::new();
    for (index, (at, lock)) in fields.texts("locks", LINES_MAX, faults).into_iter().enumerate() {
        let path = format!("locks[{index}]");
        match Template::parse(&lock) {
            Ok(template) => {
                scope.check_template(&template, at, &path, faults);
                locks.push(template);
            }
            Err(error) => faults.add(at, &path, error.to_string()),
        }
    }
    locks
}

fn steps(fields: &mut Fields, inputs: &BTreeSet<String>, faults: &mut Faults) -> Vec<ReadStep> {
    if !fields.has("steps") {
        fields.missing("steps", faults);
    }
    let mut above: BTreeSet<String> = BTreeSet::new();
    let mut steps = Vec::new();
    for (path, node) in fields.list("steps", STEPS_MAX, faults) {
        let scope = Scope {
            inputs,
            steps: &above,
            has_result: false,
        };
        let Some(read) = step::read(node, &path, &scope, faults) else {
            continue;
        };
        if !above.insert(read.step.id.0.clone()) {
            faults.add(
                read.at,
                &path,
                format!("there is a step \"{}\" above already", read.step.id),
            );
        }
        steps.push(read);
    }
    steps
}

fn named_target(read: &ReadStep) -> Option<NamedTarget> {
    let Some(Tree::Map(pairs)) = read.with.as_ref().map(|with| &with.value) else {
        return None;
    };
    let (_, node) = pairs.iter().find(|(key, _)| key.name == "target")?;
    Some(NamedTarget {
        name: literal(node)?.to_owned(),
        line: node.at.line,
        column: node.at.column,
        path: format!("{}.with.target", read.path),
    })
}

/// An approval is bound to what will be sent, so everything below a gate that changes something must be known when
/// the gate asks: it cannot read what a step below the same gate will find.
fn check_gates(steps: &[ReadStep], faults: &mut Faults) {
    let mut under_gate: Option<BTreeSet<String>> = None;
    for read in steps {
        if matches!(read.step.kind, StepKind::Gate(_)) {
            under_gate = Some(BTreeSet::new());
            continue;
        }
        let Some(below) = &mut under_gate else { continue };
        if let (StepKind::Act(act), true) = (&read.step.kind, read.step.effect() != Effect::Safe) {
            let text = act.request.with.to_string().replace("\\\"", "\"");
            for name in steps_read(&text, below) {
                let message = format!(
                    "reads what {name} finds, which is not known when the gate above asks; put a gate between them"
                );
                faults.add(read.at, &read.path, message);
            }
        }
        below.insert(read.step.id.0.clone());
    }
}
