//! Maintenance windows hold new alerts; what still fires at their end is placed as if it were new.

use std::sync::Arc;

use axum::http::StatusCode;
use muster::{catalog::parse_runbook, domain::routing::AskedRule, store::runbooks};
use serde_json::json;
use tokio::sync::watch;

use super::{MINUTE, World, threshold, window};

#[tokio::test]
async fn what_still_fires_at_the_end_opens_an_incident_and_what_ended_opens_none() {
    let world = World::new().await;
    world.rule(window(&world, 30), "").await;
    world
        .says(&[("A", 0, None), ("B", 0, None), ("C", 0, None)])
        .await;
    assert_eq!(world.places().await, ["A held", "B held", "C held"]);
    assert!(world.states().await.is_empty());
    // Repeats, a moved start, an end and a new start are read as ever.
    world
        .says(&[("A", 0, None), ("B", 5, None), ("C", 0, Some(2))])
        .await;
    world.says(&[("C", 0, Some(2))]).await;
    world.says(&[("C", 4, None)]).await;
    world.says(&[("C", 4, Some(6)), ("B", 5, Some(7))]).await;
    assert_eq!(world.places().await, ["A held"]);
    world.intake.pass(20 * MINUTE).await;
    assert!(world.states().await.is_empty());

    world.intake.pass(10 * MINUTE).await;
    assert_eq!(world.places().await, ["A 1"]);
    assert_eq!(world.states().await, ["triggered"]);
    assert_eq!(world.held().await, 0);
    assert_eq!(
        world.reason("A").await,
        "it still fires at the end of the maintenance window \"Upgrade\""
    );
    // It is an incident like every other one.
    world.says(&[("A", 0, Some(1900))]).await;
    world.intake.pass(2 * MINUTE).await;
    assert_eq!(world.states().await, ["resolved"]);
}

#[tokio::test]
async fn an_alert_of_an_open_incident_stays_there_and_other_alerts_are_not_held() {
    let world = World::new().await;
    world.says(&[("A", 0, None)]).await;
    world.rule(window(&world, 30), "s").await;
    // Known and new ones of the same group.
    world.says(&[("A", 0, Some(1))]).await;
    world.says(&[("A", 2, None), ("B", 2, None)]).await;
    assert_eq!(world.places().await, ["A 1", "B held"]);
    // Another source.
    world.says_in("other", "g", 0, &[("O", 2, None)]).await;
    assert_eq!(world.places().await, ["A 1", "B held", "O 2"]);
    world.intake.pass(31 * MINUTE).await;
    assert_eq!(world.places().await, ["A 1", "B 1", "O 2"]);
}

#[tokio::test]
async fn a_window_that_a_person_ends_lets_go_at_once() {
    let world = World::new().await;
    let rule = world.rule(window(&world, 600), "").await;
    world.says(&[("A", 0, None)]).await;
    world.end(rule).await;
    world.intake.pass(MINUTE / 60).await;
    assert_eq!(world.places().await, ["A 1"]);
    let acts = world.texts("select kind from audit order by seq").await;
    assert_eq!(acts, ["routing_rule_made", "routing_rule_ended"]);
}

#[tokio::test]
async fn a_weekly_window_holds_on_its_day_and_hands_over_to_the_next() {
    let world = World::new().await;
    // The tests' clock stands on Saturday at 3 o'clock.
    let weekly = |title: &str, at: &str, length: &str| AskedRule {
        kind: "maintenance".to_owned(),
        title: title.to_owned(),
        matchers: "team=shop".to_owned(),
        days: "sat".to_owned(),
        at: at.to_owned(),
        length: length.to_owned(),
        ..AskedRule::default()
    };
    world.rule(weekly("First", "02:00", "2h"), "").await;
    world.rule(weekly("Second", "04:00", "1h"), "").await;
    world.says(&[("A", 0, None)]).await;
    assert_eq!(world.places().await, ["A held"]);
    world.intake.pass(60 * MINUTE).await;
    assert_eq!(world.places().await, ["A held"], "the next one holds it");
    world.intake.pass(60 * MINUTE).await;
    assert_eq!(world.places().await, ["A 1"]);
    assert!(world.reason("A").await.contains("\"Second\""));
}

#[tokio::test]
async fn a_late_firing_report_after_a_held_end_is_believed_when_it_lasts() {
    let world = World::new().await;
    world.rule(window(&world, 30), "").await;
    world.says(&[("A", 0, None)]).await;
    world.says(&[("A", 0, Some(1))]).await;
    world.says(&[("A", 0, None)]).await;
    assert!(world.places().await.is_empty(), "not believed at once");
    world.intake.pass(2 * MINUTE).await;
    assert_eq!(world.places().await, ["A held"], "the window still holds it");
    world.says(&[("A", 0, Some(3))]).await;
    world.intake.pass(40 * MINUTE).await;
    assert!(world.states().await.is_empty());
    // Long after the window: its group is known still.
    world.says(&[("A", 0, None)]).await;
    world.intake.pass(2 * MINUTE).await;
    assert_eq!(world.places().await, ["A 1"]);
}

#[tokio::test]
async fn an_alert_that_the_sender_left_out_keeps_the_incident_from_recovering() {
    let world = World::new().await;
    world.rule(window(&world, 10), "").await;
    world.says_in("s", "g", 7, &[("A", 0, None)]).await;
    world.intake.pass(11 * MINUTE).await;
    world.says_in("s", "g", 7, &[("A", 0, Some(700))]).await;
    world.intake.pass(5 * MINUTE).await;
    assert_eq!(world.states().await, ["triggered"]);
}

#[tokio::test]
async fn what_a_window_lets_go_is_still_counted() {
    let world = World::new().await;
    world.rule(window(&world, 10), "").await;
    world.rule(threshold(2, "5m"), "s").await;
    world.says(&[("A", 0, None)]).await;
    world.intake.pass(10 * MINUTE).await;
    assert_eq!(world.places().await, ["A held"]);
    world.says(&[("B", 700, None)]).await;
    assert_eq!(world.places().await, ["A 1", "B 1"]);
}

const AUTOMATIC: &str = r#"
runbook: on-everything
title: Look at it
match: ['team="shop"']
start: automatic
steps:
  - id: look
    check: http
    with: { target: shop, method: GET, path: / }
"#;

#[tokio::test]
async fn nothing_starts_by_itself_on_a_test_that_was_held() {
    let mut world = World::new().await;
    let now = world.intake.clock.now();
    let runbook = parse_runbook(AUTOMATIC).unwrap().runbook;
    let mut conn = world.intake.database.pools.web.acquire().await.unwrap();
    let version = runbooks::publish(&mut conn, &runbook, AUTOMATIC, "a test", now)
        .await
        .unwrap();
    drop(conn);
    world.intake.upkeep.shelf = watch::channel(Some(Arc::new(vec![version]))).1;
    world.rule(window(&world, 30), "").await;
    for (group, labels) in [
        ("g", json!({"alertname": "A", "team": "shop"})),
        ("t", json!({"alertname": "T", "team": "shop", "muster_test": "x"})),
    ] {
        let body = json!({"receiver": "r", "groupKey": group, "alerts": [
            {"status": "firing", "labels": labels, "startsAt": "2026-11-21T02:59:00Z"}]});
        let (status, answer) = world.intake.post("s", body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    assert_eq!(world.places().await, ["A held", "T held"]);
    world.intake.pass(31 * MINUTE).await;
    assert_eq!(world.places().await, ["A 1", "T 2"]);
    let started = "select incident_id::text from runs order by id";
    assert_eq!(world.texts(started).await, ["1"]);
}
