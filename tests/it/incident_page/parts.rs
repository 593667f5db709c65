//! A part that cannot be read leaves the others as they are.

use std::time::Duration;

use axum::http::StatusCode;
use muster::{
    catalog,
    domain::{
        access::Circle,
        id::{AlertId, IncidentId},
        operator::Role,
        runbook::TriggerReport,
    },
    store::{
        matches::{self, NewMatch},
        runbooks,
    },
};

use super::{PAGE, act, hear, stream_of};
use crate::{pages::fire, support::site::Site};

async fn sql(site: &Site, statement: &'static str) {
    sqlx::query(statement)
        .execute(&mut *site.conn().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn each_part_fails_alone() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let parts = [
        (
            "alter table silences rename to x",
            "alter table x rename to silences",
            "the silences",
        ),
        (
            "update alerts set labels = '[]'",
            "update alerts set labels = '{}'",
            "the alerts",
        ),
        (
            "alter table incident_duties rename to x",
            "alter table x rename to incident_duties",
            "who does what",
        ),
        (
            "alter table incident_pins rename to x",
            "alter table x rename to incident_pins",
            "the timeline",
        ),
        (
            "alter table matches rename to x",
            "alter table x rename to matches",
            "the runbooks and runs",
        ),
    ];
    for (broken, mended, what) in parts {
        sql(&site, broken).await;
        let page = site.get(PAGE, &ana).await;
        sql(&site, mended).await;
        assert_eq!(page.status, StatusCode::OK, "{what}");
        assert!(
            page.text.contains(&format!("Could not load {what}")),
            "{what}: {}",
            page.text
        );
        for (_, _, other) in parts.iter().filter(|(_, _, other)| *other != what) {
            let also = format!("Could not load {other}");
            assert!(!page.text.contains(&also), "{what} broke {other}");
        }
        assert!(
            page.text.contains(">Acknowledge<"),
            "what is to be done stays: {what}"
        );
    }
    let whole = site.get(PAGE, &ana).await.text;
    assert!(!whole.contains("Could not load"), "{whole}");
}

#[tokio::test]
async fn an_open_page_keeps_a_section_that_cannot_be_read_anew_and_says_how_old_it_is() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let page = site.get(PAGE, &ana).await.text;
    let from = site.clock().now().format("%H:%M:%S").to_string();
    let mut stream = site.live(&stream_of(&page), &ana).await;
    hear(&mut stream, "event: tick").await;
    site.clock().advance(Duration::from_secs(40));
    sql(&site, "alter table silences rename to x").await;
    act(&site, &ana, "notes", &[("text", "still here")]).await;
    let heard = hear(&mut stream, "\"target\":\"silences-age\"").await;
    let told = heard.split("\"target\":\"silences-age\"").nth(1).unwrap();
    assert!(
        told.contains("Could not refresh this: from <time") && told.contains(&from),
        "{told}"
    );
    assert!(
        !heard.contains("\"target\":\"silences\""),
        "what it has stays: {heard}"
    );
    assert!(heard.contains("\"target\":\"team\""), "the others go on: {heard}");
    // It is tried again without any news, and the words go when it works.
    sql(&site, "alter table x rename to silences").await;
    site.state.wake.changed();
    let heard = hear(
        &mut stream,
        "\"target\":\"silences-age\",\"mode\":\"morph\",\"html\":\"\"",
    )
    .await;
    assert!(!heard.contains("Could not refresh"), "{heard}");
}

#[tokio::test]
async fn who_may_not_start_a_runbook_reads_why_instead_of_a_button() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let source = "runbook: drain\ntitle: Drain the pool\nmatch: ['alertname=~\".+\"']\nstart: suggest\nsteps:\n  - { id: look, manual: Look }\n";
    let mut runbook = catalog::parse_runbook(source).unwrap().runbook;
    runbook.access.start = Circle {
        teams: vec!["storage".to_owned()],
        ..Circle::default()
    };
    fire(&site, "Down", 1).await;
    let now = site.clock().now();
    let mut conn = site.conn().await;
    let version = runbooks::publish(&mut conn, &runbook, source, "drain.yaml", now)
        .await
        .unwrap();
    let found = NewMatch {
        incident: IncidentId(1),
        version: version.id,
        alert: AlertId(1),
        report: &TriggerReport {
            matched_line: None,
            lines: Vec::new(),
        },
    };
    matches::insert_all(&mut conn, &[found], now).await.unwrap();
    drop(conn);
    let page = site.get(PAGE, &ana).await.text;
    assert!(page.contains("Drain the pool"), "{page}");
    assert!(
        page.contains("You cannot start it: it is for the team storage only."),
        "{page}"
    );
    assert!(!page.contains("Start Drain the pool"), "{page}");
}
