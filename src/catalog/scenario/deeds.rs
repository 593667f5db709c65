//! `expected` and `wrong`: what good people would do, and what they would not.

use std::ops::RangeInclusive;

use super::{
    super::{
        document::Content,
        fields::{Field, Fields},
        findings::{Findings, Path},
        fixture::SEVERITIES,
        runbook::{text, unknown},
    },
    Ids,
    answers::only_true,
    at,
    names::{Names, Place},
};
use crate::domain::{
    approval::Verdict,
    run::UnknownChoice,
    scenario::{Deed, Expected, LENGTH_MAX, Wrong},
    span::Span,
    step::StepKind,
};

const EXPECTED_MAX: usize = 50;
const WRONG_MAX: usize = 20;
const WITHIN: RangeInclusive<Span> = Span::from_secs(1)..=LENGTH_MAX;
const DEEDS: [&str; 11] = [
    "acknowledge",
    "start",
    "approve",
    "reject",
    "manual",
    "unknown",
    "stop",
    "update",
    "severity",
    "mitigate",
    "resolve",
];
const CHOICES: [(&str, UnknownChoice); 5] = [
    ("run_check", UnknownChoice::RunCheck),
    ("mark_done", UnknownChoice::MarkDone),
    ("mark_not_done", UnknownChoice::MarkNotDone),
    ("retry_same_key", UnknownChoice::RetrySameKey),
    ("retry_new_key", UnknownChoice::RetryNewKey),
];

/// Reads `expected`. What a deed comes after stands above it.
pub(super) fn expected(
    field: &Field<'_>,
    names: &Names<'_>,
    injects: &[String],
    ids: &mut Ids,
    findings: &mut Findings<'_>,
) -> Vec<Expected> {
    let all = super::script::names_of(Some(field));
    let mut expected: Vec<Expected> = Vec::new();
    let items = field.list(EXPECTED_MAX, findings);
    if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        findings.fault(&field.path, "at least one deed is needed");
    }
    for (i, item) in items.iter().enumerate() {
        let Some(fields) = deed_fields(item, &["after", "within"], findings) else {
            continue;
        };
        let id = ids.read(&fields, findings);
        let deed = deed(item, &fields, names, findings);
        let after = text(fields.get("after"), findings);
        if let Some(after) = &after {
            let above = &all[..i.min(all.len())];
            follows(after, above, &all, injects, &item.path.key("after"), findings);
        }
        let within = fields
            .need("within", findings)
            .and_then(|field| field.span(WITHIN, findings));
        let because = text(fields.get("because"), findings);
        if let (Some(id), Some(deed), Some(within)) = (id, deed, within) {
            expected.push(Expected {
                at: at(item),
                id,
                deed,
                after,
                within,
                because,
            });
        }
    }
    expected
}

/// Whether what a deed comes after is there, and not behind it.
fn follows(
    after: &str,
    above: &[String],
    all: &[String],
    injects: &[String],
    path: &Path,
    findings: &mut Findings<'_>,
) {
    let is_in = |list: &[String]| list.iter().any(|id| id == after);
    if is_in(injects) || is_in(above) {
        return;
    }
    if is_in(all) {
        let hint = "name an inject, or a deed that stands above this one".to_owned();
        findings.fault_with_hint(path, format!("\"{after}\" is not expected before this"), hint);
        return;
    }
    let known: Vec<&str> = injects.iter().chain(above).map(String::as_str).collect();
    let (message, hint) = unknown("inject or expected deed", after, &known);
    findings.fault_with_hint(path, message, hint);
}

/// Reads `wrong`.
pub(super) fn wrong(
    field: Option<Field<'_>>,
    names: &Names<'_>,
    expected: &[String],
    ids: &mut Ids,
    findings: &mut Findings<'_>,
) -> Vec<Wrong> {
    let items = field.map(|field| field.list(WRONG_MAX, findings));
    let mut wrong = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(fields) = deed_fields(&item, &["when", "instead_of"], findings) else {
            continue;
        };
        let id = ids.read(&fields, findings);
        let deed = deed(&item, &fields, names, findings);
        let when = names.expression(fields.get("when"), Place::Told, findings);
        let instead_of = text(fields.get("instead_of"), findings);
        if let Some(other) = instead_of.as_ref().filter(|other| !expected.contains(other)) {
            let known: Vec<&str> = expected.iter().map(String::as_str).collect();
            let (message, hint) = unknown("expected deed", other, &known);
            findings.fault_with_hint(&item.path.key("instead_of"), message, hint);
        }
        let because = text(fields.need("because", findings), findings);
        if let (Some(id), Some(deed), Some(because)) = (id, deed, because) {
            wrong.push(Wrong {
                at: at(&item),
                id,
                deed,
                when,
                instead_of,
                because,
            });
        }
    }
    wrong
}

