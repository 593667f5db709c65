//! What a run's page shows of states: lists, locks, circuits, steps that were held.

use muster::domain::{
    action::FailureClass,
    run::{RunFact, RunResult},
};
use serde_json::json;

use super::Bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_is_counted_and_a_hundred_of_it_are_shown_the_troubled_first() {
    let bench = Bench::new().await;
    let source = r#"
runbook: long
title: Long
steps:
  - id: hosts
    check: http
    with: { target: web, path: /list/150 }
  - id: drain
    for_each: { in: steps.hosts.result.body, max: 200, at_once: 8 }
    call: http
    with: { target: web, method: POST, path: "/{{ 'fail' if index == 140 else 'ok' }}/x" }
    on_failure: continue
  - id: none
    for_each: { in: "[]" }
    call: http
    with: { target: web, method: POST, path: /ok/none }
  - id: look
    manual: Look
"#;
    let run = bench.start(source).await;
    let is_asked = |fact: &RunFact| matches!(fact, RunFact::ManualAsked { .. });
    bench.until(run, "the list is through", is_asked).await;
    assert_eq!(bench.target.done().len(), 149);
    let html = bench.page(&format!("/runs/{run}"), &bench.rob).await;
    let list = html
        .split("<ol class=\"items\">")
        .nth(1)
        .unwrap()
        .split("</ol>")
        .next()
        .unwrap();
    assert_eq!(list.matches("<li ").count(), 100);
    assert!(
        list.contains(&format!("id=\"run-{run}-drain[140]\"")),
        "the failed one is shown"
    );
    assert!(
        !list.contains("drain[149]"),
        "the last ones that are done are not"
    );
    assert!(!html.contains("<script>alert") && !html.contains('\u{202e}'));
    for said in [
        "150 items: 149 done, 1 failed",
        "1 failed, 149 of 150 done",
        "50 more are not shown",
        "Nothing to do",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    let body = bench.get_json(&format!("/runs/{run}")).await;
    assert_eq!(body["steps"][1]["items"][140]["state"]["state"], "failed");
    assert_eq!(body["steps"][1]["items"].as_array().unwrap().len(), 150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_lock_reads_who_holds_it_and_how_to_get_it() {
    let bench = Bench::new().await;
    let source = |slug: &str| {
        format!(
            "runbook: {slug}\ntitle: {slug}\nlocks: [db]\nsteps:\n  - {{ id: look, manual: Look at it }}\n"
        )
    };
    let holder = bench.start(&source("holder")).await;
    let is_asked = |fact: &RunFact| matches!(fact, RunFact::ManualAsked { .. });
    bench.until(holder, "it holds the lock", is_asked).await;
    let waiter = bench.start(&source("waiter")).await;
    let waits = |fact: &RunFact| matches!(fact, RunFact::LockAwaited { .. });
    bench.until(waiter, "it waits", waits).await;
    let page = format!("/runs/{waiter}");
    let html = bench.page(&page, &bench.rob).await;
    for said in [
        "Waits for the lock <bdi>db</bdi>",
        &format!(
            "<a href=\"/runs/{holder}\">Run {holder}</a> of <a href=\"/incidents/1\">INC-1</a> holds it"
        ),
        "To get it sooner, stop that run",
        "Waits for a lock",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    assert_eq!(bench.get_json(&page).await["waits_for_run"], json!(holder.0));
    let stop = format!("/runs/{holder}/stop");
    bench
        .does(&format!("/runs/{holder}"), &stop, &bench.rob, &[])
        .await;
    bench.until(waiter, "it has the lock", is_asked).await;
    let html = bench.page(&page, &bench.rob).await;
    assert!(!html.contains("Waits for the lock"), "{html}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_circuit_stands_on_the_gate_and_on_every_step_that_needs_the_target() {
    let bench = Bench::new().await;
    let source = r#"
runbook: held
title: Held
steps:
  - id: ask
    gate: { use_within: 10m }
    title: Strike?
  - id: strike
    call: http
    with: { target: web, method: POST, path: /ok/strike }
    effect: idempotent
    retry: { attempts: 9, initial: 1s, max: 1s }
"#;
    let run = bench.start(source).await;
    let asked = bench.asked(None).await;
    let gate = format!("/approvals/{asked}");
    assert!(
        !bench
            .page(&gate, &bench.ana)
            .await
            .contains("Nothing would be sent now")
    );
    let failure = Some((FailureClass::NotSent, "connection refused <here>"));
    for _ in 0..5 {
        let (standing, now) = (&bench.site.state.standing, bench.site.clock().now());
        standing
            .report(&bench.site.state.db, "web", failure, now)
            .await
            .unwrap();
    }
    let html = bench.page(&gate, &bench.ana).await;
    assert!(
        html.contains("Nothing would be sent now") && html.contains("refused &#60;here&#62;"),
        "{html}"
    );
    for path in [format!("/runs/{run}"), "/incidents/1".to_owned()] {
        let html = bench.page(&path, &bench.vic).await;
        assert!(
            html.contains("refused &#60;here&#62;") && html.contains("/system#circuits"),
            "{path}: {html}"
        );
    }
    bench.approve(asked, &bench.ana).await;
    let refused = |fact: &RunFact| {
        matches!(
            fact,
            RunFact::StepFailed {
                retry_at: Some(_),
                ..
            }
        )
    };
    bench.until(run, "the circuit holds it", refused).await;
    assert_eq!(bench.target.done(), Vec::<String>::new());
    let html = bench.page(&format!("/runs/{run}"), &bench.vic).await;
    assert!(html.contains("Will retry") && html.contains("Next try"), "{html}");
    let typed = [("reason", "it is back")];
    bench
        .does("/system", "/system/circuits/web/close", &bench.ana, &typed)
        .await;
    bench
        .site
        .state
        .standing
        .refresh(&mut *bench.site.conn().await)
        .await
        .unwrap();
    bench.site.clock().advance(std::time::Duration::from_secs(5));
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
}
