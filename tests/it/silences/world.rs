//! A Muster with a clock of its own, and real Alertmanagers that post to it and that it can ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    routing::any,
};
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use muster::{
    actions::{Bounds, Outside, World},
    clock::Clock,
    domain::{
        action::{Envelope, Failure, FailureClass, Outcome, Rendered},
        operator::Role,
        source::SourceSettings,
        span::Span,
        target::{AlertmanagerConnection, Connection, HttpConnection, Target, Targets},
    },
    outward::{Outward, SETTLED_AFTER},
    store::wake::Wake,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    fleet::{alertmanager::Alertmanager, http, ports, process, scratch::Scratch, wait},
    support::{intake::TOKEN, site::Site},
};

/// The source whose alerts come from the Alertmanagers, and the target they are asked by.
pub const SOURCE: &str = "am";
/// Longer than any answer of a local process takes.
pub const SOON: Duration = Duration::from_secs(20);
/// Longer than an alert may go without a word.
pub const LONG: Duration = Duration::from_secs(9 * 3600);

pub struct Bench {
    pub site: Arc<Site>,
    pub nodes: Vec<Alertmanager>,
    pub scratch: Scratch,
    pub cookie: String,
    /// Where the nodes post.
    webhook: String,
}

impl Bench {
    /// No Alertmanager runs yet; one that is asked listens on one of these ports.
    pub async fn new() -> Self {
        let site = Site::new().await;
        let settings = SourceSettings {
            alertmanager: Some(SOURCE.to_owned()),
            ..SourceSettings::default()
        };
        site.intake.source_with(SOURCE, settings).await;
        let (_, cookie) = site.person("ana", Role::Responder).await;
        let site = Arc::new(site);
        Self {
            webhook: serve(site.clone()).await,
            site,
            nodes: Vec::new(),
            scratch: Scratch::new().unwrap(),
            cookie,
        }
    }

    /// One Alertmanager that posts here and is silent while nothing changes.
    pub async fn with_node(max_alerts: u32) -> Self {
        let mut bench = Self::new().await;
        bench.start_node(max_alerts).await;
        bench
    }

    pub async fn start_node(&mut self, max_alerts: u32) -> u16 {
        process::all_here(&[&process::SETPRIV, &crate::fleet::alertmanager::ALERTMANAGER]).unwrap();
        let port = ports::free().unwrap();
        let name = format!("node-{}", self.nodes.len());
        let token = format!("{TOKEN}-{SOURCE}");
        let node = Alertmanager::start_as(
            &self.scratch,
            &name,
            port,
            &self.webhook,
            &token,
            "4h",
            max_alerts,
        );
        self.nodes.push(node.await.unwrap());
        port
    }

    /// What speaks to others, over the real outside.
    pub fn outward(&self) -> Outward {
        let ports: Vec<u16> = self.nodes.iter().map(|node| node.port).collect();
        self.outward_to(&ports)
    }

    pub fn outward_to(&self, ports: &[u16]) -> Outward {
        Outward {
            pool: self.site.intake.database.pools.background.clone(),
            clock: self.site.clock().clone(),
            wake: Wake::default(),
            world: Arc::new(Outside::new(Bounds::default())),
            targets: watch::channel(Arc::new(targets(ports))).1,
            hold_down: Span::from_secs(60),
            settled_after: SETTLED_AFTER,
            listening_since: self.site.clock().now(),
        }
    }

    /// Fires or resolves an alert in the first Alertmanager, by the real time.
    pub async fn post(&self, labels: Value, fires: bool) {
        let now = Clock::real().now();
        let ends = if fires { now + TimeDelta::hours(1) } else { now };
        let alert = json!([{"labels": labels, "startsAt": now - TimeDelta::seconds(30), "endsAt": ends}]);
        let url = format!("http://127.0.0.1:{}/api/v2/alerts", self.nodes[0].port);
        let sent = http().unwrap().post(url).json(&alert).send().await.unwrap();
        assert_eq!(sent.status().as_u16(), 200);
    }

    /// What the first Alertmanager says.
    pub async fn ask(&self, path: &str) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/api/v2/{path}", self.nodes[0].port);
        Ok(http()?.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// Waits until the first Alertmanager lists so many alerts.
    pub async fn lists(&self, count: usize) {
        wait::until("Alertmanager lists what it should", SOON, async || {
            let found = self.ask("alerts").await?.as_array().map_or(0, Vec::len);
            ensure!(found == count, "it lists {found}");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Waits until that count is reached in the database.
    pub async fn counts(&self, sql: &'static str, wanted: i64) {
        wait::until(sql, SOON, async || {
            let found = self.site.intake.database.count(sql).await;
            ensure!(found == wanted, "it is {found}");
            Ok(())
        })
        .await
        .unwrap();
    }

    pub fn clock(&self) -> &Clock {
        self.site.clock()
    }

    pub async fn state(&self) -> String {
        self.text("select state from incidents").await
    }

    /// One text.
    pub async fn text(&self, sql: &'static str) -> String {
        let mut conn = self.site.conn().await;
        sqlx::query_scalar(sql).fetch_one(&mut *conn).await.unwrap()
    }

    /// What the timeline of the first incident says, sentence by sentence.
    pub async fn story(&self) -> Vec<String> {
        let path = "/api/v1/incidents/1/timeline";
        let rows = self.site.get(path, &self.cookie).await.json();
        let rows = rows.as_array().unwrap();
        rows.iter()
            .map(|row| row["text"].as_str().unwrap().to_owned())
            .collect()
    }

    /// How many of its sentences hold these words.
    pub async fn told(&self, words: &str) -> usize {
        self.story()
            .await
            .iter()
            .filter(|line| line.contains(words))
            .count()
    }

    /// Ends everything and keeps no logs.
    pub fn end(mut self) {
        self.scratch.ended_well();
    }
}

/// The target file with one cluster.
pub fn targets(ports: &[u16]) -> Targets {
    let nodes = ports
        .iter()
        .map(|port| HttpConnection::new(format!("http://127.0.0.1:{port}/").parse().unwrap()));
    let target = Target::new(
        SOURCE,
        Connection::Alertmanager(AlertmanagerConnection {
            nodes: nodes.collect(),
        }),
    );
    Targets([(SOURCE.to_owned(), target)].into())
}

/// Serves the intake to real senders until the test ends; returns the address of the source.
async fn serve(site: Arc<Site>) -> String {
    async fn take(State(site): State<Arc<Site>>, request: Request) -> (StatusCode, String) {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let request = Request::from_parts(parts, Body::from(bytes));
        let answer = site.intake.send(request).await;
        (answer.status, answer.body.to_string())
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(any(take)).with_state(site);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/api/v1/sources/{SOURCE}/alertmanager")
}

/// A world that does what it is asked and then loses the answers of so many changes.
pub struct Lossy {
    pub outside: Outside,
    pub losses: AtomicUsize,
}

impl World for Lossy {
    fn perform<'a>(
        &'a self,
        target: &'a Target,
        request: &'a Rendered,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let done = self.outside.perform(target, request, envelope).await;
            let lose = |left: usize| left.checked_sub(1);
            let loses = !envelope.read_only
                && self
                    .losses
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose)
                    .is_ok();
            match loses {
                true => Err(Failure::new(FailureClass::Lost, "the answer was lost")),
                false => done,
            }
        })
    }
}
