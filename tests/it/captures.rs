//! Recorded traffic of real Alertmanagers, posted twice: the end state is the stated one both times.

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use muster::domain::span::Span;
use serde_json::Value;

use crate::support::intake::Intake;

/// Incidents opened, open, reopened; alerts firing, resolved.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    opened: i64,
    open: i64,
    reopened: i64,
    firing: i64,
    resolved: i64,
}

async fn counts(intake: &Intake) -> Counts {
    let db = &intake.database;
    Counts {
        opened: db.count("select count(*) from incidents").await,
        open: db
            .count("select count(*) from incidents where state in ('triggered', 'acknowledged', 'mitigated')")
            .await,
        reopened: db.count("select coalesce(sum(reopened), 0)::bigint from incidents").await,
        firing: db
            .count("select count(*) from alerts a join episodes e on e.id = a.latest_episode_id where e.ends_at is null")
            .await,
        resolved: db
            .count(
                "select count(*) from alerts a join episodes e on e.id = a.latest_episode_id
                 where e.ends_at is not null",
            )
            .await,
    }
}

fn recording(name: &str) -> Vec<(String, String)> {
    let path = format!(
        "{}/tests/data/alertmanager/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let recording: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let requests = recording["requests"].as_array().unwrap().iter();
    requests
        .map(|request| {
            (
                text(&request["path"]).replace("/hook/", ""),
                text(&request["body_raw"]),
            )
        })
        .collect()
}

async fn replay_twice(name: &str, heartbeat: Option<Span>) -> Intake {
    let intake = Intake::new().await;
    let requests = recording(name);
    let sources: BTreeMap<&str, ()> = requests.iter().map(|(source, _)| (source.as_str(), ())).collect();
    for source in sources.keys() {
        intake.source(source, heartbeat).await;
    }
    let mut ends = Vec::new();
    for _ in 0..2 {
        for (source, body) in &requests {
            let (status, answer) = intake.post(source, body.clone()).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            intake.clock.advance(Duration::from_millis(1));
        }
        if heartbeat.is_none() {
            intake.pass(Duration::from_secs(61)).await;
        }
        ends.push(counts(&intake).await);
    }
    assert_eq!(
        ends[0], ends[1],
        "{name}: the second replay changed the end state"
    );
    intake
}

async fn ends_in(
    name: &str,
    (opened, open, reopened): (i64, i64, i64),
    (firing, resolved): (i64, i64),
) -> Intake {
    let intake = replay_twice(name, None).await;
    let stated = Counts {
        opened,
        open,
        reopened,
        firing,
        resolved,
    };
    assert_eq!(counts(&intake).await, stated, "{name}");
    intake
}

#[tokio::test]
async fn an_alert_fires_and_resolves() {
    let intake = ends_in("01-single-fire-resolve", (1, 0, 0), (0, 1)).await;
    assert_eq!(
        intake
            .database
            .count("select count(*) from episodes where ends_at < '2000-01-01'")
            .await,
        0
    );
}

#[tokio::test]
async fn a_group_resolves_in_parts_and_fires_again() {
    ends_in("02-group-partial-resolve-refire", (1, 0, 1), (0, 5)).await;
}

#[tokio::test]
async fn a_repeat_changes_nothing_but_annotations() {
    let intake = ends_in("03-repeats-and-annotation-change", (2, 1, 0), (1, 1)).await;
    let changed = "select count(*) from alerts a join sources s on s.id = a.source_id
                   where s.name = 'annotation-change' and a.annotations ->> 'v' = '2'";
    assert_eq!(intake.database.count(changed).await, 1);
}

#[tokio::test]
async fn retried_bodies_open_one_incident() {
    ends_in("04-retry-500-then-200", (1, 0, 0), (0, 1)).await;
}

#[tokio::test]
async fn a_truncated_group_never_recovers_by_itself() {
    let intake = ends_in("11-max-alerts-truncated", (1, 1, 0), (0, 3)).await;
    assert_eq!(
        intake
            .database
            .count("select truncated_alerts::bigint from incidents")
            .await,
        7
    );
}

#[tokio::test]
async fn a_late_resolve_keeps_the_senders_end() {
    let intake = ends_in("18-silenced-resolve-arrives-late", (1, 0, 0), (0, 1)).await;
    let stated = "select count(*) from incidents where recovered_at = '2026-11-21T02:01:39.864Z'";
    assert_eq!(intake.database.count(stated).await, 1);
}

#[tokio::test]
async fn hostile_text_is_kept_to_the_byte() {
    let intake = ends_in("22-hostile-text", (1, 0, 0), (0, 1)).await;
    let (_, body) = recording("22-hostile-text").swap_remove(0);
    let sent: Value = serde_json::from_str(&body).unwrap();
    let kept: Value = sqlx::query_scalar(
        "select jsonb_build_object('labels', labels, 'annotations', annotations) from alerts",
    )
    .fetch_one(&intake.database.pools.web)
    .await
    .unwrap();
    assert_eq!(kept["labels"], sent["alerts"][0]["labels"]);
    assert_eq!(kept["annotations"], sent["alerts"][0]["annotations"]);
    let raw: Vec<u8> = sqlx::query_scalar("select body from deliveries order by id limit 1")
        .fetch_one(&intake.database.pools.web)
        .await
        .unwrap();
    assert_eq!(raw, body.as_bytes());
}

#[tokio::test]
async fn a_storm_of_two_thousand_alerts_is_one_incident() {
    ends_in("26-storm-2000-one-group", (1, 1, 0), (2000, 0)).await;
}

#[tokio::test]
async fn two_senders_without_gossip_are_one_incident() {
    ends_in("34-split-brain-two-alone", (1, 0, 0), (0, 1)).await;
}

#[tokio::test]
async fn a_heartbeat_opens_nothing_until_it_is_silent() {
    let intake = replay_twice("39-watchdog-heartbeat", Some(Span::from_secs(60))).await;
    let quiet = Counts {
        opened: 0,
        open: 0,
        reopened: 0,
        firing: 0,
        resolved: 0,
    };
    assert_eq!(counts(&intake).await, quiet);
    intake.pass(Duration::from_secs(59)).await;
    assert_eq!(counts(&intake).await, quiet);
    intake.pass(Duration::from_secs(2)).await;
    intake.pass(Duration::from_secs(600)).await;
    assert_eq!(
        counts(&intake).await,
        Counts {
            opened: 1,
            open: 1,
            ..quiet
        }
    );
}
