//! An outcome that nobody knows: sent again under the same key or a new one, or settled by a person's word.

use axum::http::StatusCode;
use muster::domain::run::{RunFact, RunResult};
use serde_json::json;

use super::Bench;

const LOST: &str = r#"
runbook: lost
title: The answer is lost
steps:
  - id: ask
    gate: { use_within: 10m }
    title: Strike?
  - id: strike
    call: http
    with: { target: web, method: POST, path: /lost/strike }
    effect: once
  - id: tell
    call: http
    with: { target: web, method: POST, path: /ok/tell }
"#;

fn is_unknown(fact: &RunFact) -> bool {
    matches!(fact, RunFact::OutcomeUnknown { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_a_new_effect_and_goes_through_the_gate_again() {
    for by_form in [true, false] {
        let bench = Bench::new().await;
        let run = bench.start(LOST).await;
        let first = bench.asked(None).await;
        bench.approve(first, &bench.ana).await;
        bench.until(run, "the answer is lost", is_unknown).await;
        let (page, action) = (
            format!("/runs/{run}"),
            format!("/runs/{run}/steps/strike/unknown"),
        );
        for path in [page.as_str(), "/incidents/1"] {
            let html = bench.page(path, &bench.ana).await;
            for said in [
                "Nobody knows.",
                "A target that keeps keys does it once",
                "if the first one arrived after all, it happens twice",
                "“<bdi>Strike?</bdi>” is asked again before it is sent",
            ] {
                assert!(html.contains(said), "{said} on {path}: {html}");
            }
            let responder = bench.page(path, &bench.rob).await;
            assert!(!responder.contains("retry_new_key") && responder.contains("An approver can also"));
        }
        let choose =
            |choice: &'static str, evidence: &'static str| [("choice", choice), ("evidence", evidence)];
        let refused = bench
            .submit(
                &page,
                &action,
                &bench.rob,
                &choose("retry_new_key", "it is not there"),
            )
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let body = json!({"choice": "retry_new_key", "evidence": "it is not there"});
        let refused = bench.json(&action, &bench.rob, body.clone()).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let silent = bench
            .submit(&page, &action, &bench.ana, &choose("retry_new_key", " "))
            .await;
        assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
        let odd = bench
            .submit(&page, &action, &bench.ana, &choose("perhaps", "x"))
            .await;
        assert_eq!(odd.status, StatusCode::BAD_REQUEST);
        match by_form {
            true => {
                let chosen = choose("retry_new_key", "it is not there");
                bench.does(&page, &action, &bench.ana, &chosen).await;
            }
            false => {
                let decided = bench.json(&action, &bench.ana, body).await;
                assert_eq!(decided.status, StatusCode::OK, "{}", decided.text);
            }
        }
        let second = bench.asked(Some(first)).await;
        assert_eq!(bench.state(first).await, "void");
        assert_eq!(
            bench.target.keys("strike").len(),
            1,
            "nothing is sent before the gate has opened"
        );
        bench.approve(second, &bench.eve).await;
        assert_eq!(bench.result(run).await, RunResult::Succeeded);
        let keys = bench.target.keys("strike");
        assert_eq!(keys.len(), 2);
        assert_ne!(keys[0], keys[1]);
        assert_eq!(bench.target.done(), ["strike", "strike", "tell"]);
        let html = bench.page(&page, &bench.vic).await;
        assert!(
            html.contains("send it again with a new key: it is not there"),
            "{html}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_goes_out_again_under_the_approval_that_was_given() {
    let bench = Bench::new().await;
    let run = bench.start(LOST).await;
    let first = bench.asked(None).await;
    bench.approve(first, &bench.ana).await;
    bench.until(run, "the answer is lost", is_unknown).await;
    let action = format!("/runs/{run}/steps/strike/unknown");
    let typed = [("choice", "retry_same_key"), ("evidence", "")];
    let sent = bench.submit("/incidents/1", &action, &bench.eve, &typed).await;
    assert_eq!(sent.header("location"), "/incidents/1#runs", "{}", sent.text);
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    let keys = bench.target.keys("strike");
    assert_eq!((keys.len(), keys[0] == keys[1]), (2, true));
    let late = bench
        .json(
            &action,
            &bench.ana,
            json!({"choice": "mark_done", "evidence": "x"}),
        )
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_people_who_settle_it_one_does_and_the_other_reads_who() {
    let bench = Bench::new().await;
    let run = bench.start(LOST).await;
    let first = bench.asked(None).await;
    bench.approve(first, &bench.ana).await;
    bench.until(run, "the answer is lost", is_unknown).await;
    let (page, action) = (
        format!("/runs/{run}"),
        format!("/runs/{run}/steps/strike/unknown"),
    );
    let html = bench.page(&page, &bench.eve).await;
    let slow = super::form(&html, &action).unwrap();
    let typed = [("choice", "mark_done"), ("evidence", "saw it")];
    bench.does(&page, &action, &bench.rob, &typed).await;
    let typed = [("choice", "retry_new_key"), ("evidence", "it is <not> there")];
    let late = bench.send(&action, &bench.eve, &slow, &typed).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    for said in [
        "nothing was decided",
        "rob: strike: decided: it was done: saw it",
        "it is &#60;not&#62; there",
    ] {
        assert!(late.text.contains(said), "{said}: {}", late.text);
    }
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), ["strike", "tell"]);
    let html = bench.page(&page, &bench.vic).await;
    assert!(html.contains("a person says it was done: saw it"), "{html}");
}
