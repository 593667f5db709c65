//! Rehearsals in the real world, and in worlds that misbehave.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use muster::{
    actions::World,
    clock::Clock,
    domain::{
        action::{Envelope, Failure, FailureClass, Outcome, Rendered},
        rehearsal::{Fault, Rehearsal, Verdict},
        runbook::Runbook,
        span::Span,
        step::{ForEach, StepKind},
        target::Targets,
        template::Expression,
    },
    execute::{
        rehearse::{Rehearser, Script},
        standing::Standing,
    },
    store::wake::Wake,
};
use serde_json::json;
use tokio::sync::watch;

use super::{Target, WHOLE, runbook, targets};
use crate::support::database::Database;

fn rehearser(targets: Targets) -> Rehearser {
    let clock = Clock::test("2026-11-21T03:12:07Z".parse().unwrap());
    Rehearser {
        targets: watch::channel(Arc::new(targets)).1,
        ..Rehearser::new(Standing::new(Wake::default()), clock)
    }
}

async fn rehearse(rehearser: &Rehearser, runbook: &Runbook) -> Rehearsal {
    let script = Script {
        runbook,
        given: &BTreeMap::new(),
        alert: &json!({"labels": {"pool": "blue"}, "annotations": {}}),
        incident: None,
        asks: true,
    };
    rehearser.rehearse(&script).await
}

fn verdict<'a>(found: &'a Rehearsal, step: &str) -> &'a Verdict {
    let step = found.steps.iter().find(|found| found.step.0 == step);
    &step.unwrap_or_else(|| panic!("{found:#?}")).verdict
}

#[track_caller]
fn assert_broken(found: &Rehearsal, step: &str, fault: Fault, said: &str) {
    match verdict(found, step) {
        Verdict::Broken { fault: is, reason } if *is == fault && reason.contains(said) => {}
        other => panic!("{step}: {other:?}, expected {fault:?} with {said}"),
    }
}

#[tokio::test]
async fn a_whole_runbook_is_rehearsed_without_one_request_that_changes_anything() {
    let target = Target::start().await;
    let found = rehearse(&rehearser(targets(&target)), &runbook(WHOLE)).await;
    assert_eq!(found.headline(), "All 6 steps can work");
    let requests: Vec<&str> = found
        .steps
        .iter()
        .filter_map(|step| step.request.as_deref())
        .collect();
    let base = format!("http://{}", target.address);
    assert_eq!(
        requests,
        [
            format!("GET {base}/look/blue"),
            "1 approval by approver, for restart, set\nRequests are cut off.".to_owned(),
            format!("POST {base}/restart/a"),
            format!("PUT {base}/set"),
            "Tell blue".to_owned(),
            format!("GET {base}/answers"),
        ]
    );
    assert!(
        matches!(
            verdict(&found, "restart"),
            Verdict::WouldSend {
                probe: Some(_),
                unseen: None
            }
        ),
        "{found:#?}"
    );
    assert!(
        matches!(verdict(&found, "set"), Verdict::DoneAlready { .. }),
        "{found:#?}"
    );
    assert_eq!(target.reads(), ["/answers", "/done", "/look/blue", "/restarted"]);
    assert_eq!(target.changes(), 0);
}

#[tokio::test]
async fn what_is_missing_and_who_does_not_answer_is_named_and_no_secret_shown() {
    let target = Target::start().await;
    let source = r#"
runbook: broken
title: Broken
steps:
  - id: locked
    call: http
    with: { target: locked, method: POST, path: /a }
    effect: once
  - id: keyed
    call: http
    with: { target: keyed, method: POST, path: /b }
    effect: once
  - id: closed
    call: http
    with: { target: closed, method: POST, path: /c }
    effect: once
  - id: look-locked
    logs: file
    with: { target: shop }
"#;
    let found = rehearse(&rehearser(targets(&target)), &runbook(source)).await;
    assert_broken(
        &found,
        "locked",
        Fault::Secret,
        "secret env:MUSTER_TEST_NO_SUCH_SECRET is not set",
    );
    assert_broken(
        &found,
        "keyed",
        Fault::Secret,
        "secret file:/nowhere/a-key cannot be read",
    );
    assert_broken(&found, "closed", Fault::Unreachable, "Connection refused");
    assert_broken(&found, "look-locked", Fault::Target, "is of kind http, not file");
    assert!(
        found
            .headline()
            .starts_with("0 of 4 steps can work; locked cannot: secret env:")
    );
    assert_eq!((target.reads(), target.changes()), (Vec::new(), 0));
}

