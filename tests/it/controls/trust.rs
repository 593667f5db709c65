//! Approvals that fall with the rights of whoever gave them, and what starts by itself with the rights of its publisher.

use std::collections::BTreeMap;

use muster::{
    domain::{
        id::{ApprovalId, IncidentId, RunId},
        operator::Role,
        run::{RunFact, RunResult},
    },
    execute::{
        people,
        start::{self, Starter},
    },
    store::{StoreError, operators, runbooks, runs},
};
use serde_json::json;

use super::{Bench, named::gated};
use crate::support::word::word as said;

impl Bench {
    async fn acts(&self, run: RunId) -> i64 {
        sqlx::query_scalar("select acts from run_queue where run_id = $1")
            .bind(run.0)
            .fetch_one(&mut *self.site.conn().await)
            .await
            .unwrap()
    }
}

/// A run at its gate that is paused, so that nothing starts once it is approved.
async fn approved(bench: &Bench, rule: &str, by: &[&String]) -> (RunId, ApprovalId) {
    let run = bench.start(&gated(rule)).await;
    let asked = bench.asked(None).await;
    let path = format!("/runs/{run}/pause");
    let paused = bench.json(&path, &bench.ben, json!({})).await;
    assert!(paused.status.is_success(), "{}", paused.text);
    for cookie in by {
        bench.approve(asked, cookie).await;
    }
    assert_eq!(bench.state(asked).await, "approved");
    (run, asked)
}

