//! Where a gate asks for more than a word: what cannot be taken back, and a target that somebody holds.

use std::time::Duration;

use axum::http::StatusCode;
use muster::domain::run::{RunFact, RunResult};
use serde_json::json;

use super::Bench;
use crate::support::site::PASSWORD;

const WIPE: &str = r#"
runbook: wipe
title: Wipe the old disk
steps:
  - id: ask
    gate: { decide_within: 1h, use_within: 10m }
    title: Wipe the old disk?
  - id: wipe
    call: http
    with: { target: web, method: POST, path: /ok/wipe }
    effect: once
    irreversible: true
    title: Wipe it
"#;

const STRIKE: &str = r#"
runbook: strike
title: One effect
steps:
  - id: ask
    gate: { decide_within: 1h, use_within: 10m }
    title: Strike?
  - id: strike
    call: http
    with: { target: web, method: POST, path: /ok/strike }
    retry: { attempts: 5, initial: 1s, max: 1s }
    effect: once
"#;

impl Bench {
    /// Signs in as people do, once more.
    async fn signs_in(&self, name: &str) -> String {
        let fields = [("name", name), ("password", PASSWORD)];
        let answer = self.site.post("/login", "", &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        answer.cookie()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_back_takes_the_name_of_its_target_and_a_sign_in_of_lately() {
    let mut bench = Bench::new().await;
    let run = bench.start(WIPE).await;
    let asked = bench.asked(None).await;
    let page = format!("/approvals/{asked}");
    let action = format!("{page}/decision");
    let html = bench.page(&page, &bench.ana).await;
    assert!(
        html.contains("Cannot be taken back") && html.contains("type web to approve"),
        "{html}"
    );
    for typed in ["", "webs"] {
        let fields = [
            ("verdict", "approve"),
            ("typed", typed),
            ("reason", "it is empty"),
        ];
        let refused = bench.submit(&page, &action, &bench.ana, &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            refused.text.contains("type web to let it through") && refused.text.contains("it is empty"),
            "{}",
            refused.text
        );
    }
    let digest = bench.digest(asked).await;
    let path = format!("/approvals/{asked}/decision");
    let unnamed = bench
        .json(&path, &bench.ana, json!({"verdict": "approve", "digest": digest}))
        .await;
    assert_eq!(unnamed.status, StatusCode::UNPROCESSABLE_ENTITY);
    let alone = json!({"digest": digest, "reason": "nobody answers the phone"});
    let alone = bench
        .json(&format!("/approvals/{asked}/break-glass"), &bench.rob, alone)
        .await;
    assert_eq!(alone.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", alone.text);

    // A session from before is not enough, and the page says so before anything is typed.
    bench.site.clock().advance(Duration::from_secs(301));
    let html = bench.page(&page, &bench.ana).await;
    let back = format!("/login?again=yes&amp;next=%2Fapprovals%2F{asked}");
    assert!(
        html.contains("disabled aria-describedby=\"hold\"") && html.contains(&back.replace("&amp;", "&#38;")),
        "{html}"
    );
    let fields = [("verdict", "approve"), ("typed", "web")];
    let stale = bench.submit(&page, &action, &bench.ana, &fields).await;
    assert_eq!(stale.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(stale.text.contains("a sign-in of the last 5m"), "{}", stale.text);

    // Who has a passkey uses it; a password is less.
    let ana = bench.signs_in("ana").await;
    bench.site.state.public_url = Some("http://localhost:8080".parse().unwrap());
    bench.site.restart();
    let passkey = "insert into passkeys (operator_id, credential_id, name, static_state, dynamic_state, created_at)
                   select id, decode(repeat('ab', 16), 'hex'), 'phone', '', '', now() from operators where name = 'ana'";
    sqlx::raw_sql(passkey)
        .execute(&mut *bench.site.conn().await)
        .await
        .unwrap();
    let less = bench.submit(&page, &action, &ana, &fields).await;
    assert!(less.text.contains("it takes your passkey"), "{}", less.text);
    assert_eq!(bench.state(asked).await, "pending");
    assert_eq!(bench.target.done(), [""; 0]);
    let used = "update sessions set way = 'passkey' where operator_id = (select id from operators where name = 'ana')";
    sqlx::raw_sql(used)
        .execute(&mut *bench.site.conn().await)
        .await
        .unwrap();
    bench
        .does(&page, &action, &ana, &[("verdict", "approve"), ("typed", " Web")])
        .await;
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), ["wipe"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_reject_takes_no_more_than_a_reason() {
    let bench = Bench::new().await;
    let run = bench.start(WIPE).await;
    let asked = bench.asked(None).await;
    bench.site.clock().advance(Duration::from_secs(1200));
    let page = format!("/approvals/{asked}");
    let fields = [("verdict", "reject"), ("reason", "it still holds orders")];
    bench
        .does(&page, &format!("{page}/decision"), &bench.ana, &fields)
        .await;
    assert_eq!(bench.result(run).await, RunResult::Rejected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_somebody_holds_is_sent_nothing_until_somebody_lets_go() {
    let bench = Bench::new().await;
    let held = |reason: &str| json!({"reason": reason});
    // The pages know no targets of their own here, so the door for programs says so, and the room is asked itself.
    let unknown = bench
        .json("/circuits/web/open", &bench.rob, held("it moves"))
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{}", unknown.text);
    let (eve, _) = muster::store::operators::find_by_name(&mut *bench.site.conn().await, "eve")
        .await
        .unwrap()
        .unwrap();
    let now = bench.site.clock().now();
    muster::execute::control::open_breaker(
        &mut *bench.site.conn().await,
        "web",
        "it is being moved",
        &eve,
        now,
    )
    .await
    .unwrap();
    bench
        .site
        .state
        .standing
        .refresh(&mut *bench.site.conn().await)
        .await
        .unwrap();
    let run = bench.start(STRIKE).await;
    let asked = bench.asked(None).await;
    let html = bench.page(&format!("/approvals/{asked}"), &bench.ana).await;
    assert!(
        html.contains("Nothing would be sent now")
            && html.contains("held open by hand")
            && html.contains("it is being moved"),
        "{html}"
    );
    bench.approve(asked, &bench.ana).await;
    bench
        .until(run, "the step is held", |fact| {
            matches!(fact, RunFact::StepFailed { message, .. } if message.contains("held open by hand"))
        })
        .await;
    let step = bench.page(&format!("/runs/{run}/steps/strike"), &bench.vic).await;
    assert!(step.contains("held open by hand"), "{step}");
    assert_eq!(bench.target.done(), [""; 0]);
    let closed = bench
        .json("/circuits/web/close", &bench.ana, held("it stands again"))
        .await;
    assert_eq!(closed.status, StatusCode::NO_CONTENT, "{}", closed.text);
    bench
        .site
        .state
        .standing
        .refresh(&mut *bench.site.conn().await)
        .await
        .unwrap();
    bench.site.clock().advance(Duration::from_secs(60));
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), ["strike"]);
    let acts = bench.get_json("/acts").await;
    let kinds: Vec<&str> = acts["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|act| act["act"].as_str())
        .collect();
    assert_eq!(kinds, ["circuit_closed", "circuit_opened"]);
}
