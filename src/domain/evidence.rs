//! Which findings a gate's evidence is made of may be read again, and until when people may approve by what was found.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    approval::{Bound, Evidence},
    id::StepId,
    runbook::Runbook,
    span::Span,
    state::{RunState, StepState},
    step::{Effect, GateRule, Step, StepKind},
};

/// Why nothing can be approved by the evidence of a gate. Rejecting is possible by any.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the evidence is old: {title} was read {age} ago, and this gate takes nothing older than {within}; read the \
     evidence again first"
)]
pub struct TooOld {
    /// The finding that is the oldest.
    pub title: String,
    /// How old it is, to the second.
    pub age: Span,
    /// How old it may be.
    pub within: Span,
}

/// Until when people may approve by this evidence. Only what can be `again` read counts: what was found before a change
/// stays as it was found, and a gate that asked for it anew could never be passed. `None`: for as long as the gate waits.
pub fn good_until(bound: &Bound, rule: &GateRule, again: &[StepId]) -> Option<DateTime<Utc>> {
    oldest(bound, again).map(|found| found.at + rule.evidence_within.as_delta())
}

/// Whether people may approve by this evidence now.
pub fn recent_enough(
    bound: &Bound,
    rule: &GateRule,
    again: &[StepId],
    now: DateTime<Utc>,
) -> Result<(), TooOld> {
    match oldest(bound, again) {
        Some(found) if found.at + rule.evidence_within.as_delta() < now => Err(TooOld {
            title: found.title.clone(),
            age: Span::from_secs((now - found.at).num_seconds().unsigned_abs()),
            within: rule.evidence_within,
        }),
        _ => Ok(()),
    }
}

fn oldest<'a>(bound: &'a Bound, again: &[StepId]) -> Option<&'a Evidence> {
    let may_be_new = bound.evidence.iter().filter(|found| again.contains(&found.step));
    may_be_new.min_by_key(|found| found.at)
}

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
    fn nobody_approves_by_evidence_that_is_old_and_can_be_read_again() {
        let source = "runbook: x\ntitle: X\nsteps:\n  - { id: look, check: tcp, with: { target: a } }\n  \
                      - { id: ask, gate: { evidence_within: 2m } }\n";
        let runbook = parse_runbook(source).unwrap().runbook;
        let (_, rule) = runbook.gates().next().unwrap();
        let now = DateTime::from_timestamp(100_000, 0).unwrap();
        let found = |step: &str, age_s: i64| Evidence {
            step: step.into(),
            title: format!("What {step} found"),
            summary: "open".to_owned(),
            at: now - chrono::TimeDelta::seconds(age_s),
        };
        let again = [StepId::from("look"), StepId::from("lag")];
        for (evidence, again, too_old) in [
            (vec![], &again[..], None),
            (vec![found("look", 119), found("lag", 120)], &again[..], None),
            (
                vec![found("look", 3), found("lag", 121)],
                &again[..],
                Some("What lag found"),
            ),
            (
                vec![found("look", 200), found("lag", 121)],
                &again[..],
                Some("What look found"),
            ),
            // What cannot be read again is not asked for again.
            (vec![found("before", 9000), found("look", 3)], &again[..], None),
            (vec![found("look", 9000)], &[][..], None),
        ] {
            let bound = Bound {
                version: crate::domain::digest::Digest::ZERO,
                gate: "ask".into(),
                steps: Vec::new(),
                evidence,
            };
            let told = recent_enough(&bound, rule, again, now)
                .err()
                .map(|fault| fault.title);
            assert_eq!(told.as_deref(), too_old);
            let is_good = good_until(&bound, rule, again).is_none_or(|until| now <= until);
            assert_eq!(is_good, too_old.is_none());
        }
        let old = TooOld {
            title: "Replica lag".to_owned(),
            age: Span::from_secs(400),
            within: Span::from_secs(300),
        };
        assert!(
            old.to_string().contains("Replica lag was read 6m40s ago"),
            "{old}"
        );
    }

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