async fn go_on(bench: &Bench, run: RunId) {
    let path = format!("/runs/{run}/go-on");
    let went = bench.json(&path, &bench.ben, json!({})).await;
    assert!(went.status.is_success(), "{}", went.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_falls_with_the_rights_of_whoever_gave_it() {
    for (change, rule, why) in [
        (
            "update operators set role = 'responder' where name = 'ana'",
            "approvals: 1",
            Some("ana may no longer decide"),
        ),
        (
            "update operators set disabled_at = now() where name = 'ana'",
            "approvals: 1",
            Some("ana may no longer decide"),
        ),
        (
            "delete from team_members where operator_id = (select id from operators where name = 'ana')",
            "teams: [dba]",
            Some("ana may no longer decide"),
        ),
        (
            "delete from teams where name = 'dba'",
            "teams: [dba], people: [eve], approvals: 2",
            Some("ana may no longer decide"),
        ),
        (
            "update operators set role = 'admin' where name = 'ana'",
            "approvals: 1",
            None,
        ),
        (
            "update operators set role = 'responder' where name = 'rob'",
            "approvals: 1",
            None,
        ),
    ] {
        let bench = Bench::new().await;
        bench.team("dba", &["ana"]).await;
        let by: &[&String] = match rule.contains("eve") {
            true => &[&bench.ana, &bench.eve],
            false => &[&bench.ana],
        };
        let (run, first) = approved(&bench, rule, by).await;
        let before = bench.acts(run).await;
        bench.sql(change).await;
        let after = bench.acts(run).await;
        assert_eq!(
            after > before,
            change.contains("'ana'") || change.contains("'dba'"),
            "{change}"
        );
        go_on(&bench, run).await;
        let Some(why) = why else {
            assert_eq!(bench.result(run).await, RunResult::Succeeded, "{change}");
            assert_eq!(bench.target.done(), ["strike"], "{change}");
            continue;
        };
        let facts = bench
            .until(
                run,
                "the approval falls",
                |fact| matches!(fact, RunFact::GateVoided { approval, .. } if *approval == first),
            )
            .await;
        let said = facts.iter().find_map(|fact| match fact {
            RunFact::GateVoided { why, .. } => Some(why.as_str()),
            _ => None,
        });
        assert_eq!(said, Some(why), "{change}");
        // It asks again, and nothing has gone out.
        let second = bench.asked(Some(first)).await;
        assert_ne!(second, first);
        assert_eq!(bench.state(first).await, "void");
        assert_eq!(bench.target.done(), [""; 0], "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_opened_alone_closes_when_who_opened_it_may_no_longer() {
    let bench = Bench::new().await;
    bench.team("storage", &["rob"]).await;
    let run = bench.start(&gated("approvals: 1")).await;
    let asked = bench.asked(None).await;
    let paused = bench
        .json(&format!("/runs/{run}/pause"), &bench.ben, json!({}))
        .await;
    assert!(paused.status.is_success(), "{}", paused.text);
    let body = json!({"digest": bench.digest(asked).await, "reason": "nobody else is awake"});
    let path = format!("/approvals/{asked}/break-glass");
    let opened = bench.json(&path, &bench.rob, body).await;
    assert!(opened.status.is_success(), "{}", opened.text);
    bench
        .sql("delete from team_members where operator_id = (select id from operators where name = 'rob')")
        .await;
    go_on(&bench, run).await;
    bench
        .until(run, "the gate closes", |fact| {
            matches!(fact, RunFact::GateVoided { why, .. } if why == "rob may no longer open a gate alone")
        })
        .await;
    assert_eq!(bench.target.done(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_whose_giver_was_lowered_since_does_not_count_towards_the_others() {
    let bench = Bench::new().await;
    let run = bench.start(&gated("approvals: 2")).await;
    let asked = bench.asked(None).await;
    bench.approve(asked, &bench.ana).await;
    bench
        .sql("update operators set role = 'responder' where name = 'ana'")
        .await;
    bench.approve(asked, &bench.eve).await;
    assert_eq!(bench.state(asked).await, "pending");
    let (zoe, cookie) = bench.site.person("zoe", Role::Approver).await;
    assert!(zoe.teams.is_empty());
    bench.approve(asked, &cookie).await;
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_version_published_meanwhile_changes_neither_the_run_nor_its_approval() {
    let bench = Bench::new().await;
    let (run, asked) = approved(&bench, "approvals: 1", &[&bench.ana]).await;
    bench
        .publish(&gated("approvals: 2").replace("/ok/strike", "/ok/other"))
        .await;
    go_on(&bench, run).await;
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), ["strike"]);
    assert_eq!(bench.state(asked).await, "void", "the run is over");
    let found = runs::find(&mut *bench.site.conn().await, run)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.version.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_lowered_between_their_word_and_its_commit_and_whoever_was_before_has_none() {
    let bench = Bench::new().await;
    let run = bench.start(&gated("approvals: 1")).await;
    let asked = bench.asked(None).await;
    let paused = bench
        .json(&format!("/runs/{run}/pause"), &bench.ben, json!({}))
        .await;
    assert!(paused.status.is_success(), "{}", paused.text);
    let now = bench.site.clock().now();
    let digest = serde_json::from_value(bench.digest(asked).await).unwrap();
    let mut conn = bench.site.conn().await;
    let ana = operators::find_by_name(&mut conn, "ana")
        .await
        .unwrap()
        .unwrap()
        .0;
    let verdict = muster::domain::approval::Verdict::Approve;

    let mut word = bench.site.intake.database.pools.web.begin().await.unwrap();
    people::decide(&mut word, asked, &said(verdict, digest, ""), &ana, now)
        .await
        .unwrap();
    let lower = "set lock_timeout = '200ms'; update operators set role = 'viewer' where name = 'ana'";
    let waited = sqlx::raw_sql(lower)
        .execute(&mut *conn)
        .await
        .map_err(StoreError::from);
    assert!(
        waited.is_err_and(|error| error.is_conflict()),
        "it waits for the word"
    );
    word.commit().await.unwrap();

    // Afterwards it is done at once, and a turn that was planned on the word is refused.
    let before = bench.acts(run).await;
    sqlx::raw_sql(lower).execute(&mut *conn).await.unwrap();
    assert_eq!(bench.acts(run).await, before + 1);

    // The other way about: the session still says approver, the row does not.
    go_on(&bench, run).await;
    let second = bench.asked(Some(asked)).await;
    let digest = serde_json::from_value(bench.digest(second).await).unwrap();
    let mut word = bench.site.intake.database.pools.web.begin().await.unwrap();
    let refused = people::decide(&mut word, second, &said(verdict, digest, ""), &ana, now).await;
    assert!(
        matches!(refused, Err(people::PeopleError::Forbidden(_))),
        "{refused:?}"
    );
    assert_eq!(bench.target.done(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_started_by_itself_still_asks_people_and_cleans_up_whoever_published_it() {
    let bench = Bench::new().await;
    let source = gated("roles: [approver]").replace("steps:", "start: automatic\nsteps:")
        + "finally:\n  - id: tell\n    call: http\n    with: { target: web, method: POST, path: /ok/tell }\n    effect: once\n";
    bench.publish(&source).await;
    let mut conn = bench.site.conn().await;
    let version = runbooks::list_current(&mut conn).await.unwrap().pop().unwrap();
    let now = bench.site.clock().now();
    let none = BTreeMap::new();
    let started = start::begin(
        &mut conn,
        IncidentId(1),
        &version,
        &none,
        Starter::Automation,
        now,
    )
    .await;
    let run = started.unwrap().unwrap();
    let asked = bench.asked(None).await;
    assert_eq!(bench.target.done(), [""; 0]);
    // Whoever published it is gone by now; what the run has begun is its own.
    sqlx::query(
        "insert into publications (runbook_id, version_id, published_by, origin, note, published_at)
         select 1, 1, id, 'the browser', '', now() from operators where name = 'ana'",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    bench
        .sql("update operators set disabled_at = now() where name = 'ana'")
        .await;
    let page = format!("/approvals/{asked}");
    let no = [("verdict", "reject"), ("reason", "not now")];
    bench
        .does(&page, &format!("{page}/decision"), &bench.eve, &no)
        .await;
    assert_eq!(bench.result(run).await, RunResult::Rejected);
    assert_eq!(bench.target.done(), ["tell"]);
}
