//! What defines an item, as a digest. Two versions of a runbook whose items have the same fingerprint do the same there.
//!
//! Titles, background, impact and phases are words for people and never count; neither does how long one attempt may
//! take, but for the way on after a failure. These rules are kept with care: another rule un-drills every runbook.

use serde::Serialize;
use serde_json::{Value, json};

use super::{What, branch::Branch};
use crate::domain::{
    digest::Digest,
    runbook::Runbook,
    step::{Act, Effect, GateRule, Step, StepKind},
};

/// The fingerprint of something of a step.
pub(super) fn of(runbook: &Runbook, step: &Step, what: &What) -> Digest {
    let defined_by = match (&step.kind, what) {
        (_, What::Branch(Branch::Applies | Branch::DoesNotApply)) => value(&step.when),
        (_, What::Branch(Branch::NoItems | Branch::OneItem | Branch::ManyItems)) => value(&step.for_each),
        (StepKind::Gate(rule), What::Branch(Branch::Expired(_))) => {
            json!([rule.decide_within, rule.on_expiry])
        }
        (StepKind::Gate(rule), _) => gate(runbook, step, rule),
        (StepKind::Manual { instruction, within }, What::Branch(Branch::Failed(_))) => {
            json!([value(instruction), within, value(&step.on_failure)])
        }
        (StepKind::Manual { instruction, .. }, _) => value(instruction),
        (StepKind::Wait { length }, _) => value(length),
        (StepKind::Act(act), What::Branch(branch)) => of_act(runbook, step, act, branch),
        (StepKind::Act(act), What::DecidedBy(_)) => sent(act),
    };
    Digest::of_json(&json!([step.word(), defined_by]))
}

fn of_act(runbook: &Runbook, step: &Step, act: &Act, branch: &Branch) -> Value {
    match branch {
        Branch::Failed(_) => json!([
            sent(act),
            step.timeout,
            value(&step.retry),
            value(&step.on_failure)
        ]),
        Branch::Satisfied | Branch::Settled => json!([sent(act), value(&act.verify)]),
        Branch::TakenBack => json!([sent(act), value(&act.undo)]),
        Branch::Decided => sent(act),
        _ => {
            let place = (act.effect != Effect::Safe).then(|| place(runbook, step));
            json!([sent(act), value(&act.verify), value(&step.for_each), place])
        }
    }
}

/// What goes out, and when its answer counts as success.
fn sent(act: &Act) -> Value {
    json!([
        value(&act.word),
        value(&act.request),
        value(&act.expect),
        value(&act.until),
        value(&act.effect)
    ])
}

/// Where an effect stands: under which gate, and after which other effect.
fn place(runbook: &Runbook, step: &Step) -> Value {
    let gate = runbook.gate_over(&step.id).map(|gate| gate.id.clone());
    let before = runbook.before(&step.id);
    let effect = runbook
        .steps
        .iter()
        .rev()
        .find(|other| other.effect() != Effect::Safe && before.contains(&other.id));
    json!([gate, effect.map(|other| other.id.clone())])
}

/// Who decides, how many of them, and about which effects.
fn gate(runbook: &Runbook, step: &Step, rule: &GateRule) -> Value {
    let effects: Vec<_> = runbook
        .steps_under(&step.id)
        .filter(|under| under.effect() != Effect::Safe)
        .map(|under| under.id.clone())
        .collect();
    json!([
        rule.approvals,
        value(&rule.roles),
        rule.teams,
        rule.people,
        rule.requester_may_approve,
        effects
    ])
}

/// A part of a runbook as the database keeps it, which can always be written.
fn value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}
