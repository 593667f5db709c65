//! An incident opens only once enough alerts of a group fire; none that goes on firing is lost.

use axum::{Router, body::Body, http::Request};
use muster::web::hooks::HookLimits;
use serde_json::json;

use super::{MINUTE, World, threshold, window};
use crate::support::intake::{self, TOKEN, routes};

#[tokio::test]
async fn the_last_one_needed_takes_all_of_its_group_along() {
    let world = World::new().await;
    world.rule(threshold(3, "10m"), "s").await;
    world.says(&[("A", 0, None)]).await;
    world
        .says_in("s", "another", 0, &[("X", 0, None), ("Y", 0, None)])
        .await;
    world.says(&[("B", 5, None)]).await;
    // A repeat is no further alert.
    world.says(&[("A", 0, None), ("B", 5, None)]).await;
    assert_eq!(world.places().await, ["A held", "B held", "X held", "Y held"]);
    world.says(&[("C", 9, None)]).await;
    assert_eq!(world.places().await, ["A 1", "B 1", "C 1", "X held", "Y held"]);
    assert_eq!(
        world.reason("A").await,
        "3 alerts of its group fire within 10m: the threshold \"Not for one\" is reached"
    );
    // An open incident asks for no more.
    world.says(&[("D", 12, None)]).await;
    assert_eq!(
        world.places().await,
        ["A 1", "B 1", "C 1", "D 1", "X held", "Y held"]
    );
    let detected = "select count(*) from incidents where detected_at = '2026-11-21T03:00:00Z'";
    assert_eq!(world.intake.database.count(detected).await, 1);
    // All of them count for its end.
    for (name, end) in [("A", 20), ("B", 21), ("C", 22)] {
        world.says(&[(name, 0, Some(end))]).await;
    }
    world.intake.pass(2 * MINUTE).await;
    assert_eq!(world.states().await, ["triggered"]);
    world.says(&[("D", 12, Some(200))]).await;
    world.intake.pass(2 * MINUTE).await;
    assert_eq!(world.states().await, ["resolved"]);
}

#[tokio::test]
async fn one_that_ends_before_is_forgotten() {
    let world = World::new().await;
    world.rule(threshold(2, "10m"), "s").await;
    world.says(&[("A", 0, None)]).await;
    world.says(&[("A", 0, Some(3))]).await;
    world.says(&[("B", 5, None)]).await;
    assert_eq!(world.places().await, ["B held"]);
    world.says(&[("B", 5, Some(6))]).await;
    world.intake.pass(20 * MINUTE).await;
    assert!(world.states().await.is_empty());
    // In one body: the end of one and the start of another.
    world.says(&[("A", 1300, None)]).await;
    world.says(&[("A", 1300, Some(1301)), ("B", 1301, None)]).await;
    assert_eq!(world.places().await, ["B held"]);
}

#[tokio::test]
async fn one_that_still_fires_after_the_time_opens_all_the_same_and_takes_its_group_along() {
    let world = World::new().await;
    world.rule(threshold(3, "10m"), "s").await;
    world.says(&[("A", 0, None)]).await;
    world.intake.pass(8 * MINUTE).await;
    world.says(&[("B", 500, None)]).await;
    world.intake.pass(MINUTE).await;
    assert_eq!(world.places().await, ["A held", "B held"]);
    world.intake.pass(MINUTE).await;
    assert_eq!(world.places().await, ["A 1", "B 1"]);
    assert_eq!(
        world.reason("A").await,
        "it still fires; the threshold \"Not for one\" waits no longer"
    );
}

#[tokio::test]
async fn a_rule_that_ends_lets_go_what_it_holds() {
    let world = World::new().await;
    let rule = world.rule(threshold(3, "10m"), "").await;
    world.says(&[("A", 0, None)]).await;
    world.end(rule).await;
    world.says(&[("B", 0, None)]).await;
    world.intake.pass(MINUTE / 60).await;
    assert_eq!(world.places().await, ["A 1", "B 1"]);
}

#[tokio::test]
async fn one_that_no_rule_is_about_opens_and_takes_the_others_along() {
    let world = World::new().await;
    let mut some = threshold(5, "10m");
    some.matchers = "alertname=~\"A|B\"".to_owned();
    world.rule(some, "s").await;
    world.says(&[("A", 0, None), ("B", 0, None)]).await;
    assert_eq!(world.places().await, ["A held", "B held"]);
    world.says(&[("C", 1, None)]).await;
    assert_eq!(world.places().await, ["A 1", "B 1", "C 1"]);
    assert!(world.reason("A").await.contains("its group has an incident now"));
}

#[tokio::test]
async fn a_window_holds_before_anything_is_counted() {
    let world = World::new().await;
    world.rule(threshold(2, "10m"), "s").await;
    world.says(&[("A", 0, None)]).await;
    world.rule(window(&world, 60), "").await;
    world.says(&[("B", 1, None)]).await;
    assert_eq!(world.places().await, ["A held", "B held"]);
    // What was counted for long enough while the window is open is held by it.
    world.intake.pass(11 * MINUTE).await;
    assert_eq!(world.places().await, ["A held", "B held"]);
    world.intake.pass(50 * MINUTE).await;
    assert_eq!(
        world.places().await,
        ["A 1", "B 1"],
        "counted when the window lets go"
    );
    assert!(world.reason("B").await.contains("end of the maintenance window"));
}

#[tokio::test]
async fn two_processes_that_take_one_alert_each_count_both() {
    const GROUPS: usize = 12;
    let world = World::new().await;
    world.rule(threshold(2, "10m"), "s").await;
    let process = || {
        let pool = world.intake.database.pools.intake.clone();
        routes(pool, world.intake.clock.clone(), HookLimits::default())
    };
    let (one, two) = (process(), process());
    let post = async |router: &Router, group: usize, name: &str| {
        let body = json!({"receiver": "r", "groupKey": group.to_string(), "alerts": [{
            "status": "firing", "startsAt": world.epoch, "labels": {"alertname": format!("{name}{group}")},
        }]});
        let request = Request::post("/api/v1/sources/s/alertmanager")
            .header("authorization", format!("Bearer {TOKEN}-s"))
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = intake::send(router, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    for group in 0..GROUPS {
        tokio::join!(post(&one, group, "A"), post(&two, group, "B"));
    }
    assert_eq!(world.states().await.len(), GROUPS);
    assert_eq!(world.held().await, 0);
}
