//! Rules on the page and as JSON: who may make them, what everybody sees, what is refused.

use axum::http::StatusCode;
use muster::domain::operator::Role;
use serde_json::json;

use crate::support::site::{Answer, Site};

const HOSTILE: &str = "</p><script>alert(1)</script>\u{202e}gnp";

async fn post(site: &Site, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let op = uuid::Uuid::new_v4().to_string();
    let fields: Vec<(&str, &str)> = [("op", op.as_str())]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    site.post(path, cookie, &fields).await
}

const WINDOW: [(&str, &str); 7] = [
    ("kind", "maintenance"),
    ("title", HOSTILE),
    ("matchers", "alertname=Down"),
    ("source", "prom"),
    ("starts_at", ""),
    ("ends_at", "2026-11-21T04:00"),
    ("reason", HOSTILE),
];

#[tokio::test]
async fn an_approver_makes_and_ends_rules_and_everybody_sees_what_is_held() {
    let site = Site::new().await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    assert_eq!(
        post(&site, "/routing/rules", &rob, &WINDOW).await.status,
        StatusCode::FORBIDDEN
    );
    let made = post(&site, "/routing/rules", &ana, &WINDOW).await;
    assert_eq!(
        (made.status, made.header("location")),
        (StatusCode::SEE_OTHER, "/routing")
    );
    let alert =
        json!({"status": "firing", "startsAt": "2026-11-21T02:59:00Z", "labels": {"alertname": "Down"}});
    let body = json!({"receiver": "r", "groupKey": HOSTILE, "alerts": [alert]});
    assert!(site.intake.post("prom", body.to_string()).await.0.is_success());

    let seen = site.get("/routing", &rob).await;
    assert_eq!(seen.status, StatusCode::OK);
    for words in [
        "held by the maintenance window",
        "Down",
        "alertname=&#34;Down&#34;",
        "Held alerts",
    ] {
        assert!(seen.text.contains(words), "{words}: {}", seen.text);
    }
    assert!(!seen.text.contains("<script>alert"), "outside text is escaped");
    assert!(
        !seen.text.contains("action=\"/routing"),
        "a responder has no forms"
    );
    assert!(site.get("/incidents", &rob).await.text.contains("/routing"));

    let end = "/routing/rules/1/end";
    assert_eq!(
        post(&site, end, &rob, &[("reason", "x")]).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        post(&site, end, &ana, &[("reason", " ")]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        post(&site, end, &ana, &[("reason", "done early")]).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        post(&site, end, &ana, &[("reason", "again")]).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        post(&site, "/routing/rules/9/end", &ana, &[("reason", "x")])
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let system = site.get("/system", &rob).await.text;
    assert!(
        system.contains("made the routing rule") && system.contains("done early"),
        "{system}"
    );
}

#[tokio::test]
async fn rules_are_json_too() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    let (_, rob) = site.person("rob", Role::Responder).await;
    let rules = "/api/v1/routing/rules";
    let weekly = json!({"kind": "maintenance", "title": "Sundays", "source": "prom", "days": "sun", "at": "02:00",
                        "length": "2h", "offset": "+01:00", "reason": "upgrades"});
    let threshold =
        json!({"kind": "threshold", "title": "Two", "count": 2, "within": "10m", "reason": "noise"});
    let severity = json!({"kind": "severity", "title": "Money", "matchers": "alertname=Down", "severity": "sev1",
                          "place": 5, "reason": "money"});
    for (n, body) in [&weekly, &threshold, &severity].into_iter().enumerate() {
        assert_eq!(
            site.post_json(rules, &rob, &body.to_string()).await.status,
            StatusCode::FORBIDDEN
        );
        let made = site.post_json(rules, &ana, &body.to_string()).await;
        assert_eq!(
            (made.status, made.json()),
            (StatusCode::CREATED, json!({"id": n + 1}))
        );
    }
    for (body, words) in [
        (
            json!({"kind": "threshold", "title": "One", "count": 1, "within": "10m", "reason": "x"}),
            "number of alerts",
        ),
        (
            json!({"kind": "threshold", "title": "Two", "count": 2, "within": "10m"}),
            "why",
        ),
        (
            json!({"kind": "severity", "title": "A", "severity": "sev1", "source": "nobody", "reason": "x"}),
            "no source",
        ),
    ] {
        let refused = site.post_json(rules, &ana, &body.to_string()).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            refused.text
        );
        assert!(refused.text.contains(words), "{}", refused.text);
    }
    let listed = site.get(rules, &rob).await.json();
    let kinds: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["words"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "every Sun at 02:00 for 2h, UTC+01:00",
            "SEV1",
            "open only after 2 alerts of a group in 10m"
        ]
    );
    let alert =
        json!({"status": "firing", "startsAt": "2026-11-21T02:59:00Z", "labels": {"alertname": "Down"}});
    let body = json!({"receiver": "r", "groupKey": "g", "alerts": [alert]});
    assert!(site.intake.post("prom", body.to_string()).await.0.is_success());
    let held = site.get("/api/v1/routing/held", &rob).await.json();
    assert_eq!(
        (&held[0]["title"], &held[0]["rule_title"], &held[0]["counts"]),
        (&json!("Down"), &json!("Two"), &json!(true))
    );
    let ended = site
        .post_json("/api/v1/routing/rules/2/end", &ana, r#"{"reason": "enough"}"#)
        .await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
}
