//! What a runbook must hold as a whole: names that exist when they are read, effects that can be approved, and what
//! deserves a second look.

use super::{
    bound,
    findings::{Findings, Path},
    order::{Order, gate_above},
    passing,
    request::word_name,
    scope::{Place, Scope},
    step::List,
};
use crate::domain::{
    runbook::{Runbook, StartMode},
    step::{Act, ActWord, ActionKind, Effect, Step, StepKind},
};

/// Names of a step outside `for_each`.
const ROOTS: [&str; 6] = ["inputs", "labels", "annotations", "incident", "run", "steps"];
/// Names of a step that is done for each item of a list.
const ITEM_ROOTS: [&str; 8] = [
    "inputs",
    "labels",
    "annotations",
    "incident",
    "run",
    "steps",
    "item",
    "index",
];

/// Checks the parts of a runbook against each other.
pub(super) fn check(runbook: &Runbook, findings: &mut Findings<'_>) {
    let top = Path::default();
    starts(runbook, findings);
    let scope = Scope {
        runbook,
        place: Place::Head,
        roots: &["labels", "annotations", "incident"],
    };
    for (name, input) in &runbook.inputs {
        let path = top.key("inputs").key(name).key("from");
        scope.maybe(&input.from, &path, findings);
    }
    let scope = Scope {
        roots: &ROOTS[..5],
        ..scope
    };
    for (i, lock) in runbook.locks.iter().enumerate() {
        scope.template(lock, &top.key("locks").index(i), findings);
    }
    let order = Order::of(runbook, findings);
    passing::check(runbook, findings);
    for (at, step) in runbook.steps.iter().enumerate() {
        let path = top.key("steps").index(at);
        twin(runbook, List::Steps, at, &path, findings);
        let place = |done| Place::Step {
            at,
            order: &order,
            done,
        };
        names_of(runbook, step, &place, &path, findings);
        if let StepKind::Act(act) = &step.kind {
            effect(act, &path, findings);
            irreversible(runbook, at, act, &path, findings);
            bound::check(runbook, &order, at, act, &path, findings);
        }
        if matches!(step.kind, StepKind::Gate(_)) && runbook.steps_under(&step.id).next().is_none() {
            findings.warn(&path, "nothing runs under this gate");
        }
    }
    for (at, step) in runbook.finally.iter().enumerate() {
        let path = top.key("finally").index(at);
        twin(runbook, List::Finally, at, &path, findings);
        names_of(runbook, step, &|_| Place::Finally { at }, &path, findings);
        if let StepKind::Act(act) = &step.kind {
            effect(act, &path, findings);
        }
    }
}

/// An id names one step of the whole runbook.
fn twin(runbook: &Runbook, list: List, at: usize, path: &Path, findings: &mut Findings<'_>) {
    let (own, name) = match list {
        List::Steps => (&runbook.steps, "steps"),
        List::Finally => (&runbook.finally, "finally"),
    };
    let id = &own[at].id;
    let among = |steps: &[Step]| steps.iter().position(|other| other.id == *id);
    let first = match (list, among(&runbook.steps), among(&own[..at])) {
        (List::Finally, Some(first), _) => Some(("steps", first)),
        (_, _, Some(first)) => Some((name, first)),
        _ => None,
    };
    if let Some((list, first)) = first.filter(|_| !id.0.is_empty()) {
        findings.fault(
            &path.key("id"),
            format!("\"{id}\" is the id of {list}[{first}] already"),
        );
    }
}

fn starts(runbook: &Runbook, findings: &mut Findings<'_>) {
    let path = Path::default().key("start");
    if runbook.start != StartMode::Automatic || findings.has_fault_under(&Path::default().key("match")) {
        return;
    }
    if runbook.triggers.is_empty() {
        findings.warn(&path, "it never starts by itself, because there is no match");
    }
    for (name, input) in &runbook.inputs {
        if input.required && input.from.is_none() && input.default.is_none() {
            findings.warn(
                &Path::default().key("inputs").key(name),
                "it never starts by itself, because only a person can give this input",
            );
        }
    }
}

