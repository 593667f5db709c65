//! A drill as an appointment: it begins by itself, its players say whether they come, calendars read it, the audit says who
//! decided it, and it stands still when who leads it is gone.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::TimeDelta;
use muster::domain::{id::DrillId, operator::Role};

use super::pages::{SLUG, act, begin, pass, site};
use crate::support::site::Site;

const MINUTE: Duration = Duration::from_secs(60);

fn number(page: &str) -> i64 {
    page.rsplit('/').next().unwrap().parse().unwrap()
}

/// Plans a drill for two hours from now; its page.
async fn plan(site: &Site, cookie: &str, players: &[(&str, &str)]) -> String {
    let at = (site.clock().now() + TimeDelta::hours(2))
        .format("%Y-%m-%dT%H:%M")
        .to_string();
    let mut fields = vec![
        ("scenario", SLUG),
        ("depth", "simulated"),
        ("start", "later"),
        ("at", at.as_str()),
    ];
    fields.extend(players);
    let planned = act(site, cookie, "/drills", &fields).await;
    assert_eq!(planned.status, StatusCode::SEE_OTHER, "{}", planned.text);
    planned.header("location").to_owned()
}

/// How the drill stands, by the API.
async fn state(site: &Site, cookie: &str, page: &str) -> String {
    let json = site.get(&format!("/api/v1{page}"), cookie).await.json();
    json["state"].as_str().unwrap().to_owned()
}

/// Lets the conductor look at everything that is due.
async fn conduct(site: &Site) {
    while site.state.conductor.pass().await.unwrap() {}
}

#[tokio::test]
async fn a_planned_drill_begins_by_itself_and_its_players_say_whether_they_come() {
    let site = site().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (ben, ben_cookie) = site.person("ben", Role::Responder).await;
    let (_, eve) = site.person("eve", Role::Responder).await;
    let player = format!("player.{}", ben.id);
    let page = plan(&site, &ana, &[(&player, "commander")]).await;

    let asked = site.get("/incidents", &ben_cookie).await.text;
    assert!(asked.contains("do you come?"), "{asked}");
    let shown = site.get(&page, &ben_cookie).await.text;
    assert!(
        shown.contains("I come to the drill") && shown.contains("has not answered"),
        "{shown}"
    );
    let answer = format!("{page}/answer");
    for (cookie, comes, status) in [
        (&eve, "yes", StatusCode::UNPROCESSABLE_ENTITY),
        (&ben_cookie, "perhaps", StatusCode::BAD_REQUEST),
        (&ben_cookie, "no", StatusCode::SEE_OTHER),
        (&ben_cookie, "yes", StatusCode::SEE_OTHER),
    ] {
        let done = act(&site, cookie, &answer, &[("comes", comes)]).await;
        assert_eq!(done.status, status, "{comes}: {}", done.text);
    }
    let shown = site.get(&page, &ana).await.text;
    assert!(
        shown.contains("plays <bdi>commander</bdi>, comes") && !shown.contains("I come to the drill"),
        "{shown}"
    );
    let asked = site.get("/incidents", &ben_cookie).await.text;
    assert!(!asked.contains("do you come?"), "{asked}");

    let name = format!("UID:DRILL-{}.", number(&page));
    for path in ["/drills/calendar.ics", &format!("{page}/invitation.ics")] {
        let calendar = site.get(path, &ben_cookie).await;
        assert!(calendar.header("content-type").starts_with("text/calendar"));
        assert!(
            calendar.text.contains(&name) && calendar.text.contains("STATUS:CONFIRMED"),
            "{path}: {}",
            calendar.text
        );
    }

    conduct(&site).await;
    assert_eq!(state(&site, &ana, &page).await, "planned", "not before its time");
    site.clock().advance(120 * MINUTE);
    conduct(&site).await;
    assert_eq!(state(&site, &ana, &page).await, "running");
    let calendar = site.get("/drills/calendar.ics", &ana).await.text;
    assert!(
        !calendar.contains(&name),
        "it is not planned any more: {calendar}"
    );
}

