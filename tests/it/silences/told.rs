//! Alerts nobody can be asked about: people are told once, and say how it stands.

use std::time::Duration;

use axum::http::StatusCode;
use muster::domain::operator::Role;
use serde_json::json;

use super::world::LONG;
use crate::support::site::Site;

const STALE: &str = "select count(*) from events where kind = 'alerts_stale'";

fn body(status: &str) -> String {
    json!({"receiver": "r", "groupKey": "g", "alerts": [{
        "status": status, "labels": {"alertname": "Down"}, "startsAt": "2026-11-21T02:00:00Z",
        "endsAt": "2026-11-21T02:30:00Z"}]})
    .to_string()
}

async fn firing() -> (Site, String) {
    let site = Site::new().await;
    let (_, cookie) = site.person("ana", Role::Responder).await;
    let (status, _) = site.intake.post("prom", body("firing")).await;
    assert_eq!(status, StatusCode::OK);
    (site, cookie)
}

#[tokio::test]
async fn people_are_told_once_and_say_that_it_is_over() {
    let (site, _) = firing().await;
    let upkeep = &site.intake.upkeep;
    site.clock().advance(Duration::from_secs(8 * 3600));
    assert_eq!(upkeep.tell_stale().await.unwrap(), 0, "ten minutes early");
    site.clock().advance(Duration::from_secs(600));
    assert_eq!(upkeep.tell_stale().await.unwrap(), 1);
    site.clock().advance(LONG);
    assert_eq!(upkeep.tell_stale().await.unwrap(), 0, "once");
    assert_eq!(site.intake.database.count(STALE).await, 1);

    // The first session is over by now.
    let (_, cookie) = site.person("ben", Role::Responder).await;
    let page = site.get("/incidents/1", &cookie).await;
    let op = page.field("op");
    let fields = [("op", op.as_str()), ("reason", "I looked at the <host>")];
    let done = site.post("/incidents/1/alerts/1/over", &cookie, &fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let page = site.get("/incidents/1", &cookie).await.text;
    assert!(
        page.contains("Over: Down: I looked at the &#60;host&#62;"),
        "{page}"
    );
    assert!(!page.contains("It is over"));
    site.intake.pass(Duration::from_secs(1)).await;
    let incident = site.get("/api/v1/incidents/1", &cookie).await.json();
    assert_eq!(
        incident["state"], "resolved",
        "a person's word needs no hold-down"
    );
    let late = site
        .post_json("/api/v1/incidents/1/alerts/1/over", &cookie, "{}")
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_word_of_it_begins_the_time_anew_whoever_says_it() {
    let (site, cookie) = firing().await;
    let upkeep = &site.intake.upkeep;
    site.clock().advance(LONG);
    assert_eq!(upkeep.tell_stale().await.unwrap(), 1);
    let path = "/api/v1/incidents/1/alerts/1/still-firing";
    let done = site.post_json(path, &cookie, "{\"reason\": \"seen\"}").await;
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", done.text);
    let alert = site.get("/api/v1/incidents/1", &cookie).await.json()["alerts"][0].clone();
    assert_eq!(alert["is_stale"], false);
    assert_eq!(upkeep.tell_stale().await.unwrap(), 0);
    site.clock().advance(LONG);
    assert_eq!(
        upkeep.tell_stale().await.unwrap(),
        1,
        "and again nobody spoke of it"
    );

    // A delivery takes the mark away by itself.
    site.intake.post("prom", body("firing")).await;
    let alert = site.get("/api/v1/incidents/1", &cookie).await.json()["alerts"][0].clone();
    assert_eq!(alert["is_stale"], false);
    site.clock().advance(LONG);
    assert_eq!(upkeep.tell_stale().await.unwrap(), 1);
}

#[tokio::test]
async fn what_nobody_could_say_while_muster_was_away_is_not_held_against_a_sender() {
    let (site, _) = firing().await;
    site.clock().advance(LONG);
    let mut upkeep = site.intake.upkeep.clone();
    upkeep.listening_since = site.clock().now();
    assert_eq!(upkeep.tell_stale().await.unwrap(), 0);
    // Half of 8h10m: a sender that repeats at all has done so by then.
    site.clock().advance(Duration::from_secs(4 * 3600 + 299));
    assert_eq!(upkeep.tell_stale().await.unwrap(), 0);
    site.clock().advance(Duration::from_secs(1));
    assert_eq!(upkeep.tell_stale().await.unwrap(), 1);
}
