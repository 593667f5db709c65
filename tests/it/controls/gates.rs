//! Words at a gate: sent back, taken back before and after something started, people by name, two at once.

use std::time::Duration;

use axum::http::StatusCode;
use muster::domain::run::{RunFact, RunResult};
use serde_json::json;

use super::{Bench, HOSTILE, op, target::Target, targets};

const GATED: &str = r#"
runbook: gated
title: One effect below a gate
steps:
  - id: look
    check: http
    with: { target: web, path: /ok/look }
  - id: ask
    gate: { decide_within: 15m, use_within: 10m }
    title: Strike?
  - id: strike
    call: http
    with: { target: web, method: POST, path: /ok/strike }
    effect: once
  - id: more
    call: http
    with: { target: web, method: POST, path: /held/more }
    effect: once
"#;

/// An act at a gate by its page's form, or as JSON.
#[derive(Clone, Copy, Debug)]
enum By {
    Form,
    Json,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_back_pauses_the_run_and_the_gate_asks_again_with_what_is_true_then() {
    for by in [By::Form, By::Json] {
        let bench = Bench::new().await;
        let run = bench.start(GATED).await;
        let first = bench.asked(None).await;
        let (page, digest) = (format!("/approvals/{first}"), bench.digest(first).await);
        let action = format!("{page}/send-back");
        match by {
            By::Form => {
                let silent = bench.submit(&page, &action, &bench.ana, &[("note", " ")]).await;
                assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
                bench.does(&page, &action, &bench.ana, &[("note", HOSTILE)]).await;
            }
            By::Json => {
                let body = json!({"digest": digest, "note": HOSTILE});
                let sent = bench.json(&action, &bench.ana, body).await;
                assert_eq!(sent.json(), json!({"state": "returned"}));
            }
        }
        for path in [page.clone(), format!("/runs/{run}"), "/incidents/1".to_owned()] {
            let html = bench.page(&path, &bench.vic).await;
            assert!(
                html.contains("sent back") && html.contains("&#60;script&#62;"),
                "{path}: {html}"
            );
            assert!(
                !html.contains("<script>alert") && !html.contains('\u{202e}'),
                "{path}"
            );
        }
        let shown = bench.page(&format!("/runs/{run}"), &bench.ben).await;
        assert!(shown.contains("Paused by <bdi>ana</bdi>"), "{shown}");

        // Nothing is asked while it is paused, whatever changes.
        let elsewhere = Target::start().await;
        bench.targets.send_replace(targets(&elsewhere));
        bench.site.clock().advance(Duration::from_secs(60));
        let action = format!("/runs/{run}/go-on");
        match by {
            By::Form => {
                bench
                    .does(&format!("/runs/{run}"), &action, &bench.ben, &[])
                    .await
            }
            By::Json => {
                let went = bench.json(&action, &bench.ben, json!({})).await;
                assert_eq!(
                    (went.status, &went.json()["paused"]),
                    (StatusCode::OK, &json!(null))
                );
            }
        }
        let second = bench.asked(Some(first)).await;
        let read = async |approval| {
            let body = bench.get_json(&format!("/approvals/{approval}")).await;
            body["bound"]["evidence"][0]["at"].clone()
        };
        assert_eq!(
            (read(first).await, read(second).await),
            (json!("2026-11-21T03:00:00Z"), json!("2026-11-21T03:01:00Z")),
            "the evidence was read again"
        );
        assert_ne!(bench.digest(second).await, digest, "it is about the new target");
        assert_eq!(bench.state(first).await, "returned");
        let old = json!({"verdict": "approve", "digest": digest});
        let stale = bench
            .json(&format!("/approvals/{second}/decision"), &bench.ana, old)
            .await;
        assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.text);
        bench.approve(second, &bench.eve).await;
        elsewhere.let_go();
        assert_eq!(bench.result(run).await, RunResult::Succeeded);
        assert_eq!(bench.target.done(), Vec::<String>::new());
        assert_eq!(elsewhere.done(), ["strike", "more"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_hold_any_more_when_it_is_read_again_ends_the_run_and_nobody_is_asked() {
    let bench = Bench::new().await;
    let run = bench.start(&GATED.replace("/ok/look", "/holds/look")).await;
    let first = bench.asked(None).await;
    let page = format!("/approvals/{first}");
    let typed = [("note", "is it still so?")];
    bench
        .does(&page, &format!("{page}/send-back"), &bench.ana, &typed)
        .await;
    let html = bench.page(&format!("/runs/{run}"), &bench.vic).await;
    assert!(html.contains("To be read again"), "{html}");
    bench.target.change();
    bench
        .json(&format!("/runs/{run}/go-on"), &bench.rob, json!({}))
        .await;
    assert_eq!(bench.result(run).await, RunResult::Failed);
    let asked = bench
        .site
        .intake
        .database
        .count("select count(*) from approvals")
        .await;
    assert_eq!(asked, 1);
    assert_eq!(bench.target.done(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_taken_back_until_something_has_started_under_it() {
    for by in [By::Form, By::Json] {
        let bench = Bench::new().await;
        // Nothing begins, so the approval stays unused.
        let run = bench.start(GATED).await;
        let first = bench.asked(None).await;
        let paused = bench
            .json(
                &format!("/runs/{run}/pause"),
                &bench.rob,
                json!({"reason": "wait"}),
            )
            .await;
        assert_eq!(paused.json()["paused"], "wait", "{}", paused.text);
        let page = format!("/approvals/{first}");
        let html = bench.page(&page, &bench.ana).await;
        assert!(html.contains("The run is paused: <bdi>wait</bdi>"), "{html}");
        assert!(!html.contains("/withdraw"), "nobody has approved yet");
        bench.approve(first, &bench.ana).await;
        let action = format!("{page}/withdraw");
        let html = bench.page(&page, &bench.rob).await;
        assert!(!html.contains(&action), "not theirs: {html}");
        let refused = bench.json(&action, &bench.rob, json!({})).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
        match by {
            By::Form => {
                bench
                    .does(&page, &action, &bench.ana, &[("reason", "too soon")])
                    .await
            }
            By::Json => {
                let taken = bench
                    .json(&action, &bench.ana, json!({"reason": "too soon"}))
                    .await;
                assert_eq!(taken.json(), json!({"state": "withdrawn"}));
            }
        }
        let html = bench.page(&page, &bench.vic).await;
        assert!(html.contains("the approval was taken back: too soon"), "{html}");
        let late = bench.json(&action, &bench.ana, json!({})).await;
        assert_eq!(late.status, StatusCode::CONFLICT);
        assert_eq!(bench.target.done(), Vec::<String>::new());

        bench
            .json(&format!("/runs/{run}/go-on"), &bench.rob, json!({}))
            .await;
        let second = bench.asked(Some(first)).await;
        bench.approve(second, &bench.eve).await;
        let begun = |fact: &RunFact| matches!(fact, RunFact::StepStarted { step, .. } if step.0 == "more");
        bench.until(run, "the second step is on its way", begun).await;
        let page = format!("/approvals/{second}");
        let html = bench.page(&page, &bench.eve).await;
        assert!(html.contains("<bdi>strike</bdi> has started under it"), "{html}");
        assert!(!html.contains("/withdraw"), "{html}");
        let action = format!("{page}/withdraw");
        let late = match by {
            By::Form => {
                bench
                    .send(&action, &bench.eve, &[op()], &[("reason", "stop it")])
                    .await
            }
            By::Json => {
                bench
                    .json(&action, &bench.eve, json!({"reason": "stop it"}))
                    .await
            }
        };
        assert_eq!(late.status, StatusCode::CONFLICT);
        assert!(
            late.text.contains("The step strike has started under it already"),
            "{}",
            late.text
        );
        bench.target.let_go();
        assert_eq!(bench.result(run).await, RunResult::Succeeded);
        assert_eq!(bench.target.done(), ["strike", "more"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_approvals_is_taken_back_by_whoever_started_the_run() {
    let bench = Bench::new().await;
    let two = GATED.replace("{ decide_within", "{ approvals: 2, decide_within");
    let run = bench.start(&two).await;
    let first = bench.asked(None).await;
    bench.approve(first, &bench.ana).await;
    let page = format!("/approvals/{first}");
    bench
        .does(&page, &format!("{page}/withdraw"), &bench.ben, &[])
        .await;
    let second = bench.asked(Some(first)).await;
    bench.approve(second, &bench.ana).await;
    assert_eq!(bench.state(second).await, "pending", "the first one is gone");
    bench.approve(second, &bench.eve).await;
    bench.target.let_go();
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_names_people_asks_them_and_nobody_else_and_says_where_it_leads() {
    let bench = Bench::new().await;
    let named = r#"
runbook: named
title: Named
steps:
  - id: ask
    gate: { people: [eve, zoe], decide_within: 10m, on_expiry: { go_to: tell }, break_glass: false }
    title: Strike?
  - id: strike
    call: http
    with: { target: web, method: POST, path: /ok/strike }
  - id: tell
    manual: Tell them
"#;
    let run = bench.start(named).await;
    let asked = bench.asked(None).await;
    let page = format!("/approvals/{asked}");
    let html = bench.page(&page, &bench.ana).await;
    assert!(html.contains("0 of 1; asks eve or zoe by name"), "{html}");
    assert!(html.contains("the run goes on at tell"), "{html}");
    assert!(
        html.contains("You cannot decide: this gate asks for eve or zoe by name"),
        "{html}"
    );
    assert!(html.contains("Nobody may open this gate alone"), "{html}");
    for path in ["/approvals", "/incidents/1"] {
        let html = bench.page(path, &bench.ana).await;
        assert!(html.contains("eve or zoe by name"), "{path}: {html}");
    }
    let body = bench.get_json(&page).await;
    assert_eq!(
        (&body["people"], &body["on_expiry"], &body["break_glass"]),
        (&json!(["eve", "zoe"]), &json!("tell"), &json!(false))
    );
    let digest = body["digest"].clone();
    for (act, body) in [
        ("decision", json!({"verdict": "approve", "digest": digest})),
        ("send-back", json!({"note": "no", "digest": digest})),
    ] {
        let refused = bench.json(&format!("{page}/{act}"), &bench.ana, body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{act}: {}", refused.text);
    }
    // Nobody decides: the run goes on behind what stood below the gate.
    bench.site.clock().advance(Duration::from_secs(601));
    let asks = |fact: &RunFact| matches!(fact, RunFact::ManualAsked { .. });
    bench.until(run, "it goes on at tell", asks).await;
    let html = bench.page(&format!("/runs/{run}"), &bench.ben).await;
    assert!(html.contains("Nobody decided"), "{html}");
    let action = format!("/runs/{run}/steps/tell/done");
    bench
        .does(
            &format!("/runs/{run}"),
            &action,
            &bench.rob,
            &[("note", "done so")],
        )
        .await;
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_slower_reads_who_was_faster_that_nothing_was_sent_and_finds_their_text() {
    let bench = Bench::new().await;
    let run = bench.start(GATED).await;
    let first = bench.asked(None).await;
    let page = format!("/approvals/{first}");
    let action = format!("{page}/send-back");
    // Both have the page open; ana is faster.
    let html = bench.page(&page, &bench.eve).await;
    let slow = super::form(&html, &action).unwrap();
    bench
        .does(&page, &action, &bench.ana, &[("note", "the replica is behind")])
        .await;
    let late = bench
        .send(&action, &bench.eve, &slow, &[("note", "wait for <me>")])
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    for said in [
        "Things have moved on; nothing was done",
        "This request is returned",
        "ana: ask: sent back: the replica is behind",
        "wait for &#60;me&#62;",
    ] {
        assert!(late.text.contains(said), "{said}: {}", late.text);
    }
    // The same tap twice is one act, not a race with oneself.
    let html = bench.page(&format!("/runs/{run}"), &bench.rob).await;
    let action = format!("/runs/{run}/go-on");
    let hidden = super::form(&html, &action).unwrap();
    for _ in 0..2 {
        let went = bench.send(&action, &bench.rob, &hidden, &[]).await;
        assert_eq!(went.status, StatusCode::SEE_OTHER, "{}", went.text);
    }
    let late = bench.send(&action, &bench.eve, &[op()], &[]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    let facts = bench.facts(run).await;
    let ends = facts.iter().filter(|fact| matches!(fact, RunFact::PauseEnded));
    assert_eq!(ends.count(), 1);
    assert_eq!(bench.target.done(), Vec::<String>::new());
}
