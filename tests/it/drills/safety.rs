//! Nothing of a drill reaches what is real (P10): a runbook acts in every way there is, and every name it uses is the name
//! of something real as well. Then the same runbook runs for real, which shows that it would have been seen.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use muster::{
    actions::{Bounds, Cage, Outside, World},
    catalog,
    domain::{
        action::{Envelope, Rendered},
        id::IncidentId,
        span::Span,
        step::ActionKind,
    },
    execute::people,
    incident::{merge, respond::RespondError, silencing},
    store::runbooks,
};
use serde_json::json;
use sqlx::{Connection, Row};

use super::stage::{Canary, REAL_LINE, SOON, Stage};
use crate::{fleet::wait, scratch::Scratch};

const RUNBOOK: &str = r#"
runbook: every-way
title: Every way to act
services: [app]
match: ['alertname="EveryWay"']
start: automatic
inputs:
  where: { from: annotations.where, required: true }
steps:
  - { id: http-look, check: http, with: { target: web, path: /health }, on_failure: continue }
  - id: http-do
    call: http
    with: { target: web, method: POST, path: /do, body: { a: 1 } }
    effect: idempotent
    retry: { attempts: 1 }
    verify: { check: http, with: { target: web, path: /done }, expect: result.body.done }
    undo: { call: http, with: { target: web, method: POST, path: /undo } }
    on_failure: continue
  - { id: tcp-look, check: tcp, with: { target: port }, on_failure: continue }
  - { id: sql-look, check: postgres, with: { target: db, query: select 1 }, on_failure: continue }
  - id: sql-do
    call: postgres
    with: { target: db, query: "update app set done = true" }
    effect: idempotent
    retry: { attempts: 1 }
    undo: { call: postgres, with: { target: db, query: "update app set done = false" } }
    on_failure: continue
  - { id: metric, check: prometheus, with: { target: prom, query: up }, on_failure: continue }
  - { id: alerts-look, check: alertmanager, with: { target: alerts, matchers: { a: b } }, on_failure: continue }
  - id: hush
    call: alertmanager
    with: { target: alerts, silence: { matchers: { a: b }, duration: 1h, comment: Hush } }
    retry: { attempts: 1 }
    on_failure: continue
  - { id: lb-look, check: haproxy, with: { target: lb, backend: app }, on_failure: continue }
  - id: lb-do
    call: haproxy
    with: { target: lb, backend: app, drain: a }
    effect: idempotent
    retry: { attempts: 1 }
    undo: { call: haproxy, with: { target: lb, backend: app, enable: a } }
    on_failure: continue
  - { id: loki-lines, logs: loki, with: { target: logs, query: '{app="a"}' }, on_failure: continue }
  - { id: search-lines, logs: elasticsearch, with: { target: search, index: "app-*", query: error }, on_failure: continue }
  - { id: file-lines, logs: file, with: { target: log }, on_failure: continue }
  - { id: program-look, check: command, with: { target: host, program: REAL_PROGRAM }, on_failure: continue }
  - id: program-do
    call: command
    with: { target: host, program: REAL_PROGRAM }
    effect: idempotent
    retry: { attempts: 1 }
    undo: { call: command, with: { target: host, program: REAL_PROGRAM } }
    on_failure: continue
  - { id: astray, check: http, with: { target: "{{ inputs.where }}", path: / }, on_failure: continue }
  - id: breaks
    check: http
    with: { target: web, path: /health }
    expect: "false"
    on_failure: undo
"#;

const STRAY: &str = r#"
runbook: stray
title: Acts on what only the real file names
steps:
  - id: out
    call: http
    with: { target: stranger, method: POST, path: /do }
    effect: idempotent
"#;

const SCENARIO: &str = r#"
scenario: every-way
title: Every way to act
summary: Tries every way out.
brief: Nothing is real.
length: 10m
runbooks: [every-way]
world:
  services:
    app: { state: { up: true, done: false, admin: ready, at: stranger } }
  mitigated: app.done
