//! Beside deciding at a gate: questions, evidence that is read again, links for one decision, and who was faster.

use std::time::Duration;

use axum::http::StatusCode;
use muster::domain::run::RunResult;
use serde_json::json;

use super::{Bench, HOSTILE};

const GATED: &str = r#"
runbook: gated
title: One effect below a gate
services: [shop]
steps:
  - id: look
    check: http
    with: { target: web, path: /ok/look }
    title: Orders of the last minute
  - id: ask
    gate: { decide_within: 15m, use_within: 10m }
    title: Strike?
  - id: strike
    call: http
    with: { target: web, method: POST, path: /ok/strike }
    effect: once
    undo: { call: http, with: { target: web, method: DELETE, path: /ok/strike } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_stands_on_the_gate_and_in_the_timeline_and_holds_nothing() {
    let bench = Bench::new().await;
    let run = bench.start(GATED).await;
    let asked = bench.asked(None).await;
    let (page, action) = (
        format!("/approvals/{asked}"),
        format!("/approvals/{asked}/question"),
    );
    let html = bench.page(&page, &bench.vic).await;
    assert!(!html.contains(&action), "a viewer only reads: {html}");
    let silent = bench.submit(&page, &action, &bench.rob, &[("note", " ")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    bench.does(&page, &action, &bench.rob, &[("note", HOSTILE)]).await;
    for path in [page.as_str(), "/incidents/1"] {
        let html = bench.page(path, &bench.vic).await;
        assert!(
            html.contains("rob") && html.contains("&#60;script&#62;"),
            "{path}: {html}"
        );
        assert!(
            !html.contains("<script>alert") && !html.contains('\u{202e}'),
            "{path}"
        );
    }
    bench.approve(asked, &bench.ana).await;
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    let late = [super::op(), ("note".to_owned(), "and now?".to_owned())];
    let late = bench.send(&action, &bench.rob, &late, &[]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_evidence_is_read_again_by_one_press_and_the_gate_asks_anew() {
    let bench = Bench::new().await;
    let run = bench.start(GATED).await;
    let first = bench.asked(None).await;
    let page = format!("/approvals/{first}");
    let action = format!("{page}/read-again");
    let html = bench.page(&page, &bench.ana).await;
    assert!(
        html.contains("id=\"hold\" hidden data-in=\"300000\""),
        "it was read just now: {html}"
    );
    bench.site.clock().advance(Duration::from_secs(301));
    let html = bench.page(&page, &bench.ana).await;
    let hold = html.split("id=\"hold\"").nth(1).unwrap();
    assert!(
        html.contains("old: read")
            && hold.contains("Orders of the last minute was read 5m1s ago")
            && hold.contains("Read evidence again")
            && hold.contains("value=\"approve\" class=\"primary approve\" disabled"),
        "{html}"
    );
    let fields = [("verdict", "approve"), ("reason", "the shop is down")];
    let decision = format!("{page}/decision");
    let old = bench.submit(&page, &decision, &bench.ana, &fields).await;
    assert_eq!(old.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        old.text.contains("read the evidence again first") && old.text.contains("the shop is down"),
        "{}",
        old.text
    );
    let digest = bench.digest(first).await;
    let old = json!({"verdict": "approve", "digest": digest});
    let old = bench
        .json(&format!("/approvals/{first}/decision"), &bench.ana, old)
        .await;
    assert_eq!(old.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", old.text);
    assert_eq!(bench.state(first).await, "pending");
    assert!(
        !bench.page(&page, &bench.rob).await.contains(&action),
        "who may not decide does not end what others gave"
    );
    bench.does(&page, &action, &bench.ana, &[]).await;
    let second = bench.asked(Some(first)).await;
    let read = bench.get_json(&format!("/approvals/{second}")).await["bound"]["evidence"][0]["at"].clone();
    assert_eq!(
        read,
        json!("2026-11-21T03:05:01Z"),
        "without anybody letting the run go on"
    );
    let html = bench.page(&page, &bench.ana).await;
    assert!(
        html.contains(&format!("href=\"/approvals/{second}\">Open the newer request")),
        "{html}"
    );
    let stale = json!({"verdict": "approve", "digest": bench.digest(first).await});
    let stale = bench
        .json(&format!("/approvals/{second}/decision"), &bench.ana, stale)
        .await;
    assert_eq!(
        stale.status,
        StatusCode::CONFLICT,
        "nobody approves what they have not seen"
    );
    bench.approve(second, &bench.eve).await;
    assert_eq!(bench.result(run).await, RunResult::Succeeded);

    // A paused run reads nothing, and one press does not end the pause of somebody else.
    let run = bench.start(GATED).await;
    let asked = bench.asked(Some(second)).await;
    bench
        .json(
            &format!("/runs/{run}/pause"),
            &bench.rob,
            json!({"reason": "wait"}),
        )
        .await;
    bench.site.clock().advance(Duration::from_secs(300));
    let fields = [
        super::op(),
        (
            "digest".to_owned(),
            bench.digest(asked).await.as_str().unwrap().to_owned(),
        ),
    ];
    let refused = bench
        .send(
            &format!("/approvals/{asked}/read-again"),
            &bench.ana,
            &fields,
            &[],
        )
        .await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );
    assert_eq!(bench.get_json(&format!("/runs/{run}")).await["paused"], "wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_says_what_was_sent_before_and_what_has_changed_since() {
    let bench = Bench::new().await;
    let first = bench.start(GATED).await;
    let asked = bench.asked(None).await;
    let html = bench.page(&format!("/approvals/{asked}"), &bench.ana).await;
    for said in [
        "No earlier run has sent this",
        "never used so far",
        "1 request to 1 target; serves shop",
        "</strong> left",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    bench.approve(asked, &bench.ana).await;
    bench.result(first).await;

    let second = bench.start(GATED).await;
    let again = bench.asked(Some(asked)).await;
    let html = bench.page(&format!("/approvals/{again}"), &bench.ana).await;
    assert!(
        html.contains(&format!(
            "by <a href=\"/runs/{first}\">run {first}</a>; nothing has changed since"
        )),
        "{html}"
    );
    bench.approve(again, &bench.ana).await;
    bench.result(second).await;

    bench
        .start(&GATED.replace("POST, path: /ok/strike", "POST, path: /ok/strike-harder"))
        .await;
    let third = bench.asked(Some(again)).await;
    let html = bench.page(&format!("/approvals/{third}"), &bench.ana).await;
    for said in [
        "What changed since it was last sent (2)",
        "<bdi>v1</bdi>",
        "<bdi>v2</bdi>",
        "strike-harder",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_made_for_who_may_decide_and_shown_once() {
    let bench = Bench::new().await;
    bench.start(GATED).await;
    let asked = bench.asked(None).await;
    let (page, action) = (format!("/approvals/{asked}"), format!("/approvals/{asked}/links"));
    let html = bench.page(&page, &bench.rob).await;
    assert!(
        html.contains("<option>ana</option>") && html.contains("<option>eve</option>"),
        "{html}"
    );
    for name in ["ben", "rob", "vic"] {
        assert!(
            !html.contains(&format!("<option>{name}</option>")),
            "{name} could not decide there"
        );
    }
    let hidden = super::form(&html, &action).unwrap();
    let made = bench.send(&action, &bench.rob, &hidden, &[("name", "eve")]).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let start = made.text.find("/a/msa_").unwrap();
    let address = made.text[start..].split('"').next().unwrap().to_owned();
    let twice = bench.send(&action, &bench.rob, &hidden, &[("name", "eve")]).await;
    assert_eq!(twice.status, StatusCode::SEE_OTHER);
    assert!(!bench.page(&page, &bench.rob).await.contains("msa_"));
    let html = bench.page(&address, &bench.eve).await;
    assert!(html.contains("Strike?"), "{html}");
    let other = bench.site.get(&address, &bench.ana).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
    let cannot = bench.submit(&page, &action, &bench.rob, &[("name", "vic")]).await;
    assert_eq!(cannot.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slower_of_two_reads_who_was_faster_and_keeps_their_words() {
    let bench = Bench::new().await;
    bench.start(GATED).await;
    let asked = bench.asked(None).await;
    let (page, action) = (
        format!("/approvals/{asked}"),
        format!("/approvals/{asked}/decision"),
    );
    let html = bench.page(&page, &bench.eve).await;
    let hidden = super::form(&html, &action).unwrap();
    bench.approve(asked, &bench.ana).await;
    bench.site.clock().advance(Duration::from_secs(4));
    let typed = [("verdict", "reject"), ("reason", "the replica is behind")];
    let late = bench.send(&action, &bench.eve, &hidden, &typed).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    for said in [
        "Ana approved 4s ago; nothing of yours was sent",
        "the replica is behind",
        "What happened since",
    ] {
        assert!(late.text.contains(said), "{said}: {}", late.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_inbox_says_what_one_may_approve() {
    let bench = Bench::new().await;
    bench.publish(GATED).await;
    let html = bench.page("/approvals", &bench.ana).await;
    assert!(
        html.contains("Nothing waits for you. You can approve for: gated."),
        "{html}"
    );
    let html = bench.page("/approvals", &bench.vic).await;
    assert!(
        html.contains("No runbook has a gate that you may decide"),
        "{html}"
    );
}
