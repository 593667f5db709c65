//! What the forms of the page do, as JSON.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use muster::domain::operator::Role;
use serde_json::{Value, json};

use super::{PAGE, act};
use crate::{
    pages::fire,
    support::site::{Answer, Site},
};

const API: &str = "/api/v1/incidents/1";

async fn send(site: &Site, cookie: &str, method: &str, path: &str, body: Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("{API}{path}"))
        .header(header::HOST, "muster.test")
        .header(header::COOKIE, cookie)
        .header(header::CONTENT_TYPE, "application/json")
        .header("sec-fetch-site", "same-origin")
        .body(Body::from(body.to_string()))
        .unwrap();
    site.send(request).await
}

#[tokio::test]
async fn a_program_does_what_the_forms_of_the_page_do_and_reads_how_it_stands() {
    let site = Site::new().await;
    let (me, ana) = site.person("ana", Role::Responder).await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    fire(&site, "Down", 1).await;
    act(&site, &ana, "notes", &[("text", "Lag was 2 s")]).await;
    let note: i64 = site.get(PAGE, &ana).await.field("seen").parse().unwrap();
    let correction = format!("/notes/{note}/corrections");
    for (method, path, body, status) in [
        (
            "POST",
            correction.as_str(),
            json!({"text": "Lag was 3 s", "over": note}),
            201,
        ),
        (
            "POST",
            &correction,
            json!({"text": "Lag was 4 s", "over": note}),
            409,
        ),
        ("POST", "/notes/1/corrections", json!({"text": "other"}), 404),
        (
            "POST",
            "/notes",
            json!({"text": "maybe", "tag": "hypothesis"}),
            201,
        ),
        ("POST", "/notes", json!({"text": "maybe", "tag": "guess"}), 400),
        ("PUT", "/impact", json!({"impact": "Nobody can pay."}), 200),
        ("PUT", "/impact", json!({"impact": "Nobody can pay."}), 409),
        (
            "POST",
            "/updates",
            json!({"condition": "down", "next_in_minutes": 30}),
            201,
        ),
        ("POST", "/updates", json!({"condition": " "}), 422),
        ("POST", "/pins", json!({"seq": note}), 200),
        ("POST", "/pins", json!({"seq": 999}), 404),
        ("POST", "/duties", json!({"duty": "commander"}), 200),
        ("POST", "/duties", json!({"duty": "king"}), 400),
        (
            "PUT",
            "/severity",
            json!({"severity": 2, "reason": "one region"}),
            200,
        ),
        ("PUT", "/severity", json!({"severity": 9}), 400),
        ("POST", "/mitigate", json!({"reason": "drained"}), 200),
        ("POST", "/close", json!({}), 409),
    ] {
        let refused = send(&site, &vic, method, path, body.clone()).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {path}");
        let answer = send(&site, &ana, method, path, body.clone()).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{method} {path} {body}: {}",
            answer.text
        );
    }
    let stands = site.get(API, &vic).await.json();
    assert_eq!(
        (&stands["impact"], &stands["update"]["condition"], &stands["pins"]),
        (&json!("Nobody can pay."), &json!("down"), &json!([note]))
    );
    assert_eq!(stands["duties"][0]["person"], json!(me.id.0));
    assert_eq!(
        (&stands["severity"], &stands["state"]),
        (&json!(2), &json!("mitigated"))
    );
    assert!(stands["services"].is_array() && stands["update"]["next_due"].is_string());
    let timeline = site.get(&format!("{API}/timeline"), &vic).await.json();
    let corrected = timeline
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["fact"]["kind"] == "note_corrected");
    assert_eq!(corrected.unwrap()["fact"]["note"], json!(note));
    let unpinned = send(&site, &ana, "DELETE", &format!("/pins/{note}"), json!({})).await;
    assert_eq!(unpinned.json()["id"], 1);
    send(
        &site,
        &ana,
        "POST",
        "/duties/lay-down",
        json!({"duty": "commander"}),
    )
    .await;
    let stands = site.get(API, &vic).await.json();
    assert_eq!((&stands["pins"], &stands["duties"]), (&json!([]), &json!([])));
}
