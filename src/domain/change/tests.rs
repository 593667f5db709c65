//! Changes of versions, as the pages tell them.

use super::changes;
use crate::domain::{
    access::{Access, Circle},
    id::StepId,
    runbook::{Budget, Runbook, StartMode},
    span::Span,
    step::{Act, OnFailure, StepKind},
};

/// A runbook as the database keeps one.
fn runbook() -> Runbook {
    let http = |path: &str| serde_json::json!({"action": "http", "with": {"target": "shop", "path": path}});
    let step = |id: &str, kind: serde_json::Value| {
        serde_json::json!({"id": id, "title": null, "doc": null, "phase": null, "when": null, "timeout": "30s",
            "retry": {"attempts": 1, "initial": "1s", "max": "30s"}, "on_failure": "stop", "kind": kind})
    };
    let call = serde_json::json!({"act": {"word": "call", "request": http("/restart"), "expect": "result.ok",
        "until": null, "effect": "once", "verify": {"request": http("/healthz"), "expect": null,
        "until": {"every": "1s", "within": "1m"}},
        "undo": {"word": "call", "request": http("/stop"), "expect": null, "until": null, "effect": "once",
        "verify": null}}});
    let gate = serde_json::json!({"gate": {"approvals": 2, "roles": ["approver"], "requester_may_approve": false,
        "decide_within": "15m", "use_within": "10m", "impact": null, "break_glass": false}});
    serde_json::from_value(serde_json::json!({
        "slug": "shop", "title": "Shop", "summary": "", "owner": null, "services": [],
        "triggers": [["alertname=\"Down\""]], "start": "suggest", "budget": null, "review": 1, "inputs": {},
        "locks": ["service/shop"],
        "steps": [step("ask", gate), step("promote", call), step("rest", serde_json::json!({"wait": {"length": "10s"}}))],
    }))
    .unwrap()
}

fn act(runbook: &mut Runbook) -> &mut Act {
    match &mut runbook.steps[1].kind {
        StepKind::Act(act) => act,
        other => unreachable!("{other:?}"),
    }
}

/// The sentences; those that take a safeguard away begin with `!`.
fn told(change: impl FnOnce(&mut Runbook)) -> Vec<String> {
    let old = runbook();
    let mut new = old.clone();
    change(&mut new);
    let line = |change: &super::Change| format!("{}{}", if change.is_grave { "!" } else { "" }, change.words);
    changes(&old, &new).iter().map(line).collect()
}

#[test]
fn the_same_runbook_has_not_changed() {
    assert_eq!(told(|_| {}), Vec::<String>::new());
}

#[test]
fn every_changed_rule_has_its_words() {
    assert_eq!(
        told(|new| new.steps[1].timeout = Span::from_secs(120)),
        ["step promote: timeout 30s → 2m"]
    );
    assert_eq!(
        told(|new| new.steps[1].retry.attempts = 3),
        ["step promote: attempts 1 → 3, 1s to 30s apart"]
    );
    assert_eq!(told(|new| _ = new.steps.pop()), ["step rest removed"]);
    assert_eq!(
        told(|new| new.steps[2].id = StepId::from("pause")),
        ["step rest removed", "step pause added"]
    );
    assert_eq!(told(|new| new.steps.swap(1, 2)), ["steps stand in another order"]);
    assert_eq!(
        told(|new| act(new).request.with["path"] = "/again".into()),
        ["step promote: path /restart → /again"]
    );
    assert_eq!(
        told(|new| act(new).request.with["path"] = "/".repeat(61).into()),
        ["step promote: path changed"]
    );
    assert_eq!(told(|new| new.summary = "New.".into()), ["summary none → New."]);
    assert_eq!(
        told(|new| new.triggers = vec![vec!["job=\"x\"".to_owned().try_into().unwrap()]]),
        [
            "applies no longer when alertname=\"Down\"",
            "applies when job=\"x\""
        ]
    );
}

#[test]
fn whatever_takes_a_safeguard_away_comes_first_and_says_so() {
    let gate =
        |new: &mut Runbook, change: fn(&mut crate::domain::step::GateRule)| match &mut new.steps[0].kind {
            StepKind::Gate(rule) => change(rule),
            other => unreachable!("{other:?}"),
        };
    for (words, change) in [
        (
            "!gate ask removed",
            Box::new(|new: &mut Runbook| _ = new.steps.remove(0)) as Box<dyn FnOnce(&mut Runbook)>,
        ),
        (
            "!step promote no longer waits for gate ask",
            Box::new(|new| new.steps.swap(0, 1)),
        ),
        (
            "!gate ask: gate → wait",
            Box::new(|new| {
                new.steps[0].kind = StepKind::Wait {
                    length: Span::from_secs(1),
                }
            }),
        ),
        (
            "!gate ask: approvals 2 → 1",
            Box::new(move |new| gate(new, |rule| rule.approvals = 1)),
        ),
        (
            "!gate ask: who decides approver → responder",
            Box::new(move |new| {
                gate(new, |rule| {
                    rule.roles = vec![crate::domain::operator::Role::Responder]
                })
            }),
        ),
        (
            "!gate ask: who started the run approves it may not → may",
            Box::new(move |new| gate(new, |rule| rule.requester_may_approve = true)),
        ),
        (
            "!gate ask: in an emergency nobody alone → one person alone",
            Box::new(move |new| gate(new, |rule| rule.break_glass = true)),
        ),
        (
            "!step promote: verify probe removed",
            Box::new(|new| act(new).verify = None),
        ),
        (
            "!step promote: undo removed",
            Box::new(|new| act(new).undo = None),
        ),
        (
            "!step promote: expects removed",
            Box::new(|new| act(new).expect = None),
        ),
        (
            "!step promote: effect sent once → may be repeated",
            Box::new(|new| act(new).effect = crate::domain::step::Effect::Idempotent),
        ),
        (
            "!step promote: on failure the run ends → the run goes on",
            Box::new(|new| new.steps[1].on_failure = OnFailure::Continue),
        ),
        (
            "!lock service/shop removed: two runs may act on it at once",
            Box::new(|new| new.locks.clear()),
        ),
        ("!people who must review 1 → 0", Box::new(|new| new.review = 0)),
        (
            "!start suggest → automatic",
            Box::new(|new| new.start = StartMode::Automatic),
        ),
    ] {
        let told = told(change);
        assert_eq!(told[0], words, "{told:?}");
    }
}

#[test]
fn more_care_is_never_called_less() {
    for change in [
        Box::new(|new: &mut Runbook| new.review = 2) as Box<dyn FnOnce(&mut Runbook)>,
        Box::new(|new| {
            new.budget = Some(Budget {
                runs: 1,
                per: Span::from_secs(60),
            });
        }),
        Box::new(|new| {
            new.access = Access {
                start: Circle {
                    people: vec!["ana".into()],
                    ..Circle::default()
                },
                ..Access::default()
            };
        }),
        Box::new(|new| match &mut new.steps[0].kind {
            StepKind::Gate(rule) => (rule.approvals, rule.people) = (3, vec!["ana".into()]),
            other => unreachable!("{other:?}"),
        }),
    ] {
        let told = told(change);
        assert!(
            !told.is_empty() && told.iter().all(|words| !words.starts_with('!')),
            "{told:?}"
        );
    }
}
