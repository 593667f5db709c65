//! The services an incident is about, and what else is wrong with them.

use axum::http::StatusCode;
use muster::{
    catalog,
    domain::{
        id::{AlertId, IncidentId},
        operator::Role,
        runbook::TriggerReport,
    },
    store::{
        matches::{self, NewMatch},
        runbooks,
    },
};
use serde_json::json;
use uuid::Uuid;

use super::{PAGE, act, between};
use crate::support::site::Site;

const RUNBOOK: &str = r#"
runbook: shop-back
title: Bring the shop back
summary: Restarts what the shop needs.
services: [shop, billing]
steps:
  - { id: look, manual: Look whether it is back. }
"#;

/// Fires one alert in that group, which opens an incident or joins it.
async fn fire(site: &Site, group: &str, service: Option<&str>) {
    let mut labels = json!({ "alertname": format!("{group} {}", service.unwrap_or("-")) });
    if let Some(service) = service {
        labels["service"] = service.into();
    }
    let body = json!({"receiver": "r", "groupKey": group, "alerts": [{
        "status": "firing", "labels": labels, "startsAt": "2026-11-21T02:59:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
    }]});
    let (status, answer) = site.intake.post("prom", body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// The runbook matches the first incident.
async fn matches(site: &Site) {
    let runbook = catalog::parse_runbook(RUNBOOK).unwrap().runbook;
    let now = site.clock().now();
    let mut conn = site.conn().await;
    let version = runbooks::publish(&mut conn, &runbook, RUNBOOK, "shop.yaml", now)
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
}

fn services(page: &str) -> &str {
    between(page, "id=\"services\"", "</section>")
}

#[tokio::test]
async fn the_services_of_alerts_and_runbooks_stand_with_what_else_is_wrong_with_them() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "a", Some("shop")).await;
    fire(&site, "a", Some("mail")).await;
    fire(&site, "b", Some("shop")).await;
    fire(&site, "c", Some("other")).await;
    fire(&site, "d", None).await;
    matches(&site).await;
    let page = site.get(PAGE, &ana).await.text;
    let section = services(&page);
    for words in [
        "shop",
        "mail",
        "billing",
        "runbook <bdi>Bring the shop back</bdi>",
        "1 alert firing",
    ] {
        assert!(section.contains(words), "{words}: {section}");
    }
    assert!(
        section.contains("href=\"/incidents/2\"") && !section.contains("/incidents/3\""),
        "what else is wrong with the shop, and nothing of other services: {section}"
    );
    assert!(
        !section.contains("href=\"/incidents/1\""),
        "it is not another one: {section}"
    );
    assert!(
        section.contains("q=state%3Aopen+service%3Ashop"),
        "the list has all of them: {section}"
    );
    let list = site.get("/incidents?q=state:open+service:shop", &ana).await.text;
    assert!(list.contains("id=\"inc-1\"") && list.contains("id=\"inc-2\"") && !list.contains("id=\"inc-3\""));

    let of_none = site.get("/incidents/4", &ana).await.text;
    assert!(services(&of_none).contains("names a service"));
    act_on(&site, &ana, "/incidents/2/resolve", &[("reason", "gone")]).await;
    let page = site.get(PAGE, &ana).await.text;
    assert!(!services(&page).contains("/incidents/2\""), "only what is open");
}

#[tokio::test]
async fn of_many_other_incidents_the_worst_are_named_and_the_rest_is_a_link() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "a", Some("shop")).await;
    for group in 0..6 {
        fire(&site, &format!("other {group}"), Some("shop")).await;
    }
    act(&site, &ana, "severity", &[("severity", "2")]).await;
    act_on(&site, &ana, "/incidents/3/severity", &[("severity", "1")]).await;
    let page = site.get(PAGE, &ana).await.text;
    let section = services(&page);
    assert_eq!(section.matches("href=\"/incidents/").count(), 3, "{section}");
    let first = section.split("href=\"/incidents/").nth(1).unwrap();
    assert!(first.starts_with("3\""), "the worst first: {section}");
    assert!(section.contains("All open incidents of it"));
}

/// Sends a form of any incident's page and expects it to be taken.
async fn act_on(site: &Site, cookie: &str, path: &str, fields: &[(&str, &str)]) {
    let op = Uuid::new_v4().to_string();
    let mut all = vec![("op", op.as_str())];
    all.extend_from_slice(fields);
    let answer = site.post(path, cookie, &all).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}: {}", answer.text);
}
