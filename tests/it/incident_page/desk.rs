//! What people do on the page: roles, impact, updates, notes, pins, taking back.

use std::time::Duration;

use axum::http::StatusCode;
use muster::domain::operator::Role;

use super::{PAGE, act, between, form};
use crate::{
    pages::{fire, waiting_run},
    support::site::Site,
};

#[tokio::test]
async fn command_is_taken_handed_over_with_a_summary_and_laid_down() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (ben, ben_cookie) = site.person("ben", Role::Responder).await;
    let (vic, _) = site.person("vic", Role::Viewer).await;
    fire(&site, "Down", 2).await;
    let page = site.get(PAGE, &ana).await.text;
    assert!(page.contains("Nobody commands") && page.contains("Take command"));
    let offered = between(&page, "name=\"to\"", "</select>");
    assert!(
        offered.contains("ben") && !offered.contains("vic"),
        "only who may respond: {offered}"
    );
    assert!(
        page.contains("INC-1 is SEV1 and triggered") && page.contains("2 alerts firing."),
        "a draft"
    );

    act(&site, &ana, "roles/take", &[("duty", "commander")]).await;
    let twice = form(&site, &ana, "roles/take", &[("duty", "commander")]).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    let page = site.get(PAGE, &ana).await.text;
    assert!(page.contains("<bdi>ana</bdi></strong> commands"), "{page}");
    let to = ben.id.to_string();
    let fields = [
        ("duty", "commander"),
        ("to", to.as_str()),
        ("summary", "Watch db-2."),
    ];
    act(&site, &ana, "roles/hand-over", &fields).await;
    let page = site.get(PAGE, &ben_cookie).await.text;
    assert!(
        page.contains("Incident commander passes from ana to ben: Watch db-2."),
        "{page}"
    );
    let vic = vic.id.to_string();
    let fields = [
        ("duty", "scribe"),
        ("to", vic.as_str()),
        ("summary", "kept <text>"),
    ];
    let refused = form(&site, &ana, "roles/hand-over", &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("kept &#60;text&#62;"),
        "what was typed is kept"
    );
    let not_hers = form(&site, &ana, "roles/lay-down", &[("duty", "commander")]).await;
    assert_eq!(not_hers.status, StatusCode::CONFLICT);
    act(&site, &ben_cookie, "roles/lay-down", &[("duty", "commander")]).await;
    assert!(site.get(PAGE, &ana).await.text.contains("Nobody commands"));
}

#[tokio::test]
async fn the_impact_and_updates_stand_on_top_and_an_overdue_update_asks_for_itself() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    act(&site, &ana, "impact", &[("impact", "Nobody <can> pay.")]).await;
    let fields = [
        ("condition", "No order goes through."),
        ("need", "Ben at the balancer."),
        ("next", "30"),
    ];
    act(&site, &ana, "updates", &fields).await;
    let page = site.get(PAGE, &ana).await.text;
    let head = between(&page, "id=\"head\"", "</section>");
    assert!(
        head.contains("Nobody &#60;can&#62; pay.") && head.contains("Next update due"),
        "{head}"
    );
    assert!(!page.contains("Update overdue"));
    site.clock().advance(Duration::from_secs(31 * 60));
    let page = site.get(PAGE, &ana).await.text;
    let decisions = between(&page, "id=\"decisions\"", "</section>");
    assert!(decisions.contains("Update overdue"), "{decisions}");
    let long = "x".repeat(501);
    for fields in [
        [("condition", ""), ("next", "30")],
        [("condition", long.as_str()), ("next", "30")],
        [("condition", "fine"), ("next", "9999")],
        [("condition", "fine"), ("next", "soon")],
    ] {
        let answer = form(&site, &ana, "updates", &fields).await;
        assert!(answer.status.is_client_error(), "{fields:?}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_note_says_what_it_is_and_when_it_happened_and_its_markdown_is_shown() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let happened = site.clock().now() - chrono::TimeDelta::minutes(20);
    let field = happened.format("%Y-%m-%dT%H:%M:%S").to_string();
    let text = "Lag was **2 s**, <script>x</script>";
    let fields = [("text", text), ("tag", "observation"), ("happened", &field)];
    act(&site, &ana, "notes", &fields).await;
    let page = site.get(PAGE, &ana).await.text;
    let row = between(&page, "ev-notes", "</li>");
    assert!(
        row.contains("Observation") && row.contains("Lag was <strong>2 s</strong>"),
        "{row}"
    );
    assert!(!row.contains("<script") && row.contains("happened <time") && row.contains("written down"));
    let future = (site.clock().now() + chrono::TimeDelta::hours(1))
        .format("%Y-%m-%dT%H:%M")
        .to_string();
    for bad in [future.as_str(), "yesterday"] {
        let answer = form(&site, &ana, "notes", &[("text", "kept"), ("happened", bad)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        assert!(answer.text.contains("kept"));
    }
}

#[tokio::test]
async fn what_was_just_done_is_taken_back_as_a_new_fact_and_only_soon() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (_, ben) = site.person("ben", Role::Responder).await;
    fire(&site, "Down", 1).await;
    act(&site, &ana, "acknowledge", &[]).await;
    let page = site.get(PAGE, &ana).await;
    assert!(page.text.contains("id=\"undo\""), "{}", page.text);
    assert!(
        !site.get(PAGE, &ben).await.text.contains("id=\"undo\""),
        "it is hers alone"
    );
    let seq = page.field("seq");
    let not_his = form(&site, &ben, "undo", &[("seq", &seq)]).await;
    assert_eq!(not_his.status, StatusCode::CONFLICT);
    act(&site, &ana, "undo", &[("seq", &seq)]).await;
    let incident = site.get("/api/v1/incidents/1", &ana).await.json();
    assert_eq!(incident["state"], "triggered");
    assert!(incident["acknowledged_at"].is_null() && incident["acknowledged_by"].is_null());
    let page = site.get(PAGE, &ana).await.text;
    assert!(
        page.contains("Took back the acknowledgement") && page.contains(">Acknowledge<"),
        "{page}"
    );

    act(&site, &ben, "acknowledge", &[]).await;
    let seq = site.get(PAGE, &ben).await.field("seq");
    site.clock().advance(Duration::from_secs(121));
    assert!(!site.get(PAGE, &ben).await.text.contains("id=\"undo\""));
    let late = form(&site, &ben, "undo", &[("seq", &seq)]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);

    act(&site, &ben, "severity", &[("severity", "4")]).await;
    let seq = site.get(PAGE, &ben).await.field("seq");
    act(&site, &ben, "undo", &[("seq", &seq)]).await;
    let incident = site.get("/api/v1/incidents/1", &ana).await.json();
    assert_eq!(incident["severity"], 1);
}

#[tokio::test]
async fn the_resolve_form_says_first_what_is_still_open() {
    let site = Site::new().await;
    let (ana, cookie) = site.person("ana", Role::Approver).await;
    fire(&site, "Down", 2).await;
    let page = site.get(PAGE, &cookie).await.text;
    let resolve = between(&page, "id=\"resolve\"", "</details>");
    assert!(resolve.contains("2 alerts still fire: "), "{resolve}");
    assert!(
        resolve.contains("Resolve all the same") && !resolve.contains("disabled"),
        "it warns: {resolve}"
    );
    waiting_run(&site, &ana).await;
    let page = site.get(PAGE, &cookie).await.text;
    let resolve = between(&page, "id=\"resolve\"", "</details>");
    assert!(resolve.contains("step ask waits for a decision"), "{resolve}");
    assert!(
        resolve.contains("disabled"),
        "and blocks only on a run: {resolve}"
    );
}
