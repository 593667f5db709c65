//! An action and its `with`, read by the table of known inputs.

use std::ops::RangeInclusive;

use super::{
    document::Content,
    fields::{Field, Fields},
    findings::Findings,
    inputs::{InputKey, Shape, input_keys},
};
use crate::domain::{
    id::is_slug,
    matcher::Matcher,
    silence,
    span::Span,
    step::{ActWord, ActionKind, Request},
    template::Template,
};

const COUNT_MAX: u32 = 500;
const LENGTH_BOUNDS: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(30 * 24 * 3600);

/// Reads the word's value (`postgres` in `check: postgres`) and the `with` beside it.
pub(super) fn read(
    word: ActWord,
    holder: &Fields<'_>,
    action: Option<ActionKind>,
    findings: &mut Findings<'_>,
) -> Option<Request> {
    let with = holder.need("with", findings)?;
    let action = action?;
    let keys = input_keys(action);
    let known: Vec<&str> = std::iter::once("target")
        .chain(keys.iter().map(|key| key.name))
        .collect();
    let fields = with.fields(&known, findings)?;
    if let Some(target) = fields.need("target", findings)
        && target.text(findings).is_some()
    {
        templates(&target, findings);
    }
    for key in keys {
        let field = match key.required {
            true => fields.need(key.name, findings),
            false => fields.get(key.name),
        };
        let Some(field) = field else { continue };
        if key.changes && word != ActWord::Call {
            let message = format!(
                "\"{}\" changes something; a {} only reads",
                key.name,
                word_name(word)
            );
            fields.fault_at_key(key.name, message, Some("use call".to_owned()), findings);
        }
        input(key, &field, findings);
    }
    match action {
        ActionKind::Alertmanager | ActionKind::Haproxy if word == ActWord::Call => {
            one_change(keys, &with, &fields, findings)
        }
        ActionKind::Alertmanager
            if fields.get("matchers").is_none() && fields.get("fingerprints").is_none() =>
        {
            findings.fault(&with.path, "a check needs matchers or fingerprints");
        }
        ActionKind::Http => method(word, &fields, findings),
        ActionKind::Command => {
            if let Some(program) = fields.get("program") {
                let fits = |text: &str| text.starts_with('/') || is_slug(text);
                literal(
                    &program,
                    fits,
                    "an absolute path or the name of a program",
                    findings,
                );
            }
            if fields.get("args").is_some() && fields.get("params").is_some() {
                let message =
                    "args is the whole list and params fills in what is open; a step has one of them";
                fields.fault_at_key("params", message.to_owned(), None, findings);
            }
        }
        _ => {}
    }
    Some(Request {
        action,
        with: with.to_value(),
    })
}

/// The action after a word; a wrong one is a fault that says which ones there are.
pub(super) fn action(word: ActWord, field: &Field<'_>, findings: &mut Findings<'_>) -> Option<ActionKind> {
    let allowed: Vec<(&str, ActionKind)> = ActionKind::ALL
        .into_iter()
        .filter(|kind| kind.words().contains(&word))
        .map(|kind| (kind.name(), kind))
        .collect();
    let written = match &field.node.content {
        Content::Text(text) => ActionKind::named(text),
        _ => None,
    };
    match written {
        Some(kind) if !kind.words().contains(&word) => {
            let words: Vec<&str> = kind.words().iter().map(|word| word_name(*word)).collect();
            findings.fault(
                &field.path,
                format!(
                    "there is no {} of {}; write {}: {}",
                    word_name(word),
                    kind.name(),
                    words.join(" or "),
                    kind.name()
                ),
            );
            None
        }
        _ => field.choice(&allowed, findings),
    }
}

/// As authors write it.
pub(super) fn word_name(word: ActWord) -> &'static str {
    match word {
        ActWord::Check => "check",
        ActWord::Call => "call",
        ActWord::Logs => "logs",
    }
}

fn input(key: &InputKey, field: &Field<'_>, findings: &mut Findings<'_>) {
    let is_text = matches!(&field.node.content, Content::Text(_));
    match key.shape {
        Shape::Text => {
            field.text(findings);
        }
        Shape::Names if is_text => {
            field.text(findings);
        }
        Shape::Names => {
            for item in field.list(COUNT_MAX as usize, findings) {
                item.text(findings);
            }
        }
        Shape::List => {
            for item in field.list(COUNT_MAX as usize, findings) {
                scalar(&item, true, findings);
            }
        }
        Shape::Pairs => {
            for (_, value) in field.entries(findings).iter().flat_map(Fields::all) {
                match &value.node.content {
                    Content::List(_) => {
                        for item in value.list(COUNT_MAX as usize, findings) {
                            scalar(&item, false, findings);
                        }
                    }
                    _ => scalar(&value, false, findings),
                }
            }
        }
        Shape::Count if is_text => literal(
            field,
            |text| text.parse::<u32>().is_ok(),
            "a whole number",
            findings,
        ),
        Shape::Count => {
            field.count(1..=COUNT_MAX, findings);
        }
        Shape::Length if has_template(field) => {}
        Shape::Length => {
            field.span(LENGTH_BOUNDS, findings);
        }
        Shape::Tree => {}
        Shape::Matchers => matchers(field, findings),
        Shape::Silence => silence(field, findings),
    }
    templates(field, findings);
}

