//! The head of a runbook document: everything but its steps.

use std::collections::BTreeMap;

use super::{
    access,
    document::{Content, Node},
    fields::Field,
    findings::{Findings, Path},
    nearest,
    step::{self, List},
};
use crate::domain::{
    id::is_slug,
    labels::Labels,
    matcher::Matcher,
    runbook::{Budget, Input, Runbook, StartMode},
    span::Span,
    template::{Expression, Template},
};

/// The most steps under `steps`, and under `finally`.
pub(super) const STEPS_MAX: usize = 100;
const LINES_MAX: usize = 50;
const INPUTS_MAX: usize = 50;
const LOCKS_MAX: usize = 20;
const SERVICES_MAX: usize = 50;
/// The one name that stands for something else among the addresses of runbooks.
const NEW: &str = "new";
const TITLE_CHARS_MAX: usize = 200;
const BUDGET_PER: std::ops::RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(30 * 24 * 3600);

const KEYS: [&str; 14] = [
    "runbook", "title", "summary", "owner", "services", "match", "start", "budget", "access", "review",
    "inputs", "locks", "steps", "finally",
];

/// Reads the whole document. What is wrong is left out of the runbook, so it only counts when nothing was found.
pub(super) fn read(root: &Node, findings: &mut Findings<'_>) -> Runbook {
    let mut runbook = Runbook {
        slug: String::new(),
        title: String::new(),
        summary: String::new(),
        owner: None,
        services: Vec::new(),
        triggers: Vec::new(),
        start: StartMode::Suggest,
        budget: None,
        access: Default::default(),
        review: 0,
        inputs: BTreeMap::new(),
        locks: Vec::new(),
        steps: Vec::new(),
        finally: Vec::new(),
    };
    if matches!(root.content, Content::Null) {
        findings.fault(&Path::default(), "the file is empty");
        return runbook;
    }
    let Some(fields) = Field::root(root).fields(&KEYS, findings) else {
        return runbook;
    };
    if let Some(field) = fields.need("runbook", findings) {
        runbook.slug = slug(&field, findings).unwrap_or_default();
        if runbook.slug == NEW {
            findings.fault(
                &field.path,
                "the page on which a new runbook is written has this name",
            );
        }
    }
    if let Some(field) = fields.need("title", findings) {
        runbook.title = title(&field, findings).unwrap_or_default();
    }
    runbook.summary = text(fields.get("summary"), findings).unwrap_or_default();
    runbook.owner = text(fields.get("owner"), findings);
    if let Some(field) = fields.get("services") {
        let items = field.list(SERVICES_MAX, findings);
        runbook.services = items
            .iter()
            .filter_map(|item| item.text(findings).map(str::to_owned))
            .collect();
    }
    if let Some(field) = fields.get("match") {
        runbook.triggers = triggers(&field, findings);
    }
    if let Some(mode) = fields.get("start").and_then(|field| {
        let modes = [
            ("automatic", StartMode::Automatic),
            ("suggest", StartMode::Suggest),
            ("manual", StartMode::Manual),
        ];
        field.choice(&modes, findings)
    }) {
        runbook.start = mode;
    }
    runbook.budget = fields.get("budget").and_then(|field| budget(&field, findings));
    if let Some(field) = fields.get("access") {
        runbook.access = access::read(&field, findings);
    }
    if let Some(field) = fields.get("review") {
        runbook.review = access::read_review(&field, findings);
    }
    if let Some(field) = fields.get("inputs") {
        runbook.inputs = inputs(&field, findings);
    }
    if let Some(field) = fields.get("locks") {
        let items = field.list(LOCKS_MAX, findings);
        runbook.locks = items
            .iter()
            .filter_map(|item| item.parsed(Template::parse, findings))
            .collect();
    }
    match fields.get("steps") {
        Some(field) => {
            let items = field.list(STEPS_MAX, findings);
            if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
                findings.fault(&field.path, "at least one step is needed");
            }
            runbook.steps = items
                .iter()
                .map(|item| step::read(item, List::Steps, findings))
                .collect();
        }
        None => findings.fault(&Path::default(), "at least one step is needed, under \"steps\""),
    }
    if let Some(field) = fields.get("finally") {
        let items = field.list(STEPS_MAX, findings);
        runbook.finally = items
            .iter()
            .map(|item| step::read(item, List::Finally, findings))
            .collect();
    }
    runbook
}

/// A name that can stand in an address.
pub(super) fn slug(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    field.parsed(
        |text| match is_slug(text) {
            true => Ok(text.to_owned()),
            false => Err(format!(
                "\"{text}\" is not a name: 1 to 63 lower-case letters, digits and inner dashes"
            )),
        },
        findings,
    )
}

pub(super) fn title(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    field.parsed(
        |text| match text.chars().count() <= TITLE_CHARS_MAX && !text.trim().contains('\n') {
            true => Ok(text.trim().to_owned()),
            false => Err(format!(
                "a title is one line of at most {TITLE_CHARS_MAX} characters"
            )),
        },
        findings,
    )
}

pub(super) fn text(field: Option<Field<'_>>, findings: &mut Findings<'_>) -> Option<String> {
    field?.text(findings).map(|text| text.trim().to_owned())
}

fn triggers(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<Vec<Matcher>> {
    let mut lines = Vec::new();
    for item in field.list(LINES_MAX, findings) {
        let Some(line) = item.parsed(Matcher::parse_list, findings) else {
            continue;
        };
        if line.iter().all(|matcher| matcher.holds(&Labels::default())) {
            findings.warn(
                &item.path,
                "this line also holds for alerts that have none of these labels",
            );
        }
        lines.push(line);
    }
    lines
}

fn budget(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Budget> {
    let fields = field.fields(&["runs", "per"], findings)?;
    let runs = fields
        .need("runs", findings)
        .and_then(|field| field.count(1..=1000, findings));
    let per = fields
        .need("per", findings)
        .and_then(|field| field.span(BUDGET_PER, findings));
    Some(Budget {
        runs: runs?,
        per: per?,
    })
}

fn inputs(field: &Field<'_>, findings: &mut Findings<'_>) -> BTreeMap<String, Input> {
    let mut inputs = BTreeMap::new();
    let Some(fields) = field.entries(findings) else {
        return inputs;
    };
    for (name, field) in fields.all() {
        if inputs.len() == INPUTS_MAX {
            findings.fault(&field.path, format!("at most {INPUTS_MAX} are allowed"));
            break;
        }
        if !is_input_name(name) {
            let message = format!("\"{name}\" is not a name for an input: lower-case letters, digits and _");
            fields.fault_at_key(name, message, None, findings);
        }
        inputs.insert(name.to_owned(), input(&field, findings));
    }
    inputs
}

/// Names that can follow a dot in an expression.
fn is_input_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn input(field: &Field<'_>, findings: &mut Findings<'_>) -> Input {
    let mut input = Input {
        from: None,
        required: false,
        default: None,
    };
    if let Some(fields) = field.fields(&["from", "required", "default"], findings) {
        if let Some(from) = fields.get("from") {
            input.from = from.parsed(Expression::parse, findings);
        }
        if let Some(required) = fields.get("required") {
            input.required = required.flag(findings).unwrap_or_default();
        }
        input.default = fields
            .get("default")
            .and_then(|default| default.text(findings).map(str::to_owned));
    }
    input
}

/// What to say of a name that is not known.
pub(super) fn unknown(noun: &str, name: &str, known: &[&str]) -> (String, Option<String>) {
    let hint = nearest::hint(name, known.iter().copied());
    (format!("there is no {noun} \"{name}\""), hint)
}
