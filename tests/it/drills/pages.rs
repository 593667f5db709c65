//! The pages of drills: planned, begun, led, noted, ended and scored by form, and marked wherever they show.

use std::time::Duration;

use axum::http::StatusCode;
use muster::{
    catalog::{parse_runbook, scenario},
    domain::{id::DrillId, operator::Role},
    store::{runbooks, scenarios},
};
use uuid::Uuid;

use crate::support::site::{Answer, Site};

const RUNBOOK: &str = include_str!("../../../runbooks/postgres-primary-down.yaml");
const SCENARIO: &str = include_str!("../../../runbooks/drills/checkout-primary-dead.yaml");
pub(super) const SLUG: &str = "checkout-primary-dead";

/// The pages with the sample scenario and its runbook published.
pub(super) async fn site() -> Site {
    let site = Site::new().await;
    let now = site.clock().now();
    let mut conn = site.conn().await;
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    runbooks::publish(&mut conn, &runbook, RUNBOOK, "postgres-primary-down.yaml", now)
        .await
        .unwrap();
    let parsed = scenario::parse(SCENARIO, &[&runbook]).unwrap();
    scenarios::publish(&mut conn, &parsed.scenario, SCENARIO, now)
        .await
        .unwrap();
    drop(conn);
    site
}

pub(super) async fn act(site: &Site, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let op = Uuid::new_v4().to_string();
    let mut all = vec![("op", op.as_str())];
    all.extend(fields);
    site.post(path, cookie, &all).await
}

/// Begins a drill at once; its page.
pub(super) async fn begin(site: &Site, cookie: &str, players: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("scenario", SLUG),
        ("depth", "simulated"),
        ("start", "now"),
        ("seed", "7"),
    ];
    fields.extend(players);
    let begun = act(site, cookie, "/drills", &fields).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text);
    begun.header("location").to_owned()
}

/// Lets time pass and the conductor look.
pub(super) async fn pass(site: &Site, drill: i64, time: Duration) {
    site.clock().advance(time);
    site.state.conductor.look_at(DrillId(drill)).await.unwrap();
}

