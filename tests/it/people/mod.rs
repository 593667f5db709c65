//! People: invited, given rights, disabled; and that whatever changes what they may do is felt at once.

mod screen;

use axum::http::StatusCode;
use muster::domain::operator::{Operator, Role};
use uuid::Uuid;

use crate::support::site::{Answer, Site};

async fn act(site: &Site, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let op = Uuid::new_v4().to_string();
    let mut all = vec![("op", op.as_str())];
    all.extend(fields);
    site.post(path, cookie, &all).await
}

fn page(person: &Operator, what: &str) -> String {
    format!("/settings/people/{}{what}", person.id)
}

#[tokio::test]
async fn an_invited_person_comes_in_by_a_link_that_works_once() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    assert_eq!(
        act(&site, &root, "/settings/teams", &[("name", "storage")])
            .await
            .status,
        StatusCode::SEE_OTHER
    );
    let fields = [("name", "ana"), ("role", "approver"), ("team", "storage")];
    let made = act(&site, &root, "/settings/people", &fields).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    let at = made.text.find("/enter/").expect("the page shows the link");
    let link: String = made.text[at..].chars().take_while(|c| *c != '<').collect();
    let list = site.get("/api/v1/people", &root).await.json();
    let ana = list
        .as_array()
        .unwrap()
        .iter()
        .find(|person| person["name"] == "ana")
        .unwrap();
    assert_eq!(
        (&ana["role"], &ana["teams"][0], &ana["has_way_in"]),
        (&"approver".into(), &"storage".into(), &false.into())
    );
    // A page that is asked for again shows no link.
    let again = site.get(&format!("/settings/people/{}", ana["id"]), &root).await;
    assert!(!again.text.contains("/enter/"), "{}", again.text);

    let shown = site.get(&link, "").await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    let password = "four unusual words together";
    let entered = site.post(&link, "", &[("password", password)]).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER, "{}", entered.text);
    let cookie = entered.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(site.get("/incidents", &cookie).await.status, StatusCode::OK);
    for used in [link.as_str(), "/enter/x", &format!("{link}A")] {
        assert_eq!(site.get(used, "").await.status, StatusCode::NOT_FOUND, "{used}");
        let answer = site.post(used, "", &[("password", password)]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{used}");
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn a_change_of_rights_ends_open_sessions_and_counts_at_once() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let (ben, cookie) = site.person("ben", Role::Admin).await;
    let why = ("reason", "left the team");
    let lowered = act(&site, &root, &page(&ben, "/role"), &[("role", "viewer"), why]).await;
    assert_eq!(lowered.status, StatusCode::SEE_OTHER, "{}", lowered.text);
    assert_eq!(
        site.get("/api/v1/incidents", &cookie).await.status,
        StatusCode::UNAUTHORIZED
    );

    let (cleo, cookie) = site.person("cleo", Role::Responder).await;
    assert_eq!(
        act(&site, &root, &page(&cleo, "/disable"), &[why]).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        site.get("/api/v1/incidents", &cookie).await.status,
        StatusCode::UNAUTHORIZED
    );
    let signed_in = site
        .post(
            "/login",
            "",
            &[("name", "cleo"), ("password", crate::support::site::PASSWORD)],
        )
        .await;
    assert_eq!(signed_in.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        act(&site, &root, &page(&cleo, "/invite"), &[]).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        act(&site, &root, &page(&cleo, "/enable"), &[why]).await.status,
        StatusCode::SEE_OTHER
    );
    // What was open stays over.
    assert_eq!(
        site.get("/api/v1/incidents", &cookie).await.status,
        StatusCode::UNAUTHORIZED
    );
    let signed_in = site
        .post(
            "/login",
            "",
            &[("name", "cleo"), ("password", crate::support::site::PASSWORD)],
        )
        .await;
    assert_eq!(signed_in.status, StatusCode::SEE_OTHER, "{}", signed_in.text);
}

#[tokio::test]
async fn somebody_can_always_let_people_in() {
    let site = Site::new().await;
    let (ana, ana_cookie) = site.person("ana", Role::Admin).await;
    let why = ("reason", "x");
    for (path, fields) in [("/role", vec![("role", "viewer"), why]), ("/disable", vec![why])] {
        let answer = act(&site, &ana_cookie, &page(&ana, path), &fields).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
        assert!(answer.text.contains("last admin"), "{}", answer.text);
    }
    // Two who disable each other at the same moment: one of them stays.
    let (ben, ben_cookie) = site.person("ben", Role::Admin).await;
    let (ana_page, ben_page) = (page(&ana, "/disable"), page(&ben, "/disable"));
    let fields = [why];
    let (one, other) = tokio::join!(
        act(&site, &ana_cookie, &ben_page, &fields),
        act(&site, &ben_cookie, &ana_page, &fields)
    );
    let admins: i64 =
        sqlx::query_scalar("select count(*) from operators where role = 'admin' and disabled_at is null")
            .fetch_one(&mut *site.conn().await)
            .await
            .unwrap();
    assert_eq!(admins, 1, "{} {}", one.status, other.status);
}

#[tokio::test]
async fn what_is_wrong_is_said_at_its_field_and_what_was_typed_stays() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let (ana, _) = site.person("ana", Role::Viewer).await;
    for (path, fields, part) in [
        (
            "/settings/people".to_owned(),
            vec![("name", " "), ("role", "viewer")],
            "say what they will sign in with",
        ),
        (
            "/settings/people".to_owned(),
            vec![("name", "ana"), ("role", "viewer")],
            "somebody has this name",
        ),
        (
            "/settings/people".to_owned(),
            vec![("name", "<b>eve"), ("role", "king")],
            "viewer, responder, approver or admin",
        ),
        (
            "/settings/people".to_owned(),
            vec![("name", "eve"), ("role", "viewer"), ("team", "x")],
            "there is no team",
        ),
        (
            "/settings/teams".to_owned(),
            vec![("name", "Not A Slug")],
            "lower-case letters",
        ),
        (
            page(&ana, "/role"),
            vec![("role", "admin"), ("reason", " ")],
            "say in a few words why",
        ),
        (
            page(&ana, "/teams"),
            vec![("team", "nope"), ("reason", "r")],
            "there is no team",
        ),
    ] {
        let answer = act(&site, &root, &path, &fields).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{path}: {}",
            answer.text
        );
        assert!(answer.text.contains(part), "{part}: {}", answer.text);
        assert!(!answer.text.contains("<b>eve"), "{}", answer.text);
    }
    let kept = act(
        &site,
        &root,
        "/settings/people",
        &[("name", "<b>eve"), ("role", "king")],
    )
    .await;
    assert!(kept.text.contains("&#60;b&#62;eve"), "{}", kept.text);
    for path in ["/settings/people/999", "/settings/people/x"] {
        assert_eq!(site.get(path, &root).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(
        act(&site, &root, "/settings/teams/nope/end", &[]).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_browser_left_open_makes_no_way_in() {
    let site = Site::new().await;
    let (ana, root) = site.person("root", Role::Admin).await;
    site.clock().advance(std::time::Duration::from_secs(16 * 60));
    let again = page(&ana, "/invite");
    for (path, fields) in [
        (
            "/me/tokens",
            vec![("name", "ci"), ("days", "3"), ("scope", "read")],
        ),
        ("/settings/people", vec![("name", "eve"), ("role", "admin")]),
        (again.as_str(), vec![]),
    ] {
        let answer = act(&site, &root, path, &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text);
        assert!(answer.text.contains("/login?again=yes"), "{}", answer.text);
        assert!(!answer.text.contains("/enter/") && !answer.text.contains("msp_"));
    }
    for (path, body) in [
        ("/api/v1/tokens", r#"{"name": "ci", "scopes": ["read"]}"#),
        ("/api/v1/people", r#"{"name": "eve", "role": "admin"}"#),
        ("/api/v1/people/1/invite", "{}"),
    ] {
        let answer = site.post_json(path, &root, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text);
    }
    let made = "select (select count(*) from api_tokens) + (select count(*) from operators) - 1";
    assert_eq!(site.intake.database.count(made).await, 0);
    // Everything else goes on.
    assert_eq!(site.get("/settings/people", &root).await.status, StatusCode::OK);
}
