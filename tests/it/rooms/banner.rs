//! What is wrong with Muster, on every page.

use std::time::Duration;

use muster::domain::{action::FailureClass, operator::Role, span::Span};

use crate::support::site::Site;

fn banner(page: &str) -> &str {
    let start = page.split("id=\"faults\"").nth(1).unwrap_or_default();
    start.split("</aside>").next().unwrap()
}

#[tokio::test]
async fn an_open_circuit_and_a_silent_source_stand_on_every_page_until_they_are_over() {
    let site = Site::new().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    assert_eq!(banner(&site.get("/incidents", &vic).await.text), "");

    site.intake.source("watchdog", Some(Span::from_secs(60))).await;
    let body = r#"{"receiver": "r", "groupKey": "g", "alerts": [{"status": "firing",
        "startsAt": "2026-11-21T02:59:00Z", "labels": {"alertname": "Watchdog"}}]}"#;
    site.intake.post("watchdog", body.to_owned()).await;
    site.clock().advance(Duration::from_secs(200));
    site.intake.upkeep.pass().await.unwrap();
    let failure = Some((FailureClass::NotSent, "</p><script>alert(1)</script>"));
    for _ in 0..5 {
        let now = site.clock().now();
        site.state
            .standing
            .report(&site.state.db, "lb", failure, now)
            .await
            .unwrap();
    }
    for path in ["/incidents", "/approvals", "/help", "/me", "/settings"] {
        let page = site.get(path, &vic).await.text;
        let banner = banner(&page);
        for said in [
            "Nothing is heard of the source",
            "<bdi>watchdog</bdi>",
            "href=\"/incidents/1\"",
            "No change is sent to the target",
            "href=\"/settings/targets/lb\"",
            "and one more fault",
        ] {
            assert!(banner.contains(said), "{said} on {path}: {banner}");
        }
        assert!(page.contains("favicon-fault.svg"), "{path}");
        assert!(!page.contains("<script>"), "{path}");
    }

    // Heard again, and answered again.
    site.intake.post("watchdog", body.replace("02:59", "03:01")).await;
    let now = site.clock().now();
    site.state
        .standing
        .report(&site.state.db, "lb", None, now)
        .await
        .unwrap();
    assert_eq!(banner(&site.get("/incidents", &vic).await.text), "");
}
