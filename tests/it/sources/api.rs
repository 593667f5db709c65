//! Sources as JSON.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    routing::post,
};
use muster::{domain::operator::Role, web};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{BODY, deliver, is_closed};
use crate::support::site::Site;

#[tokio::test]
async fn a_source_is_made_changed_and_read() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let body = json!({"name": "team-a", "settings": {"format": "generic", "mapping": {"url": "a"}, "stale_after": null}});
    let made = site.post_json("/api/v1/sources", &root, &body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let token = made.json()["token"]["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("mst_"), "{token}");
    assert_eq!(deliver(&site, "team-a", &token, BODY).await, StatusCode::OK);

    let read = site.get("/api/v1/sources/team-a", &root).await.json();
    assert_eq!(
        read["settings"],
        json!({
            "format": "generic", "alertmanager": null, "correlate_by": [], "stale_after": null, "heartbeat_within": null,
            "storm": {"starts": 20, "within": "10m"}, "storm_fold": null, "sign_with": null, "mapping": {"url": "a"},
            "topic_arn": null, "client_name": null,
        })
    );
    assert_eq!(
        (&read["revision"], &read["tokens"], &read["deliveries_24h"]),
        (&json!(1), &json!(1), &json!(1))
    );

    let mut settings = read["settings"].clone();
    settings["correlate_by"] = json!(["cluster"]);
    let change = |revision: i64, reason: &str| {
        json!({"revision": revision, "reason": reason, "settings": settings}).to_string()
    };
    for (body, status) in [
        (change(1, ""), StatusCode::UNPROCESSABLE_ENTITY),
        (change(7, "x"), StatusCode::CONFLICT),
        (change(1, "by cluster"), StatusCode::OK),
        (change(1, "again"), StatusCode::CONFLICT),
        (
            json!({"revision": 2, "reason": "x", "settings": {"formt": "sns"}}).to_string(),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let answer = site.put_json("/api/v1/sources/team-a", &root, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
    let list = site.get("/api/v1/sources", &root).await.json();
    let names: Vec<&Value> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|source| &source["name"])
        .collect();
    assert_eq!(names, ["prom", "team-a"]);
    assert_eq!(list[1]["settings"]["correlate_by"], json!(["cluster"]));
    assert_eq!(list[1]["revision"], 2);
    let acts = site.get("/api/v1/acts", &root).await.json();
    assert_eq!(acts["rows"][0]["act"], "source_changed");
    assert_eq!(acts["rows"][0]["by"], "root");
    assert!(!acts.to_string().contains(&token));
}

#[tokio::test]
async fn faults_name_every_field() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let body = json!({"name": "A\u{0}", "settings": {"format": "x", "correlate_by": ["a b"],
                      "storm": {"starts": 0, "within": "x"}}});
    let refused = site.post_json("/api/v1/sources", &root, &body.to_string()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    for field in [
        "ame: ",
        "format: ",
        "correlate_by: ",
        "storm_starts: ",
        "storm_within: ",
    ] {
        assert!(message.contains(field), "{field} in {message}");
    }
    for path in ["/api/v1/sources/nobody", "/api/v1/sources/%00"] {
        assert_eq!(
            site.get(path, &root).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn tokens_are_issued_listed_without_their_text_and_revoked() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let path = "/api/v1/sources/prom/tokens";
    let unnamed = site.post_json(path, &root, "{}").await;
    assert_eq!(unnamed.status, StatusCode::UNPROCESSABLE_ENTITY);
    let issued = site.post_json(path, &root, "{\"name\": \"eu\"}").await;
    assert_eq!(issued.status, StatusCode::CREATED, "{}", issued.text);
    let (id, token) = (
        issued.json()["id"].clone(),
        issued.json()["token"].as_str().unwrap().to_owned(),
    );
    assert_eq!(
        site.post_json(path, &root, "{\"name\": \"us\"}").await.status,
        StatusCode::CONFLICT
    );
    let list = site.get(path, &root).await;
    assert!(!list.text.contains(&token));
    assert_eq!(list.json()[1]["prefix"], token[..10]);
    let revoke = format!("{path}/{id}/revoke");
    assert_eq!(
        site.post_json(&revoke, &root, "{}").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let why = "{\"reason\": \"lost\"}";
    assert_eq!(
        site.post_json(&revoke, &root, why).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        site.post_json(&revoke, &root, why).await.status,
        StatusCode::CONFLICT
    );
    is_closed(&site, "prom", &token).await;

    for (path, status) in [
        ("/api/v1/sources/prom/disable", StatusCode::NO_CONTENT),
        ("/api/v1/sources/prom/disable", StatusCode::CONFLICT),
        ("/api/v1/sources/prom/enable", StatusCode::NO_CONTENT),
    ] {
        assert_eq!(site.post_json(path, &root, why).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn viewers_read_and_only_admins_change() {
    let site = Site::new().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    for path in ["/api/v1/sources", "/api/v1/sources/prom"] {
        assert_eq!(site.get(path, &vic).await.status, StatusCode::OK, "{path}");
        assert_eq!(
            site.get(path, "").await.status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    assert_eq!(
        site.get("/api/v1/sources/prom/tokens", &vic).await.status,
        StatusCode::FORBIDDEN
    );
    for path in [
        "/api/v1/sources",
        "/api/v1/sources/prom/disable",
        "/api/v1/sources/prom/enable",
        "/api/v1/sources/prom/tokens",
        "/api/v1/sources/prom/tokens/1/revoke",
    ] {
        let answer = site.post_json(path, &vic, "{}").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    let answer = site.put_json("/api/v1/sources/prom", &vic, "{}").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_intake_has_its_formats_beside_them() {
    let site = Site::new().await;
    let intake = Router::new()
        .route("/api/v1/sources/{source}/{format}", post(async || "taken"))
        .route(
            "/api/v1/sources/{source}/{format}/api/v2/alerts",
            post(async || "taken"),
        );
    // Addresses that collide would not even merge.
    let both = web::router(site.state.clone()).merge(intake);
    for (path, status) in [
        ("/api/v1/sources/prom/grafana", StatusCode::OK),
        ("/api/v1/sources/prom/prometheus/api/v2/alerts", StatusCode::OK),
        ("/api/v1/sources/prom/tokens", StatusCode::UNAUTHORIZED),
        ("/api/v1/sources/prom/disable", StatusCode::UNAUTHORIZED),
        ("/api/v1/sources/prom/tokens/1/revoke", StatusCode::UNAUTHORIZED),
    ] {
        let request = Request::post(path).body(Body::empty()).unwrap();
        let answer = both.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}