fn matchers(field: &Field<'_>, findings: &mut Findings<'_>) {
    match &field.node.content {
        Content::Map(_) => {
            for (_, value) in field.entries(findings).iter().flat_map(Fields::all) {
                scalar(&value, false, findings);
            }
        }
        Content::Text(text) if !has_template(field) => {
            if let Err(error) = Matcher::parse_list(text) {
                findings.fault(&field.path, error.to_string());
            }
        }
        _ => _ = field.text(findings),
    }
}

fn silence(field: &Field<'_>, findings: &mut Findings<'_>) {
    let Some(fields) = field.fields(&["matchers", "duration", "comment"], findings) else {
        return;
    };
    if let Some(which) = fields.need("matchers", findings) {
        matchers(&which, findings);
    }
    if let Some(duration) = fields.need("duration", findings)
        && !has_template(&duration)
    {
        duration.span(silence::SHORTEST..=silence::LONGEST, findings);
    }
    if let Some(comment) = fields.need("comment", findings) {
        comment.text(findings);
    }
}

fn one_change(keys: &[InputKey], with: &Field<'_>, fields: &Fields<'_>, findings: &mut Findings<'_>) {
    let names: Vec<&str> = keys
        .iter()
        .filter(|key| key.changes)
        .map(|key| key.name)
        .collect();
    if names.iter().all(|name| fields.get(name).is_none()) {
        findings.fault(&with.path, format!("a call needs one of {}", names.join(", ")));
    }
}

/// What only reads may only `GET` or `HEAD`, and these two send no body.
fn method(word: ActWord, fields: &Fields<'_>, findings: &mut Findings<'_>) {
    let method = fields.get("method");
    let written = match method.as_ref().map(|method| &method.node.content) {
        None => "GET",
        Some(Content::Text(text)) => text,
        Some(_) => return,
    };
    let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(written));
    let path = method.as_ref().map_or(&fields.path, |method| &method.path);
    match written.contains("{{") {
        true => {}
        false if is_one_of(&["GET", "HEAD"]) => {
            if let Some(body) = fields.get("body") {
                findings.fault(&body.path, format!("a {written} has no body"));
            }
        }
        false if !is_one_of(&["POST", "PUT", "PATCH", "DELETE"]) => findings.fault(
            path,
            format!("expected GET, HEAD, POST, PUT, PATCH or DELETE, found \"{written}\""),
        ),
        false if word != ActWord::Call => findings.fault(
            path,
            format!("a {} only reads: GET or HEAD, not {written}", word_name(word)),
        ),
        false => {}
    }
}

fn has_template(field: &Field<'_>) -> bool {
    matches!(&field.node.content, Content::Text(text) if text.contains("{{"))
}

/// A text that is not a template must already be what it stands for.
fn literal(field: &Field<'_>, fits: impl Fn(&str) -> bool, what: &str, findings: &mut Findings<'_>) {
    if let Content::Text(text) = &field.node.content
        && !has_template(field)
        && !fits(text)
    {
        findings.fault(&field.path, format!("expected {what}, found \"{text}\""));
    }
}

fn scalar(field: &Field<'_>, null_too: bool, findings: &mut Findings<'_>) {
    match &field.node.content {
        Content::List(_) | Content::Map(_) => {
            findings.fault(
                &field.path,
                format!(
                    "expected a text, a number or a boolean, found {}",
                    field.node.content.noun()
                ),
            );
        }
        Content::Null if !null_too => findings.fault(&field.path, "has no value"),
        _ => {}
    }
}

/// Checks the templates of every text inside.
fn templates(field: &Field<'_>, findings: &mut Findings<'_>) {
    match &field.node.content {
        Content::Text(text) => {
            if let Err(error) = Template::parse(text) {
                findings.fault(&field.path, error.to_string());
            }
        }
        Content::List(items) => {
            for (i, node) in items.iter().enumerate() {
                let path = field.path.index(i);
                templates(&Field { node, path }, findings);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                let path = field.path.key(&entry.key);
                let node = &entry.value;
                templates(&Field { node, path }, findings);
            }
        }
        Content::Null | Content::Flag(_) | Content::Number(_) => {}
    }
}

/// The target a request names, when no template is in the name.
pub(super) fn literal_target(request: &Request) -> Option<&str> {
    request.target_source().filter(|name| !name.contains("{{"))
}
