//! `answers` of a twin: what it listens for, and what it says.

use serde_json::{Value, json};

use super::{
    super::{
        document::Content,
        fields::{Field, Fields},
        findings::Findings,
    },
    at,
    names::{Names, Place},
};
use crate::domain::{
    scenario::{Answer, At, Pattern},
    step::ActionKind,
};

/// Answers of one twin.
const ANSWERS_MAX: usize = 200;
/// Rows, samples or lines of one answer.
const ITEMS_MAX: usize = 500;
/// What fits any question.
const ANYTHING: &str = "*";
/// What any answer may have.
const COMMON: [&str; 4] = ["when", "set", "fails", "lost"];
const METHODS: [(&str, &str); 6] = [
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("PATCH", "PATCH"),
    ("DELETE", "DELETE"),
];

/// How answers of one kind of twin are written.
struct Form {
    /// What they listen for.
    asked: &'static str,
    /// What they say when all is well; one of them at most, but for `body` with its `status` and so on.
    says: &'static [&'static str],
    /// The number beside it.
    status: Option<(&'static str, i64, i64)>,
}

fn form(kind: ActionKind) -> Form {
    let (asked, says, status): (_, &[&str], _) = match kind {
        ActionKind::Http => ("path", &["body"], Some(("status", 100, 599))),
        ActionKind::Prometheus => ("query", &["value", "samples", "none"], None),
        ActionKind::Command => ("program", &["output"], Some(("exit", 0, 255))),
        ActionKind::Loki | ActionKind::Elasticsearch => ("query", &["lines"], None),
        _ => ("query", &["rows"], None),
    };
    Form { asked, says, status }
}

/// The lines of a file: the one thing it says, whatever it is asked.
pub(super) fn of_file(fields: &Fields<'_>, names: &Names<'_>, findings: &mut Findings<'_>) -> Vec<Answer> {
    let Some(lines) = fields.need("lines", findings) else {
        return Vec::new();
    };
    let says = texts(&lines, names, findings);
    vec![silent(at(&lines), Pattern::new(ANYTHING), says)]
}

/// Answers of any other kind. Of a night that is played again there may be none.
pub(super) fn read(
    kind: ActionKind,
    fields: &Fields<'_>,
    names: &Names<'_>,
    is_recorded: bool,
    findings: &mut Findings<'_>,
) -> Vec<Answer> {
    let Some(field) = fields.need("answers", findings) else {
        return Vec::new();
    };
    let form = form(kind);
    let mut answers: Vec<Answer> = Vec::new();
    for item in field.list(ANSWERS_MAX, findings) {
        let Some(answer) = answer(kind, &form, &item, names, findings) else {
            continue;
        };
        let hides = |earlier: &Answer| {
            let is_any = earlier.asked.as_str() == ANYTHING || earlier.asked == answer.asked;
            is_any && earlier.when.is_none() && (earlier.method.is_none() || earlier.method == answer.method)
        };
        if let Some(earlier) = answers.iter().find(|earlier| hides(earlier)) {
            let line = earlier.at.line;
            findings.warn(
                &item.path,
                format!("never said: the answer in line {line} comes first"),
            );
        }
        answers.push(answer);
    }
    if !is_recorded && matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        findings.fault(&field.path, "at least one answer is needed");
    }
    answers
}

fn answer(
    kind: ActionKind,
    form: &Form,
    item: &Field<'_>,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Option<Answer> {
    let mut known: Vec<&str> = [form.asked].into_iter().chain(COMMON).collect();
    known.extend(form.says);
    known.extend(form.status.map(|(key, ..)| key));
    if kind == ActionKind::Http {
        known.push("method");
    }
    let fields = item.fields(&known, findings)?;
    let asked = fields
        .need(form.asked, findings)
        .and_then(|field| asked(kind, &field, findings));
    let method = fields
        .get("method")
        .filter(|_| kind == ActionKind::Http)
        .and_then(|field| field.choice(&METHODS, findings));
    one_thing(form, &fields, findings);
    let says = said(kind, &fields, item, names, findings);
    let status = form.status.and_then(|(key, from, to)| {
        let field = fields.get(key)?;
        Some(number(&field, from, to, names, findings))
    });
    Some(Answer {
        method: method.map(str::to_owned),
        when: names.expression(fields.get("when"), Place::World, findings),
        set: names.set(fields.get("set"), Place::World, findings),
        status,
        fails: names.template(fields.get("fails"), Place::World, findings),
        lost: names.expression(fields.get("lost"), Place::World, findings),
        ..silent(at(item), asked?, says)
    })
}

/// An answer that says this and does nothing.
fn silent(at: At, asked: Pattern, says: Value) -> Answer {
    Answer {
        at,
        asked,
        method: None,
        when: None,
        set: Vec::new(),
        says,
        status: None,
        fails: None,
        lost: None,
    }
}

