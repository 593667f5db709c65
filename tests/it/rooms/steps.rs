//! The first steps of an installation.

use axum::http::StatusCode;
use chrono::TimeDelta;
use muster::{domain::operator::Role, store::operators, web::session::token_digest};

use super::post;
use crate::support::site::{PASSWORD, Site};

#[tokio::test]
async fn the_first_admin_is_led_from_step_to_step_and_can_come_back() {
    let site = Site::new().await;
    let until = site.clock().now() + TimeDelta::hours(1);
    operators::replace_setup_code(&mut *site.conn().await, token_digest("the-code"), until)
        .await
        .unwrap();
    let form = [("code", "the-code"), ("name", "ana"), ("password", PASSWORD)];
    let made = site.post("/setup", "", &form).await;
    assert_eq!(made.header("location"), "/setup/checks", "{}", made.text);
    let ana = made.cookie();

    let checks = site.get("/setup/checks", &ana).await.text;
    for said in [
        "Database",
        "Clock",
        "Workers",
        "no public address is set",
        "href=\"/setup/alerts\"",
    ] {
        assert!(checks.contains(said), "{said}: {checks}");
    }
    let alerts = site.get("/setup/alerts", &ana).await.text;
    assert!(
        alerts.contains("Nothing has arrived yet") && alerts.contains("/sources/prom/test"),
        "{alerts}"
    );
    let tried = post(&site, "/sources/prom/test", &ana, &[]).await;
    assert!(
        tried.status.is_success() || tried.status.is_redirection(),
        "{}",
        tried.text
    );
    let alerts = site.get("/setup/alerts", &ana).await.text;
    assert!(alerts.contains("Something has arrived"), "{alerts}");
    let ready = site.get("/setup/ready", &ana).await.text;
    for said in ["Alerts arrive", "0 targets", "1 person"] {
        assert!(ready.contains(said), "{said}: {ready}");
    }
    let (_, vic) = site.person("vic", Role::Viewer).await;
    for path in ["/setup/checks", "/setup/alerts", "/setup/ready"] {
        assert_eq!(site.get(path, &vic).await.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(site.get(path, "").await.status, StatusCode::SEE_OTHER, "{path}");
    }
}
