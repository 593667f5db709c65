//! The page of one incident: its timeline, who does what, what people write, what they take back, and what stands when a
//! part of it cannot be read.

mod away;
mod corrections;
mod desk;
mod json;
mod parts;
mod rows;
mod screen;
mod services;

use std::time::Duration;

use axum::{body::BodyDataStream, http::StatusCode};
use futures_util::StreamExt;
use muster::{
    domain::{
        event::{Event, NewEvent},
        id::IncidentId,
        operator::Actor,
    },
    store::events,
};
use uuid::Uuid;

use crate::support::site::{Answer, Site};

const PAGE: &str = "/incidents/1";
/// How long an open page waits for news.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a form of the page and expects it to be taken.
async fn act(site: &Site, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let answer = form(site, cookie, path, fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}: {}", answer.text);
    answer
}

async fn form(site: &Site, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let op = Uuid::new_v4().to_string();
    let mut all = vec![("op", op.as_str())];
    all.extend_from_slice(fields);
    site.post(&format!("{PAGE}/{path}"), cookie, &all).await
}

/// Appends events that Muster itself caused just now.
async fn happen(site: &Site, events: &[Event]) {
    let now = site.clock().now();
    let new: Vec<NewEvent> = events
        .iter()
        .map(|event| NewEvent::by(Actor::Automation, event.clone(), now))
        .collect();
    events::append(&mut *site.conn().await, IncidentId(1), &new, now)
        .await
        .unwrap();
}

/// Where an open page listens, from the page itself.
fn stream_of(html: &str) -> String {
    let address = html.split("data-live=\"").nth(1).unwrap();
    let address = address.split('"').next().unwrap();
    address.replace("&#38;", "&").replace("&amp;", "&")
}

/// Listens until something was said.
async fn hear(stream: &mut BodyDataStream, until: &str) -> String {
    let mut heard = String::new();
    let listening = async {
        while !heard.contains(until) {
            let bytes = stream.next().await.unwrap().unwrap();
            heard.push_str(&String::from_utf8_lossy(&bytes));
        }
    };
    let is_heard = tokio::time::timeout(PATIENCE, listening).await.is_ok();
    assert!(is_heard, "never heard {until}: {heard}");
    heard
}

/// The part of a page between two marks.
fn between<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    let start = html.find(from).unwrap_or_else(|| panic!("no {from} in {html}"));
    let rest = &html[start..];
    &rest[..rest.find(to).unwrap_or(rest.len())]
}
