//! What a runbook must hold as a whole: names that exist when they are read, effects that can be approved, and what
//! deserves a second look.

use super::{
    findings::{Findings, Path},
    names,
    request::word_name,
    scope::{Scope, texts},
};
use crate::domain::{
    id::StepId,
    runbook::{Runbook, StartMode},
    step::{Act, ActWord, Effect, Request, Step, StepKind},
    template::Template,
};

/// Checks the parts of a runbook against each other.
pub(super) fn check(runbook: &Runbook, findings: &mut Findings<'_>) {
    let top = Path::default();
    starts(runbook, findings);
    let scope = Scope {
        inputs: &runbook.inputs,
        earlier: &[],
        roots: &["labels", "annotations", "incident"],
    };
    for (name, input) in &runbook.inputs {
        let path = top.key("inputs").key(name).key("from");
        scope.maybe(&input.from, &path, findings);
    }
    let scope = Scope {
        roots: &["inputs", "labels", "annotations", "incident", "run"],
        ..scope
    };
    for (i, lock) in runbook.locks.iter().enumerate() {
        scope.template(lock, &top.key("locks").index(i), findings);
    }
    for (i, step) in runbook.steps.iter().enumerate() {
        let path = top.key("steps").index(i);
        let twin = runbook.steps[..i].iter().position(|other| other.id == step.id);
        if let Some(first) = twin.filter(|_| !step.id.0.is_empty()) {
            findings.fault(
                &path.key("id"),
                format!("\"{}\" is the id of steps[{first}] already", step.id),
            );
        }
        let scope = Scope {
            inputs: &runbook.inputs,
            earlier: &runbook.steps[..i],
            roots: &["inputs", "labels", "annotations", "incident", "run", "steps"],
        };
        names_of(step, &path, &scope, findings);
        if let StepKind::Act(act) = &step.kind {
            effect(act, &path, findings);
            bound_to_the_gate(runbook, i, act, &path, findings);
        }
        if matches!(step.kind, StepKind::Gate(_)) && runbook.steps_under(&step.id).next().is_none() {
            findings.warn(&path, "nothing runs under this gate");
        }
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

fn names_of(step: &Step, path: &Path, scope: &Scope<'_>, findings: &mut Findings<'_>) {
    scope.maybe(&step.when, &path.key("when"), findings);
    if let Some(title) = &step.title {
        scope.template(title, &path.key("title"), findings);
    }
    match &step.kind {
        StepKind::Act(act) => {
            scope.tree(&act.request.with, &path.key("with"), findings);
            scope.judging(&act.expect, &path.key("expect"), findings);
            if let Some(probe) = &act.verify {
                let path = path.key("verify");
                scope.tree(&probe.request.with, &path.key("with"), findings);
                scope.judging(&probe.expect, &path.key("expect"), findings);
            }
            if let Some(undo) = &act.undo {
                scope.tree(&undo.request.with, &path.key("undo").key("with"), findings);
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

fn effect(act: &Act, path: &Path, findings: &mut Findings<'_>) {
    if act.word != ActWord::Call {
        return;
    }
    let default = act.request.action.default_effect(act.word);
    if act.effect < default {
        findings.warn(
            &path.key("effect"),
            format!(
                "{} is looser than {}, which a call to {} is taken for",
                effect_name(act.effect),
                effect_name(default),
                act.request.action.name()
            ),
        );
    }
    if act.effect != Effect::Safe && act.verify.is_none() {
        findings.warn(
            &path.key(word_name(act.word)),
            "without verify, a person must find out by hand whether a lost call was carried out",
        );
    }
}

/// An approval is bound to the inputs as they will be sent, so at the gate everything they read must be known.
fn bound_to_the_gate(runbook: &Runbook, at: usize, act: &Act, path: &Path, findings: &mut Findings<'_>) {
    if act.effect == Effect::Safe {
        return;
    }
    let is_gate = |step: &Step| matches!(step.kind, StepKind::Gate(_));
    let Some(gate) = runbook.steps[..at].iter().rposition(is_gate) else {
        return;
    };
    let under = &runbook.steps[gate + 1..at];
    let requests: [(Option<&Request>, Path); 2] = [
        (Some(&act.request), path.key("with")),
        (
            act.undo.as_ref().map(|undo| &undo.request),
            path.key("undo").key("with"),
        ),
    ];
    for (request, path) in requests {
        let Some(request) = request else { continue };
        texts(&request.with, &path, &mut |text, path| {
            let Some(late) = read_steps(text).find(|id| under.iter().any(|step| step.id == *id)) else {
                return;
            };
            findings.fault_with_hint(
                path,
                format!(
                    "reads the result of \"{late}\", which is not known yet when people decide at \"{}\"",
                    runbook.steps[gate].id
                ),
                "put another gate between the two steps".to_owned(),
            );
        });
    }
}

fn read_steps(text: &str) -> impl Iterator<Item = StepId> {
    Template::parse(text)
        .map(|template| template.expressions())
        .unwrap_or_default()
        .into_iter()
        .flat_map(|expression| names::read(expression.source()).chains)
        .filter(|chain| chain.root == "steps")
        .filter_map(|chain| chain.below.into_iter().next().map(StepId))
}

fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Safe => "safe",
        Effect::Idempotent => "idempotent",
        Effect::Once => "once",
    }
}
