//! Whom a runbook and its gates name, on every path; and approvals that fall with the rights of whoever gave them.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use muster::{
    domain::{
        id::{ApprovalId, OperatorId, RunId},
        operator::Role,
        run::{RunFact, RunResult},
    },
    execute::people,
    store::{StoreError, operators, runs, teams},
};
use serde_json::json;

use super::{Bench, op};

const NAMED: &str = r#"
runbook: named
title: For the storage team
access: { start: { teams: [storage] } }
steps:
  - id: look
    manual: Look at it
"#;

const GATED: &str = r#"
runbook: gated
title: One effect below a gate
access: { start: { teams: [storage] } }
steps:
  - id: ask
    gate: { decide_within: 15m, use_within: 10m, TEAMS }
    title: Strike?
  - id: strike
    call: http
    with: { target: web, method: POST, path: /ok/strike }
    effect: once
"#;

fn gated(rule: &str) -> String {
    GATED.replace("TEAMS", rule)
}

/// One word over a run: as JSON, and by form.
struct Word {
    path: String,
    body: serde_json::Value,
    form: String,
    fields: &'static [(&'static str, &'static str)],
}

/// Everything that somebody can do to a run besides deciding at its gate.
fn words(run: RunId) -> Vec<Word> {
    let why = json!({"reason": "because", "note": "looked"});
    let unknown = json!({"choice": "mark_done", "evidence": "seen"});
    let resume = json!({"reason": "because"});
    let because = &[("reason", "because")];
    let all: [(&str, &serde_json::Value, &str, &'static [(&str, &str)]); 8] = [
        ("pause", &why, "pause", because),
        ("go-on", &why, "go-on", &[]),
        (
            "steps/look/skip",
            &why,
            "skip",
            &[("step", "look"), ("reason", "because")],
        ),
        ("steps/look/done", &why, "steps/look/done", &[("note", "looked")]),
        (
            "steps/look/unknown",
            &unknown,
            "steps/look/unknown",
            &[("choice", "mark_done"), ("evidence", "seen")],
        ),
        ("undo", &why, "undo", because),
        ("stop", &why, "stop", because),
        ("resume", &resume, "resume", &[("version", "1")]),
    ];
    let word = |(path, body, form, fields): &(&str, &serde_json::Value, &str, &'static [_])| Word {
        path: format!("/runs/{run}/{path}"),
        body: (*body).clone(),
        form: format!("/runs/{run}/{form}"),
        fields,
    };
    all.iter().map(word).collect()
}

impl Bench {
    async fn team(&self, name: &str, people: &[&str]) {
        let mut conn = self.site.conn().await;
        teams::insert(&mut conn, name, self.site.clock().now())
            .await
            .unwrap();
        for person in people {
            let id = self.number(person).await;
            teams::set_of(&mut conn, id, &[name.to_owned()]).await.unwrap();
        }
    }

    async fn number(&self, name: &str) -> OperatorId {
        let mut conn = self.site.conn().await;
        let found = operators::find_by_name(&mut conn, name).await.unwrap();
        found.unwrap().0.id
    }

    async fn sql(&self, sql: &'static str) {
        sqlx::query(sql)
            .execute(&mut *self.site.conn().await)
            .await
            .unwrap();
    }

    async fn acts(&self, run: RunId) -> i64 {
        sqlx::query_scalar("select acts from run_queue where run_id = $1")
            .bind(run.0)
            .fetch_one(&mut *self.site.conn().await)
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_runbook_names_starts_and_steers_its_runs_and_nobody_else() {
    let bench = Bench::new().await;
    bench.team("storage", &["rob", "vic"]).await;
    bench.team("web", &["ana"]).await;
    bench.publish(NAMED).await;
    // Each with whether they may: an admin, a responder in the team, an approver in another, one in none, a viewer in it.
    let people = [
        ("ben", bench.ben.clone(), true),
        ("rob", bench.rob.clone(), true),
        ("ana", bench.ana.clone(), false),
        ("eve", bench.eve.clone(), false),
        ("vic", bench.vic.clone(), false),
    ];
    let mut run = None;
    for (name, cookie, may) in &people {
        let body = json!({"runbook": "named"});
        let made = bench.json("/incidents/1/runs", cookie, body).await;
        let expected = if *may {
            StatusCode::CREATED
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(made.status, expected, "{name}: {}", made.text);
        match may {
            true => run = Some(RunId(made.json()["run"].as_i64().unwrap())),
            false if *name == "vic" => {}
            false => {
                assert!(
                    made.text.contains("it is for the team storage only"),
                    "{}",
                    made.text
                );
                assert!(made.text.contains("An admin can change"), "{}", made.text);
            }
        }
        let (id, op) = op();
        let form = [(id.as_str(), op.as_str()), ("version", "1")];
        let answer = bench.site.post("/incidents/1/runs", cookie, &form).await;
        assert_eq!(
            answer.status == StatusCode::FORBIDDEN,
            !may,
            "{name}: {}",
            answer.text
        );
    }
    let run = run.unwrap();
    // Those who may not come first: what they try changes nothing.
    for (name, cookie, may) in people.iter().rev() {
        for Word {
            path,
            body,
            form: address,
            fields,
        } in words(run)
        {
            let answer = bench.json(&path, cookie, body).await;
            assert_ne!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text);
            let is_refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(is_refused, !may, "{name} {path}: {}", answer.text);
            let (id, op) = op();
            let mut form = vec![(id.as_str(), op.as_str())];
            form.extend(fields.iter().copied());
            let answer = bench.site.post(&address, cookie, &form).await;
            let is_refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(is_refused, !may, "{name} {address}: {}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_version_that_names_others_takes_nobodys_run_away() {
    let bench = Bench::new().await;
    bench.team("storage", &["rob"]).await;
    let run = bench.start(NAMED).await;
    bench.publish(&NAMED.replace("[storage]", "[network]")).await;
    let refused = bench
        .json("/incidents/1/runs", &bench.rob, json!({"runbook": "named"}))
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    let path = format!("/runs/{run}/stop");
    let stopped = bench.json(&path, &bench.rob, json!({})).await;
    assert!(stopped.status.is_success(), "{}", stopped.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_names_a_team_asks_its_members_and_is_opened_alone_only_by_who_may_start() {
    let bench = Bench::new().await;
    bench.team("dba", &["rob"]).await;
    let run = bench.start(&gated("teams: [dba]")).await;
    let asked = bench.asked(None).await;
    let page = format!("/approvals/{asked}");
    let html = bench.page(&page, &bench.ana).await;
    assert!(html.contains("the team dba by name"), "{html}");
    let digest = bench.digest(asked).await;
    let decision = json!({"digest": digest, "verdict": "approve"});
    let path = format!("/approvals/{asked}/decision");
    let refused = bench.json(&path, &bench.ana, decision).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert!(
        refused
            .text
            .contains("This gate asks for the team dba by name. An admin can change roles and teams"),
        "{}",
        refused.text
    );
    let alone = json!({"digest": digest, "reason": "nobody else is awake"});
    let path = format!("/approvals/{asked}/break-glass");
    let refused = bench.json(&path, &bench.eve, alone.clone()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert!(refused.text.contains("the team storage"), "{}", refused.text);
    bench.approve(asked, &bench.rob).await;
    assert_eq!(bench.result(run).await, RunResult::Succeeded);
    assert_eq!(bench.target.done(), ["strike"]);
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
    people::decide(&mut word, asked, digest, verdict, "", &ana, now)
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
    let refused = people::decide(&mut word, second, digest, verdict, "", &ana, now).await;
    assert!(
        matches!(refused, Err(people::PeopleError::Forbidden(_))),
        "{refused:?}"
    );
    assert_eq!(bench.target.done(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_is_explained_as_it_is_enforced() {
    let bench = Bench::new().await;
    bench.team("storage", &["rob"]).await;
    bench.publish(&gated("teams: [storage]")).await;
    let names = ["ben", "ana", "eve", "rob", "vic"];
    let mut answers = BTreeMap::new();
    for (name, cookie) in names
        .into_iter()
        .zip([&bench.ben, &bench.ana, &bench.eve, &bench.rob, &bench.vic])
    {
        let path = format!("/access?person={name}&action=run&runbook=gated");
        let body = bench.get_json(&path).await;
        let made = bench
            .json("/incidents/1/runs", cookie, json!({"runbook": "gated"}))
            .await;
        assert_eq!(body["may"], made.status == StatusCode::CREATED, "{name}: {body}");
        answers.insert(name, body["answer"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        answers["rob"],
        "yes, because rob is in the team storage, which the runbook names"
    );
    assert_eq!(
        answers["eve"],
        "no: the runbook names the team storage, and eve is not among them"
    );
    let own = bench
        .get_json("/access?person=rob&action=decide&runbook=gated&gate=ask&own=true")
        .await;
    assert_eq!(
        own["answer"],
        "no: rob started this run, and the gate wants somebody else"
    );
    let page = "/settings/access?person=rob&action=decide&runbook=gated&gate=ask";
    let html = bench.page(page, &bench.vic).await;
    for said in [
        "May rob decide at gates: ask of gated?",
        "Yes, because rob is in the team storage, which the gate names.",
        "<option value=\"rob\" selected>",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    for (query, fault) in [
        ("person=nobody&action=run", "Nobody who can sign in is called"),
        ("person=rob&action=fly", "There is no action called"),
        ("person=rob&action=run&runbook=x", "There is no runbook"),
        (
            "person=rob&action=decide&runbook=gated&gate=strike",
            "has no gate",
        ),
    ] {
        let html = bench.page(&format!("/settings/access?{query}"), &bench.vic).await;
        assert!(html.contains(fault), "{query}: {html}");
        let answer = bench
            .site
            .get(&format!("/api/v1/access?{query}"), &bench.vic)
            .await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
}
