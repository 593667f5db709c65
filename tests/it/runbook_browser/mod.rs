//! The pages of runbooks as a person meets them: finding one, judging whether to trust it, comparing versions, writing.

mod editor;
mod trust;
mod typing;

use std::time::Duration;

use axum::http::StatusCode;
use muster::{
    catalog::parse_runbook,
    domain::{id::RunId, operator::Role, run::RunResult},
    store::{runbooks, runs},
};
use serde_json::json;

use crate::support::site::Site;

/// A runbook for alerts of this name.
fn text(slug: &str, alert: &str, rest: &str) -> String {
    format!(
        "runbook: {slug}\ntitle: The {slug} one\n{rest}match: ['alertname=\"{alert}\"']\nsteps:\n  \
         - id: ask\n    gate: {{}}\n  - id: pause\n    wait: 1s\n"
    )
}

/// The pages and who looks at them.
struct World {
    site: Site,
    /// A publisher.
    ana: String,
    /// Another one.
    eve: String,
    /// A responder.
    rob: String,
}

impl World {
    async fn new() -> Self {
        let site = Site::new().await;
        let (_, ana) = site.person("ana", Role::Approver).await;
        let (_, eve) = site.person("eve", Role::Approver).await;
        let (_, rob) = site.person("rob", Role::Responder).await;
        Self { site, ana, eve, rob }
    }

    async fn publish(&self, source: &str) {
        let runbook = parse_runbook(source).unwrap().runbook;
        let mut conn = self.site.conn().await;
        let now = self.site.clock().now();
        runbooks::publish(&mut conn, &runbook, source, "a.yaml", now)
            .await
            .unwrap();
    }

    /// An alert of this name opens an incident; returns its number.
    async fn fire(&self, name: &str) -> i64 {
        let body = json!({"receiver": "r", "groupKey": name, "alerts": [
            {"status": "firing", "startsAt": "2026-11-21T02:59:00Z", "endsAt": "0001-01-01T00:00:00Z",
             "labels": {"alertname": name}}]});
        let (status, answer) = self.site.intake.post("prom", body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let list = self.site.get("/api/v1/incidents", &self.rob).await.json();
        list["rows"][0]["id"].as_i64().unwrap_or_else(|| panic!("{list}"))
    }

    /// Rob runs a runbook for so long, and it ends like this.
    async fn run(&self, slug: &str, incident: i64, length: Duration, result: RunResult) {
        let page = format!("/incidents/{incident}/runs/new?runbook={slug}");
        let form = self.site.get(&page, &self.rob).await;
        let (op, version) = (form.field("op"), form.field("version"));
        let fields = [("op", op.as_str()), ("version", &version)];
        let path = format!("/incidents/{incident}/runs");
        let answer = self.site.post(&path, &self.rob, &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        self.site.intake.pass(length).await;
        let mut conn = self.site.conn().await;
        let run: i64 = sqlx::query_scalar("select max(id) from runs")
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        let now = self.site.clock().now();
        runs::finish(&mut conn, RunId(run), result, now).await.unwrap();
    }

    async fn sql(&self, sql: &'static str) {
        sqlx::query(sql)
            .execute(&mut *self.site.conn().await)
            .await
            .unwrap();
    }

    /// A page, without the marks that only isolate what is from outside.
    async fn page(&self, path: &str, cookie: &str) -> String {
        let answer = self.site.get(path, cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        plain(&answer.text)
    }
}

/// The same without the marks around text from outside, and without times.
fn plain(html: &str) -> String {
    let mut text = html.replace("<bdi>", "").replace("</bdi>", "");
    while let (Some(from), Some(to)) = (text.find("<time"), text.find("</time>")) {
        text.replace_range(from..to + "</time>".len(), "TIME");
    }
    text
}