fn deed_fields<'a>(item: &Field<'a>, more: &[&str], findings: &mut Findings<'_>) -> Option<Fields<'a>> {
    let own = ["id", "choose", "because"];
    let known: Vec<&str> = own.into_iter().chain(DEEDS).chain(more.iter().copied()).collect();
    item.fields(&known, findings)
}

/// The one thing that is done.
fn deed(
    item: &Field<'_>,
    fields: &Fields<'_>,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Option<Deed> {
    let mut written = fields.all().filter(|(key, _)| DEEDS.contains(key));
    let Some((word, value)) = written.next() else {
        if !findings.has_fault_under(&item.path) {
            findings.fault(&item.path, format!("a deed is one of {}", DEEDS.join(", ")));
        }
        return None;
    };
    if let Some((second, _)) = written.next() {
        let message = format!("one deed is one thing, but here are {word} and {second}");
        fields.fault_at_key(second, message, None, findings);
        return None;
    }
    if word != "unknown" && fields.get("choose").is_some() {
        let message = "only a step whose outcome is unknown is settled by a choice".to_owned();
        fields.fault_at_key(
            "choose",
            message,
            Some("write unknown: STEP".to_owned()),
            findings,
        );
    }
    let decided = |verdict, findings: &mut Findings<'_>| {
        let gate = step(&value, "a gate", is_gate, names, findings)?;
        Some(Deed::Decide { gate, verdict })
    };
    match word {
        "start" => runbook(&value, names, findings).map(|runbook| Deed::Start { runbook }),
        "stop" => runbook(&value, names, findings).map(|runbook| Deed::Stop { runbook }),
        "approve" => decided(Verdict::Approve, findings),
        "reject" => decided(Verdict::Reject, findings),
        "manual" => {
            step(&value, "a manual step", is_manual, names, findings).map(|step| Deed::Manual { step })
        }
        "unknown" => {
            let step = step(&value, "a step that acts", is_act, names, findings);
            let choice = fields
                .need("choose", findings)
                .and_then(|field| field.choice(&CHOICES, findings));
            Some(Deed::Settle {
                step: step?,
                choice: choice?,
            })
        }
        "severity" => value.choice(&SEVERITIES, findings).map(Deed::Severity),
        word => {
            only_true(&value, findings);
            Some(match word {
                "acknowledge" => Deed::Acknowledge,
                "update" => Deed::Update,
                "mitigate" => Deed::Mitigate,
                _ => Deed::Resolve,
            })
        }
    }
}

fn is_gate(kind: &StepKind) -> bool {
    matches!(kind, StepKind::Gate(_))
}

fn is_manual(kind: &StepKind) -> bool {
    matches!(kind, StepKind::Manual { .. })
}

fn is_act(kind: &StepKind) -> bool {
    matches!(kind, StepKind::Act(_))
}

/// A step of this kind in one of the scenario's runbooks.
fn step(
    field: &Field<'_>,
    noun: &str,
    fits: fn(&StepKind) -> bool,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Option<String> {
    let id = field.text(findings)?;
    if let Some(steps) = names.steps() {
        let fitting = || {
            steps
                .iter()
                .filter(|(_, kind)| fits(kind))
                .map(|(known, _)| *known)
        };
        let is_there = steps.iter().any(|(known, _)| *known == id);
        if is_there && !fitting().any(|known| known == id) {
            findings.fault(&field.path, format!("{id} is not {noun}"));
        } else if !is_there {
            let known: Vec<&str> = fitting().collect();
            let (message, hint) = unknown("step", id, &known);
            findings.fault_with_hint(&field.path, message, hint);
        }
    }
    Some(id.to_owned())
}

/// One of the scenario's runbooks.
fn runbook(field: &Field<'_>, names: &Names<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let slug = field.text(findings)?;
    let known: Vec<&str> = names
        .runbooks
        .iter()
        .map(|runbook| runbook.slug.as_str())
        .collect();
    if names.steps().is_some() && !known.contains(&slug) {
        let hint = super::super::nearest::hint(slug, known.iter().copied());
        let message = format!("\"{slug}\" is not among the runbooks of this scenario");
        findings.fault_with_hint(&field.path, message, hint);
    }
    Some(slug.to_owned())
}