#[tokio::test]
async fn a_planned_drill_waits_for_what_is_real_and_not_for_ever() {
    let site = site().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (first, second) = (plan(&site, &ana, &[]).await, plan(&site, &ana, &[]).await);
    let reported = act(
        &site,
        &ana,
        "/incidents/new",
        &[("title", "Shop is down"), ("severity", "1")],
    )
    .await;
    assert_eq!(reported.status, StatusCode::SEE_OTHER, "{}", reported.text);
    site.clock().advance(121 * MINUTE);
    site.state
        .conductor
        .look_at(DrillId(number(&first)))
        .await
        .unwrap();
    assert_eq!(
        state(&site, &ana, &first).await,
        "planned",
        "people are needed there"
    );

    let mut conn = site.conn().await;
    sqlx::query("update incidents set severity = 2")
        .execute(&mut *conn)
        .await
        .unwrap();
    site.state
        .conductor
        .look_at(DrillId(number(&first)))
        .await
        .unwrap();
    assert_eq!(state(&site, &ana, &first).await, "running");
    site.clock().advance(30 * MINUTE);
    site.state
        .conductor
        .look_at(DrillId(number(&second)))
        .await
        .unwrap();
    assert_eq!(state(&site, &ana, &second).await, "ended");
    let shown = site.get(&second, &ana).await.text;
    assert!(
        shown.contains("it could not begin within 30m of its time"),
        "{shown}"
    );
    let calendar = site.get(&format!("{second}/invitation.ics"), &ana).await.text;
    assert!(calendar.contains("STATUS:CANCELLED"), "{calendar}");
}

#[tokio::test]
async fn a_drill_stands_still_when_who_leads_it_is_gone_and_others_play() {
    let site = site().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (ben, ben_cookie) = site.person("ben", Role::Responder).await;
    let player = format!("player.{}", ben.id);
    let (alone, led) = (
        begin(&site, &ana, &[]).await,
        begin(&site, &ana, &[(&player, "commander")]).await,
    );
    let both = [number(&alone), number(&led)];
    for id in both {
        pass(&site, id, 2 * MINUTE).await;
    }
    assert_eq!(
        state(&site, &ana, &led).await,
        "running",
        "nobody is missed who never was there"
    );

    site.get("/live/badge", &ana).await;
    for _ in 0..3 {
        site.clock().advance(MINUTE / 2);
        site.get("/live/badge", &ana).await;
        site.get("/live/badge", &ben_cookie).await;
        for id in both {
            pass(&site, id, Duration::ZERO).await;
        }
    }
    assert_eq!(
        state(&site, &ana, &led).await,
        "running",
        "a hidden tab is enough"
    );
    site.clock().advance(MINUTE);
    site.get("/live/badge", &ben_cookie).await;
    for id in both {
        pass(&site, id, Duration::ZERO).await;
    }
    assert_eq!(state(&site, &ana, &led).await, "paused");
    assert_eq!(
        state(&site, &ana, &alone).await,
        "running",
        "nobody waits for them"
    );
    let console = site.get(&led, &ana).await.text;
    assert!(
        console.contains("who leads it was at no page for 1m"),
        "{console}"
    );
    let on = act(&site, &ana, &format!("{led}/resume"), &[]).await;
    assert_eq!(on.status, StatusCode::SEE_OTHER, "{}", on.text);
    pass(&site, number(&led), MINUTE / 2).await;
    assert_eq!(state(&site, &ana, &led).await, "running", "they are back");
}

#[tokio::test]
async fn the_audit_says_who_decided_about_a_drill() {
    let site = site().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (_, auditor) = site.person("root", Role::Admin).await;
    let page = plan(&site, &ana, &[]).await;
    for (what, reason) in [
        ("start", ""),
        ("pause", ""),
        ("resume", ""),
        ("end", "time is up"),
    ] {
        let done = act(&site, &ana, &format!("{page}/{what}"), &[("reason", reason)]).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{what}: {}", done.text);
    }
    let audit = site.get("/audit", &auditor).await.text;
    for words in [
        "planned the drill",
        "began the drill",
        "paused the drill",
        "resumed the drill",
        "ended the drill",
        "time is up",
        &format!("href=\"{page}\""),
    ] {
        assert!(audit.contains(words), "{words}: {audit}");
    }
}
