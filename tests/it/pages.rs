//! The pages and the JSON interface: who sees what, what a form does and does not do, and what hostile text becomes.

use std::time::Duration;

use axum::http::StatusCode;
use futures_util::StreamExt;
use muster::{
    catalog,
    domain::{
        action::Rendered,
        approval::{Bound, BoundStep, Evidence},
        digest::Digest,
        event::{Event, NewEvent},
        id::{ApprovalId, IncidentId, RunId},
        operator::{Operator, Role},
        run::RunFact,
        step::{ActionKind, StepKind},
    },
    execute::people,
    incident::words::{self, NewNote},
    store::{approvals, events, runbooks},
};
use serde_json::{Value, json};

use crate::support::site::Site;

const HOSTILE: &str = "</p><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}gnp";

const RUNBOOK: &str = r#"
runbook: drain
title: Drain the pool
summary: Takes one pool out.
match: ['alertname=~".+"']
start: suggest
inputs:
  pool: { from: labels.pool, required: true }
steps:
  - id: ask
    gate: { approvals: 1, roles: [approver], requester_may_approve: false }
    title: Drain pool {{ inputs.pool }}?
  - id: drain
    call: http
    with: { target: pool, method: POST, path: /drain }
    effect: once
"#;

fn alert(name: &str, number: usize) -> Value {
    json!({
        "status": "firing", "startsAt": "2026-11-21T02:59:00Z", "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": name, "pool": "blue", "instance": format!("host-{number}"), "severity": "critical"},
        "annotations": {"summary": name, "runbook_url": "javascript:alert(3)"},
        "generatorURL": "JaVaScRiPt:alert(4)",
    })
}

pub async fn fire(site: &Site, name: &str, count: usize) {
    let alerts: Vec<Value> = (0..count).map(|number| alert(name, number)).collect();
    let body = json!({
        "version": "4", "receiver": "r", "status": "firing", "truncatedAlerts": 0, "groupKey": "g", "groupLabels": {},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": alerts,
    });
    let (status, _) = site.intake.post("prom", body.to_string()).await;
    assert_eq!(status, StatusCode::OK);
}

async fn events(site: &Site) -> i64 {
    site.intake.database.count("select count(*) from events").await
}

/// A run that `by` started and that waits at its gate.
pub async fn waiting_run(site: &Site, by: &Operator) -> (RunId, ApprovalId) {
    let now = site.clock().now();
    let runbook = catalog::parse_runbook(RUNBOOK).unwrap().runbook;
    let incident = IncidentId(1);
    let mut conn = site.conn().await;
    let version = runbooks::publish(&mut conn, &runbook, RUNBOOK, "drain.yaml", now)
        .await
        .unwrap();
    let run = people::start(&mut conn, incident, version.id, &Default::default(), by, now)
        .await
        .unwrap();
    let (gate, act) = (&runbook.steps[0], &runbook.steps[1]);
    let StepKind::Gate(rule) = &gate.kind else {
        panic!("the first step is the gate");
    };
    let bound = Bound {
        version: version.digest,
        gate: gate.id.clone(),
        steps: vec![BoundStep {
            step: act.id.clone(),
            title: "Drain".to_owned(),
            request: Rendered {
                action: ActionKind::Http,
                target: "pool".to_owned(),
                with: json!({}),
            },
            command: format!("POST /drain {HOSTILE}"),
            target: Digest::ZERO,
            undo: None,
            changes: true,
            irreversible: false,
        }],
        evidence: vec![Evidence {
            step: act.id.clone(),
            title: "Traffic".to_owned(),
            summary: HOSTILE.to_owned(),
            at: now,
        }],
    };
    let decide_by = now + rule.decide_within.as_delta();
    let new = approvals::NewApproval {
        run,
        incident,
        step: &gate.id,
        title: "Drain pool blue?",
        impact: "Half of the capacity is gone.",
        bound: &bound,
        rule,
        requester: Some(by.id),
        decide_by,
    };
    let approval = approvals::insert(&mut conn, &new, now).await.unwrap();
    let opened = RunFact::GateOpened {
        step: gate.id.clone(),
        approval,
        digest: bound.digest(),
        decide_by,
        needed: 1,
    };
    let opened = NewEvent::automatic(Event::Run(run, opened), now);
    events::append(&mut conn, incident, &[opened], now).await.unwrap();
    (run, approval)
}

