//! Publishing runbooks: by form, as JSON and from the folder; and the review before.

mod folder;
mod pages;
mod review;

use axum::http::StatusCode;
use muster::{
    domain::{
        id::{OperatorId, VersionId},
        operator::Role,
    },
    store::{
        publications::{self, Publisher},
        runbooks::{self, Version},
        teams,
    },
};
use serde_json::{Value, json};

use crate::support::site::{Answer, Site};

/// A runbook of one step, with these lines in its head.
fn text(head: &str, title: &str) -> String {
    format!("runbook: shop\ntitle: {title}\n{head}steps: [{{ id: pause, wait: 1s }}]\n")
}

/// The pages and the people who write runbooks.
struct Desk {
    site: Site,
    /// Publishers.
    ana: String,
    eve: String,
    fay: String,
    /// A responder.
    rob: String,
}

impl Desk {
    async fn new() -> Self {
        let site = Site::new().await;
        let (_, ana) = site.person("ana", Role::Approver).await;
        let (_, eve) = site.person("eve", Role::Approver).await;
        let (_, fay) = site.person("fay", Role::Approver).await;
        let (_, rob) = site.person("rob", Role::Responder).await;
        Self {
            site,
            ana,
            eve,
            fay,
            rob,
        }
    }

    async fn publish(&self, cookie: &str, yaml: &str) -> Answer {
        let body = json!({"yaml": yaml, "note": "why"}).to_string();
        self.site.post_json("/api/v1/runbooks", cookie, &body).await
    }

    /// Publishes, which must come out like this.
    async fn brings(&self, cookie: &str, yaml: &str, status: StatusCode) -> Value {
        let answer = self.publish(cookie, yaml).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        answer.json()
    }

    /// The version in use.
    async fn current(&self) -> Option<Version> {
        let mut conn = self.site.conn().await;
        runbooks::list_current(&mut conn).await.unwrap().pop()
    }

    async fn title(&self) -> String {
        self.current()
            .await
            .map_or_else(String::new, |version| version.runbook.title)
    }

    async fn publisher(&self, version: VersionId) -> Option<Publisher> {
        let mut conn = self.site.conn().await;
        publications::find_publisher(&mut conn, version).await.unwrap()
    }

    async fn join(&self, team: &str, name: &str) {
        let mut conn = self.site.conn().await;
        teams::insert(&mut conn, team, self.site.clock().now())
            .await
            .unwrap();
        let id: i64 = sqlx::query_scalar("select id from operators where name = $1")
            .bind(name)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        teams::set_of(&mut conn, OperatorId(id), &[team.to_owned()])
            .await
            .unwrap();
    }

    async fn sql(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        let mut conn = self.site.conn().await;
        sqlx::query(sql).execute(&mut *conn).await.map(|_| ())
    }

    /// What the audit has of the runbook: who, what, and what they said; the newest last.
    async fn acts(&self) -> Vec<(String, String, String)> {
        sqlx::query_as(
            "select coalesce(actor ->> 'name', ''), kind, reason from audit
             where object_kind = 'runbook' and object_id = 'shop' order by seq",
        )
        .fetch_all(&mut *self.site.conn().await)
        .await
        .unwrap()
    }
}
