//! Where a run may go on after a failure or when nobody decided: at a later step, and never past the gate of what
//! changes something.

use super::{
    findings::{Findings, Path},
    nearest,
    order::gate_above,
};
use crate::domain::{
    id::StepId,
    runbook::Runbook,
    step::{Act, Effect, OnFailure, StepKind},
};

/// Checks every `go_to`, and that `undo` finds something to take back.
pub(super) fn check(runbook: &Runbook, findings: &mut Findings<'_>) {
    for (at, step) in runbook.steps.iter().enumerate() {
        let path = Path::default().key("steps").index(at);
        match &step.on_failure {
            OnFailure::GoTo(to) => {
                go_to(runbook, at, to, &path.key("on_failure").key("go_to"), findings);
            }
            OnFailure::Undo if !others_have_undo(runbook, at) => findings.warn(
                &path.key("on_failure"),
                "nothing that could have been done by then has an undo, so nothing is taken back",
            ),
            _ => {}
        }
        if let StepKind::Gate(rule) = &step.kind
            && let Some(to) = &rule.on_expiry
        {
            let path = path.key("gate").key("on_expiry").key("go_to");
            go_to(runbook, at, to, &path, findings);
        }
    }
}

fn go_to(runbook: &Runbook, at: usize, to: &StepId, path: &Path, findings: &mut Findings<'_>) {
    let steps = runbook.steps.as_slice();
    let Some(target) = steps.iter().position(|step| step.id == *to) else {
        let (message, hint) = unknown(runbook, at, to);
        return findings.fault_with_hint(path, message, hint);
    };
    if target <= at {
        let what = if target == at {
            "is this step itself"
        } else {
            "stands above"
        };
        let message = format!("\"{to}\" {what}, and go to only leads forward");
        return findings.fault_with_hint(path, message, later(runbook, at));
    }
    if matches!(steps[target].kind, StepKind::Gate(_)) {
        return;
    }
    let Some(gate) = gate_above(steps, target).filter(|gate| *gate >= at) else {
        return;
    };
    let Some(change) = runbook
        .steps_under(&steps[gate].id)
        .skip(target - gate - 1)
        .find(|step| step.effect() != Effect::Safe)
    else {
        return;
    };
    let (change, gate_id) = (&change.id, &steps[gate].id);
    let (message, hint) = match gate == at {
        false => (
            format!(
                "\"{change}\" changes something below the gate \"{gate_id}\", which would be passed over"
            ),
            format!("go to the gate \"{gate_id}\" itself"),
        ),
        true => (
            format!("\"{change}\" changes something below this gate, which nobody has opened then"),
            "put a gate of its own above it, or into finally what needs no gate".to_owned(),
        ),
    };
    findings.fault_with_hint(path, message, hint);
}

fn unknown(runbook: &Runbook, at: usize, to: &StepId) -> (String, Option<String>) {
    if runbook.finally.iter().any(|step| step.id == *to) {
        return (
            format!("\"{to}\" is a step of finally, which runs at the end in any case"),
            later(runbook, at),
        );
    }
    let known: Vec<&str> = below(runbook, at).collect();
    let hint = match known.is_empty() {
        true => later(runbook, at),
        false => nearest::hint(&to.0, known),
    };
    (format!("there is no step \"{to}\""), hint)
}

fn below(runbook: &Runbook, at: usize) -> impl Iterator<Item = &str> + Clone {
    let ids = runbook.steps[at + 1..].iter().map(|step| step.id.0.as_str());
    ids.filter(|id| !id.is_empty())
}

fn later(runbook: &Runbook, at: usize) -> Option<String> {
    let later: Vec<&str> = below(runbook, at).collect();
    Some(match later.is_empty() {
        true => "no step stands below this one".to_owned(),
        false => format!("later steps: {}", later.join(", ")),
    })
}

/// A step that has failed is not taken back itself, but for the items it was done for.
fn others_have_undo(runbook: &Runbook, at: usize) -> bool {
    runbook.steps.iter().enumerate().any(|(other, step)| {
        let may_be_done = other != at || step.for_each.is_some();
        may_be_done && matches!(&step.kind, StepKind::Act(Act { undo: Some(_), .. }))
    })
}