twins:
  web:
    http:
      answers:
        - { path: /health, status: 200, body: { ok: true } }
        - { path: /done, status: 200, body: { done: "{{ app.done }}" } }
        - { path: /do, method: POST, set: { app.done: true }, status: 200, body: {} }
        - { path: /undo, method: POST, set: { app.done: false }, status: 200, body: {} }
  port: { tcp: {} }
  db:
    postgres:
      answers:
        - { query: "select 1", rows: [{ one: 1 }] }
        - { query: "update*", rows: [] }
  prom: { prometheus: { answers: [{ query: "*", value: 1 }] } }
  alerts: { alertmanager: {} }
  lb: { haproxy: { backends: { app: { a: { up: app.up, admin: app.admin } } } } }
  logs: { loki: { answers: [{ query: "*", lines: [a line of the twin] }] } }
  search: { elasticsearch: { answers: [{ query: "*", lines: [a line of the twin] }] } }
  log: { file: { lines: [a line of the twin] } }
  host: { command: { programs: [{ path: REAL_PROGRAM }], answers: [{ program: "*", output: done by the twin }] } }
alerts:
  - labels: { alertname: EveryWay, service: app, severity: warning }
    annotations: { where: "{{ app.at }}" }
    while: app.up
expected:
  - { id: take, acknowledge: true, within: 5m }
"#;

const TARGETS: &str = r#"
targets:
  - { name: web, http: { url: "http://127.0.0.1:REAL_PORT/", bearer: env:REAL_TOKEN } }
  - { name: stranger, http: { url: "http://127.0.0.1:REAL_PORT/" } }
  - { name: port, tcp: { address: "127.0.0.1:REAL_PORT" } }
  - { name: db, postgres: { host: 127.0.0.1, port: REAL_PORT, user: u, database: d, tls: disable } }
  - { name: prom, prometheus: { url: "http://127.0.0.1:REAL_PORT/" } }
  - { name: alerts, alertmanager: { urls: ["http://127.0.0.1:REAL_PORT/"] } }
  - { name: lb, haproxy: { address: "127.0.0.1:REAL_PORT" } }
  - { name: logs, loki: { url: "http://127.0.0.1:REAL_PORT/" } }
  - { name: search, elasticsearch: { url: "http://127.0.0.1:REAL_PORT/" } }
  - { name: log, file: { path: REAL_FILE } }
  - { name: host, command: { programs: [{ path: REAL_PROGRAM }] } }
"#;

async fn stage() -> Stage {
    Stage::new(&[("every-way", RUNBOOK), ("stray", STRAY)], SCENARIO, TARGETS).await
}

#[track_caller]
fn assert_untouched(stage: &Stage) {
    assert_eq!(stage.canary.connections(), 0, "something real was connected to");
    assert!(!stage.canary.is_marked(), "the real program ran");
}