#[tokio::test]
async fn an_open_circuit_holds_an_effect_and_a_check_is_asked_all_the_same() {
    let (target, database) = (Target::start().await, Database::new().await);
    let rehearser = rehearser(targets(&target));
    let refused = Some((FailureClass::NotSent, "connection refused"));
    for _ in 0..5 {
        let report = rehearser
            .standing
            .report(&database.pools.web, "shop", refused, rehearser.clock.now());
        report.await.unwrap();
    }
    let found = rehearse(&rehearser, &runbook(WHOLE)).await;
    assert_broken(
        &found,
        "restart",
        Fault::Circuit,
        "the circuit of shop is open since 03:12:07",
    );
    assert!(
        matches!(verdict(&found, "look"), Verdict::Checked { .. }),
        "{found:#?}"
    );
    assert!(
        matches!(verdict(&found, "set"), Verdict::DoneAlready { .. }),
        "{found:#?}"
    );
    let kept = database
        .count("select count(*) from breakers where state = 'open'")
        .await;
    assert_eq!(kept, 1, "what a rehearsal hears moves no circuit");
}

#[tokio::test]
async fn a_list_from_a_check_is_rehearsed_item_by_item() {
    let target = Target::start().await;
    let mut runbook = runbook(WHOLE);
    let restart = &mut runbook.steps[2];
    restart.for_each = Some(ForEach {
        items: Expression::parse("steps.look.result.body.names").unwrap(),
        max: 10,
        at_once: 1,
    });
    let StepKind::Act(act) = &mut restart.kind else {
        panic!("not an act")
    };
    act.request.with["path"] = json!("/restart/{{ item }}/{{ index }}");
    let found = rehearse(&rehearser(targets(&target)), &runbook).await;
    let requests: Vec<&str> = found.steps[2..4]
        .iter()
        .filter_map(|step| step.request.as_deref())
        .collect();
    let base = format!("POST http://{}/restart", target.address);
    assert_eq!(requests, [format!("{base}/a/0"), format!("{base}/b/1")]);
    assert_eq!(found.headline(), "All 6 steps can work");
    assert_eq!(target.changes(), 0);
}

/// A world that never answers, and counts who waits.
#[derive(Default)]
struct Silence {
    out: AtomicUsize,
    most: AtomicUsize,
    asked: AtomicUsize,
}

impl World for Silence {
    fn perform<'a>(
        &'a self,
        _: &'a muster::domain::target::Target,
        request: &'a Rendered,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        assert!(envelope.read_only, "{request:?}");
        assert!(envelope.timeout <= Span::from_secs(30));
        self.asked.fetch_add(1, Ordering::SeqCst);
        let out = self.out.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(out, Ordering::SeqCst);
        let out = Out(&self.out);
        Box::pin(async move {
            let _out = out;
            match request.with["path"].as_str() {
                Some(path) if path.starts_with("/quick") => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Err(Failure::new(FailureClass::NotSent, "connection refused"))
                }
                _ => std::future::pending().await,
            }
        })
    }
}

struct Out<'a>(&'a AtomicUsize);

impl Drop for Out<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A runbook of so many checks.
fn checks(count: usize, path: &str) -> Runbook {
    let mut source = "runbook: many\ntitle: Many\nsteps:\n".to_owned();
    for n in 0..count {
        source.push_str(&format!(
            "  - id: s{n}\n    check: http\n    with: {{ target: shop, path: {path}/{n} }}\n    expect: not result.ok\n"
        ));
    }
    runbook(&source)
}

#[tokio::test]
async fn only_a_few_questions_are_out_at_once() {
    let (target, world) = (Target::start().await, Arc::new(Silence::default()));
    let mut rehearser = rehearser(targets(&target));
    rehearser.world = world.clone();
    let found = rehearse(&rehearser, &checks(40, "/quick")).await;
    assert_eq!(found.headline(), "All 40 steps can work");
    assert_eq!(world.asked.load(Ordering::SeqCst), 40);
    assert_eq!(world.most.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn targets_that_never_answer_end_the_rehearsal_at_its_limit() {
    let (target, world) = (Target::start().await, Arc::new(Silence::default()));
    let mut rehearser = rehearser(targets(&target));
    rehearser.world = world.clone();
    rehearser.limit = Span::from_millis(30);
    let found = rehearse(&rehearser, &checks(12, "/never")).await;
    for step in &found.steps {
        let Verdict::NotLooked { reason } = &step.verdict else {
            panic!("{step:?}")
        };
        assert_eq!(reason, "there was no answer within 30ms");
    }
    assert!(!found.is_broken());
    let line = "0 of 12 steps can work; s0, s1, s2 and 9 more could not be looked at in time";
    assert_eq!(found.headline(), line);
    while world.out.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}
