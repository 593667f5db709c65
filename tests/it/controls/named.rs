//! Whom a runbook and its gates name, on every path, and how that is explained.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use muster::{
    domain::{
        id::{OperatorId, RunId},
        run::RunResult,
    },
    store::{operators, teams},
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

pub(super) const GATED: &str = r#"
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

/// A runbook with this rule at its gate.
pub(super) fn gated(rule: &str) -> String {
    GATED.replace("TEAMS", rule)
}

/// One word over a run: as JSON, and by form.
struct Word {
    path: String,
    body: serde_json::Value,
    form: String,
    fields: &'static [(&'static str, &'static str)],
}

/// A word as it is written down: its place in the interface, its body, its form and the fields of that.
type Row<'a> = (
    &'a str,
    &'a serde_json::Value,
    &'a str,
    &'static [(&'static str, &'static str)],
);

/// Everything that somebody can do to a run besides deciding at its gate.
fn words(run: RunId) -> Vec<Word> {
    let why = json!({"reason": "because", "note": "looked"});
    let unknown = json!({"choice": "mark_done", "evidence": "seen"});
    let resume = json!({"reason": "because"});
    let because = &[("reason", "because")];
    let all: [Row<'_>; 8] = [
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
    let word = |(path, body, form, fields): &Row<'_>| Word {
        path: format!("/runs/{run}/{path}"),
        body: (*body).clone(),
        form: format!("/runs/{run}/{form}"),
        fields,
    };
    all.iter().map(word).collect()
}

impl Bench {
    pub(super) async fn team(&self, name: &str, people: &[&str]) {
        let mut conn = self.site.conn().await;
        teams::insert(&mut conn, name, self.site.clock().now())
            .await
            .unwrap();
        for person in people {
            let id = self.number(person).await;
            teams::set_of(&mut conn, id, &[name.to_owned()]).await.unwrap();
        }
    }

    pub(super) async fn number(&self, name: &str) -> OperatorId {
        let mut conn = self.site.conn().await;
        let found = operators::find_by_name(&mut conn, name).await.unwrap();
        found.unwrap().0.id
    }

    pub(super) async fn sql(&self, sql: &'static str) {
        sqlx::query(sql)
            .execute(&mut *self.site.conn().await)
            .await
            .unwrap();
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
