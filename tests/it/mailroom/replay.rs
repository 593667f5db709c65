//! Deliveries on their pages, and sent again from there.

use axum::http::StatusCode;
use muster::{domain::operator::Role, store::sources};
use serde_json::json;

use super::{firing, generic, post};
use crate::support::site::Site;

const BODY: &str = r#"{"events": [{"id": 7, "text": "<b>Disk</b> full\u202e", "state": "on"}]}"#;

/// A source of any JSON whose mapping does not fit what it sends.
async fn misread() -> (Site, String) {
    let site = Site::new().await;
    let settings = generic(json!({"alerts": "event", "labels": {"names": {"alertname": "text"}}}));
    site.intake.source_with("json", settings).await;
    let (status, _) = site.intake.post_as("json", "generic", BODY).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, ana) = site.person("ana", Role::Responder).await;
    (site, ana)
}

async fn corrects(site: &Site) {
    let mut conn = site.conn().await;
    let source = sources::find_by_name(&mut conn, "json").await.unwrap().unwrap();
    let settings = generic(
        json!({"alerts": "events", "status": "state", "firing": ["on"], "key": ["id"],
                                  "labels": {"names": {"alertname": "text"}}}),
    );
    assert!(
        sources::update(&mut conn, source.id, source.revision, &settings)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_rejected_delivery_is_applied_once_its_mapping_is_right() {
    let (site, ana) = misread().await;
    let page = site.get("/deliveries/1", &ana).await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in [
        "&#60;b&#62;Disk",
        "⟨U+202E⟩",
        "Alertmanager/0.28.1",
        "event",
        "Send it again through the real path",
    ] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(!page.text.contains("<b>Disk"));

    let again = post(&site, "/deliveries/1/replay", &ana, &[("format", "generic")]).await;
    assert_eq!(again.status, StatusCode::OK);
    assert!(again.text.contains("as rejected delivery 2"), "{}", again.text);
    corrects(&site).await;
    let op = uuid::Uuid::new_v4().to_string();
    let fields = [("op", op.as_str()), ("format", "")];
    let again = site.post("/deliveries/1/replay", &ana, &fields).await;
    for shown in [
        "1 alert:",
        "committed, as delivery 3",
        "INC-1",
        "none applies to INC-1",
    ] {
        assert!(again.text.contains(shown), "{shown}: {}", again.text);
    }
    let twice = site.post("/deliveries/1/replay", &ana, &fields).await;
    assert_eq!(
        twice.header("location"),
        "/deliveries/1",
        "a second tap sends nothing"
    );
    let linked = "select count(*) from deliveries where replay_of = 1";
    assert_eq!(site.intake.database.count(linked).await, 2);
    assert_eq!(
        site.intake.database.count("select count(*) from incidents").await,
        1
    );
    let first = site.get("/deliveries/1", &ana).await.text;
    assert!(
        first.contains("/deliveries/3"),
        "it names what it was sent again as"
    );
    let new = site.get("/deliveries/3", &ana).await.text;
    for shown in ["/incidents/1", "/deliveries/1\"", "sent again by ana"] {
        assert!(new.contains(shown), "{shown}");
    }
}

#[tokio::test]
async fn what_is_known_already_changes_nothing_when_it_is_sent_again() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    site.intake.post("prom", firing("Down")).await;
    let answer = site.post_json("/api/v1/deliveries/1/replay", &ana, "{}").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let way = answer.json();
    assert_eq!((&way["status"], &way["delivery"]), (&json!("stored"), &json!(2)));
    let stages: Vec<&str> = way["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["stage"].as_str().unwrap())
        .collect();
    assert!(stages.starts_with(&["Read", "Stored"]), "{way}");
    for count in ["incidents", "alerts", "episodes"] {
        let sql = match count {
            "incidents" => "select count(*) from incidents",
            "alerts" => "select count(*) from alerts",
            _ => "select count(*) from episodes",
        };
        assert_eq!(site.intake.database.count(sql).await, 1, "{count}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_again_says_why() {
    let (site, ana) = misread().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let forbidden = post(&site, "/deliveries/1/replay", &vic, &[]).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    let page = site.get("/deliveries/1", &vic).await.text;
    assert!(!page.contains("Disk") && !page.contains("/replay"), "{page}");
    site.intake.post_with("json", "Bearer wrong", BODY).await;
    let refused = post(&site, "/deliveries/2/replay", &ana, &[]).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );
    assert!(
        refused.text.contains("refused before its body was read"),
        "{}",
        refused.text
    );
    assert_eq!(
        post(&site, "/deliveries/77/replay", &ana, &[]).await.status,
        StatusCode::NOT_FOUND
    );
    let (_, root) = site.person("root", Role::Admin).await;
    post(&site, "/sources/json/disable", &root, &[("reason", "x")]).await;
    let closed = post(&site, "/deliveries/1/replay", &ana, &[]).await;
    assert!(closed.text.contains("The source is disabled"), "{}", closed.text);
}

#[tokio::test]
async fn the_list_shows_one_source_page_by_page() {
    let (site, ana) = misread().await;
    for n in 0..52 {
        site.clock().advance(std::time::Duration::from_secs(1));
        site.intake.post("prom", firing(&format!("A{n}"))).await;
    }
    let page = site.get("/deliveries?source=json", &ana).await.text;
    assert!(page.contains("/deliveries/1\"") && !page.contains("/deliveries/2\""));
    let page = site.get("/deliveries?source=prom", &ana).await.text;
    assert!(page.contains("/deliveries/53\"") && !page.contains("/deliveries/3\""));
    assert!(page.contains("/deliveries?source=prom&#38;before=4"), "{page}");
    let rest = site.get("/deliveries?source=prom&before=4", &ana).await.text;
    assert!(
        rest.contains("/deliveries/3\"")
            && rest.contains("/deliveries/2\"")
            && !rest.contains("/deliveries/1\"")
    );
    let rejected = site.get("/deliveries?source=prom&show=rejected", &ana).await.text;
    assert!(rejected.contains("Nothing of prom was rejected"));
    let nobody = site.get("/deliveries?source=no%00body", &ana).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND, "{}", nobody.text);
    let api = site
        .get("/api/v1/deliveries?source=json&outcome=rejected", &ana)
        .await
        .json();
    assert_eq!(api["rows"].as_array().unwrap().len(), 1);
    assert_eq!(
        site.get("/deliveries?source=nobody", &ana).await.status,
        StatusCode::NOT_FOUND
    );
    let one = site.get("/api/v1/deliveries/1", &ana).await.json();
    assert_eq!(
        (&one["outcome"], &one["format"]),
        (&json!("rejected"), &json!("generic"))
    );
    assert_eq!(one["body"], BODY);
}