/// Checks every name a step reads. `place` tells where it stands, and whether its own result is there.
fn names_of<'a>(
    runbook: &Runbook,
    step: &Step,
    place: &impl Fn(bool) -> Place<'a>,
    path: &Path,
    findings: &mut Findings<'_>,
) {
    let once = Scope {
        runbook,
        place: place(false),
        roots: &ROOTS,
    };
    scope_of_list(&once, step, path, findings);
    let scope = match &step.for_each {
        Some(_) => Scope {
            roots: &ITEM_ROOTS,
            ..once
        },
        None => once,
    };
    if let Some(title) = &step.title {
        scope.template(title, &path.key("title"), findings);
    }
    match &step.kind {
        StepKind::Act(act) => {
            scope.tree(&act.request.with, &path.key("with"), findings);
            scope.judging(&act.expect, &path.key("expect"), findings);
            probe(&scope, act, path, findings);
            if let Some(undo) = &act.undo {
                let scope = Scope {
                    place: place(true),
                    ..scope
                };
                let path = path.key("undo");
                scope.tree(&undo.request.with, &path.key("with"), findings);
                scope.judging(&undo.expect, &path.key("expect"), findings);
                probe(&scope, undo, &path, findings);
            }
        }
        StepKind::Gate(rule) => {
            if let Some(impact) = &rule.impact {
                scope.template(impact, &path.key("impact"), findings);
            }
        }
        StepKind::Manual { instruction, .. } => scope.template(instruction, &path.key("manual"), findings),
        StepKind::Wait { .. } => {}
    }
}

/// What is read once, before there are items.
fn scope_of_list(scope: &Scope<'_>, step: &Step, path: &Path, findings: &mut Findings<'_>) {
    scope.maybe(&step.when, &path.key("when"), findings);
    if let Some(each) = &step.for_each {
        let path = bound::list_path(&path.key("for_each"), findings);
        scope.expression(&each.items, &path, findings);
    }
}

fn probe(scope: &Scope<'_>, act: &Act, path: &Path, findings: &mut Findings<'_>) {
    if let Some(probe) = &act.verify {
        let path = path.key("verify");
        scope.tree(&probe.request.with, &path.key("with"), findings);
        scope.judging(&probe.expect, &path.key("expect"), findings);
    }
}

/// The loosest effect that needs no second look: what HTTP itself defines as idempotent is (RFC 9110, 9.2.2).
fn loosest(act: &Act, default: Effect) -> Effect {
    let method = act.request.with.get("method").and_then(serde_json::Value::as_str);
    match (act.request.action, method) {
        (ActionKind::Http, Some("PUT" | "DELETE")) => Effect::Idempotent,
        _ => default,
    }
}

/// What nothing takes back is let through by people who say so, one by one.
fn irreversible(runbook: &Runbook, at: usize, act: &Act, path: &Path, findings: &mut Findings<'_>) {
    if !act.irreversible {
        return;
    }
    let path = path.key("irreversible");
    if act.effect == Effect::Safe {
        findings.fault(&path, "what only reads has nothing to be taken back");
    }
    if act.undo.is_some() {
        findings.fault(&path, "it has an undo, so it can be taken back");
    }
    if gate_above(&runbook.steps, at).is_none() {
        findings.fault(&path, "what cannot be taken back needs a gate above it");
    }
}

/// What deserves a second look in an act, and in the one that takes it back.
fn effect(act: &Act, path: &Path, findings: &mut Findings<'_>) {
    if let Some(undo) = &act.undo {
        effect(undo, &path.key("undo"), findings);
    }
    if act.word != ActWord::Call {
        return;
    }
    let default = act.request.action.default_effect(act.word);
    if act.effect < loosest(act, default) {
        findings.warn(
            &path.key("effect"),
            format!(
                "{} is looser than {}, which a call to {} is taken for",
                act.effect.name(),
                default.name(),
                act.request.action.name()
            ),
        );
    }
    // Alertmanager's action looks by itself whether a lost call was carried out.
    let finds_out = act.request.action == ActionKind::Alertmanager;
    if act.effect != Effect::Safe && act.verify.is_none() && !finds_out {
        findings.warn(
            &path.key(word_name(act.word)),
            "without verify, a person must find out by hand whether a lost call was carried out",
        );
    }
}
