//! Words over a run: paused and let go on, stopped, taken back, a step let be; and who may say them.

use axum::http::StatusCode;
use muster::{
    domain::run::{RunFact, RunResult},
    store::queue,
};
use serde_json::json;

use super::{Bench, LONG, op};
use crate::fleet::wait;

const TWO: &str = r#"
runbook: two
title: Two effects
steps:
  - id: first
    call: http
    with: { target: web, method: POST, path: /ok/first }
  - id: look
    manual: Look at it
  - id: second
    call: http
    with: { target: web, method: POST, path: /ok/second }
"#;

fn is_asked(fact: &RunFact) -> bool {
    matches!(fact, RunFact::ManualAsked { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_run_begins_nothing_until_somebody_lets_it_go_on() {
    let bench = Bench::new().await;
    let run = bench.start(TWO).await;
    bench.until(run, "it asks", is_asked).await;
    let page = format!("/runs/{run}");
    bench
        .does(
            &page,
            &format!("/runs/{run}/pause"),
            &bench.rob,
            &[("reason", "a call first")],
        )
        .await;
    let twice = bench
        .json(&format!("/runs/{run}/pause"), &bench.ana, json!({}))
        .await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    for path in [page.as_str(), "/incidents/1"] {
        let html = bench.page(path, &bench.vic).await;
        assert!(html.contains("Paused by <bdi>rob</bdi>"), "{path}: {html}");
        assert!(html.contains("a call first"), "{path}");
    }
    // A person's word on a step still counts; what follows from it does not begin.
    bench
        .does(&page, &format!("/runs/{run}/steps/look/done"), &bench.rob, &[])
        .await;
    bench
        .until(run, "it is done", |fact| {
            matches!(fact, RunFact::ManualDone { .. })
        })
        .await;
    bench.site.clock().advance(std::time::Duration::from_secs(60));
    bench.engine.wake.changed();
    assert_eq!(bench.target.done(), ["first"]);
    let went = bench
        .submit("/incidents/1", &format!("/runs/{run}/go-on"), &bench.eve, &[])
        .await;
    assert_eq!(went.header("location"), "/incidents/1#runs", "{}", went.text);
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), ["first", "second"]);
    let html = bench.page(&page, &bench.vic).await;
    for said in [
        "rob</bdi>: <bdi>Paused the run: a call first",
        "eve</bdi>: <bdi>Let the run go on",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_run_leaves_what_it_did() {
    let bench = Bench::new().await;
    let run = bench.start(TWO).await;
    bench.until(run, "it asks", is_asked).await;
    let page = format!("/runs/{run}");
    let stopped = bench
        .submit(
            &page,
            &format!("/runs/{run}/stop"),
            &bench.rob,
            &[("reason", "not now")],
        )
        .await;
    assert_eq!(stopped.header("location"), page);
    assert_eq!(bench.result(run).await, RunResult::Stopped);
    assert_eq!(bench.target.done(), ["first"]);
    let late = bench
        .json(&format!("/runs/{run}/stop"), &bench.rob, json!({}))
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_cannot_go_on_says_why_and_is_tried_ever_more_seldom() {
    let bench = Bench::new().await;
    let mut conn = bench.site.conn().await;
    // The database refuses what the worker writes: not an outage, and nothing that goes away by asking at once.
    sqlx::raw_sql(
        "create function no_room() returns trigger language plpgsql as $$
         begin raise exception 'no room for attempts'; end $$;
         create trigger no_room before insert on attempts for each row execute function no_room()",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    let run = bench.start(TWO).await;
    let mut pauses = Vec::new();
    for times in 1..=9 {
        let fault = wait::until("the run is put off", LONG, async || {
            let mut conn = bench.site.conn().await;
            let fault = queue::find_fault(&mut conn, run).await?;
            let fault = fault.filter(|fault| fault.times == times);
            fault.ok_or_else(|| anyhow::anyhow!("not for the time {times}"))
        })
        .await
        .unwrap();
        assert!(fault.reason.contains("no room for attempts"), "{fault:?}");
        let pause = (fault.next - bench.site.clock().now()).to_std().unwrap();
        pauses.push(pause.as_secs());
        bench.site.clock().advance(pause);
        bench.engine.wake.changed();
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    for path in [format!("/runs/{run}"), "/incidents/1".to_owned()] {
        let html = bench.page(&path, &bench.vic).await;
        assert!(
            html.contains("Muster could not go on with this run"),
            "{path}: {html}"
        );
        assert!(html.contains("no room for attempts"), "{path}");
    }
    assert!(bench.target.done().is_empty());

    sqlx::raw_sql("drop trigger no_room on attempts")
        .execute(&mut *conn)
        .await
        .unwrap();
    bench.site.clock().advance(queue::FAULT_PAUSE_MAX);
    bench.engine.wake.changed();
    bench.until(run, "it asks", is_asked).await;
    let html = bench.page(&format!("/runs/{run}"), &bench.vic).await;
    assert!(!html.contains("could not go on"), "{html}");
}

const BACK: &str = r#"
runbook: back
title: Can be taken back
steps:
  - id: plain
    call: http
    with: { target: web, method: POST, path: /ok/plain }
  - id: open
    call: http
    with: { target: web, method: POST, path: /ok/open }
    undo: { call: http, with: { target: web, method: DELETE, path: /ok/undo-open } }
  - id: ask
    gate: { use_within: 10m }
    title: Drain both?
  - id: drain
    for_each: { in: "['a', 'b']" }
    call: http
    with: { target: web, method: POST, path: "/ok/drain-{{ item }}" }
    undo: { call: http, with: { target: web, method: DELETE, path: "/ok/undo-{{ item }}" } }
  - id: look
    manual: Look at it
finally:
  - id: tell
    call: http
    with: { target: web, method: POST, path: /ok/tell }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_taken_back_in_reverse_order_and_the_gate_is_asked_again() {
    for by_form in [true, false] {
        let bench = Bench::new().await;
        let run = bench.start(BACK).await;
        let first = bench.asked(None).await;
        bench.approve(first, &bench.ana).await;
        bench.until(run, "it asks", is_asked).await;
        assert_eq!(bench.target.done(), ["plain", "open", "drain-a", "drain-b"]);
        let page = format!("/runs/{run}");
        let html = bench.page(&page, &bench.rob).await;
        let shown = html
            .split("undo what was done in reverse")
            .nth(1)
            .unwrap_or_default();
        let at = |text: &str| shown.find(text).unwrap_or_else(|| panic!("{text}: {shown}"));
        assert!(
            at("undo-b") < at("undo-a") && at("undo-a") < at("undo-open"),
            "{shown}"
        );
        assert!(
            shown.contains("asks first at “<bdi>Drain both?</bdi>”"),
            "{shown}"
        );
        assert!(
            shown.contains("no way back is written: <bdi>plain</bdi>"),
            "{shown}"
        );
        let action = format!("/runs/{run}/undo");
        match by_form {
            true => {
                bench
                    .does(&page, &action, &bench.rob, &[("reason", "wrong pool")])
                    .await
            }
            false => {
                let asked = bench
                    .json(&action, &bench.rob, json!({"reason": "wrong pool"}))
                    .await;
                assert_eq!(asked.json()["stop_requested"], "wrong pool", "{}", asked.text);
            }
        }
        let again = bench.json(&action, &bench.ana, json!({})).await;
        assert_eq!(again.status, StatusCode::CONFLICT);

        let second = bench.asked(Some(first)).await;
        let gate = bench.page(&format!("/approvals/{second}"), &bench.ana).await;
        assert!(
            gate.contains("Take back what was done under: Drain both?"),
            "{gate}"
        );
        assert!(gate.contains("then it is not taken back"), "{gate}");
        assert_eq!(bench.target.done().len(), 4, "nothing is taken back unasked");
        let html = bench.page(&page, &bench.rob).await;
        assert!(
            !html.contains("/steps/look/done"),
            "nobody is asked to look any more"
        );
        assert!(html.contains("Left undone"), "{html}");
        let late = bench
            .json(&format!("/runs/{run}/steps/look/done"), &bench.rob, json!({}))
            .await;
        assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
        for said in [
            "Takes back what was done, the last first: <bdi>wrong pool</bdi>",
            "Taking back, the last first",
            "At the end, whatever came before",
            "undo:drain[1]",
            "Take back: drain, b",
        ] {
            assert!(html.contains(said), "{said}: {html}");
        }
        let body = bench.get_json(&page).await;
        assert_eq!(
            body["ending"],
            json!({"result": "stopped", "reason": "wrong pool", "undo": true})
        );
        assert_eq!(body["undo"][0]["id"], "undo:ask", "{body}");
        assert_eq!(body["finally"][0]["id"], "tell");
        bench.approve(second, &bench.eve).await;
        assert_eq!(bench.result(run).await, RunResult::Stopped);
        assert_eq!(
            bench.target.done()[4..],
            ["undo-b", "undo-a", "undo-open", "tell"],
            "the last first, then what runs at the end"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_to_stop_asks_nothing_more_and_what_it_did_may_still_be_taken_back() {
    let bench = Bench::new().await;
    // The gate asks while the effect above it is on its way beside it.
    let beside = r#"
runbook: beside
title: Beside
steps:
  - id: open
    needs: []
    call: http
    with: { target: web, method: POST, path: /held/open }
    undo: { call: http, with: { target: web, method: DELETE, path: /ok/undo-open } }
  - id: ask
    needs: []
    gate: {}
  - id: drain
    call: http
    with: { target: web, method: POST, path: /ok/drain }
"#;
    let run = bench.start(beside).await;
    let asked = bench.asked(None).await;
    let digest = bench.digest(asked).await;
    let stop = format!("/runs/{run}/stop");
    bench
        .does(
            &format!("/runs/{run}"),
            &stop,
            &bench.rob,
            &[("reason", "not now")],
        )
        .await;
    assert_eq!(bench.state(asked).await, "void");
    for (act, body) in [
        ("decision", json!({"verdict": "approve", "digest": digest})),
        ("send-back", json!({"note": "x", "digest": digest})),
        (
            "break-glass",
            json!({"reason": "nobody is awake", "digest": digest}),
        ),
    ] {
        let late = bench
            .json(&format!("/approvals/{asked}/{act}"), &bench.ana, body)
            .await;
        assert_eq!(late.status, StatusCode::CONFLICT, "{act}: {}", late.text);
    }
    let undo = format!("/runs/{run}/undo");
    let again = bench.json(&stop, &bench.rob, json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let undone = bench
        .json(&undo, &bench.ana, json!({"reason": "back, please"}))
        .await;
    assert_eq!(undone.status, StatusCode::OK, "{}", undone.text);
    bench.target.let_go();
    assert_eq!(bench.result(run).await, RunResult::Stopped);
    assert_eq!(bench.target.done(), ["open", "undo-open"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_the_undo_can_be_let_be() {
    let bench = Bench::new().await;
    let run = bench.start(BACK).await;
    let first = bench.asked(None).await;
    bench.approve(first, &bench.ana).await;
    bench.until(run, "it asks", is_asked).await;
    bench
        .json(&format!("/runs/{run}/undo"), &bench.rob, json!({}))
        .await;
    let second = bench.asked(Some(first)).await;
    let page = format!("/runs/{run}");
    let typed = [("step", "undo:open"), ("reason", "it must stay open")];
    bench
        .does(&page, &format!("{page}/skip"), &bench.rob, &typed)
        .await;
    bench.approve(second, &bench.ana).await;
    assert_eq!(bench.result(run).await, RunResult::Stopped);
    assert_eq!(bench.target.done()[4..], ["undo-b", "undo-a", "tell"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_is_let_be_with_a_reason_and_gates_are_not() {
    let bench = Bench::new().await;
    let gated = r#"
runbook: gated
title: Gated
steps:
  - id: look
    manual: Look at it
  - id: ask
    gate: {}
  - id: drain
    for_each: { in: "['a', 'b', 'c']" }
    call: http
    with: { target: web, method: POST, path: "/held/{{ item }}" }
  - id: tell
    call: http
    with: { target: web, method: POST, path: /ok/tell }
    when: "steps['drain'].results is defined"
"#;
    let run = bench.start(gated).await;
    bench.until(run, "it asks", is_asked).await;
    let page = format!("/runs/{run}");
    let action = format!("/runs/{run}/skip");
    let html = bench.page(&page, &bench.rob).await;
    let choices = html.split("Skip a step").nth(1).unwrap();
    assert!(
        choices.contains("value=\"look\"") && choices.contains("value=\"tell\""),
        "{choices}"
    );
    assert!(choices.contains("drain (read by tell)"), "{choices}");
    assert!(
        !choices.contains("value=\"ask\""),
        "a gate is not offered: {choices}"
    );
    for (step, reason, status) in [
        ("look", " ", StatusCode::UNPROCESSABLE_ENTITY),
        ("ask", "no time", StatusCode::UNPROCESSABLE_ENTITY),
        ("nothing", "no time", StatusCode::NOT_FOUND),
        ("drain[7]", "no time", StatusCode::NOT_FOUND),
        ("undo:tell", "no time", StatusCode::NOT_FOUND),
    ] {
        let typed = [("step", step), ("reason", reason)];
        let refused = bench.submit(&page, &action, &bench.rob, &typed).await;
        assert_eq!(refused.status, status, "{step}: {}", refused.text);
    }
    let typed = [("step", "look"), ("reason", "seen <already>")];
    bench.does(&page, &action, &bench.rob, &typed).await;
    let asked = bench.asked(None).await;
    let html = bench.page(&page, &bench.vic).await;
    assert!(html.contains("seen &#60;already&#62;"), "{html}");
    let late = bench
        .json(
            &format!("/runs/{run}/steps/look/skip"),
            &bench.ana,
            json!({"reason": "me too"}),
        )
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);

    // Of a list, what has not begun is let be; what is out is waited for.
    bench.approve(asked, &bench.ana).await;
    let begun = |fact: &RunFact| matches!(fact, RunFact::StepStarted { step, .. } if step.0 == "drain[0]");
    bench.until(run, "the first item is on its way", begun).await;
    let out = bench
        .json(
            &format!("/runs/{run}/steps/drain%5B0%5D/skip"),
            &bench.rob,
            json!({"reason": "x"}),
        )
        .await;
    assert_eq!(out.status, StatusCode::CONFLICT, "{}", out.text);
    let rest = bench
        .json(
            &format!("/runs/{run}/steps/drain/skip"),
            &bench.rob,
            json!({"reason": "one is enough"}),
        )
        .await;
    let items = &rest.json()["steps"][2]["items"];
    let stands: Vec<&str> = (0..3)
        .map(|at| items[at]["state"]["state"].as_str().unwrap())
        .collect();
    assert_eq!(stands, ["started", "skipped", "skipped"], "{}", rest.text);
    bench.target.let_go();
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), ["a", "tell"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_is_offered_no_word_over_a_run_and_has_none() {
    let bench = Bench::new().await;
    let run = bench.start(TWO).await;
    bench.until(run, "it asks", is_asked).await;
    let page = format!("/runs/{run}");
    for path in [page.as_str(), "/incidents/1"] {
        let html = bench.page(path, &bench.vic).await;
        assert!(!html.contains(&format!("action=\"{page}/")), "{path}: {html}");
    }
    let before = bench.facts(run).await.len();
    for act in [
        "pause",
        "go-on",
        "stop",
        "undo",
        "skip",
        "resume",
        "steps/look/done",
        "steps/look/unknown",
    ] {
        let fields = [("reason", "x"), ("step", "look"), ("choice", "mark_done")];
        let refused = bench
            .send(&format!("{page}/{act}"), &bench.vic, &[op()], &fields)
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{act}");
        let act = if act == "skip" { "steps/look/skip" } else { act };
        let refused = bench
            .json(
                &format!("{page}/{act}"),
                &bench.vic,
                json!({"choice": "mark_done"}),
            )
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{act}");
    }
    assert_eq!(
        bench.site.get(&format!("{page}/resume"), &bench.vic).await.status,
        StatusCode::FORBIDDEN
    );
    let started = bench
        .json("/incidents/1/runs", &bench.vic, json!({"runbook": "two"}))
        .await;
    assert_eq!(started.status, StatusCode::FORBIDDEN);
    assert_eq!(bench.facts(run).await.len(), before);
}
