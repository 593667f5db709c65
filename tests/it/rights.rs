//! The route table: what every route needs, that nobody with less is let through, and that no route is left out.

use std::{collections::BTreeSet, fmt::Write as _};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use muster::{
    domain::{operator::Role, permission::Permission},
    web::{self, caller::Need, routes::Route},
};

use crate::support::site::{Answer, Site};

/// What people see before they sign in, and what is no secret. A route that is to be added here has to be looked at.
const OPEN: &[&str] = &[
    "GET /",
    "GET /login",
    "POST /login",
    "GET /login/recovery",
    "POST /login/recovery",
    "POST /login/passkey",
    "POST /login/passkey/challenge",
    "GET /login/provider",
    "GET /login/provider/back",
    "POST /logout",
    "GET /setup",
    "POST /setup",
    "GET /enter/{code}",
    "POST /enter/{code}",
    "GET /static/{file}",
    "GET /static/{digest}/{file}",
    "GET /api/v1/openapi.json",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
];

fn name(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

/// An address of this route, of the right shape, about things that do not exist.
fn address(route: &Route) -> String {
    let mut address = route.path.clone();
    for (name, value) in [
        ("{id}", "999999"),
        ("{alert}", "999999"),
        ("{silence}", "999999"),
        ("{step}", "no-step"),
        ("{file}", "no-file.css"),
    ] {
        address = address.replace(name, value);
    }
    while let (Some(from), Some(to)) = (address.find('{'), address.find('}')) {
        address.replace_range(from..=to, "nothing");
    }
    address
}

/// Asks as a page or a program of ours would, with nothing in the form.
async fn ask(site: &Site, route: &Route, header: Option<(header::HeaderName, &str)>) -> Answer {
    let is_json = route.path.starts_with("/api/");
    let (kind, body) = match is_json {
        true => ("application/json", "{}"),
        false => ("application/x-www-form-urlencoded", ""),
    };
    let mut request = Request::builder()
        .method(&route.method)
        .uri(address(route))
        .header(header::HOST, "muster.test")
        .header(header::ACCEPT, "text/html")
        .header(header::CONTENT_TYPE, kind)
        .header("sec-fetch-site", "same-origin");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let body = match route.method {
        Method::GET => Body::empty(),
        _ => Body::from(body),
    };
    site.send_head(request.body(body).unwrap()).await
}

fn is_sent_to_sign_in(answer: &Answer) -> bool {
    let leads_there = answer.status.is_redirection() && answer.header("location").starts_with("/login");
    answer.status == StatusCode::UNAUTHORIZED || leads_there
}

#[tokio::test]
async fn each_route_refuses_each_lesser_role_and_the_matrix_is_printed() {
    let site = Site::new().await;
    let mut people = Vec::new();
    for role in Role::ALL {
        people.push((role, site.person(role.name(), role).await.1));
    }
    let mut matrix = format!("{:<62}{:<14}{:<10}", "route", "needs", "nobody");
    for role in Role::ALL {
        _ = write!(matrix, "{:<11}", role.name());
    }
    let mut wrong = Vec::new();
    let table: Vec<Route> = web::table()
        .into_iter()
        .filter(|route| route.need != Need::Source)
        .collect();
    assert!(table.len() > 150, "the table is whole: {}", table.len());
    for route in &table {
        let Need::Permission(permission) = route.need else {
            _ = write!(matrix, "\n{:<62}{:<14}", name(route), "-");
            matrix.push_str("open      open       open       open       open");
            continue;
        };
        _ = write!(matrix, "\n{:<62}{:<14}", name(route), permission.name());
        let answer = ask(&site, route, None).await;
        if !is_sent_to_sign_in(&answer) {
            wrong.push(format!("{} as nobody: {}", name(route), answer.status));
        }
        matrix.push_str("sign in   ");
        for (role, cookie) in &people {
            let answer = ask(&site, route, Some((header::COOKIE, cookie))).await;
            let is_let_in = !is_sent_to_sign_in(&answer) && answer.status != StatusCode::FORBIDDEN;
            if is_let_in != (*role >= permission.least()) || answer.status.is_server_error() {
                wrong.push(format!("{} as {role}: {}", name(route), answer.status));
            }
            _ = write!(matrix, "{:<11}", if is_let_in { "yes" } else { "refused" });
        }
    }
    println!("{matrix}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_open_to_everybody_is_a_list_that_somebody_wrote() {
    let open: BTreeSet<String> = web::table()
        .iter()
        .filter(|route| route.need == Need::Nothing)
        .map(name)
        .collect();
    let listed: BTreeSet<String> = OPEN.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(open, listed);
}

#[test]
fn no_route_stands_twice_and_every_permission_is_asked_for_somewhere() {
    let table = web::table();
    let names: BTreeSet<String> = table.iter().map(name).collect();
    assert_eq!(names.len(), table.len());
    for permission in Permission::ALL {
        let is_asked = table
            .iter()
            .any(|route| route.need == Need::Permission(permission));
        assert!(is_asked, "{permission}");
    }
}

#[tokio::test]
async fn a_door_of_a_sender_opens_for_no_session_however_high() {
    let site = Site::new().await;
    let (_, admin) = site.person("root", Role::Admin).await;
    for route in web::table().iter().filter(|route| route.need == Need::Source) {
        let path = address(route).replacen("/nothing/", "/prom/", 1);
        for value in [None, Some(admin.as_str())] {
            let mut request = Request::builder().method(&route.method).uri(&path);
            if let Some(cookie) = value {
                request = request.header(header::COOKIE, cookie);
            }
            let request = request.header(header::CONTENT_TYPE, "application/json");
            let answer = crate::support::intake::send(
                &site.intake.router(),
                request
                    .body(Body::from(r#"{"version": "4", "alerts": []}"#))
                    .unwrap(),
            )
            .await;
            // 503 when it asked the database too often for tokens it does not know: it may be known in a moment.
            let is_shut =
                [StatusCode::UNAUTHORIZED, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status);
            assert!(is_shut, "{}: {}", name(route), answer.status);
        }
    }
}

/// A request of a program.
async fn call(site: &Site, method: Method, path: &str, token: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "muster.test")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    site.send(request.body(Body::from("{}")).unwrap()).await
}

async fn token(site: &Site, cookie: &str, name: &str, scopes: &[&str]) -> String {
    let body = serde_json::json!({"name": name, "scopes": scopes, "days": 30}).to_string();
    let made = site.post_json("/api/v1/tokens", cookie, &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_opens_what_it_carries_and_nothing_else_and_never_more_than_its_owner_may() {
    let site = Site::new().await;
    let (_, admin) = site.person("root", Role::Admin).await;
    let mut wrong = Vec::new();
    let fitting: Vec<Permission> = Permission::ALL
        .into_iter()
        .filter(|permission| permission.fits_a_token())
        .collect();
    for scope in &fitting {
        let token = token(&site, &admin, scope.name(), &[scope.name()]).await;
        for route in web::table() {
            let Need::Permission(needed) = route.need else {
                continue;
            };
            let value = format!("Bearer {token}");
            let answer = ask(&site, &route, Some((header::AUTHORIZATION, &value))).await;
            let is_let_in = ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status);
            if is_let_in != (needed == *scope) {
                wrong.push(format!("{} with {scope}: {}", name(&route), answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Its owner loses a role, and so does the token; the owner is disabled, and it opens nothing.
    let (ben, cookie) = site.person("ben", Role::Admin).await;
    let strong = token(&site, &cookie, "strong", &["read", "sources"]).await;
    let path = "/api/v1/sources/prom/tokens";
    assert_eq!(
        call(&site, Method::GET, path, &strong).await.status,
        StatusCode::OK
    );
    let mut conn = site.conn().await;
    for (change, expected) in [
        (
            "update operators set role = 'approver' where id = $1",
            StatusCode::FORBIDDEN,
        ),
        (
            "update operators set disabled_at = now() where id = $1",
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        sqlx::query(change)
            .bind(ben.id.0)
            .execute(&mut *conn)
            .await
            .unwrap();
        assert_eq!(call(&site, Method::GET, path, &strong).await.status, expected);
    }
}

#[tokio::test]
async fn what_is_no_good_token_gets_one_answer_and_changes_nothing() {
    let site = Site::new().await;
    let (_, cookie) = site.person("ana", Role::Responder).await;
    let good = token(&site, &cookie, "ci", &["read"]).await;
    let path = "/api/v1/incidents";
    assert_eq!(call(&site, Method::GET, path, &good).await.status, StatusCode::OK);
    let listed = site.get("/api/v1/tokens", &cookie).await;
    assert!(
        !listed.text.contains(&good) && listed.text.contains(&good[..10]),
        "{}",
        listed.text
    );
    assert!(!listed.json()[0]["last_used_at"].is_null(), "{}", listed.text);

    let other = if good.ends_with('A') { 'E' } else { 'A' };
    let tampered = format!("{}{other}", &good[..good.len() - 1]);
    let foreign = muster::domain::token::Token::of(muster::domain::token::PERSONAL_MARK, [9; 32]);
    let source = good.replacen("msp_", "mst_", 1);
    for bad in ["", "x", &tampered, foreign.reveal(), &source, &good[..20], "ü"] {
        let answer = call(&site, Method::GET, path, bad).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{bad}");
        assert_eq!(answer.json()["error"]["code"], "sign_in", "{}", answer.text);
    }
    // A cookie beside it: whoever sent both meant one.
    let both = Request::builder()
        .uri(path)
        .header(header::COOKIE, &cookie)
        .header(header::AUTHORIZATION, format!("Bearer {good}"));
    let answer = site.send(both.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);

    // A token makes no token, decides at no gate, and takes none away.
    let narrow = token(&site, &cookie, "narrow", &["read", "respond", "run"]).await;
    for path in [
        "/api/v1/tokens",
        "/api/v1/approvals/1/decision",
        "/api/v1/tokens/1/revoke",
    ] {
        let answer = call(&site, Method::POST, path, &narrow).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text);
        assert!(answer.text.contains("no token may do this"), "{}", answer.text);
    }
    // More than its owner may, unknown scopes, no scope, too long: each names its field.
    for (scopes, days, part) in [
        (vec!["sources"], 30, "scopes: you may not change sources"),
        (vec!["decide"], 30, "scopes: no token may decide at gates"),
        (vec!["root"], 30, "scopes: there is no permission"),
        (vec![], 30, "scopes: choose what it may do"),
        (vec!["read"], 0, "days: it can be good for 1 to 366 days"),
        (vec!["read"], 367, "days: it can be good for 1 to 366 days"),
    ] {
        let body = serde_json::json!({"name": "x", "scopes": scopes, "days": days}).to_string();
        let answer = site.post_json("/api/v1/tokens", &cookie, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
        assert!(
            answer.text.to_lowercase().contains(part),
            "{part}: {}",
            answer.text
        );
    }
    // Revoked by another person: not theirs. By its owner: gone, and expired ones as well.
    let id = listed.json()[0]["id"].as_i64().unwrap();
    let (_, other) = site.person("eve", Role::Admin).await;
    let path_of = format!("/api/v1/tokens/{id}/revoke");
    assert_eq!(
        site.post_json(&path_of, &other, "{}").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        site.post_json(&path_of, &cookie, "{}").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        call(&site, Method::GET, path, &good).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        call(&site, Method::GET, path, &narrow).await.status,
        StatusCode::OK
    );
    site.clock().advance(std::time::Duration::from_secs(30 * 86_400));
    assert_eq!(
        call(&site, Method::GET, path, &narrow).await.status,
        StatusCode::UNAUTHORIZED
    );
}
