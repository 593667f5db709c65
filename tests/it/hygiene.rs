//! What every answer says to a browser, on every route; and what another site, a proxy or a hostile header can do:
//! nothing.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use muster::{
    domain::operator::Role,
    web::{self, caller::Need, health, routes::Route},
};
use tower::ServiceExt;

use crate::support::site::Site;

/// Everything that Muster answers to: pages, JSON, doors of senders and machines.
fn whole(site: &Site) -> Router {
    let pool = site.intake.database.pools.web.clone();
    let health = health::router(pool, None, site.intake.receiver.clone());
    web::whole(site.state.clone(), site.intake.router().merge(health))
}

fn address(route: &Route) -> String {
    let mut address = route.path.clone();
    while let (Some(from), Some(to)) = (address.find('{'), address.find('}')) {
        address.replace_range(from..=to, "7");
    }
    address
}

async fn send(router: &Router, request: axum::http::request::Builder) -> (StatusCode, HeaderMap) {
    let request = request
        .header(header::HOST, "muster.test")
        .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 4000))))
        .body(Body::empty())
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    (response.status(), response.headers().clone())
}

#[tokio::test]
async fn every_route_sends_every_guard_whoever_asks() {
    let mut site = Site::new().await;
    let (_, admin) = site.person("root", Role::Admin).await;
    site.state.public_url = Some("https://muster.test/".parse().unwrap());
    let (by_https, by_http) = (whole(&site), {
        site.state.public_url = None;
        whole(&site)
    });
    let mut routes: Vec<(Method, String)> = web::table()
        .iter()
        .map(|route| (route.method.clone(), address(route)))
        .collect();
    routes.extend(
        ["/nothing-here", "/api/v1/nothing-here", "/incidents/"].map(|path| (Method::GET, path.to_owned())),
    );
    routes.push((Method::DELETE, "/incidents".to_owned()));
    let mut wrong = Vec::new();
    for (method, path) in &routes {
        for (router, cookie) in [(&by_http, ""), (&by_http, admin.as_str()), (&by_https, "")] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::COOKIE, cookie);
            let (_, headers) = send(router, request).await;
            let is = |name: &str, part: &str| {
                let value = headers.get(name).and_then(|value| value.to_str().ok());
                value.is_some_and(|value| value.contains(part))
            };
            let is_secure = std::ptr::eq(router, &by_https);
            for (name, part) in [
                (
                    "content-security-policy",
                    "default-src 'none'; script-src 'self'; style-src 'self'",
                ),
                (
                    "content-security-policy",
                    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
                ),
                ("content-security-policy", "require-trusted-types-for 'script'"),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "same-origin"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("permissions-policy", "camera=()"),
                ("cache-control", "no-"),
            ] {
                if !is(name, part) {
                    wrong.push(format!("{method} {path}: {name} without {part}"));
                }
            }
            for loose in ["unsafe-inline", "unsafe-eval", "http:", "*"] {
                if is("content-security-policy", loose) {
                    wrong.push(format!("{method} {path}: the policy has {loose}"));
                }
            }
            if is("strict-transport-security", "max-age=31536000") != is_secure {
                wrong.push(format!("{method} {path}: strict-transport-security"));
            }
            if headers.contains_key("access-control-allow-origin") || headers.contains_key(header::SERVER) {
                wrong.push(format!("{method} {path}: says too much"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn no_other_site_can_make_a_browser_change_anything() {
    let site = Site::new().await;
    let (_, admin) = site.person("root", Role::Admin).await;
    let router = whole(&site);
    let changing = web::table()
        .into_iter()
        .filter(|route| route.method != Method::GET && route.need != Need::Source);
    let mut asked = 0;
    for route in changing {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.test"),
            ("origin", "null"),
            ("origin", "http://muster.test.evil.test"),
        ] {
            let request = Request::builder()
                .method(&route.method)
                .uri(address(&route))
                .header(header::COOKIE, &admin)
                .header(name, value);
            let (status, headers) = send(&router, request).await;
            assert_eq!(
                status,
                StatusCode::FORBIDDEN,
                "{} {} {name}: {value}",
                route.method,
                route.path
            );
            assert!(!headers.contains_key(header::SET_COOKIE));
            asked += 1;
        }
    }
    assert!(asked > 400, "{asked}");
}

#[tokio::test]
async fn no_get_changes_anything() {
    let site = Site::new().await;
    let (_, admin) = site.person("root", Role::Admin).await;
    let router = whole(&site);
    let before = rows(&site).await;
    for route in web::table().iter().filter(|route| route.method == Method::GET) {
        let request = Request::builder()
            .uri(address(route))
            .header(header::COOKIE, &admin);
        send(&router, request).await;
    }
    assert_eq!(rows(&site).await, before);
}

/// How many rows every table has.
async fn rows(site: &Site) -> Vec<(String, i64)> {
    let mut conn = site.conn().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_tables where schemaname = 'public' order by tablename",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from \"{table}\"")));
        rows.push((table, count.fetch_one(&mut *conn).await.unwrap()));
    }
    rows
}

