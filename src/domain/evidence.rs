//! Which findings a gate's evidence is made of may be read again, when people want to see what is true now.

use std::collections::BTreeSet;

use super::{
    id::StepId,
    runbook::Runbook,
    state::{RunState, StepState},
    step::{Effect, Step, StepKind},
};

/// The steps that only read, stand before this gate and were done since the run last changed something: what they found
/// may be otherwise by now. What was found before a change is left alone: the change was made because of it.
pub fn to_read_again(runbook: &Runbook, run: &RunState, gate: &StepId) -> Vec<StepId> {
    if gate.undone().is_some() {
        return Vec::new();
    }
    let before: BTreeSet<StepId> = runbook.before(gate);
    let step = |id: &StepId| runbook.step(id);
    let last_change = run.done.iter().rposition(|id| step(id).is_some_and(changes));
    run.done[last_change.map_or(0, |at| at + 1)..]
        .iter()
        .filter(|id| before.contains(*id) && step(id).is_some_and(reads))
        .filter(|id| matches!(run.step(id), StepState::Succeeded))
        .cloned()
        .collect()
}

/// Whether a step leaves the world otherwise than it was; what a person did by hand may have.
fn changes(step: &Step) -> bool {
    step.effect() != Effect::Safe || matches!(step.kind, StepKind::Manual { .. })
}

fn reads(step: &Step) -> bool {
    matches!(&step.kind, StepKind::Act(act) if act.effect == Effect::Safe) && step.for_each.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse_runbook;

    #[test]
    fn only_what_was_read_since_the_last_change_is_read_again() {
        let source = r#"
runbook: x
title: X
steps:
  - { id: early, check: tcp, with: { target: a } }
  - { id: change, call: http, with: { target: a, method: POST } }
  - { id: late, check: tcp, with: { target: a } }
  - { id: pause, wait: 1m }
  - { id: beside, needs: [], check: tcp, with: { target: a } }
  - { id: ask, needs: [pause], gate: {} }
  - { id: more, call: http, with: { target: a, method: POST } }
"#;
        let runbook = parse_runbook(source).unwrap().runbook;
        let mut run = RunState::default();
        for id in ["early", "change", "late", "pause", "beside"] {
            run.done.push(id.into());
            run.steps.insert(id.into(), StepState::Succeeded);
        }
        let again = to_read_again(&runbook, &run, &"ask".into());
        assert_eq!(
            again,
            [StepId::from("late")],
            "beside is no evidence of this gate"
        );
        assert!(to_read_again(&runbook, &run, &"undo:ask".into()).is_empty());
        run.done.push("more".into());
        assert!(to_read_again(&runbook, &run, &"ask".into()).is_empty());
    }
}