#[tokio::test]
async fn no_way_to_act_leads_out_of_a_drill_and_every_one_leads_to_what_is_real_without_it() {
    let stage = stage().await;
    let drill = stage.begin().await;
    let incident = stage.incident(Some(drill)).await;
    let run = stage.run(incident).await;
    assert_eq!(stage.over(run).await, "failed", "its last step says so");
    let sent = stage.attempts(run).await;
    assert_untouched(&stage);

    // Every way there is was tried, looked at, done, proved and taken back; all of it worked, so it was a twin that answered.
    let kinds: BTreeSet<&str> = sent.iter().map(|sent| sent.action.as_str()).collect();
    let all: BTreeSet<&str> = ActionKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(kinds, all);
    let undone: Vec<&str> = sent
        .iter()
        .map(|sent| sent.step.as_str())
        .filter(|step| step.starts_with("undo:"))
        .collect();
    for step in ["http-do", "sql-do", "lb-do", "program-do"] {
        assert!(
            undone.iter().any(|undo| undo.contains(step)),
            "{step}: {undone:?}"
        );
    }
    for one in &sent {
        // No scenario can say yet which alerts its monitoring lists: the twin answers that it does not know.
        let is_unknown = one.step == "alerts-look" && one.back.contains("the scenario has no answer to this");
        assert!(
            one.state == "succeeded" || one.step == "breaks" || is_unknown,
            "{one:?}"
        );
        // Where it went is the address of a twin, or a path that was a twin's: nothing of what is real is even named.
        for real in ["127.0.0.1", "localhost", "real.log", "a-real-secret", REAL_LINE] {
            assert!(!one.command.contains(real) && !one.back.contains(real), "{one:?}");
        }
        let is_local = ["file", "command"].contains(&one.action.as_str());
        assert!(is_local || one.command.contains(".twin.test"), "{one:?}");
    }
    // What named something real by a template was not sent at all, and says why.
    let story = stage.story(incident).await;
    assert!(!sent.iter().any(|sent| sent.step == "astray"), "{sent:#?}");
    assert!(
        story.contains("stranger has no twin in this drill, and nothing of a drill leaves it"),
        "{story}"
    );

    // The same without the drill is seen by everything that is real.
    let labels = json!({"alertname": "EveryWay", "service": "app", "severity": "warning"});
    stage.alert_with(labels, json!({"where": "stranger"})).await;
    let real = stage.run(stage.incident(None).await).await;
    assert_eq!(stage.over(real).await, "failed");
    let sent = stage.attempts(real).await;
    assert!(stage.canary.is_marked(), "{sent:#?}");
    assert!(
        stage.canary.connections() >= 10,
        "{} {sent:#?}",
        stage.canary.connections()
    );
    assert!(sent.iter().any(|sent| sent.back.contains(REAL_LINE)), "{sent:#?}");
    assert!(sent.iter().any(|sent| sent.step == "astray"), "{sent:#?}");
}

#[tokio::test]
async fn what_people_ask_for_in_a_drill_stays_in_it_or_is_refused_with_words() {
    let stage = stage().await;
    let drill = stage.begin().await;
    let incident = stage.incident(Some(drill)).await;
    stage.over(stage.run(incident).await).await;
    let now = stage.now();
    let mut conn = stage.conn().await;

    // A runbook that the scenario does not know, with a target that has no twin.
    let versions = runbooks::list_current(&mut conn).await.unwrap();
    let stray = versions
        .iter()
        .find(|version| version.runbook.slug == "stray")
        .unwrap();
    let mut tx = conn.begin().await.unwrap();
    let run = people::start(&mut tx, incident, stray.id, &BTreeMap::new(), &stage.person, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stage.over(run).await, "failed");
    assert!(stage.attempts(run).await.is_empty());
    let story = stage.story(incident).await;
    let refusal = "stranger has no twin in this drill, and nothing of a drill leaves it";
    assert!(story.matches(refusal).count() >= 2, "{story}");

    // A silence, which would be one of the real monitoring; the database refuses it as well, whoever writes it.
    let wanted = silencing::Wanted {
        matchers: "alertname=\"EveryWay\"",
        duration: "1h",
        comment: "hush",
        link: "",
        key: "a-key",
    };
    let asked = silencing::ask(&mut conn, incident, &stage.person, wanted, now).await;
    let Err(RespondError::Refused { message }) = asked else {
        panic!("{asked:?}");
    };
    assert!(
        message.contains(&format!("INC-{incident} is a drill (DRILL-{drill})")),
        "{message}"
    );
    let forced = sqlx::query(
        "insert into silences (incident_id, target, matchers, comment, key, state, asked_at, asked_by, until, due)
         values ($1, 'alerts', 'a=\"b\"', '', 'k', 'asked', now(), $2, now() + interval '1 hour', now())",
    );
    let forced = forced
        .bind(incident.0)
        .bind(stage.person.id.0)
        .execute(&mut *conn)
        .await;
    assert!(
        forced
            .unwrap_err()
            .to_string()
            .contains("nothing of a drill is silenced")
    );

    // Its sender is nobody's: no token opens it, no Alertmanager is asked about it, nobody sends in its name.
    let source: (i64, String) = sqlx::query("select id, name from sources where drill_id = $1")
        .bind(drill.0)
        .fetch_one(&mut *conn)
        .await
        .map(|row| (row.get(0), row.get(1)))
        .unwrap();
    let by = stage.person.actor();
    let token = muster::sources::issue(&mut conn, &source.1, "mine", &by, now).await;
    let said = token.map(|_| ()).unwrap_err().to_string();
    assert!(
        said.contains(&format!("is the sender of DRILL-{drill}")),
        "{said}"
    );
    for forced in [
        "update sources set alertmanager = 'alerts' where drill_id is not null",
        "update sources set heartbeat_within_ms = 60000 where drill_id is not null",
        "insert into source_tokens (source_id, token_hash, created_at, slot)
         select id, decode(repeat('00', 32), 'hex'), now(), 1 from sources where drill_id is not null",
    ] {
        let done = sqlx::query(forced).execute(&mut *conn).await;
        assert!(done.unwrap_err().to_string().contains("drill"), "{forced}");
    }

    // What is real and what is not are never one incident.
    stage
        .alert(json!({"alertname": "Other", "severity": "warning"}))
        .await;
    let real: IncidentId = stage.incident(None).await;
    for (from, into) in [(incident, real), (real, incident)] {
        let mut tx = conn.begin().await.unwrap();
        let merged = merge::merge(&mut tx, from, into, "", &stage.person, now).await;
        let Err(RespondError::Refused { message }) = merged else {
            panic!("{merged:?}");
        };
        assert!(
            message.contains("is real") && message.contains("they are never merged"),
            "{message}"
        );
    }
    assert_untouched(&stage);
}

