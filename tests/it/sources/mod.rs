//! Sources: their rows, their pages, their JSON, and the command that adds them.

mod api;
mod command;
mod pages;
mod screen;
mod store;

use std::time::Duration;

use axum::http::StatusCode;
use muster::{
    domain::{id::SourceId, operator::Actor, source::AskedSettings},
    sources as acts,
    store::pool::Pools,
};

use crate::{
    fleet::wait,
    support::site::{Answer, Site},
};

/// A form with an operation of its own.
async fn post(site: &Site, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let op = uuid::Uuid::new_v4().to_string();
    let fields: Vec<(&str, &str)> = [("op", op.as_str())]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    site.post(path, cookie, &fields).await
}

/// A source with the usual settings and no token.
async fn make(pools: &Pools, name: &str) -> SourceId {
    let mut conn = pools.web.acquire().await.unwrap();
    let now = "2026-11-21T03:00:00Z".parse().unwrap();
    acts::make(&mut conn, name, &AskedSettings::default(), &Actor::Terminal, now)
        .await
        .unwrap()
}

/// Sends a body with this token.
async fn deliver(site: &Site, source: &str, token: &str, body: &'static str) -> StatusCode {
    let (status, _) = site
        .intake
        .post_with(source, &format!("Bearer {token}"), body)
        .await;
    status
}

/// Waits until a token opens its source no more: the intake knows its senders by heart and looks every ten seconds.
async fn is_closed(site: &Site, source: &str, token: &str) {
    let looks = Duration::from_secs(10);
    wait::until("the intake looks again", Duration::from_secs(30), async || {
        site.clock().advance(looks);
        let status = deliver(site, source, token, BODY).await;
        anyhow::ensure!(status == StatusCode::UNAUTHORIZED, "{status}");
        Ok(())
    })
    .await
    .unwrap();
}

const BODY: &str = r#"{"receiver": "r", "groupKey": "g", "alerts": [
    {"status": "firing", "startsAt": "2026-11-21T02:59:00Z", "labels": {"alertname": "Down"}}]}"#;