#[tokio::test]
async fn downloads_are_attachments_and_never_pages() {
    let site = Site::new().await;
    let (_, admin) = site.person("root", Role::Admin).await;
    let hostile = r#"{"version":"4","alerts":[],"x":"<script>alert(1)</script>"}"#;
    site.intake.post("prom", hostile).await;
    let body = site.get("/deliveries/1/body", &admin).await;
    assert_eq!(body.status, StatusCode::OK, "{}", body.text);
    assert!(
        body.header("content-disposition")
            .starts_with("attachment; filename="),
        "{:?}",
        body.headers
    );
    assert!(
        !body.header("content-type").contains("html"),
        "{:?}",
        body.headers
    );
}

#[tokio::test]
async fn headers_of_a_request_come_back_in_no_answer() {
    let site = Site::new().await;
    let router = whole(&site);
    for (name, value) in [
        ("x-request-id", "evil id; x=1"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "https"),
        ("x-http-method-override", "DELETE"),
        ("forwarded", "for=6.6.6.6;host=evil.test"),
        ("host", "evil.test"),
    ] {
        let request = Request::builder().uri("/incidents").header(name, value);
        let (_, headers) = send(&router, request).await;
        for (key, answered) in &headers {
            let answered = answered.to_str().unwrap();
            assert!(
                !answered.contains(value) && !answered.contains("evil"),
                "{key}: {answered}"
            );
        }
    }
}

/// What the recorded hostile alert says, typed by a person as well.
const HOSTILE: &str = "</title><script>alert(1)</script><img src=x onerror=alert(1)> \" onmouseover=\"alert(1) \u{202e}{{ 7*7 }} \
                       javascript:alert(1)";

/// A text without whatever stands between these marks.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| {
        kept + part.split_once(to).map_or("", |(_, rest)| rest)
    })
}

/// Everything that a page may not hold, whatever anybody sent or typed.
fn faults(html: &str) -> Vec<&'static str> {
    // What a field holds is given back as it was, between marks of ours that it cannot end.
    let html = without(&without(html, " value=\"", "\""), "<textarea", "</textarea>");
    let scripts = html.matches("<script").count();
    let ours = html.matches("<script type=\"module\" src=\"/static/").count();
    let mut faults = Vec::new();
    if scripts != ours {
        faults.push("a script that is not ours");
    }
    for mark in [
        "<img",
        "<iframe",
        "<svg onload",
        "<style",
        " style=\"",
        "\u{202e}",
        "=\"javascript:",
        ">49<",
    ] {
        if html.contains(mark) {
            faults.push(mark);
        }
    }
    // An attribute with a handler, inside a tag.
    let is_handler =
        |tag: &str| tag.contains(" onerror=") || tag.contains(" onmouseover=") || tag.contains(" onclick=");
    if html
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .any(is_handler)
    {
        faults.push("an attribute with a handler");
    }
    faults
}

#[tokio::test]
async fn hostile_text_is_text_on_every_page_there_is() {
    let site = Site::new().await;
    let (_, admin) = site.person("root", Role::Admin).await;
    site.person(HOSTILE.get(..90).unwrap(), Role::Responder).await;
    let capture = include_str!("../data/alertmanager/22-hostile-text.json");
    let capture: serde_json::Value = serde_json::from_str(capture).unwrap();
    let mut sent = 0;
    for request in capture["requests"].as_array().unwrap() {
        let body = request["body_raw"].as_str().unwrap().to_owned();
        let (status, _) = site.intake.post("prom", body).await;
        assert!(status.is_success(), "{status}");
        sent += 1;
    }
    assert!(sent > 0);
    let op = || uuid::Uuid::new_v4().to_string();
    site.post("/incidents/1/notes", &admin, &[("op", &op()), ("text", HOSTILE)])
        .await;
    site.post("/system/pause", &admin, &[("op", &op()), ("reason", HOSTILE)])
        .await;
    site.post(
        "/me/tokens",
        &admin,
        &[
            ("op", &op()),
            ("name", HOSTILE.get(..90).unwrap()),
            ("scope", "read"),
            ("days", "3"),
        ],
    )
    .await;
    let mut seen = 0;
    for route in web::table()
        .iter()
        .filter(|route| route.method == Method::GET && route.path != "/live")
    {
        let path = route
            .path
            .replace("{name}", "prom")
            .replace("{slug}", "none")
            .replace("{file}", "muster.css")
            .replace("{code}", "x");
        let mut path = path;
        while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
            path.replace_range(from..=to, "1");
        }
        for query in [
            "",
            "?q=%3Cscript%3Ealert(1)%3C/script%3E&next=javascript:alert(1)&person=%3Cimg%20src=x%3E",
        ] {
            let answer = site.get(&format!("{path}{query}"), &admin).await;
            assert!(!answer.status.is_server_error(), "{path}{query}: {}", answer.text);
            if !answer.header("content-type").starts_with("text/html") {
                assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
                continue;
            }
            seen += u32::from(answer.status == StatusCode::OK);
            assert_eq!(
                faults(&answer.text),
                Vec::<&str>::new(),
                "{path}{query}: {}",
                answer.text
            );
        }
    }
    assert!(seen > 40, "{seen} pages were looked at");
    // Refusals show what was typed, as text.
    let refused = site
        .post(
            "/incidents/1/severity",
            &admin,
            &[("op", &op()), ("severity", "9"), ("reason", HOSTILE)],
        )
        .await;
    assert_eq!(faults(&refused.text), Vec::<&str>::new(), "{}", refused.text);
}
