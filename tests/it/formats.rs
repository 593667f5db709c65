//! Senders of every format, through the real intake: what they say becomes incidents, and is over when they say so, or
//! when they should have said more and did not.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use muster::domain::source::{SourceKind, SourceSettings};
use serde_json::{Value, json};

use crate::support::intake::{Intake, TOKEN};

const MINUTE: Duration = Duration::from_secs(60);

/// Where the incidents stand, and how many alerts fire.
async fn standing(intake: &Intake) -> (Vec<String>, i64) {
    let states = sqlx::query_scalar("select state from incidents order by id")
        .fetch_all(&intake.database.pools.web)
        .await
        .unwrap();
    let firing = "select count(*) from episodes where ends_at is null";
    (states, intake.database.count(firing).await)
}

fn states(states: &[&str]) -> Vec<String> {
    states.iter().map(ToString::to_string).collect()
}

/// What Prometheus pushes at that time: alerts that fire for four more minutes, or are over.
fn pushed(intake: &Intake, alerts: &[(&str, &str, bool)]) -> String {
    let now = intake.clock.now();
    let lease = now + chrono::TimeDelta::minutes(4);
    let alerts: Vec<Value> = alerts
        .iter()
        .map(|(name, host, fires)| {
            json!({
                "labels": {"alertname": name, "instance": host},
                "startsAt": "2026-11-21T02:59:00.123Z",
                "endsAt": if *fires { lease } else { now },
                "generatorURL": "http://prometheus/graph",
            })
        })
        .collect();
    Value::from(alerts).to_string()
}

#[tokio::test]
async fn prometheus_pushes_without_an_alertmanager_between() {
    let intake = Intake::new().await;
    intake.source("prom", None).await;
    let path = "prometheus/api/v2/alerts";
    let both = [("Down", "a", true), ("Down", "b", true), ("Slow", "a", true)];
    let (status, answer) = intake.post_as("prom", path, pushed(&intake, &both)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    // One incident for each name, by the labels that are taken when a source says nothing else.
    assert_eq!(answer["incidents"], json!(["INC-1", "INC-2"]));
    assert_eq!(standing(&intake).await, (states(&["triggered", "triggered"]), 3));

    // Sent again every minute, it stays; one is over by its own word.
    for _ in 0..10 {
        intake.pass(MINUTE).await;
        let again = [("Down", "a", true), ("Down", "b", true), ("Slow", "a", false)];
        let (status, _) = intake.post_as("prom", path, pushed(&intake, &again)).await;
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!(standing(&intake).await, (states(&["triggered", "resolved"]), 2));

    // Prometheus is gone: what it must renew is over a minute after its lease.
    intake.pass(4 * MINUTE).await;
    assert_eq!(standing(&intake).await.1, 2);
    intake.pass(2 * MINUTE).await;
    intake.pass(2 * MINUTE).await;
    assert_eq!(standing(&intake).await, (states(&["resolved", "resolved"]), 0));
    let said = "select count(*) from events where kind = 'leases_over'";
    assert_eq!(intake.database.count(said).await, 1);
}

#[tokio::test]
async fn after_its_own_outage_muster_waits_for_senders_before_it_calls_anything_over() {
    let mut intake = Intake::new().await;
    intake.source("prom", None).await;
    let path = "prometheus/api/v2/alerts";
    intake
        .post_as("prom", path, pushed(&intake, &[("Down", "a", true)]))
        .await;
    // Nobody ran Muster for an hour.
    intake.clock.advance(60 * MINUTE);
    intake.upkeep.listening_since = intake.clock.now();
    intake.pass(MINUTE).await;
    assert_eq!(standing(&intake).await.1, 1);
    intake
        .post_as("prom", path, pushed(&intake, &[("Down", "a", true)]))
        .await;
    intake.pass(3 * MINUTE).await;
    assert_eq!(standing(&intake).await, (states(&["triggered"]), 1));
}

#[tokio::test]
async fn alerts_of_a_body_that_cannot_be_used_keep_the_others_out_of_nothing() {
    let intake = Intake::new().await;
    intake.source("prom", None).await;
    let body = json!([
        {"labels": {"alertname": "Down"}, "endsAt": "2026-11-21T04:00:00Z"},
        {"labels": {}, "endsAt": "2026-11-21T04:00:00Z"},
    ]);
    let (status, answer) = intake.post_as("prom", "prometheus", body.to_string()).await;
    assert_eq!(
        status,
        StatusCode::BAD_REQUEST,
        "as Alertmanager answers: {answer}"
    );
    assert!(
        answer["error"]["message"].as_str().unwrap().contains("[1]"),
        "{answer}"
    );
    assert_eq!(standing(&intake).await.1, 1);
    let kept = "select count(*) from deliveries where outcome = 'applied' and reason like '%[1]%'";
    assert_eq!(intake.database.count(kept).await, 1);
}

#[tokio::test]
async fn a_source_may_group_by_labels_of_its_own() {
    let intake = Intake::new().await;
    let settings = SourceSettings {
        correlate_by: vec!["cluster".to_owned()],
        ..SourceSettings::default()
    };
    intake.source_with("s", settings).await;
    let alert = |name: &str, cluster: &str| {
        json!({"status": "firing", "startsAt": "2026-11-21T02:59:00Z",
               "labels": {"alertname": name, "cluster": cluster}})
    };
    for (group, alerts) in [
        ("one", vec![alert("Down", "a"), alert("Down", "b")]),
        ("two", vec![alert("Slow", "a")]),
    ] {
        let body = json!({"receiver": "r", "groupKey": group, "alerts": alerts});
        let (status, answer) = intake.post("s", body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    // Two clusters, two incidents, whatever Alertmanager grouped by.
    assert_eq!(standing(&intake).await, (states(&["triggered", "triggered"]), 3));
}

#[tokio::test]
async fn a_body_that_must_be_signed_is_refused_without_the_signature() {
    let intake = Intake::new().await;
    let secret = std::env::temp_dir().join(format!("muster-secret-{}", uuid::Uuid::new_v4()));
    std::fs::write(&secret, "a shared secret").unwrap();
    let settings = SourceSettings {
        format: SourceKind::Grafana,
        sign_with: Some(format!("file:{}", secret.display()).try_into().unwrap()),
        ..SourceSettings::default()
    };
    intake.source_with("grafana", settings).await;
    let body = json!({"version": "1", "receiver": "r", "groupKey": "g", "alerts": [
        {"status": "firing", "startsAt": "2026-11-21T02:59:00Z", "labels": {"alertname": "Down"}}]})
    .to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"a shared secret");
    let right = data_encoding::HEXLOWER.encode(ring::hmac::sign(&key, body.as_bytes()).as_ref());
    for (signature, status) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("00".repeat(32)), StatusCode::UNAUTHORIZED),
        (Some(right), StatusCode::OK),
    ] {
        // Its token stands in the address, as for a sender that can set no header.
        let address = format!("/api/v1/sources/grafana/grafana?token={TOKEN}-grafana");
        let mut request = Request::post(address);
        if let Some(signature) = &signature {
            request = request.header("x-grafana-alerting-signature", signature);
        }
        let answer = intake.send(request.body(Body::from(body.clone())).unwrap()).await;
        assert_eq!(answer.status, status, "{signature:?}: {}", answer.body);
    }
    std::fs::remove_file(secret).unwrap();
}
