//! Sources on the pages: who sees what, what is made, shown once, refused and written down.

use std::time::Duration;

use axum::http::StatusCode;
use muster::{domain::operator::Role, store::sources};
use serde_json::json;

use super::{BODY, deliver, is_closed, post};
use crate::support::site::{Answer, Site};

const HOSTILE: &str = "</p><script>alert(1)</script>\u{202e}gnp";

/// The token that a page shows.
fn token(page: &Answer) -> String {
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let start = page.text.find("<code>mst_").expect("no token") + "<code>".len();
    page.text[start..].split('<').next().unwrap().to_owned()
}

/// The fields of the settings as a browser sends them when nobody has touched them.
fn settings(format: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("format", format),
        ("correlate_by", ""),
        ("stale_after", "8h10m"),
        ("heartbeat_within", ""),
        ("storm_starts", "20"),
        ("storm_within", "10m"),
        ("sign_with", ""),
        ("mapping", ""),
    ]
}

#[tokio::test]
async fn a_source_is_made_with_a_token_that_is_shown_once_and_opens_it() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let form = site.get("/sources/new", &root).await;
    for shown in [
        "value=\"8h10m\"",
        "value=\"20\"",
        "value=\"10m\"",
        "Google Pub/Sub",
    ] {
        assert!(form.text.contains(shown), "{shown}");
    }
    let op = uuid::Uuid::new_v4().to_string();
    let mut fields = settings("alertmanager");
    fields.extend([("op", op.as_str()), ("name", " team-a ")]);
    let made = site.post("/sources/new", &root, &fields).await;
    let first = token(&made);
    assert!(
        made.text.contains(&format!("credentials: {first}")),
        "the config has it in"
    );
    assert!(
        made.text
            .contains("http://muster.test/api/v1/sources/team-a/alertmanager")
    );
    assert!(made.header("cache-control").contains("no-store"));

    let again = site.post("/sources/new", &root, &fields).await;
    assert_eq!(again.header("location"), "/sources/team-a", "{}", again.text);
    let page = site.get("/sources/team-a", &root).await;
    assert!(!page.text.contains(&first) && page.text.contains("credentials: THE-TOKEN"));
    assert!(page.text.contains(&first[..10]), "its prefix tells it");
    assert_eq!(deliver(&site, "team-a", &first, BODY).await, StatusCode::OK);

    let mut twice = settings("alertmanager");
    twice.push(("name", "team-a"));
    let refused = post(&site, "/sources/new", &root, &twice).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("a source has this name"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn a_token_is_exchanged_while_both_open_the_source() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let named = [("token_name", "new cluster")];
    let issued = post(&site, "/sources/prom/tokens", &root, &named).await;
    let new = token(&issued);
    assert_eq!(deliver(&site, "prom", &new, BODY).await, StatusCode::OK);
    assert_eq!(
        deliver(&site, "prom", "a-token-of-a-test-prom", BODY).await,
        StatusCode::OK
    );

    let third = post(&site, "/sources/prom/tokens", &root, &named).await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    assert!(third.text.contains("revoke one of them first"), "{}", third.text);
    let page = site.get("/sources/prom", &root).await.text;
    assert!(
        !page.contains("action=\"/sources/prom/tokens\""),
        "no room is no form"
    );

    let silent = post(&site, "/sources/prom/tokens/1/revoke", &root, &[("reason", " ")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(silent.text.contains("say in a few words why"), "{}", silent.text);
    let gone = post(
        &site,
        "/sources/prom/tokens/1/revoke",
        &root,
        &[("reason", "old one")],
    )
    .await;
    assert_eq!(gone.header("location"), "/sources/prom", "{}", gone.text);
    is_closed(&site, "prom", "a-token-of-a-test-prom").await;
    assert_eq!(deliver(&site, "prom", &new, BODY).await, StatusCode::OK);
    let system = site.get("/system", &root).await.text;
    for said in [
        "issued a token of the source",
        "revoked a token of the source",
        "old one",
    ] {
        assert!(system.contains(said), "{said}");
    }
    assert!(!system.contains(&new));
    for (path, status) in [
        ("/sources/prom/tokens/1/revoke", StatusCode::CONFLICT),
        ("/sources/prom/tokens/77/revoke", StatusCode::NOT_FOUND),
        ("/sources/nobody/tokens/1/revoke", StatusCode::NOT_FOUND),
    ] {
        let answer = post(&site, path, &root, &[("reason", "x")]).await;
        assert_eq!(answer.status, status, "{path}");
    }
}

#[tokio::test]
async fn only_admins_change_and_nobody_else_sees_tokens() {
    let site = Site::new().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let (_, ana) = site.person("ana", Role::Approver).await;
    let mut fields = settings("alertmanager");
    fields.extend([("name", "x"), ("reason", "x"), ("token_name", "x"), ("seen", "1")]);
    for cookie in [&vic, &ana] {
        for path in [
            "/sources/new",
            "/sources/prom",
            "/sources/prom/disable",
            "/sources/prom/enable",
            "/sources/prom/tokens",
            "/sources/prom/tokens/1/revoke",
        ] {
            let answer = post(&site, path, cookie, &fields).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        }
        assert_eq!(
            site.get("/sources/new", cookie).await.status,
            StatusCode::FORBIDDEN
        );
        let page = site.get("/sources/prom", cookie).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text.contains("1 live token") && page.text.contains("THE-TOKEN"));
        assert!(
            !page.text.contains("declared at start")
                && !page
                    .text
                    .replace("/sources/prom/test\"", "")
                    .contains("action=\"/sources")
        );
        assert!(!site.get("/sources", cookie).await.text.contains("/sources/new"));
    }
    for path in ["/sources", "/sources/prom", "/sources/new"] {
        let stranger = site.get(path, "").await;
        assert!(stranger.header("location").starts_with("/login"), "{path}");
    }
}

#[tokio::test]
async fn faulty_settings_keep_the_typed_text_and_stand_at_their_fields() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    for path in ["/sources/new", "/sources/prom"] {
        let fields = [
            ("seen", "1"),
            ("name", HOSTILE),
            ("format", "nagios"),
            ("correlate_by", "a\r\n<b>x y"),
            ("stale_after", "soon<b>"),
            ("heartbeat_within", "1ms"),
            ("storm_starts", "0"),
            ("storm_within", "x"),
            ("sign_with", "hunter2"),
            ("mapping", "{<b>"),
            ("reason", "because <b>"),
        ];
        let refused = post(&site, path, &root, &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        for (field, label) in [
            ("format", "Format"),
            ("correlate_by", "Group by these labels"),
            ("stale_after", "An alert is stale after"),
            ("heartbeat_within", "Heartbeat within"),
            ("storm_starts", "Automatic starts at most"),
            ("storm_within", "Within this time"),
            ("sign_with", "Signed with"),
            ("mapping", "Mapping"),
        ] {
            let link = format!("<a href=\"#{field}\">{label}: ");
            assert!(refused.text.contains(&link), "{field}");
        }
        for kept in [
            "soon&#60;b&#62;",
            "value=\"1ms\"",
            "{&#60;b&#62;",
            "a\n&#60;b&#62;x y",
        ] {
            assert!(refused.text.contains(kept), "{kept} in {}", refused.text);
        }
        assert!(refused.text.matches("aria-invalid").count() >= 8, "{path}");
        assert!(!refused.text.contains("hunter2"), "it may be a secret: {path}");
        assert!(!refused.text.contains("<script>alert"), "{path}");
    }
    let mut conn = site.conn().await;
    assert_eq!(sources::list(&mut conn).await.unwrap().len(), 1);
    for name in ["", "new", "Prom", "a b", "../x", HOSTILE, "a\0b", &"x".repeat(64)] {
        let mut fields = settings("alertmanager");
        fields.push(("name", name));
        let refused = post(&site, "/sources/new", &root, &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name:?}");
        assert!(refused.text.contains("<a href=\"#name\">"), "{name:?}");
        assert!(!refused.text.contains("<script>alert"), "{name:?}");
    }
    for path in [
        "/sources/no",
        "/sources/%00",
        "/sources/%3Cscript%3E",
        "/sources/a%2Fb",
    ] {
        assert_eq!(
            site.get(path, &root).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn settings_are_saved_once_and_never_over_what_was_not_seen() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let seen = site.get("/sources/prom", &root).await.field("seen");
    let mut fields = settings("grafana");
    fields.retain(|(name, _)| !["correlate_by", "sign_with"].contains(name));
    fields.extend([
        ("seen", seen.as_str()),
        ("correlate_by", "cluster\r\n env , cluster_id"),
        ("sign_with", "env:GRAFANA"),
        ("reason", "moved to Grafana"),
    ]);
    let saved = post(&site, "/sources/prom", &root, &fields).await;
    assert_eq!(saved.header("location"), "/sources/prom", "{}", saved.text);
    let page = site.get("/sources/prom", &root).await.text;
    for shown in [
        "cluster, env, cluster_id",
        "env:GRAFANA",
        "sources/prom/grafana",
        "contactPoints",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    // The same form from an old page.
    fields.retain(|(name, _)| *name != "stale_after");
    fields.push(("stale_after", "1h"));
    let stale = post(&site, "/sources/prom", &root, &fields).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    assert!(
        stale.text.contains("Somebody changed this source meanwhile"),
        "{}",
        stale.text
    );
    assert!(stale.text.contains("value=\"1h\""), "the typed text stays");
    fields.retain(|(name, _)| *name != "seen");
    let newer = stale.field("seen");
    // The first form of the page that names what was seen is that of the settings.
    fields.push(("seen", newer.as_str()));
    let saved = post(&site, "/sources/prom", &root, &fields).await;
    assert_eq!(saved.header("location"), "/sources/prom", "{}", saved.text);
    let system = site.get("/system", &root).await.text;
    assert!(system.contains("changed the source"), "{system}");
    assert!(system.contains("stale_after 8h10m → 1h"), "{system}");
}

#[tokio::test]
async fn a_disabled_source_takes_nothing_until_it_is_enabled() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let silent = post(&site, "/sources/prom/disable", &root, &[("reason", "")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY);
    let why = [("reason", HOSTILE)];
    let closed = post(&site, "/sources/prom/disable", &root, &why).await;
    assert_eq!(closed.status, StatusCode::SEE_OTHER, "{}", closed.text);
    let good = "a-token-of-a-test-prom";
    is_closed(&site, "prom", good).await;
    let page = site.get("/sources/prom", &root).await.text;
    assert!(page.contains("Disabled since") && page.contains("Enable source"));
    assert!(site.get("/sources", &root).await.text.contains("Disabled"));
    let again = post(&site, "/sources/prom/disable", &root, &why).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let opened = post(&site, "/sources/prom/enable", &root, &why).await;
    assert_eq!(opened.status, StatusCode::SEE_OTHER);
    assert_eq!(deliver(&site, "prom", good, BODY).await, StatusCode::OK);
    let system = site.get("/system", &root).await.text;
    assert!(system.contains("disabled the source") && !system.contains("<script>alert"));
}

#[tokio::test]
async fn the_list_says_whether_alerts_reach_us() {
    let site = Site::new().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    let list = site.get("/sources", &vic).await.text;
    assert!(
        list.contains("Nothing came") && list.contains("0 deliveries in 24 h"),
        "{list}"
    );
    let good = "a-token-of-a-test-prom";
    deliver(&site, "prom", good, BODY).await;
    deliver(&site, "prom", good, "{\"<b>\"").await;
    for _ in 0..3 {
        deliver(&site, "prom", "wrong", BODY).await;
    }
    let list = site.get("/sources", &vic).await.text;
    for shown in [
        "Some rejected",
        "5 deliveries in 24 h",
        "4 rejected",
        "Last delivery <time",
    ] {
        assert!(list.contains(shown), "{shown} in {list}");
    }
    let page = site.get("/sources/prom", &vic).await.text;
    for shown in [
        "Applied",
        "3 times within its minute",
        "no or wrong token",
        "/deliveries?show=rejected",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    assert!(!page.contains("/body\""), "bodies are for responders");
    site.clock().advance(Duration::from_secs(25 * 3600));
    let list = site.get("/sources", &vic).await;
    // The session has ended by then.
    assert_eq!(list.status, StatusCode::SEE_OTHER);
    let (_, vera) = site.person("vera", Role::Viewer).await;
    let list = site.get("/sources", &vera).await.text;
    assert!(
        list.contains("0 deliveries in 24 h") && list.contains("Delivers"),
        "{list}"
    );
}

#[tokio::test]
async fn a_heartbeat_source_says_whether_it_lives() {
    let site = Site::new().await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    site.intake
        .source("dog", Some(muster::domain::span::Span::from_secs(300)))
        .await;
    assert!(site.get("/sources", &vic).await.text.contains("No heartbeat yet"));
    let alert =
        json!({"status": "firing", "startsAt": "2026-11-21T02:59:00Z", "labels": {"alertname": "Watchdog"}});
    let body = json!({"receiver": "r", "groupKey": "g", "alerts": [alert]}).to_string();
    assert_eq!(site.intake.post("dog", body).await.0, StatusCode::OK);
    assert!(site.get("/sources", &vic).await.text.contains("Heartbeat alive"));
    let page = site.get("/sources/dog", &vic).await.text;
    assert!(
        page.contains("next due <time") && page.contains("Watchdog"),
        "{page}"
    );
    site.clock().advance(Duration::from_secs(301));
    assert!(site.get("/sources", &vic).await.text.contains("Heartbeat silent"));
}

#[tokio::test]
async fn the_sender_config_names_the_address_people_use() {
    let site =
        Site::with(|state| state.public_url = Some("https://ops.example/muster/".parse().unwrap())).await;
    let (_, root) = site.person("root", Role::Admin).await;
    // An https site has another cookie name.
    let root = root.replacen("muster=", "__Host-muster=", 1);
    let page = site.get("/sources/prom", &root).await;
    assert!(
        page.text
            .contains("url: https://ops.example/muster/api/v1/sources/prom/alertmanager"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn the_list_draws_what_came_in_each_hour_of_a_day_and_says_it_in_words() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let list = site.get("/sources", &root).await.text;
    assert!(
        !list.contains("<svg role=\"img\""),
        "nothing came, nothing is drawn: {list}"
    );
    let hour = Duration::from_secs(3600);
    for _ in 0..3 {
        deliver(&site, "prom", "a-token-of-a-test-prom", BODY).await;
    }
    let from = site.clock().now();
    site.clock().advance(5 * hour);
    deliver(&site, "prom", "a-token-of-a-test-prom", BODY).await;
    site.clock().advance(2 * hour);
    let list = site.get("/sources", &root).await.text;
    let told = format!("at most 3 from {}", from.format("%H:%M"));
    assert!(list.contains(&told), "{told}: {list}");
    assert!(
        list.contains("none in the last 1 hour.") || list.contains("none in the last 2 hours."),
        "{list}"
    );
    let bars = list.split("<svg role=\"img\"").nth(1).unwrap();
    assert_eq!(bars.split("</svg>").next().unwrap().matches("<rect").count(), 24);
    // A day later none of it is of the last day.
    site.clock().advance(24 * hour);
    let list = site.get("/sources", &root).await.text;
    assert!(!list.contains("Deliveries by hour"), "{list}");
}
