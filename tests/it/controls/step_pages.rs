//! The page of one step: what it did, how far it got, what came back, and what people do about it.

use axum::http::StatusCode;
use muster::domain::run::{RunFact, RunResult};

use super::Bench;

const STEPS: &str = r#"
runbook: steps
title: Steps
steps:
  - id: hosts
    check: http
    with: { target: web, path: "/list/{{ inputs.count }}" }
    title: Which hosts are there?
  - id: strike
    call: http
    with: { target: web, method: POST, path: /lost/strike }
    effect: once
  - { id: tell, title: Tell the shop, manual: Tell the team }
inputs:
  count: { default: "700" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_shows_what_was_sent_how_far_it_got_and_the_end_of_what_came_back() {
    let bench = Bench::new().await;
    let run = bench.start(STEPS).await;
    let unknown = |fact: &RunFact| matches!(fact, RunFact::OutcomeUnknown { .. });
    bench.until(run, "the answer is lost", unknown).await;

    let by_number = bench.site.get(&format!("/runs/{run}/steps/1"), &bench.vic).await;
    assert_eq!(by_number.header("location"), format!("/runs/{run}/steps/hosts"));
    let page = format!("/runs/{run}/steps/hosts");
    let html = bench.page(&page, &bench.vic).await;
    for said in [
        "Written down before anything was sent",
        "The target answered",
        "Idempotency key",
        "Fencing number",
        "written as <code><bdi>/list/{{ inputs.count }}</bdi></code>",
        "lines 203 to 702 of 702",
        "Earlier 202",
        "id=\"L702\"",
        "<a class=\"quiet\" href=\"/incidents/1#e",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    assert!(!html.contains("id=\"L202\""), "500 lines at most");
    let earlier = bench.page(&format!("{page}?attempt=1&to=202"), &bench.vic).await;
    assert!(
        earlier.contains("id=\"L1\"") && earlier.contains("id=\"L202\"") && !earlier.contains("id=\"L203\"")
    );
    let found = bench.page(&format!("{page}?find=N141%22"), &bench.vic).await;
    assert!(
        found.contains("1 line holds it") && found.contains("id=\"L143\""),
        "{found}"
    );
    let file = bench
        .site
        .get(&format!("{page}/output?attempt=1"), &bench.vic)
        .await;
    assert_eq!(file.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(
        file.header("content-disposition"),
        format!("attachment; filename=\"run-{run}-hosts-1.txt\"")
    );
    assert_eq!(file.text.lines().count(), 702);

    let html = bench.page(&format!("/runs/{run}/steps/tell"), &bench.vic).await;
    for said in [
        "Not started",
        "What it would do",
        "Tell the team",
        "No attempt was made so far",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    for path in [
        "/runs/1/steps/nothing",
        "/runs/1/steps/9",
        "/runs/9/steps/hosts",
        "/runs/1/steps/tell/output",
    ] {
        assert_eq!(
            bench.site.get(path, &bench.vic).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    assert_eq!(
        bench.site.get(&page, "").await.status,
        StatusCode::SEE_OTHER,
        "strangers sign in"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_settled_on_the_page_of_its_step() {
    let bench = Bench::new().await;
    let run = bench.start(STEPS).await;
    let unknown = |fact: &RunFact| matches!(fact, RunFact::OutcomeUnknown { .. });
    bench.until(run, "the answer is lost", unknown).await;
    let page = format!("/runs/{run}/steps/strike");
    let html = bench.page(&page, &bench.rob).await;
    for said in [
        "Sent, or may have been",
        "No answer came back",
        "Output lost",
        "Mark “strike” done",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    let run_page = bench.page(&format!("/runs/{run}"), &bench.rob).await;
    assert!(run_page.contains(&format!("href=\"{page}\"")), "{run_page}");
    let typed = [("choice", "mark_done"), ("evidence", "the shop answers")];
    let done = bench
        .submit(&page, &format!("{page}/unknown"), &bench.rob, &typed)
        .await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, page.as_str())
    );
    let asked = |fact: &RunFact| matches!(fact, RunFact::ManualAsked { .. });
    bench.until(run, "it goes on", asked).await;
    let list = bench.page("/incidents", &bench.rob).await;
    assert!(
        list.contains("<strong><bdi>Tell the shop</bdi></strong>"),
        "whoever is needed reads a title: {list}"
    );
    let tell = format!("/runs/{run}/steps/tell");
    bench
        .does(
            &tell,
            &format!("{tell}/done"),
            &bench.rob,
            &[("note", "told them")],
        )
        .await;
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
}

const AGAIN: &str = r#"
runbook: again
title: Again
steps:
  - id: strike
    call: http
    with: { target: web, method: POST, path: /fail/strike, body: "one" }
    retry: { attempts: 2, initial: 1s, max: 1s }
    effect: idempotent
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_says_what_it_sent_otherwise_than_the_one_before() {
    let bench = Bench::new().await;
    let run = bench.start(AGAIN).await;
    let failed = |fact: &RunFact| matches!(fact, RunFact::StepFailed { .. });
    bench.until(run, "it fails", failed).await;
    sqlx::raw_sql("update attempts set request = jsonb_set(request, '{with,body}', '\"none\"')")
        .execute(&mut *bench.site.conn().await)
        .await
        .unwrap();
    bench.site.clock().advance(std::time::Duration::from_secs(5));
    bench.result(run).await;
    let page = format!("/runs/{run}/steps/strike");
    let html = bench.page(&page, &bench.vic).await;
    for said in [
        "Not as attempt 1 sent it:",
        "− <code><bdi>none</bdi></code>",
        "+ <code><bdi>one</bdi></code>",
        "data-key=\"[\"",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    assert!(
        !html.contains("+ <code><bdi>POST</bdi></code>"),
        "only what differs"
    );
    let first = bench.page(&format!("{page}?attempt=1"), &bench.vic).await;
    assert!(
        !first.contains("Not as attempt") && first.contains("data-key=\"]\""),
        "{first}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_run_is_shown_in_parts_and_those_in_trouble_are_open() {
    let bench = Bench::new().await;
    let mut source = "runbook: long\ntitle: Long\nsteps:\n".to_owned();
    for n in 1..=60 {
        let kind = if n == 25 { "fail" } else { "ok" };
        source.push_str(&format!(
            "  - {{ id: s{n}, call: http, with: {{ target: web, method: POST, path: /{kind}/{n} }}, on_failure: continue }}\n"
        ));
    }
    source.push_str("  - { id: look, manual: Look }\n");
    let run = bench.start(&source).await;
    let asked = |fact: &RunFact| matches!(fact, RunFact::ManualAsked { .. });
    bench.until(run, "it asks", asked).await;
    let html = bench.page(&format!("/runs/{run}"), &bench.vic).await;
    for said in [
        "<details class=\"more\"><summary>Steps 1 to 20: 20 over</summary>",
        "<details class=\"more\" open><summary>Steps 21 to 40: 1 in trouble, 19 over</summary>",
        "<details class=\"more\" open><summary>Step 61: 1 at work or waiting</summary>",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
}