fn asked(kind: ActionKind, field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Pattern> {
    let text = field.text(findings)?;
    if text.contains("{{") {
        let message = "a pattern is compared as it is written and not filled in; write * for what may differ";
        findings.fault(&field.path, message);
    }
    let has_path = matches!(kind, ActionKind::Http | ActionKind::Command);
    if has_path && !text.trim_start().starts_with(['/', '*']) {
        let message = format!("\"{text}\" fits nothing: what is asked begins with /");
        findings.fault(&field.path, message);
    }
    Some(Pattern::new(text))
}

/// An answer says one thing, and one that fails does nothing and says nothing else.
fn one_thing(form: &Form, fields: &Fields<'_>, findings: &mut Findings<'_>) {
    let given = |keys: &[&'static str]| -> Vec<&'static str> {
        keys.iter()
            .copied()
            .filter(|key| fields.get(key).is_some())
            .collect()
    };
    let says = given(form.says);
    if let [first, second, ..] = says.as_slice() {
        let message = format!("one answer says one thing, but here are {first} and {second}");
        fields.fault_at_key(second, message, None, findings);
    }
    if fields.get("fails").is_some() {
        for key in says.into_iter().chain(given(&["set", "lost"])) {
            let message = format!("an answer that fails does nothing and says nothing else; take {key} away");
            fields.fault_at_key(key, message, None, findings);
        }
    }
}

fn said(
    kind: ActionKind,
    fields: &Fields<'_>,
    item: &Field<'_>,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Value {
    let fails = fields.get("fails").is_some();
    match kind {
        ActionKind::Http => match fields.get("body") {
            Some(body) => names.tree(&body, Place::World, findings),
            None => Value::Null,
        },
        ActionKind::Prometheus => metric(fields, item, names, findings),
        ActionKind::Command => match fields.get("output") {
            Some(output) => match &output.node.content {
                // A program may well say nothing.
                Content::Text(text) if text.is_empty() => json!(""),
                _ => template(&output, names, findings),
            },
            None => json!(""),
        },
        ActionKind::Loki | ActionKind::Elasticsearch => match fields.get("lines") {
            Some(lines) => texts(&lines, names, findings),
            None => {
                if !fails {
                    findings.fault(&item.path, "the field \"lines\" is missing");
                }
                json!([])
            }
        },
        _ => match fields.get("rows") {
            Some(rows) => self::rows(&rows, names, findings),
            // A statement that only changes something gives no rows.
            None => json!([]),
        },
    }
}

fn rows(field: &Field<'_>, names: &Names<'_>, findings: &mut Findings<'_>) -> Value {
    let rows = field.list(ITEMS_MAX, findings).into_iter().map(|row| {
        row.entries(findings);
        names.tree(&row, Place::World, findings)
    });
    Value::Array(rows.collect())
}

/// A number, a list of samples, or the empty list when there is no such metric.
fn metric(fields: &Fields<'_>, item: &Field<'_>, names: &Names<'_>, findings: &mut Findings<'_>) -> Value {
    if let Some(value) = fields.get("value") {
        return sampled(&value, names, findings);
    }
    if let Some(samples) = fields.get("samples") {
        let samples = samples.list(ITEMS_MAX, findings).into_iter();
        return Value::Array(samples.map(|field| sample(&field, names, findings)).collect());
    }
    match fields.get("none") {
        Some(none) => only_true(&none, findings),
        None if fields.get("fails").is_some() => {}
        None => findings.fault(&item.path, "an answer is one of value, samples, none, fails"),
    }
    json!([])
}

fn sample(field: &Field<'_>, names: &Names<'_>, findings: &mut Findings<'_>) -> Value {
    let Some(fields) = field.fields(&["labels", "value"], findings) else {
        return Value::Null;
    };
    let labels = match fields.get("labels") {
        Some(labels) => {
            let each = labels.entries(findings);
            for (_, value) in each.iter().flat_map(Fields::all) {
                value.text(findings);
            }
            names.tree(&labels, Place::World, findings)
        }
        None => json!({}),
    };
    let value = fields.need("value", findings);
    let value = value.map(|value| sampled(&value, names, findings));
    json!({"labels": labels, "value": value})
}

/// A number, or a text that becomes one.
fn sampled(field: &Field<'_>, names: &Names<'_>, findings: &mut Findings<'_>) -> Value {
    match &field.node.content {
        Content::Number(_) => field.to_value(),
        Content::Text(text) if text.contains("{{") => template(field, names, findings),
        _ => {
            findings.fault(
                &field.path,
                "expected a number, or a text with {{ }} that gives one",
            );
            Value::Null
        }
    }
}

/// A whole number within bounds, or a text that becomes one.
fn number(field: &Field<'_>, from: i64, to: i64, names: &Names<'_>, findings: &mut Findings<'_>) -> Value {
    let is_fit = |value: &Value| value.as_i64().is_some_and(|number| (from..=to).contains(&number));
    match &field.node.content {
        Content::Text(text) if text.contains("{{") => template(field, names, findings),
        _ if is_fit(&field.to_value()) => field.to_value(),
        _ => {
            let message = format!(
                "expected a whole number from {from} to {to}, or a text with {{{{ }}}} that gives one"
            );
            findings.fault(&field.path, message);
            Value::Null
        }
    }
}

fn template(field: &Field<'_>, names: &Names<'_>, findings: &mut Findings<'_>) -> Value {
    names
        .template(Some(field.clone()), Place::World, findings)
        .map_or(Value::Null, |template| Value::String(template.into()))
}

fn texts(field: &Field<'_>, names: &Names<'_>, findings: &mut Findings<'_>) -> Value {
    let lines = field.list(ITEMS_MAX, findings).into_iter();
    Value::Array(lines.map(|line| template(&line, names, findings)).collect())
}

/// A word that is either said or not there.
pub(super) fn only_true(field: &Field<'_>, findings: &mut Findings<'_>) {
    if field.flag(findings) == Some(false) {
        findings.fault(&field.path, "expected true; leave it out otherwise");
    }
}
