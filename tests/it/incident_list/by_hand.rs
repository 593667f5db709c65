//! Incidents that people open.

use axum::http::StatusCode;
use muster::domain::event::first_broken_link;
use muster::{domain::id::IncidentId, store::events};

use super::Desk;

#[tokio::test]
async fn a_person_opens_an_incident_and_comes_to_its_page() {
    let desk = Desk::new().await;
    let page = desk.get("/incidents/new").await;
    let op = page.field("op");
    let form = [
        ("op", op.as_str()),
        ("title", "Customers cannot pay"),
        ("severity", "1"),
        ("service", "checkout"),
        ("text", "three calls in five minutes"),
    ];
    let opened = desk.site.post("/incidents/new", &desk.ana, &form).await;
    assert_eq!(
        (opened.status, opened.header("location")),
        (StatusCode::SEE_OTHER, "/incidents/1")
    );
    let again = desk.site.post("/incidents/new", &desk.ana, &form).await;
    assert_eq!(
        again.header("location"),
        "/incidents",
        "a second tap opens no second one"
    );
    let page = desk.get("/incidents/1?show=all").await.text;
    assert!(
        page.contains("Opened as SEV1: Customers cannot pay (a person opened it)"),
        "{page}"
    );
    assert!(page.contains("three calls in five minutes"), "{page}");
    assert_eq!(
        desk.found("service:checkout sev:1 state:triggered source:by-hand")
            .await,
        [1]
    );
    // Another with the same words is another.
    let fields = [("title", "Customers cannot pay"), ("severity", "1")];
    let other = desk.act("/incidents/new", &fields).await;
    assert_eq!(other.header("location"), "/incidents/2");
    let mut conn = desk.site.conn().await;
    let recorded = events::list_after(&mut conn, IncidentId(1), 0, 10).await.unwrap();
    assert_eq!(first_broken_link(IncidentId(1), &recorded), None);
    // It is taken and resolved like any other.
    for (path, fields) in [("acknowledge", &[][..]), ("resolve", &[("reason", "paid")])] {
        let done = desk.act(&format!("/incidents/1/{path}"), fields).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    }
}

#[tokio::test]
async fn what_is_missing_is_said_and_what_was_typed_stays() {
    let desk = Desk::new().await;
    let long = "x".repeat(201);
    for (title, severity, wanted) in [
        ("", "2", "Say in a few words what is wrong."),
        ("Down", "", "Say how bad it is."),
        ("Down", "7", "Say how bad it is."),
        (long.as_str(), "2", "longer than 200 characters"),
    ] {
        let mut fields = vec![("title", title), ("text", "what I <saw>")];
        if !severity.is_empty() {
            fields.push(("severity", severity));
        }
        let refused = desk.act("/incidents/new", &fields).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{title} {severity}"
        );
        assert!(refused.text.contains(wanted), "{}", refused.text);
        assert!(refused.text.contains("what I &#60;saw&#62;"), "{}", refused.text);
    }
    assert_eq!(
        desk.site
            .intake
            .database
            .count("select count(*) from incidents")
            .await,
        0
    );
}
