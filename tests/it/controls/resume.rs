//! Going on where a run ended: what is carried over, what is asked, what is refused, and a newer version.

use axum::http::StatusCode;
use muster::domain::{
    id::RunId,
    run::{RunFact, RunResult},
};
use serde_json::{Value, json};

use super::{Bench, HOSTILE, form, op};

const BROKEN: &str = r#"
runbook: broken
title: Breaks in the middle
steps:
  - id: look
    check: http
    with: { target: web, path: /ok/look }
  - id: ask
    gate: { use_within: 10m }
    title: Strike?
  - id: first
    call: http
    with: { target: web, method: POST, path: /ok/first }
  - id: second
    call: http
    with: { target: web, method: POST, path: /fail/second }
  - id: tell
    call: http
    with: { target: web, method: POST, path: "/ok/tell-{{ steps['look'].result.status }}" }
"#;

/// A run of it that has failed at its second effect.
async fn broken(bench: &Bench, source: &str) -> RunId {
    let run = bench.start(source).await;
    let asked = bench.asked(None).await;
    bench.approve(asked, &bench.ana).await;
    assert_eq!(bench.result(run).await, RunResult::Failed);
    run
}

/// The run a form or an answer leads to.
fn next(answer: &super::Answer) -> RunId {
    let location = answer.header("location");
    let id = match location {
        "" => answer.json()["run"].as_i64(),
        path => path.strip_prefix("/runs/").and_then(|id| id.parse().ok()),
    };
    RunId(id.unwrap_or_else(|| panic!("{} {}", answer.status, answer.text)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_where_it_failed_and_what_was_done_is_not_sent_again() {
    for by_form in [true, false] {
        let bench = Bench::new().await;
        let run = broken(&bench, BROKEN).await;
        assert_eq!(bench.target.done(), ["first"]);
        let (page, resume) = (format!("/runs/{run}"), format!("/runs/{run}/resume"));
        assert!(
            bench
                .page(&page, &bench.rob)
                .await
                .contains(&format!("href=\"{resume}\""))
        );
        assert!(
            bench
                .page("/incidents/1", &bench.rob)
                .await
                .contains(&format!("href=\"{resume}\""))
        );
        assert!(!bench.page(&page, &bench.vic).await.contains(&resume));
        let html = bench.page(&resume, &bench.rob).await;
        for said in [
            "counts as done: it is not sent again",
            "asks again",
            "name=\"step.second\"",
            "name=\"step.tell\"",
        ] {
            assert!(html.contains(said), "{said}: {html}");
        }
        assert!(
            !html.contains("name=\"step.first\"") && !html.contains("newest version"),
            "{html}"
        );
        bench.target.change();
        let answer = match by_form {
            true => {
                bench
                    .submit(&resume, &resume, &bench.rob, &[("step.second", "do")])
                    .await
            }
            false => bench.json(&resume, &bench.rob, json!({})).await,
        };
        let after = next(&answer);
        let asked = bench.asked(None).await;
        bench.approve(asked, &bench.eve).await;
        assert_eq!(bench.result(after).await, RunResult::Succeeded);
        // The check's finding came along as well.
        assert_eq!(bench.target.done(), ["first", "second", "tell-200"]);
        let html = bench.page(&page, &bench.vic).await;
        assert!(
            html.contains(&format!(
                "<a href=\"/runs/{after}\">Run {after}</a> goes on from here"
            )),
            "{html}"
        );
        let html = bench.page(&format!("/runs/{after}"), &bench.vic).await;
        assert!(
            html.contains(&format!("where <a href=\"{page}\">run {run}</a> ended")),
            "{html}"
        );
        assert!(html.contains("Counts as done"), "{html}");
        let body = bench.get_json(&page).await;
        assert_eq!(
            (&body["continued_by"], &body["continues"]),
            (&json!(after.0), &Value::Null)
        );
        assert_eq!(
            bench.get_json(&format!("/runs/{after}")).await["continues"],
            json!(run.0)
        );

        // Nobody continues it twice.
        for again in [
            bench.send(&resume, &bench.eve, &[op()], &[]).await,
            bench.json(&resume, &bench.eve, json!({})).await,
        ] {
            assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
        }
        assert_eq!(
            bench.site.get(&resume, &bench.rob).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
        let of_success = bench
            .json(&format!("/runs/{after}/resume"), &bench.rob, json!({}))
            .await;
        assert_eq!(of_success.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!bench.page(&page, &bench.rob).await.contains(&resume));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_somebody_vouches_for_counts_and_one_let_be_is_passed_and_the_timeline_says_why() {
    let bench = Bench::new().await;
    let run = broken(&bench, BROKEN).await;
    let resume = format!("/runs/{run}/resume");
    let typed = [("step.second", "done"), ("step.tell", "skip"), ("reason", " ")];
    let silent = bench.submit(&resume, &resume, &bench.rob, &typed).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", silent.text);
    let typed = [
        ("step.second", "done"),
        ("step.tell", "skip"),
        ("reason", HOSTILE),
    ];
    let after = next(&bench.submit(&resume, &resume, &bench.rob, &typed).await);
    // Nothing below the gate is left, so nobody is asked.
    assert_eq!(bench.result(after).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), ["first"]);
    let timeline = bench.get_json("/incidents/1/timeline?limit=100").await;
    let note = format!("Run {after} goes on, done: second; let be: tell: {HOSTILE}");
    assert!(
        timeline
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["text"] == note && event["actor"] == "rob"),
        "{timeline}"
    );
    let html = bench.page(&format!("/runs/{after}"), &bench.vic).await;
    assert!(
        !html.contains("<script>alert") && html.contains("Need not be asked"),
        "{html}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_does_not_go_on_while_nobody_has_said_what_became_of_a_step() {
    let bench = Bench::new().await;
    let source = BROKEN.replace("/fail/second", "/lost/second");
    let run = bench.start(&source).await;
    let asked = bench.asked(None).await;
    bench.approve(asked, &bench.ana).await;
    let unknown = |fact: &RunFact| matches!(fact, RunFact::OutcomeUnknown { .. });
    bench.until(run, "the answer is lost", unknown).await;
    let resume = format!("/runs/{run}/resume");
    let live = bench.json(&resume, &bench.rob, json!({})).await;
    assert_eq!(live.status, StatusCode::CONFLICT, "it is not over: {}", live.text);
    bench
        .json(&format!("/runs/{run}/stop"), &bench.rob, json!({}))
        .await;
    assert_eq!(bench.result(run).await, RunResult::Stopped);

    let html = bench.page(&resume, &bench.rob).await;
    assert!(html.contains("name=\"step.second\" required"), "{html}");
    assert!(html.contains("Was it done? Choose…"), "{html}");
    for (body, words) in [
        (json!({}), "nobody knows whether second was done"),
        (json!({"done": ["nothing"], "reason": "x"}), "no step nothing"),
        (
            json!({"done": ["second", "ask"], "reason": "x"}),
            "a gate cannot be skipped",
        ),
        (json!({"not_done": ["second"]}), "say how you know"),
    ] {
        let refused = bench.json(&resume, &bench.rob, body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(
            refused.text.to_lowercase().contains(words),
            "{body}: {}",
            refused.text
        );
    }
    let typed = [("step.second", "not_done"), ("reason", "the pool is full")];
    let after = next(&bench.submit(&resume, &resume, &bench.rob, &typed).await);
    let asked = bench.asked(None).await;
    bench.approve(asked, &bench.eve).await;
    assert_eq!(bench.result(after).await, RunResult::Succeeded);
    let keys = bench.target.keys("second");
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1], "another run has other keys");
    assert_eq!(bench.target.done(), ["first", "second", "second", "tell-200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_with_the_newest_version_after_its_difference_was_shown() {
    for by_form in [true, false] {
        let bench = Bench::new().await;
        let run = broken(&bench, BROKEN).await;
        let newer = BROKEN
            .replace("/fail/second", "/ok/second <now>")
            .replace(
                "  - id: tell\n",
                "  - id: between\n    manual: Look\n  - id: tell\n",
            )
            .replace(
                "  - id: look\n    check: http\n    with: { target: web, path: /ok/look }\n",
                "  - id: see\n    check: http\n    with: { target: web, path: /ok/see }\n",
            )
            .replace("steps['look']", "steps['see']");
        bench.publish(&newer).await;
        let resume = format!("/runs/{run}/resume");
        let same = bench.page(&resume, &bench.rob).await;
        assert!(
            same.contains("The same version, v1") && same.contains("The newest version, v2"),
            "{same}"
        );
        assert!(!same.contains("Line by line"), "{same}");
        let chosen = format!("{resume}?version=2");
        let html = bench.page(&chosen, &bench.rob).await;
        for said in [
            "What v2 has otherwise",
            "Removed: look",
            "Changed: second and tell",
            "Added: see and between",
            "/fail/second",
            "/ok/second &#60;now&#62;",
            "changed in v2",
            "new in v2",
        ] {
            assert!(html.contains(said), "{said}: {html}");
        }
        assert_eq!(
            bench
                .site
                .get(&format!("{resume}?version=9"), &bench.rob)
                .await
                .status,
            StatusCode::NOT_FOUND
        );
        let answer = match by_form {
            true => {
                let hidden = form(&html, &resume).unwrap();
                bench
                    .send(&resume, &bench.rob, &hidden, &[("step.second", "do")])
                    .await
            }
            false => bench.json(&resume, &bench.rob, json!({"version": 2})).await,
        };
        let after = next(&answer);
        let asked = bench.asked(None).await;
        bench.approve(asked, &bench.eve).await;
        bench
            .until(after, "it asks", |fact| {
                matches!(fact, RunFact::ManualAsked { .. })
            })
            .await;
        let done = bench
            .json(
                &format!("/runs/{after}/steps/between/done"),
                &bench.rob,
                json!({}),
            )
            .await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
        assert_eq!(bench.result(after).await, RunResult::Succeeded);
        assert_eq!(bench.target.done(), ["first", "second <now>", "tell-200"]);
        assert_eq!(bench.get_json(&format!("/runs/{after}")).await["version"], 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_back_is_done_again_and_items_that_were_done_are_not() {
    let bench = Bench::new().await;
    let source = r#"
runbook: back
title: Taken back
steps:
  - id: open
    call: http
    with: { target: web, method: POST, path: /ok/open }
    undo: { call: http, with: { target: web, method: DELETE, path: /ok/undo-open } }
  - id: drain
    for_each: { in: "['a', 'b']" }
    call: http
    with: { target: web, method: POST, path: "/{{ 'ok' if item == 'a' else 'fail' }}/drain-{{ item }}" }
    on_failure: undo
"#;
    let run = bench.start(source).await;
    assert_eq!(bench.result(run).await, RunResult::Failed);
    assert_eq!(bench.target.done(), ["open", "drain-a", "undo-open"]);
    bench.target.change();
    let resume = format!("/runs/{run}/resume");
    let html = bench.page(&resume, &bench.rob).await;
    assert!(
        html.contains("name=\"step.open\""),
        "what was taken back is not done: {html}"
    );
    assert!(
        html.contains("1 of 2 items done and carried over") && html.contains("name=\"step.drain[1]\""),
        "{html}"
    );
    let after = next(&bench.submit(&resume, &resume, &bench.rob, &[]).await);
    assert_eq!(bench.result(after).await, RunResult::Succeeded);
    assert_eq!(bench.target.done()[3..], ["open", "drain-b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_people_who_go_on_one_does_and_the_other_reads_who() {
    let bench = Bench::new().await;
    let run = broken(&bench, BROKEN).await;
    let resume = format!("/runs/{run}/resume");
    let html = bench.page(&resume, &bench.eve).await;
    let slow = form(&html, &resume).unwrap();
    let html = bench.page(&resume, &bench.rob).await;
    let fast = form(&html, &resume).unwrap();
    let first = bench.send(&resume, &bench.rob, &fast, &[]).await;
    let again = bench.send(&resume, &bench.rob, &fast, &[]).await;
    assert_eq!(next(&first), next(&again), "a second tap leads to the same run");
    let late = bench
        .send(&resume, &bench.eve, &slow, &[("reason", "I know")])
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    for said in [
        "This run has been continued already",
        "rob: Went on with broken v1",
        "I know",
    ] {
        assert!(late.text.contains(said), "{said}: {}", late.text);
    }
}
