//! What is real goes on beside a drill as if there were none: no lock, no circuit and no score of a drill touches it, and
//! when it is as bad as it gets, the drill ends.

use anyhow::ensure;
use muster::{domain::drill::EndKind, incident::respond, store::drills};
use serde_json::json;
use sqlx::Connection;

use super::stage::{SOON, Stage};
use crate::fleet::wait;

/// It fails to reach its target until the circuit opens, then holds its lock for an hour.
const RUNBOOK: &str = r#"
runbook: slow-one
title: The slow one
services: [app]
match: ['alertname="Slow"']
start: automatic
locks: [service/app]
steps:
  - id: ask
    call: http
    with: { target: web, method: POST, path: / }
    effect: idempotent
    timeout: 2s
    retry: { attempts: 8, initial: 10ms, max: 10ms }
    on_failure: continue
  - { id: rest, wait: 1h }
"#;

const SCENARIO: &str = r#"
scenario: slow-one
title: The slow one
summary: A target is away, and a lock is held.
brief: Nothing is real.
length: 30m
runbooks: [slow-one]
world:
  services:
    app: { state: { up: false } }
twins:
  web: { http: { up: app.up, answers: [{ path: "*", status: 200, body: {} }] } }
alerts:
  - labels: { alertname: Slow, service: app, severity: warning }
    annotations: {}
    while: not app.up
expected:
  - { id: take, acknowledge: true, within: 10m }
"#;

const TARGETS: &str = r#"
targets:
  - { name: web, http: { url: "http://127.0.0.1:REAL_PORT/" } }
"#;

#[tokio::test]
async fn a_real_incident_is_not_slowed_mixed_or_scored_by_a_drill_and_a_real_sev1_ends_it() {
    let stage = Stage::new(&[("slow-one", RUNBOOK)], SCENARIO, TARGETS).await;
    let drill = stage.begin().await;
    let practised = stage.incident(Some(drill)).await;
    stage.run(practised).await;
    // The drill holds its lock, and the circuit of its twin is open.
    stage.counts("select count(*) from target_locks", 1).await;
    stage
        .counts(
            "select count(*) from breakers where state = 'open' and target = 'DRILL-1 web'",
            1,
        )
        .await;
    assert_eq!(stage.canary.connections(), 0);

    stage
        .alert(json!({"alertname": "Slow", "service": "app", "severity": "warning"}))
        .await;
    let real = stage.incident(None).await;
    assert_ne!(real, practised);
    let run = stage.run(real).await;
    // It got its lock beside the drill's, and was sent: no circuit stood in its way.
    stage.counts("select count(*) from target_locks", 2).await;
    wait::until("what is real is reached", SOON, async || {
        ensure!(stage.canary.connections() > 0);
        Ok(())
    })
    .await
    .unwrap();
    let story = stage.story(real).await;
    for hindrance in ["lock_awaited", "DRILL-", "circuit of DRILL"] {
        assert!(!story.contains(hindrance), "{story}");
    }
    assert!(!stage.attempts(run).await.is_empty());

    // Taking the real one is no deed of the drill.
    let mut conn = stage.conn().await;
    let mut tx = conn.begin().await.unwrap();
    respond::acknowledge(&mut tx, real, &stage.person, stage.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let card = stage.score(drill).await;
    assert_eq!(card.score.expected[0].done, None, "{:?}", card.score);
    assert_eq!(
        drills::incidents(&mut conn, drill, 10).await.unwrap(),
        [practised]
    );
    assert!(card.drill.state.is_live(), "a warning ends no drill");

    stage
        .alert(json!({"alertname": "Fire", "severity": "critical"}))
        .await;
    let worst = stage.incident(None).await;
    let ended = wait::until("the drill ends", SOON, async || {
        let ended = stage.drill(drill).await.ended;
        ended.ok_or_else(|| anyhow::anyhow!("it goes on"))
    })
    .await
    .unwrap();
    assert_eq!(ended.1, EndKind::RealIncident);
    assert!(ended.2.contains(&format!("INC-{worst}")), "{}", ended.2);
    assert!(stage.story(practised).await.contains("drill_ended"));
    assert!(!stage.story(real).await.contains("drill_ended"));
    // Its run stops and lets its lock go, its circuit is forgotten; the real run goes on.
    stage.counts("select count(*) from target_locks", 1).await;
    stage
        .counts("select count(*) from breakers where target = 'DRILL-1 web'", 0)
        .await;
    let live: i64 = sqlx::query_scalar("select count(*) from run_queue where run_id = $1")
        .bind(run.0)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(live, 1);
}
