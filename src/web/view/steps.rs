//! The steps of a runbook as they are written, each with its rules: on the runbook's page, and beside its text while
//! somebody writes it.

use askama::{Template, filters::HtmlSafe};
use serde_json::Value;

use super::step::StepPlan;
use crate::domain::{
    runbook::Runbook,
    step::{Act, Step, StepKind},
    target::{SecretRef, Targets},
};

/// The steps.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/_steps.html")]
pub struct StepsPart {
    /// Those that run in order.
    pub steps: Vec<StepPlan>,
    /// Those that run at the end whatever came before, numbered on.
    pub finally: Vec<StepPlan>,
}

impl HtmlSafe for StepsPart {}

impl StepsPart {
    /// The steps of a runbook, with what they need of these targets.
    pub fn of(runbook: &Runbook, targets: &Targets) -> Self {
        let plans = |first: usize, steps: &[Step]| {
            let numbered = steps.iter().enumerate();
            numbered
                .map(|(at, step)| plan(first + at, step, targets))
                .collect()
        };
        Self {
            steps: plans(1, &runbook.steps),
            finally: plans(runbook.steps.len() + 1, &runbook.finally),
        }
    }
}

fn plan(number: usize, step: &Step, targets: &Targets) -> StepPlan {
    let mut plan = StepPlan::of(number, step, &Value::Null);
    let (secrets, unknown) = needs(step, targets);
    if !secrets.is_empty() {
        plan.rules.push(("secrets", secrets.join(", ")));
    }
    if !unknown.is_empty() {
        let words = format!("{}: no such target is in the targets file", unknown.join(", "));
        plan.rules.push(("missing", words));
    }
    plan
}

/// The secrets that a step needs, by their names and never their values, and the targets it names that nobody has
/// described. A target whose name is known only in a run says nothing yet.
fn needs(step: &Step, targets: &Targets) -> (Vec<String>, Vec<String>) {
    let StepKind::Act(act) = &step.kind else {
        return (Vec::new(), Vec::new());
    };
    let (mut secrets, mut unknown) = (Vec::new(), Vec::new());
    for name in named(act).into_iter().filter(|name| !name.contains("{{")) {
        match targets.0.get(name) {
            Some(target) => {
                let names = target.secrets().into_iter().cloned();
                secrets.extend(names.map(<SecretRef as Into<String>>::into));
            }
            // Without any target nobody has read a file yet.
            None if !targets.0.is_empty() => unknown.push(name.to_owned()),
            None => {}
        }
    }
    for list in [&mut secrets, &mut unknown] {
        list.sort_unstable();
        list.dedup();
    }
    (secrets, unknown)
}

fn named(act: &Act) -> Vec<&str> {
    let probe = act
        .verify
        .as_ref()
        .and_then(|probe| probe.request.target_source());
    let mut names: Vec<&str> = act.request.target_source().into_iter().chain(probe).collect();
    if let Some(undo) = &act.undo {
        names.extend(named(undo));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{parse_runbook, parse_targets};

    #[test]
    fn secrets_are_named_and_targets_nobody_described_too() {
        let targets = parse_targets(
            "targets:\n  - { name: lb, http: { url: \"http://lb/\", bearer: \"env:LB_TOKEN\" } }\n  \
             - { name: db, http: { url: \"http://db/\", bearer: \"env:DB_TOKEN\" } }\n",
        )
        .unwrap();
        let runbook = parse_runbook(
            "runbook: x\ntitle: X\ninputs: { where: { required: true } }\nsteps:\n  - id: a\n    call: http\n    \
             with: { target: lb }\n    verify: { check: http, with: { target: db } }\n  - id: b\n    check: http\n    \
             with: { target: nowhere }\n  - id: c\n    wait: 1s\n",
        )
        .unwrap()
        .runbook;
        let part = StepsPart::of(&runbook, &targets);
        let rule = |step: usize, name: &str| {
            let rules = &part.steps[step].rules;
            let found = rules.iter().find(|(rule, _)| *rule == name);
            found.map(|(_, words)| words.as_str())
        };
        assert_eq!(rule(0, "secrets"), Some("env:DB_TOKEN, env:LB_TOKEN"));
        assert_eq!(
            rule(1, "missing"),
            Some("nowhere: no such target is in the targets file")
        );
        assert_eq!((rule(1, "secrets"), rule(2, "missing")), (None, None));
        let unread = StepsPart::of(&runbook, &Targets::default());
        assert!(unread.steps[1].rules.iter().all(|(name, _)| *name != "missing"));
    }
}