/// What stands behind all other guards: the way out that drills use knows the addresses of twins and nothing else.
#[tokio::test]
async fn whatever_is_led_astray_meets_the_cage() {
    let (canary, folder) = (Canary::new().await, Scratch::new());
    let targets = catalog::parse_targets(&canary.fill(TARGETS)).unwrap();
    let outside = Outside::caged(Bounds::default(), Cage::new(folder.path().to_owned()));
    let mut kinds = BTreeSet::new();
    for target in targets.0.values() {
        let action = target.kind();
        let with = match action {
            ActionKind::Http | ActionKind::Tcp | ActionKind::File => json!({}),
            ActionKind::Alertmanager => json!({"matchers": {"a": "b"}}),
            ActionKind::Haproxy => json!({"backend": "app"}),
            ActionKind::Elasticsearch => json!({"index": "app", "query": "error"}),
            ActionKind::Postgres | ActionKind::Prometheus | ActionKind::Loki => json!({"query": "select 1"}),
            ActionKind::Command => json!({"program": canary.program()}),
        };
        let request = Rendered {
            action,
            target: target.name.clone(),
            with,
        };
        let envelope = Envelope {
            key: "key".to_owned(),
            fence: 1,
            timeout: Span::from_secs(5),
            not_after: None,
            read_only: true,
        };
        let sent = World::perform(&outside, target, &request, &envelope).await;
        // An Alertmanager that cannot be asked is a finding, and says why.
        let told = match sent {
            Ok(outcome) => outcome.result.to_string(),
            Err(failure) => failure.message,
        };
        let is_refused =
            told.contains("nothing of a drill leaves it") || told.contains("is not read in a drill");
        assert!(is_refused, "{}: {told}", target.name);
        kinds.insert(action.name());
    }
    assert_eq!(kinds.len(), ActionKind::ALL.len());
    assert_eq!((canary.connections(), canary.is_marked()), (0, false));
}

#[tokio::test]
async fn a_preflight_in_a_drill_asks_twins_only() {
    let stage = stage().await;
    let drill = stage.begin().await;
    let incident = stage.incident(Some(drill)).await;
    let report: String = wait::until("the preflight is done", SOON, async || {
        let sql = "select report::text from preflights where incident_id = $1 and state = 'done'";
        let found = sqlx::query_scalar(sql).bind(incident.0);
        let found: Option<String> = found.fetch_optional(&mut *stage.conn().await).await?;
        ensure!(found.is_some(), "not yet");
        Ok(found.unwrap_or_default())
    })
    .await
    .unwrap();
    assert!(report.contains(".twin.test"), "{report}");
    assert!(!report.contains("127.0.0.1"), "{report}");
    stage.over(stage.run(incident).await).await;
    assert_untouched(&stage);
}