#[tokio::test]
async fn strangers_see_the_sign_in_page_and_come_back_to_what_they_asked_for() {
    let site = Site::new().await;
    site.person("ana", Role::Admin).await;
    for path in [
        "/incidents",
        "/incidents/1",
        "/incidents/1/postmortem",
        "/incidents/1/postmortem.md",
        "/incidents/1/runs/new",
        "/runs/1",
        "/approvals",
        "/approvals/7?x=1",
        "/runbooks",
        "/runbooks/drain",
        "/deliveries",
        "/deliveries/1/body",
        "/system",
        "/live?scope=incidents",
    ] {
        let answer = site.get(path, "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.header("location").starts_with("/login?next="), "{path}");
    }
    let answer = site.get("/approvals/7?x=1", "").await;
    assert_eq!(answer.header("location"), "/login?next=%2Fapprovals%2F7%3Fx%3D1");
    for path in ["/api/v1/incidents", "/api/v1/approvals", "/api/v1/runs/1"] {
        let answer = site.get(path, "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.json()["error"]["code"], "sign_in");
    }
    let answer = site
        .post("/incidents/1/notes", "", &[("text", "my long note")])
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text.contains("my long note"), "the text is kept");
}

#[tokio::test]
async fn every_page_carries_its_guards_and_shows_hostile_text_as_text() {
    let site = Site::new().await;
    let (ana, cookie) = site.person("ana", Role::Responder).await;
    fire(&site, HOSTILE, 30).await;
    let (run, approval) = waiting_run(&site, &ana).await;
    site.post(
        "/incidents/1/notes",
        &cookie,
        &[("op", &uuid::Uuid::new_v4().to_string()), ("text", HOSTILE)],
    )
    .await;
    for path in [
        "/incidents".to_owned(),
        "/incidents?state=all".to_owned(),
        "/incidents/1?show=all".to_owned(),
        "/incidents/1/runs/new?runbook=drain".to_owned(),
        "/incidents/1/postmortem".to_owned(),
        format!("/runs/{run}"),
        format!("/approvals/{approval}"),
        "/approvals".to_owned(),
        "/runbooks".to_owned(),
        "/runbooks/drain".to_owned(),
        "/deliveries".to_owned(),
        "/system".to_owned(),
        "/nowhere".to_owned(),
    ] {
        let answer = site.get(&path, &cookie).await;
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("require-trusted-types-for 'script'"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        let html = &answer.text;
        assert_eq!(
            html.matches("<script").count(),
            1,
            "only our own script on {path}"
        );
        for mark in [
            "<img",
            "javascript:",
            "JaVaScRiPt:",
            " style=",
            " onclick=",
            "\u{202e}",
        ] {
            assert!(!html.contains(mark), "{mark} on {path}");
        }
        let expected = if path == "/nowhere" { 404 } else { 200 };
        assert_eq!(answer.status.as_u16(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_second_tap_changes_nothing_and_a_late_one_is_told_who_was_faster() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (_, ben) = site.person("ben", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let page = site.get("/incidents/1", &ana).await;
    let (op, seen) = (page.field("op"), page.field("seen"));
    let before = events(&site).await;
    let form = [("op", op.as_str()), ("seen", seen.as_str())];
    for _ in 0..2 {
        let answer = site.post("/incidents/1/acknowledge", &ana, &form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.header("location"), "/incidents/1");
    }
    assert_eq!(events(&site).await, before + 1);

    let other = uuid::Uuid::new_v4().to_string();
    let late = site
        .post(
            "/incidents/1/acknowledge",
            &ben,
            &[("op", &other), ("seen", &seen)],
        )
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.text.contains("ana: Acknowledged"), "{}", late.text);
    assert_eq!(events(&site).await, before + 1);
}

#[tokio::test]
async fn what_no_database_keeps_is_kept_as_its_picture() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    for (path, field, more) in [
        ("/incidents/1/severity", "reason", ("severity", "4")),
        ("/incidents/1/notes", "text", ("x", "")),
        ("/incidents/1/mitigate", "reason", ("x", "")),
        ("/incidents/1/resolve", "reason", ("x", "")),
    ] {
        let page = site.get("/incidents/1", &ana).await;
        let (op, seen) = (page.field("op"), page.field("seen"));
        let form = [
            ("op", op.as_str()),
            ("seen", seen.as_str()),
            (field, "a\0b"),
            more,
        ];
        let done = site.post(path, &ana, &form).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{path} {}", done.text);
    }
    let said = site
        .post_json("/api/v1/incidents/1/notes", &ana, r#"{"text": "c\u0000d"}"#)
        .await;
    assert!(said.status.is_success(), "{}", said.text);
    let page = site.get("/incidents/1", &ana).await.text;
    assert_eq!(page.matches("a\u{2400}b").count(), 4, "{page}");
    assert!(page.contains("c\u{2400}d"), "{page}");
}

#[tokio::test]
async fn a_decision_on_an_old_page_is_held_back_once_and_offered_again_with_its_text() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let page = site.get("/incidents/1", &ana).await;
    fire(&site, "Down", 2).await;
    let form = [
        ("op", page.field("op")),
        ("seen", page.field("seen")),
        ("reason", "all <fine> now".to_owned()),
    ];
    let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
    let held = site.post("/incidents/1/resolve", &ana, &form).await;
    assert_eq!(held.status, StatusCode::CONFLICT);
    assert!(held.text.contains("Alert fired"), "it says what happened");
    assert!(held.text.contains("all &#60;fine&#62; now"), "it keeps the text");
    let (op, seen, reason) = (held.field("op"), held.field("seen"), "all <fine> now");
    let again = site
        .post(
            "/incidents/1/resolve",
            &ana,
            &[("op", &op), ("seen", &seen), ("reason", reason)],
        )
        .await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text);
    let incident = site.get("/api/v1/incidents/1", &ana).await.json();
    assert_eq!(incident["state"], "resolved");
}

#[tokio::test]
async fn roles_and_origins_are_held() {
    let site = Site::new().await;
    let (_, viewer) = site.person("vic", Role::Viewer).await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let page = site.get("/incidents/1", &viewer).await;
    assert!(
        !page.text.contains("action=\"/incidents/1"),
        "a viewer is offered no act"
    );
    let op = uuid::Uuid::new_v4().to_string();
    let answer = site
        .post("/incidents/1/acknowledge", &viewer, &[("op", &op)])
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text.contains("responder") && answer.text.contains("viewer"));
    for site_of_request in ["cross-site", "same-site"] {
        let answer = site
            .post_from(site_of_request, "/incidents/1/acknowledge", &ana, &[("op", &op)])
            .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{site_of_request}");
    }
    let incident = site.get("/api/v1/incidents/1", &ana).await.json();
    assert_eq!(incident["state"], "triggered");
}

#[tokio::test]
async fn a_gate_is_decided_by_somebody_else_on_what_they_saw() {
    let site = Site::new().await;
    let (ana, ana_cookie) = site.person("ana", Role::Approver).await;
    let (_, ben) = site.person("ben", Role::Approver).await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let (_, approval) = waiting_run(&site, &ana).await;
    let address = format!("/approvals/{approval}");
    let decision = format!("{address}/decision");

    for (cookie, why) in [
        (&ana_cookie, "you started this run"),
        (&rob, "this gate asks for approver"),
    ] {
        let page = site.get(&address, cookie).await;
        assert!(page.text.contains("<fieldset disabled"), "{why}");
        assert!(page.text.contains(why), "{}", page.text);
        let (op, digest) = (page.field("op"), page.field("digest"));
        let form = [
            ("op", op.as_str()),
            ("digest", digest.as_str()),
            ("verdict", "approve"),
        ];
        let answer = site.post(&decision, cookie, &form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{why}");
    }

    let page = site.get(&address, &ben).await;
    assert!(page.text.contains("Half of the capacity is gone."));
    assert!(page.text.contains("Approve: Drain pool blue"));
    let (op, digest) = (page.field("op"), page.field("digest"));
    let send = async |op: &str, digest: &str, verdict: &str, reason: &str| {
        let fields = [
            ("op", op),
            ("digest", digest),
            ("verdict", verdict),
            ("reason", reason),
            ("seen", "0"),
        ];
        site.post(&decision, &ben, &fields).await
    };
    let new_op = || uuid::Uuid::new_v4().to_string();
    let other = Digest::ZERO.to_string();
    let changed = send(&new_op(), &other, "approve", "").await;
    assert_eq!(changed.status, StatusCode::CONFLICT);
    assert!(changed.text.contains("has changed since you looked"));
    let silent = send(&new_op(), &digest, "reject", " ").await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    let approved = send(&op, &digest, "approve", "clear enough").await;
    assert_eq!(approved.status, StatusCode::SEE_OTHER, "{}", approved.text);
    let repeated = send(&op, &digest, "approve", "clear enough").await;
    assert_eq!(repeated.status, StatusCode::SEE_OTHER);
    let late = send(&new_op(), &digest, "reject", "no").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.text.contains("Ben approved"), "{}", late.text);
    let page = site.get(&address, &ben).await;
    assert!(page.text.contains("clear enough") && !page.text.contains("name=\"verdict\""));
}

#[tokio::test]
async fn an_open_page_hears_of_exactly_what_it_has_not_seen() {
    let site = Site::new().await;
    let (ana, cookie) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let page = site.get("/incidents/1", &cookie).await;
    let seen = page.field("seen");
    let mut stream = site
        .live(&format!("/live?scope=incident:1&after={seen}"), &cookie)
        .await;
    let mut heard = String::new();
    let mut hear = async |until: &str| {
        while !heard.contains(until) {
            let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
            let bytes = next.unwrap_or_else(|_| panic!("never heard {until}: {heard}"));
            heard.push_str(std::str::from_utf8(&bytes.unwrap().unwrap()).unwrap());
        }
        std::mem::take(&mut heard)
    };
    let first = hear("event: tick").await;
    assert!(!first.contains("event: patch"), "nothing happened yet: {first}");

    let mut conn = site.conn().await;
    let now = site.clock().now();
    let note = NewNote {
        text: "look <here>".to_owned(),
        ..NewNote::default()
    };
    words::note(&mut conn, IncidentId(1), &ana, &note, now)
        .await
        .unwrap();
    site.state.wake.changed();
    let next: i64 = seen.parse::<i64>().unwrap() + 1;
    let news = hear(&format!("id: {next}.0\n")).await;
    assert_eq!(news.matches("\"mode\":\"prepend\"").count(), 1);
    assert!(news.contains(&format!("id=\\\"e{next}\\\"")) && news.contains("look &lt;here&gt;"));
    assert!(
        !news.contains(&format!("id=\\\"e{seen}\\\"")),
        "no row comes twice"
    );
}

#[tokio::test]
async fn programs_get_the_same_facts_and_faults_as_json() {
    let site = Site::new().await;
    let (ana, cookie) = site.person("ana", Role::Approver).await;
    let (_, ben) = site.person("ben", Role::Approver).await;
    fire(&site, HOSTILE, 2).await;
    let (run, approval) = waiting_run(&site, &ana).await;
    let get = async |path: &str| site.get(&format!("/api/v1{path}"), &cookie).await;
    let list = get("/incidents?limit=1").await.json();
    assert_eq!(
        (&list["rows"][0]["key"], &list["rows"][0]["firing"]),
        (&json!("INC-1"), &json!(2))
    );
    assert_eq!(get("/incidents/1").await.json()["alerts"][0]["title"], HOSTILE);
    let timeline = get("/incidents/1/timeline?after=1").await.json();
    assert_eq!(timeline[0]["seq"], 2);
    assert_eq!(
        get(&format!("/runs/{run}")).await.json()["steps"][0]["state"]["state"],
        "gate_open"
    );
    assert_eq!(get("/runbooks/drain").await.json()["source"], RUNBOOK);
    assert_eq!(get("/deliveries").await.json()["rows"][0]["alerts"], 2);
    assert!(get("/openapi.json").await.json()["paths"]["/api/v1/approvals/{id}/decision"].is_object());
    let digest = get(&format!("/approvals/{approval}")).await.json()["digest"].clone();

    let decision = format!("/api/v1/approvals/{approval}/decision");
    let body = json!({"verdict": "approve", "digest": digest}).to_string();
    let own = site.post_json(&decision, &cookie, &body).await;
    assert_eq!(
        (own.status, &own.json()["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("forbidden"))
    );
    let decided = site.post_json(&decision, &ben, &body).await;
    assert_eq!(decided.json(), json!({"state": "approved"}));
    let late = site.post_json(&decision, &ben, &body).await;
    assert_eq!(
        (late.status, &late.json()["error"]["code"]),
        (StatusCode::CONFLICT, &json!("moved_on"))
    );

    for (path, body, status, code) in [
        ("/api/v1/incidents/9/acknowledge", "", 404, "not_found"),
        ("/api/v1/incidents/x/acknowledge", "", 404, "not_found"),
        ("/api/v1/incidents/1/notes", "{\"text\":", 400, "unreadable"),
        ("/api/v1/incidents/1/notes", "{\"text\":\"\"}", 422, "refused"),
        ("/api/v1/incidents/1/resolve", "{}", 422, "refused"),
        ("/api/v1/nothing", "{}", 404, "not_found"),
    ] {
        let answer = site.post_json(path, &cookie, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body}");
        assert_eq!(answer.json()["error"]["code"], code, "{path} {body}");
        assert!(answer.json()["error"]["reference"].as_str().unwrap().len() > 8);
    }
}

#[tokio::test]
async fn without_a_database_every_page_says_so_and_nothing_else() {
    let site = Site::new().await;
    let (_, cookie) = site.person("ana", Role::Admin).await;
    site.intake.database.pools.web.close().await;
    for path in ["/incidents", "/incidents/1", "/approvals", "/system", "/login"] {
        let answer = site.get(path, &cookie).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(answer.text.contains("The database does not answer"), "{path}");
        assert!(answer.text.contains(answer.header("x-request-id")), "{path}");
        assert!(
            !answer.text.to_lowercase().contains("pool"),
            "no word of ours on {path}"
        );
    }
    let answer = site.get("/api/v1/incidents", &cookie).await;
    assert_eq!(answer.json()["error"]["code"], "unavailable");
}

#[tokio::test]
async fn addresses_with_a_slash_too_many_lead_home_and_never_away() {
    let site = Site::new().await;
    for (path, location) in [
        ("/incidents/", "/incidents"),
        ("/incidents/1/?show=all", "/incidents/1?show=all"),
        ("//evil.example/", ""),
    ] {
        assert_eq!(site.get(path, "").await.header("location"), location, "{path}");
    }
    let answer = site.post("/incidents", "", &[]).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), "GET,HEAD");
}
