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
        "Held by the maintenance window",
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
async fn a_refused_form_is_shown_again_with_what_was_typed_and_the_fault_at_its_field() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    let once = [
        ("form", "once"),
        ("kind", "maintenance"),
        ("title", "Upgrade"),
        ("reason", "we upgrade"),
    ];
    let weekly = [
        ("form", "weekly"),
        ("kind", "maintenance"),
        ("title", "Upgrade"),
        ("reason", "we upgrade"),
    ];
    let threshold = [
        ("form", "threshold"),
        ("kind", "threshold"),
        ("title", "Upgrade"),
        ("reason", "we upgrade"),
    ];
    let severity = [
        ("form", "severity"),
        ("kind", "severity"),
        ("title", "Upgrade"),
        ("severity", "SEV2"),
    ];
    for (form, more, field, words) in [
        (
            &once,
            vec![("ends_at", "2026-11-21T04:00")],
            "once-matchers",
            "A window needs matchers",
        ),
        (
            &once,
            vec![("matchers", "a=b"), ("ends_at", "tomorrow")],
            "once-ends_at",
            "must be a time like",
        ),
        (
            &once,
            vec![("matchers", "a=~\"((\""), ("ends_at", "2026-11-21T04:00")],
            "once-matchers",
            "unclosed group",
        ),
        (
            &once,
            vec![("source", "no\0body"), ("ends_at", "2026-11-21T04:00")],
            "once-source",
            "There is no source named",
        ),
        (
            &weekly,
            vec![
                ("matchers", "a=b"),
                ("days", "caturday"),
                ("at", "02:00"),
                ("length", "2h"),
            ],
            "weekly-days",
            "is no day",
        ),
        (
            &threshold,
            vec![("count", "many"), ("within", "10m")],
            "threshold-count",
            "from 2 to 1000",
        ),
        (
            &threshold,
            vec![("count", "3"), ("within", "soon")],
            "threshold-within",
            "like 10m",
        ),
        (
            &severity,
            vec![("place", "first"), ("reason", "x")],
            "severity-place",
            "The place must be a number",
        ),
        (
            &severity,
            vec![("reason", " ")],
            "severity-reason",
            "Say in a few words why",
        ),
    ] {
        let fields: Vec<(&str, &str)> = form.iter().copied().chain(more).collect();
        let refused = post(&site, "/routing/rules", &ana, &fields).await;
        let text = &refused.text;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}");
        let link = format!("<a href=\"#{field}\">");
        assert!(
            text.contains(&link) && text.contains(words),
            "{field} {words}: {text}"
        );
        assert!(text.contains("value=\"Upgrade\""), "what was typed is kept");
        assert_eq!(text.matches("aria-invalid").count(), 1, "one field is wrong");
        assert_eq!(text.matches("<details class=\"more\" id=\"new-").count(), 4);
        let open = format!("id=\"new-{}\" open>", form[0].1);
        assert!(
            text.contains(&open) && text.matches(" open>").count() == 1,
            "its form is open"
        );
    }
    let listed = site.get("/routing", &ana).await.text;
    assert!(
        !listed.contains("aria-invalid") && !listed.contains("Upgrade"),
        "nothing was made"
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