#[tokio::test]
async fn a_drill_is_begun_led_and_scored_by_form() {
    let site = site().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (ben, ben_cookie) = site.person("ben", Role::Responder).await;
    let list = site.get("/drills", &ana).await.text;
    assert!(
        list.contains("Never played") && list.contains("id=\"due-head\""),
        "{list}"
    );
    let form = site.get(&format!("/drills/scenarios/{SLUG}"), &ana).await.text;
    let player = format!("player.{}", ben.id);
    assert!(form.contains(&format!("name=\"{player}\"")), "{form}");
    assert!(
        form.contains("twin (haproxy)") && form.contains("Everything else"),
        "{form}"
    );

    let page = begin(&site, &ana, &[(&player, "commander")]).await;
    let id: i64 = page.rsplit('/').next().unwrap().parse().unwrap();
    let console = site.get(&page, &ana).await.text;
    assert!(console.contains(&format!(
        "<title>DRILL · The checkout database loses its primary · DRILL-{id}"
    )));
    for words in [
        "The head of the shop asks",
        "Send now",
        "ben</bdi> plays <bdi>commander",
        "id=\"drill-world\"",
    ] {
        assert!(console.contains(words), "{words}");
    }
    let players_view = site.get(&page, &ben_cookie).await.text;
    assert!(players_view.contains("Your brief") && players_view.contains("It is Saturday evening"));
    for hidden in [
        "Send now",
        "drill-world",
        "The head of the shop asks",
        "id=\"drill-log\"",
    ] {
        assert!(!players_view.contains(hidden), "a player sees {hidden}");
    }

    // A surprise is sent once, and one is passed over.
    let sent = act(&site, &ana, &format!("{page}/inject"), &[("inject", "crash")]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let again = act(&site, &ana, &format!("{page}/inject"), &[("inject", "crash")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    let skipped = act(&site, &ana, &format!("{page}/skip"), &[("inject", "rumour")]).await;
    assert_eq!(skipped.status, StatusCode::SEE_OTHER, "{}", skipped.text);
    pass(&site, id, Duration::from_secs(15)).await;
    pass(&site, id, Duration::from_secs(15)).await;

    // Its incident says so on its page, and stands apart from what is real.
    let console = site.get(&page, &ana).await.text;
    assert!(
        console.contains("Sent at 00:00") && console.contains("Passed over at 00:00"),
        "{console}"
    );
    assert!(console.contains("Alert PostgresPrimaryDown fires"), "{console}");
    let incident = "/incidents/1";
    assert!(console.contains(&format!("href=\"{incident}\"")), "{console}");
    let shown = site.get(incident, &ben_cookie).await.text;
    assert!(shown.contains("<title>DRILL · "), "{shown}");
    assert!(
        shown.contains(&format!("<a href=\"/drills/{id}\">DRILL-{id}</a>")),
        "{shown}"
    );
    let real = site.get("/incidents?q=state:all", &ben_cookie).await.text;
    assert!(!real.contains("id=\"inc-1\""), "{real}");
    assert!(
        real.contains(&format!(
            ">DRILL-{id}</a> goes on: <a href=\"{incident}\">INC-1</a>"
        )),
        "{real}"
    );
    let drills = site.get("/incidents?q=is:drill", &ben_cookie).await.text;
    assert!(
        drills.contains("id=\"inc-1\"") && drills.contains("DRILL</span>"),
        "{drills}"
    );
    let postmortem = site.get("/incidents/1/postmortem.md", &ben_cookie).await.text;
    assert!(
        postmortem.starts_with(&format!("# DRILL-{id} · Postmortem")),
        "{postmortem}"
    );
    let json = site.get("/api/v1/incidents/1", &ben_cookie).await.json();
    assert_eq!(json["drill"], id);

    // It stands still, goes on, is noted in, and a hint is told.
    for (what, fields) in [
        ("pause", vec![]),
        ("resume", vec![]),
        ("note", vec![("tag", "good"), ("text", "They read <the> log")]),
        ("hint", vec![("hint", "0")]),
        ("end", vec![("reason", "enough for today")]),
    ] {
        let done = act(&site, &ana, &format!("{page}/{what}"), &fields).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{what}: {}", done.text);
    }
    let over = act(&site, &ana, &format!("{page}/end"), &[]).await;
    assert_eq!(over.status, StatusCode::CONFLICT, "{}", over.text);

    let card = site.get(&format!("{page}/score"), &ben_cookie).await.text;
    for words in [
        "They read &#60;the&#62; log",
        "What is short</summary>",
        "<bdi>a hint was told (-5): ",
        "Good",
        "ended by hand: enough for today",
        "Not reached",
        "Read what the run has found",
        "href=\"/runbooks/postgres-primary-down#coverage\"",
    ] {
        assert!(card.contains(words), "{words}: {card}");
    }
    let json = site
        .get(&format!("/api/v1/drills/{id}/score"), &ben_cookie)
        .await
        .json();
    assert_eq!(
        (&json["is_final"], &json["passes"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        json["score"]["figures"][4]["took"],
        serde_json::Value::Null,
        "{json}"
    );
    let json = site
        .get(&format!("/api/v1/drills/{id}"), &ben_cookie)
        .await
        .json();
    assert_eq!(
        (&json["state"], &json["players"][0]["part"]),
        (&"ended".into(), &"commander".into())
    );

    // The next one is compared with it, and its address may name it as people do.
    let next = begin(&site, &ana, &[]).await;
    act(&site, &ana, &format!("{next}/end"), &[]).await;
    let card = site
        .get(
            &format!("{}/score", next.replace("/drills/", "/drills/DRILL-")),
            &ana,
        )
        .await
        .text;
    assert!(
        card.contains(&format!("<a href=\"/drills/{id}/score\">DRILL-{id}</a>")),
        "{card}"
    );
}

#[tokio::test]
async fn whose_part_drops_out_acts_no_more_until_the_drill_is_over() {
    let site = site().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (ben, ben_cookie) = site.person("ben", Role::Responder).await;
    let (cleo, cleo_cookie) = site.person("cleo", Role::Responder).await;
    let (commander, other) = (format!("player.{}", ben.id), format!("player.{}", cleo.id));
    let page = begin(&site, &ana, &[(&commander, "commander"), (&other, "approver")]).await;
    let id: i64 = page.rsplit('/').next().unwrap().parse().unwrap();
    act(&site, &ana, &format!("{page}/inject"), &[("inject", "crash")]).await;
    pass(&site, id, Duration::from_secs(15)).await;
    pass(&site, id, Duration::from_secs(15)).await;
    let note = [("text", "I look at it"), ("tag", "")];
    let before = act(&site, &ben_cookie, "/incidents/1/notes", &note).await;
    assert_eq!(before.status, StatusCode::SEE_OTHER, "{}", before.text);

    let gone = act(&site, &ana, &format!("{page}/inject"), &[("inject", "gone")]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.text);
    for path in ["/incidents/1/acknowledge", "/incidents/1/notes"] {
        let refused = act(&site, &ben_cookie, path, &note).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            refused.text
        );
        assert!(
            refused.text.contains("Your part of this drill has dropped out"),
            "{}",
            refused.text
        );
    }
    let shown = site.get(&page, &ben_cookie).await.text;
    assert!(shown.contains("Your part has dropped out"), "{shown}");
    let console = site.get(&page, &ana).await.text;
    assert!(
        console.contains("plays <bdi>commander</bdi>, has dropped out"),
        "{console}"
    );
    let taken = act(&site, &cleo_cookie, "/incidents/1/acknowledge", &[]).await;
    assert_eq!(
        taken.status,
        StatusCode::SEE_OTHER,
        "the others go on: {}",
        taken.text
    );

    act(&site, &ana, &format!("{page}/end"), &[]).await;
    let after = act(&site, &ben_cookie, "/incidents/1/notes", &note).await;
    assert_eq!(after.status, StatusCode::SEE_OTHER, "{}", after.text);

    // Where nobody would be left the night only tells of it.
    let page = begin(&site, &ana, &[(&commander, "commander")]).await;
    let id: i64 = page.rsplit('/').next().unwrap().parse().unwrap();
    for inject in ["crash", "gone"] {
        act(&site, &ana, &format!("{page}/inject"), &[("inject", inject)]).await;
        pass(&site, id, Duration::from_secs(15)).await;
    }
    let shown = site.get(&page, &ben_cookie).await.text;
    assert!(
        shown.contains("Your brief") && !shown.contains("Your part has dropped out"),
        "{shown}"
    );
}

#[tokio::test]
async fn only_who_leads_a_drill_has_its_console() {
    let site = site().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (_, ben) = site.person("ben", Role::Responder).await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let (_, root) = site.person("root", Role::Admin).await;
    let fields = [("scenario", SLUG), ("depth", "simulated"), ("start", "now")];
    assert_eq!(
        act(&site, &vic, "/drills", &fields).await.status,
        StatusCode::FORBIDDEN
    );
    let form = site.get(&format!("/drills/scenarios/{SLUG}"), &vic).await.text;
    assert!(!form.contains("Begin or plan the drill"), "{form}");

    let page = begin(&site, &ana, &[]).await;
    for cookie in [&ben, &vic] {
        for what in [
            "start", "pause", "resume", "inject", "skip", "hint", "note", "end",
        ] {
            let refused = act(&site, cookie, &format!("{page}/{what}"), &[("inject", "crash")]).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{what}: {}", refused.text);
        }
        let card = site.get(&format!("{page}/score"), cookie).await;
        assert_eq!(
            card.status,
            StatusCode::FORBIDDEN,
            "it would tell what is expected"
        );
    }
    // Another site cannot make a browser do it.
    let op = Uuid::new_v4().to_string();
    let crossed = site
        .post_from("cross-site", &format!("{page}/end"), &ana, &[("op", &op)])
        .await;
    assert_eq!(crossed.status, StatusCode::FORBIDDEN, "{}", crossed.text);
    let ended = act(&site, &root, &format!("{page}/end"), &[]).await;
    assert_eq!(ended.status, StatusCode::SEE_OTHER, "{}", ended.text);
}

#[tokio::test]
async fn a_drill_for_later_waits_and_can_be_called_off() {
    let site = site().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let at = (site.clock().now() + chrono::TimeDelta::hours(2)).format("%Y-%m-%dT%H:%M");
    let at = at.to_string();
    let later = [
        ("scenario", SLUG),
        ("depth", "tabletop"),
        ("start", "later"),
        ("at", &at),
    ];
    let planned = act(&site, &ana, "/drills", &later).await;
    assert_eq!(planned.status, StatusCode::SEE_OTHER, "{}", planned.text);
    let page = planned.header("location").to_owned();
    let shown = site.get(&page, &ana).await.text;
    assert!(
        shown.contains("Begin the drill") && shown.contains("Planned"),
        "{shown}"
    );
    let list = site.get("/incidents", &ana).await.text;
    assert!(list.contains("is planned, begins"), "{list}");
    let cancelled = act(
        &site,
        &ana,
        &format!("{page}/end"),
        &[("reason", "nobody has time")],
    )
    .await;
    assert_eq!(cancelled.status, StatusCode::SEE_OTHER, "{}", cancelled.text);
    let shown = site.get(&page, &ana).await.text;
    assert!(
        shown.contains("Cancelled") && shown.contains("nobody has time"),
        "{shown}"
    );
    let card = site.get(&format!("{page}/score"), &ana).await;
    assert_eq!(card.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", card.text);
    for (fields, status) in [
        (
            [("start", "later"), ("depth", "tabletop"), ("at", "")],
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            [
                ("start", "later"),
                ("depth", "tabletop"),
                ("at", "2001-01-01T00:00"),
            ],
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            [("start", "now"), ("depth", "deep"), ("at", "")],
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let mut all = vec![("scenario", SLUG)];
        all.extend(fields);
        let refused = act(&site, &ana, "/drills", &all).await;
        assert_eq!(refused.status, status, "{fields:?}: {}", refused.text);
    }
}

#[tokio::test]
async fn nothing_begins_while_something_real_is_as_bad_as_it_gets() {
    let site = site().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let page = begin(&site, &ana, &[]).await;
    let id: i64 = page.rsplit('/').next().unwrap().parse().unwrap();
    let reported = act(
        &site,
        &ana,
        "/incidents/new",
        &[("title", "Shop is down"), ("severity", "1")],
    )
    .await;
    assert_eq!(reported.status, StatusCode::SEE_OTHER, "{}", reported.text);
    let form = site.get(&format!("/drills/scenarios/{SLUG}"), &ana).await.text;
    assert!(form.contains("is real and SEV1"), "{form}");
    let fields = [("scenario", SLUG), ("depth", "simulated"), ("start", "now")];
    let refused = act(&site, &ana, "/drills", &fields).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );

    // The one that goes on is ended, and its page leads to what is real.
    pass(&site, id, Duration::from_secs(2)).await;
    let shown = site.get(&page, &ana).await.text;
    assert!(shown.contains("Something real went wrong"), "{shown}");
    assert!(
        shown.contains("Go to <a href=\"/incidents/1\">INC-1</a>"),
        "{shown}"
    );
}
