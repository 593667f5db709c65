//! Action items by form and as JSON: made, listed, closed, refused.

use axum::http::StatusCode;
use muster::domain::operator::Role;
use serde_json::json;
use uuid::Uuid;

use crate::support::site::{Answer, Site};

async fn act(site: &Site, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let op = Uuid::new_v4().to_string();
    let mut all = vec![("op", op.as_str())];
    all.extend(fields);
    site.post(path, cookie, &all).await
}

/// The pages with one incident that is open.
async fn site() -> Site {
    let site = Site::new().await;
    let body = json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
        "status": "firing", "labels": {"alertname": "Broken"}, "annotations": {}, "startsAt": site.clock().now(),
    }]});
    let (status, answer) = site.intake.post("prom", body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    site
}

#[tokio::test]
async fn an_action_item_is_made_and_closed_by_form() {
    let site = site().await;
    let (ana, cookie) = site.person("ana", Role::Responder).await;
    let (_, reader) = site.person("eve", Role::Viewer).await;
    let owner = ana.id.to_string();
    let item = |text: &'static str, due: &'static str| {
        [
            ("incident", "1"),
            ("text", text),
            ("owner", owner.as_str()),
            ("due", due),
        ]
        .to_vec()
    };
    let made = act(
        &site,
        &cookie,
        "/action-items",
        &item("Alert on the <disk>", "2020-01-31"),
    )
    .await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    assert_eq!(made.header("location"), "/incidents/1/postmortem");
    let later = act(&site, &cookie, "/action-items", &item("Later", "")).await;
    assert_eq!(later.status, StatusCode::SEE_OTHER, "{}", later.text);

    for (bad, words) in [
        (item(" ", ""), "say what is to be done"),
        (item("x", "tomorrow"), "write it like 2026-03-31"),
    ] {
        let refused = act(&site, &cookie, "/action-items", &bad).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            refused.text
        );
        assert!(refused.text.to_lowercase().contains(words), "{}", refused.text);
    }
    let denied = act(&site, &reader, "/action-items", &item("x", "")).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);

    let overdue = site.get("/action-items?which=overdue", &reader).await.text;
    assert!(
        overdue.contains("Alert on the &#60;disk&#62;") && !overdue.contains("Later"),
        "{overdue}"
    );
    assert!(overdue.contains("overdue since 31 January 2020"), "{overdue}");
    assert!(!overdue.contains("Close it"), "a reader closes nothing");
    let mine = site.get("/action-items?which=mine", &cookie).await.text;
    assert!(mine.contains("Later") && mine.contains("Close it"), "{mine}");

    let silent = act(&site, &cookie, "/action-items/1/close", &[("state", "dropped")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", silent.text);
    let done = [
        ("state", "done"),
        ("remark", "the alert is there"),
        ("back", "//elsewhere.test"),
    ];
    let closed = act(&site, &cookie, "/action-items/1/close", &done).await;
    assert_eq!(closed.status, StatusCode::SEE_OTHER, "{}", closed.text);
    assert_eq!(
        closed.header("location"),
        "/action-items",
        "only a page of ours is led back to"
    );
    let again = act(&site, &cookie, "/action-items/1/close", &done).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
}

#[tokio::test]
async fn action_items_are_made_listed_and_closed_as_json() {
    let site = site().await;
    let (ana, cookie) = site.person("ana", Role::Responder).await;
    let body = json!({"incident": 1, "text": "Ask the service first", "due": "2026-12-31", "proof": 1});
    let made = site
        .post_json("/api/v1/action-items", &cookie, &body.to_string())
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.json(), json!({"id": 1}));
    let listed = site.get("/api/v1/action-items?which=mine", &cookie).await.json();
    let row = &listed["rows"][0];
    assert_eq!(
        (&row["owner"], &row["proof"]),
        (&json!(ana.name), &json!(1)),
        "{listed}"
    );
    assert_eq!(
        (&row["state"], &row["due"]),
        (&json!("open"), &json!("2026-12-31")),
        "{listed}"
    );

    let close = "/api/v1/action-items/1/close";
    let unproven = site.post_json(close, &cookie, r#"{"state": "done"}"#).await;
    assert_eq!(
        unproven.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        unproven.text
    );
    assert!(
        unproven.text.contains("INC-1 must pass as a drill first"),
        "{}",
        unproven.text
    );
    let dropped = site
        .post_json(
            close,
            &cookie,
            r#"{"state": "dropped", "remark": "the service is gone"}"#,
        )
        .await;
    assert_eq!(dropped.status, StatusCode::NO_CONTENT, "{}", dropped.text);
    let nobody = json!({"text": "of nothing"}).to_string();
    let refused = site.post_json("/api/v1/action-items", &cookie, &nobody).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
    let open = site
        .post_json("/api/v1/drills/reenact", &cookie, r#"{"incident": 1}"#)
        .await;
    assert_eq!(open.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", open.text);
}
