//! Breaking the glass: one person opens a gate alone, and another one must look at it.

use axum::http::StatusCode;
use muster::domain::run::RunResult;
use serde_json::json;

use super::{Bench, HOSTILE, op};

const GATED: &str = r#"
runbook: gated
title: One effect below a gate
steps:
  - id: ask
    gate: { decide_within: 15m, use_within: 10m }
    title: Strike?
  - id: strike
    call: http
    with: { target: web, method: POST, path: /ok/strike }
    effect: once
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_responder_opens_a_gate_alone_with_a_reason_and_another_person_closes_the_review() {
    let bench = Bench::new().await;
    let run = bench.start(GATED).await;
    let asked = bench.asked(None).await;
    let (page, glass) = (
        format!("/approvals/{asked}"),
        format!("/approvals/{asked}/break-glass"),
    );
    assert!(bench.page(&page, &bench.rob).await.contains(&glass));
    let viewer = bench.page(&page, &bench.vic).await;
    assert!(!viewer.contains(&glass), "a viewer is not led there");
    assert_eq!(
        bench.site.get(&glass, &bench.vic).await.status,
        StatusCode::FORBIDDEN
    );
    let digest = bench.digest(asked).await;
    let body = json!({"digest": digest, "reason": "nobody else is awake"});
    let refused = bench.json(&glass, &bench.vic, body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let html = bench.page(&glass, &bench.rob).await;
    for said in [
        "You decide alone",
        "A review is opened",
        "minlength=\"10\"",
        "/ok/strike",
        "Open alone: Strike",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    for (short, status) in [
        ("", StatusCode::UNPROCESSABLE_ENTITY),
        ("  123456789  ", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let refused = bench
            .submit(&glass, &glass, &bench.rob, &[("reason", short)])
            .await;
        assert_eq!(refused.status, status, "{short}");
    }
    let other = format!("{:064}", 0);
    let stale = bench
        .send(
            &glass,
            &bench.rob,
            &[op(), ("digest".to_owned(), other)],
            &[("reason", "nobody else is awake")],
        )
        .await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.text);
    assert!(stale.text.contains("nobody else is awake"), "the text is kept");
    assert_eq!(bench.target.done(), Vec::<String>::new());

    let why = format!("nobody else is awake {HOSTILE}");
    bench.does(&glass, &glass, &bench.rob, &[("reason", &why)]).await;
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), ["strike"]);
    let gone = bench.site.get(&glass, &bench.rob).await;
    assert_eq!(gone.status, StatusCode::CONFLICT);

    // It stands where people look until it is closed, and whoever opened it cannot.
    for path in ["/approvals", "/incidents/1", page.as_str()] {
        let html = bench.page(path, &bench.rob).await;
        assert!(
            html.contains("To be reviewed") && html.contains("nobody else is awake"),
            "{path}: {html}"
        );
        assert!(html.contains("somebody else has to look at it"), "{path}: {html}");
        assert!(!html.contains("/reviews/1/close"), "{path}: {html}");
        assert!(
            !html.contains("<script>alert") && !html.contains('\u{202e}'),
            "{path}"
        );
        let html = bench.page(path, &bench.ana).await;
        assert!(super::form(&html, "/reviews/1/close").is_some(), "{path}: {html}");
    }
    let own = bench
        .json("/reviews/1/close", &bench.rob, json!({"finding": "fine"}))
        .await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "a responder closes none");
    let silent = bench
        .submit("/approvals", "/reviews/1/close", &bench.ana, &[("finding", " ")])
        .await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    let closed = bench
        .submit(
            "/incidents/1",
            "/reviews/1/close",
            &bench.ana,
            &[("finding", "It had to be <done>")],
        )
        .await;
    assert_eq!(closed.header("location"), "/incidents/1", "{}", closed.text);
    let late = bench
        .json("/reviews/1/close", &bench.eve, json!({"finding": "me too"}))
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(
        late.text.contains("This review was closed by ana already"),
        "{}",
        late.text
    );
    assert!(
        !bench
            .page("/approvals", &bench.ana)
            .await
            .contains("To be reviewed")
    );
    let html = bench.page("/incidents/1", &bench.vic).await;
    assert!(html.contains("It had to be &#60;done&#62;"), "{html}");
    let timeline = bench.get_json("/incidents/1/timeline").await;
    let last = timeline.as_array().unwrap().last().unwrap();
    assert_eq!(
        last["text"], "Reviewed what was opened alone, “Strike?”: It had to be <done>",
        "{last}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approver_cannot_review_their_own_breaking_and_may_take_it_back_while_nothing_started() {
    let bench = Bench::new().await;
    let run = bench.start(GATED).await;
    let first = bench.asked(None).await;
    bench
        .json(&format!("/runs/{run}/pause"), &bench.ana, json!({}))
        .await;
    let body = json!({"digest": bench.digest(first).await, "reason": "nobody else is awake"});
    let opened = bench
        .json(&format!("/approvals/{first}/break-glass"), &bench.ana, body)
        .await;
    assert_eq!(opened.json(), json!({"state": "approved"}), "{}", opened.text);
    let reviews = bench.get_json("/reviews").await;
    assert_eq!(
        (&reviews[0]["opened_by"], &reviews[0]["closed_by"]),
        (&json!("ana"), &json!(null))
    );
    let own = bench
        .json("/reviews/1/close", &bench.ana, json!({"finding": "fine"}))
        .await;
    assert_eq!(own.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        own.text.contains("Somebody else has to look at it"),
        "{}",
        own.text
    );

    let page = format!("/approvals/{first}");
    bench
        .does(&page, &format!("{page}/withdraw"), &bench.ana, &[])
        .await;
    assert_eq!(bench.state(first).await, "withdrawn");
    let closed = bench
        .json("/reviews/1/close", &bench.eve, json!({"finding": "taken back"}))
        .await;
    assert_eq!(closed.status, StatusCode::NO_CONTENT, "{}", closed.text);
    assert_eq!(bench.target.done(), Vec::<String>::new());
    bench
        .json(&format!("/runs/{run}/stop"), &bench.ana, json!({}))
        .await;
    assert_eq!(bench.result(run).await, RunResult::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_responder_who_broke_the_glass_may_take_that_back() {
    let bench = Bench::new().await;
    let run = bench.start(GATED).await;
    let first = bench.asked(None).await;
    bench
        .json(&format!("/runs/{run}/pause"), &bench.rob, json!({}))
        .await;
    let page = format!("/approvals/{first}");
    let glass = format!("{page}/break-glass");
    bench
        .does(&glass, &glass, &bench.rob, &[("reason", "nobody else is awake")])
        .await;
    bench
        .does(&page, &format!("{page}/withdraw"), &bench.rob, &[])
        .await;
    assert_eq!(bench.state(first).await, "withdrawn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_whose_rule_forbids_it_is_opened_alone_by_nobody() {
    let bench = Bench::new().await;
    bench
        .start(&GATED.replace("{ decide_within", "{ break_glass: false, decide_within"))
        .await;
    let asked = bench.asked(None).await;
    let glass = format!("/approvals/{asked}/break-glass");
    for cookie in [&bench.rob, &bench.ben] {
        let page = bench.site.get(&glass, cookie).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        let body = json!({"digest": bench.digest(asked).await, "reason": "nobody else is awake"});
        let refused = bench.json(&glass, cookie, body).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            refused.text
        );
    }
    assert_eq!(bench.state(asked).await, "pending");
}
