//! F27 and storms: many groups at once, one group of many alerts, and a long load. Intake is never held back; what starts
//! by itself is, and says so.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    Bench,
    history::History,
    is_full,
    report::{Row, memory, percentile},
};
use crate::fleet::wait;

/// Starts by itself on whatever the storm brings.
const RUNBOOK: &str = r#"
runbook: look
title: Look at it
match: ['alertname=~"storm.*"']
start: automatic
steps:
  - id: breathe
    wait: 1s
"#;

/// What a source may start by itself when nobody says otherwise.
const STARTS_MAX: i64 = 20;

/// Answers of a storm in a build for tests, on a machine that does other things; the promise of a release build is 2 s.
fn answer_max() -> Duration {
    Duration::from_secs(if is_full() { 2 } else { 5 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_taken_in_and_starts_no_more_than_its_source_may() {
    let bench = Bench::with("storm", &[("look.yaml", RUNBOOK)], &[]).await;
    bench.history.forget_times();
    let groups = if is_full() { 2_000 } else { 400 };
    let answers = bench.history.burst(groups, 64).await;
    assert!(
        answers.iter().all(|sent| matches!(sent.status, Some(200 | 202))),
        "{answers:?}"
    );
    let p99 = percentile(&answers, 99);
    let drained = bench.drains(Duration::from_secs(120)).await;
    let mut conn = bench.server.connect().await;
    let one = async |conn: &mut sqlx::PgConnection, sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
    };
    let incidents = one(&mut conn, "select count(*) from incidents").await;
    let started = one(&mut conn, "select count(*) from runs where mode = 'automatic'").await;
    let held = one(
        &mut conn,
        "select count(*) from events where kind = 'start_held_back'",
    )
    .await;
    let remark = format!(
        "{incidents} incidents, {started} runs started, {held} held back and told; drained in {:.1} s",
        drained.as_secs_f64()
    );
    bench
        .checked(Row {
            fault: "F27 many groups at once",
            fired: groups,
            remark,
        })
        .await;
    assert!(p99 < answer_max(), "{p99:?}");
    assert_eq!(started, STARTS_MAX);
    assert_eq!(
        started + held,
        incidents,
        "each match has started a run or says why not"
    );
    assert!(incidents >= groups as i64);

    // One group of very many alerts.
    let alerts = if is_full() { 10_000 } else { 3_000 };
    let body = json!({"receiver": "r", "groupKey": "huge", "alerts": (0..alerts).map(|n| json!({
        "status": "firing", "labels": {"alertname": "stormy", "instance": format!("host-{n}")},
        "annotations": {"summary": "one of very many, with a text of the usual length"},
        "startsAt": "2026-11-21T02:59:00Z",
    })).collect::<Vec<_>>()});
    let sent = bench.history.send("huge".to_owned(), body.to_string()).await;
    assert!(matches!(sent.status, Some(200 | 202)), "{sent:?}");
    bench.drains(Duration::from_secs(120)).await;
    let known: i64 = one(
        &mut conn,
        "select count(*) from alerts where labels ->> 'alertname' = 'stormy'",
    )
    .await;
    assert_eq!(known, alerts);
    let (now, highest) = memory(bench.muster.as_ref().unwrap());
    let remark = format!("one body of {alerts} alerts");
    bench
        .checked(Row {
            fault: "F27 one group of many alerts",
            fired: known as usize,
            remark,
        })
        .await;
    assert!(sent.took < answer_max(), "{sent:?}");
    assert!(
        now < 300 && highest < 400,
        "{now} MiB, at the highest {highest} MiB"
    );

    // As many deliveries as the machine sends for a while.
    let (rate, long) = match is_full() {
        true => (2_000.0, Duration::from_secs(300)),
        false => (200.0, Duration::from_secs(2)),
    };
    let before = bench.history.sent().len();
    let answers = load(&bench.history, rate, long).await;
    wait::until("all of it is stored", Duration::from_secs(300), async || {
        anyhow::ensure!(bench.files("spool").is_empty());
        Ok(())
    })
    .await
    .unwrap();
    let sent = bench.history.sent().len() - before;
    let remark = format!("{:.0} of {rate:.0} a second", answers as f64 / long.as_secs_f64());
    bench
        .checked(Row {
            fault: "F27 a long load",
            fired: sent,
            remark,
        })
        .await;
    let (now, _) = memory(bench.muster.as_ref().unwrap());
    assert!(now < 300, "{now} MiB");
}

/// Keeps a rate as far as 64 senders can, for that long and the last second's deliveries; how many were accepted.
async fn load(history: &Arc<History>, rate: f64, long: Duration) -> usize {
    let mut accepted = 0;
    let ends = tokio::time::Instant::now() + long;
    while tokio::time::Instant::now() < ends {
        let began = tokio::time::Instant::now();
        let answers = history.burst(rate as usize, 64).await;
        accepted += answers
            .iter()
            .filter(|sent| matches!(sent.status, Some(200 | 202)))
            .count();
        tokio::time::sleep_until(began + Duration::from_secs(1)).await;
    }
    accepted
}
