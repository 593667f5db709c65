//! A note that was wrong: who corrected it, what it says since, what it said before.

use std::time::Duration;

use axum::http::StatusCode;
use muster::{
    domain::{event::first_broken_link, id::IncidentId, operator::Role},
    store::events,
};

use super::{PAGE, act, between, form, hear, stream_of};
use crate::{pages::fire, support::site::Site};

/// Writes a note and returns its number.
async fn note(site: &Site, cookie: &str, text: &str) -> i64 {
    act(site, cookie, "notes", &[("text", text)]).await;
    site.get(PAGE, cookie).await.field("seen").parse().unwrap()
}

fn row(page: &str, seq: i64) -> &str {
    between(page, &format!("<li id=\"e{seq}\""), "</li>")
}

#[tokio::test]
async fn a_correction_stands_in_the_place_of_the_note_and_the_old_text_one_click_away() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (_, ben) = site.person("ben", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let seq = note(&site, &ana, "Lag was **2 s**").await;
    let address = format!("notes/{seq}");
    let page = site.get(PAGE, &ana).await.text;
    assert!(
        row(&page, seq).contains(&format!("href=\"{PAGE}/{address}\"")),
        "{page}"
    );
    site.clock().advance(Duration::from_secs(60));
    let before = site.get(&format!("{PAGE}/{address}"), &ben).await;
    assert!(
        before.text.contains("\nLag was **2 s**</textarea>"),
        "{}",
        before.text
    );
    let over = before.field("over");
    let fields = [("text", "Lag was **20 s** <b>"), ("over", over.as_str())];
    let answer = act(&site, &ben, &address, &fields).await;
    assert_eq!(answer.header("location"), format!("{PAGE}?row={seq}#e{seq}"));

    let page = site.get(PAGE, &ana).await.text;
    let shown = row(&page, seq);
    let (now, old) = shown.split_once("<details").unwrap();
    assert!(
        now.contains("Lag was <strong>20 s</strong>") && !now.contains("<strong>2 s"),
        "{shown}"
    );
    assert!(!shown.contains("<b>"), "{shown}");
    assert!(
        old.contains("corrected <time") && old.contains("by <bdi>ben</bdi>"),
        "{shown}"
    );
    assert!(
        old.contains("<bdi>ana</bdi> wrote") && old.contains("<strong>2 s</strong>"),
        "{shown}"
    );
    assert!(
        page.contains("corrected <a href=\"/incidents/1?row="),
        "and it is a fact of its own"
    );

    // The old page of somebody else does not take the newer text away.
    let fields = [("text", "Lag was 3 s, says Ana"), ("over", over.as_str())];
    let stale = form(&site, &ana, &address, &fields).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    assert!(
        stale.text.contains("Ben corrected it meanwhile"),
        "{}",
        stale.text
    );
    assert!(
        stale.text.contains("Lag was 3 s, says Ana"),
        "what was typed is kept"
    );

    let postmortem = site.get(&format!("{PAGE}/postmortem"), &ana).await.text;
    assert!(
        postmortem.contains("Lag was **20 s**") && !postmortem.contains("Lag was **2 s**"),
        "{postmortem}"
    );
    assert!(postmortem.contains("by ben)"), "{postmortem}");
    let markdown = site.get(&format!("{PAGE}/postmortem.md"), &ana).await.text;
    assert!(
        markdown.contains("20 s") && !markdown.contains("Corrected note"),
        "{markdown}"
    );

    let timeline = events::list_after(&mut *site.conn().await, IncidentId(1), 0, 100)
        .await
        .unwrap();
    assert_eq!(
        first_broken_link(IncidentId(1), &timeline),
        None,
        "the chain holds"
    );
    let kept = "select count(*) from events where kind = 'note' and body ->> 'text' = 'Lag was **2 s**'";
    assert_eq!(
        site.intake.database.count(kept).await,
        1,
        "nothing was written over"
    );
}

#[tokio::test]
async fn only_notes_are_corrected_by_those_who_respond_and_only_into_something_else() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (_, vic) = site.person("vic", Role::Viewer).await;
    fire(&site, "Down", 1).await;
    let seq = note(&site, &ana, "Lag was 2 s").await;
    let address = format!("notes/{seq}");
    let text = [("text", "Lag was 3 s")];
    assert_eq!(
        form(&site, &vic, &address, &text).await.status,
        StatusCode::FORBIDDEN
    );
    let page = site.get(PAGE, &vic).await.text;
    assert!(!page.contains("/notes/"), "and is not offered");
    for (path, fields, status) in [
        ("notes/1", [("text", "other")], StatusCode::NOT_FOUND),
        ("notes/999", [("text", "other")], StatusCode::NOT_FOUND),
        (&address, [("text", "  ")], StatusCode::UNPROCESSABLE_ENTITY),
        (&address, [("text", " Lag was 2 s\n")], StatusCode::CONFLICT),
    ] {
        assert_eq!(
            form(&site, &ana, path, &fields).await.status,
            status,
            "{path} {fields:?}"
        );
    }
    assert_eq!(
        site.get(&format!("{PAGE}/notes/1"), &ana).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn an_open_page_reads_the_correction_in_the_row_of_the_note() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let seq = note(&site, &ana, "Lag was 2 s").await;
    let page = site.get(PAGE, &ana).await;
    let mut stream = site.live(&stream_of(&page.text), &ana).await;
    act(&site, &ana, &format!("notes/{seq}"), &[("text", "Lag was 3 s")]).await;
    let heard = hear(&mut stream, &format!("\"target\":\"e{seq}\"")).await;
    let patch = heard.split(&format!("\"target\":\"e{seq}\"")).nth(1).unwrap();
    assert!(
        patch.contains("Lag was 3 s") && patch.contains("\"mode\":\"morph\""),
        "{patch}"
    );
    assert!(
        !patch.split("data:").next().unwrap().contains("<li"),
        "the row itself stays: {patch}"
    );
}
