//! The real intake over a database, with a clock that only moves when it is told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, HeaderValue, Request, StatusCode},
};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use muster::{
    actions::Fetch,
    clock::Clock,
    domain::{
        action::{Failure, FailureClass},
        digest::Digest,
        flap::FlapLimits,
        source::SourceSettings,
        span::Span,
    },
    pipeline::Patience,
    receive::{Receiver, ReceiverParts, spool::folder::SpoolLimits},
    store::{sources, wake::Wake},
    upkeep::Upkeep,
    web::hooks::{HookLimits, Hooks},
};
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::watch;
use tower::ServiceExt;
use url::Url;

use super::database::Database;

pub const TOKEN: &str = "a-token-of-a-test";

/// What a sender got.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// What the intake needs, over any pool, with no runbooks and no disk.
pub fn parts(pool: PgPool, clock: Clock) -> ReceiverParts {
    ReceiverParts {
        pool,
        clock,
        wake: Wake::default(),
        shelf: watch::channel(Some(Arc::default())).1,
        patience: Patience::default(),
        spool: None,
        spool_limits: SpoolLimits::default(),
        web: Arc::new(Amazon::default()),
    }
}

/// What Amazon's hosts answer: the certificate of `tests/data/sns` to everything, or nothing. It remembers who was asked.
#[derive(Clone, Default)]
pub struct Amazon {
    pub is_away: Arc<AtomicBool>,
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Fetch for Amazon {
    fn get<'a>(&'a self, url: &'a Url) -> BoxFuture<'a, Result<Vec<u8>, Failure>> {
        self.asked.lock().unwrap().push(url.to_string());
        let certificate = include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/sns/certificate.pem"
        ));
        let answer = match self.is_away.load(Ordering::SeqCst) {
            false => Ok(certificate.to_vec()),
            true => Err(Failure::new(FailureClass::NotSent, "cannot connect: away")),
        };
        Box::pin(async move { answer })
    }
}

/// The intake's routes over any pool.
pub fn routes(pool: PgPool, clock: Clock, limits: HookLimits) -> Router {
    Hooks::new(parts(pool, clock), limits).router()
}

/// Sends a request as Alertmanager would.
pub async fn send(router: &Router, mut request: Request<Body>) -> Answer {
    let agent = HeaderValue::from_static("Alertmanager/0.28.1");
    request.headers_mut().insert("user-agent", agent);
    let remote = SocketAddr::from(([127, 0, 0, 1], 9093));
    request.extensions_mut().insert(ConnectInfo(remote));
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    Answer {
        status,
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

/// Under it nothing flaps: how often an incident comes back depends on how often somebody looks.
pub fn unflapping() -> Patience {
    Patience {
        flap: FlapLimits {
            over: usize::MAX,
            ..FlapLimits::default()
        },
        ..Patience::default()
    }
}

/// Timers over a database, with no runbooks.
pub fn upkeep(database: &Database, clock: Clock) -> Upkeep {
    Upkeep {
        pool: database.pools.background.clone(),
        wake: Wake::default(),
        patience: Patience::default(),
        shelf: watch::channel(Some(Arc::default())).1,
        listening_since: clock.now(),
        passed: watch::Sender::new(clock.now()),
        keep_deliveries: Span::from_secs(3600),
        deliveries_bytes_max: 1 << 30,
        clock,
    }
}

/// An intake to post to.
pub struct Intake {
    pub database: Database,
    pub clock: Clock,
    pub upkeep: Upkeep,
    pub receiver: Receiver,
    pub amazon: Amazon,
    router: Router,
}

impl Intake {
    pub async fn new() -> Self {
        Self::with_limits(HookLimits::default()).await
    }

    pub async fn with_limits(limits: HookLimits) -> Self {
        let start = DateTime::parse_from_rfc3339("2026-11-21T03:00:00Z").unwrap();
        Self::with(limits, start.to_utc()).await
    }

    /// One whose clock shows `start`.
    pub async fn starting_at(start: DateTime<Utc>) -> Self {
        Self::with(HookLimits::default(), start).await
    }

    async fn with(limits: HookLimits, start: DateTime<Utc>) -> Self {
        let database = Database::new().await;
        let clock = Clock::test(start);
        let upkeep = upkeep(&database, clock.clone());
        let amazon = Amazon::default();
        let parts = ReceiverParts {
            web: Arc::new(amazon.clone()),
            ..parts(database.pools.intake.clone(), clock.clone())
        };
        let hooks = Hooks::new(parts, limits);
        Self {
            receiver: hooks.receiver(),
            router: hooks.router(),
            amazon,
            database,
            clock,
            upkeep,
        }
    }

    /// Makes a source that the test's token opens.
    pub async fn source(&self, name: &str, heartbeat: Option<Span>) {
        let mut conn = self.database.pools.web.acquire().await.unwrap();
        let id = sources::upsert(&mut conn, name, heartbeat, self.clock.now())
            .await
            .unwrap();
        // Tokens are unique, so each source has its own.
        let token = Digest::of_bytes(format!("{TOKEN}-{name}").as_bytes());
        sources::insert_token(&mut conn, id, token, self.clock.now())
            .await
            .unwrap();
    }

    /// Makes a source with settings, which the test's token opens.
    pub async fn source_with(&self, name: &str, settings: SourceSettings) {
        let mut conn = self.database.pools.web.acquire().await.unwrap();
        let now = self.clock.now();
        let id = sources::insert(&mut conn, name, &settings, now)
            .await
            .unwrap()
            .unwrap();
        let token = Digest::of_bytes(format!("{TOKEN}-{name}").as_bytes());
        sources::insert_token(&mut conn, id, token, now).await.unwrap();
    }

    /// Posts a body with the right token.
    pub async fn post(&self, source: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        self.post_with(source, &format!("Bearer {TOKEN}-{source}"), body)
            .await
    }

    /// Posts a body in any format with the right token.
    pub async fn post_as(&self, source: &str, format: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post(format!("/api/v1/sources/{source}/{format}"))
            .header("authorization", format!("Bearer {TOKEN}-{source}"))
            .body(body.into())
            .unwrap();
        let answer = self.send(request).await;
        (answer.status, answer.body)
    }

    /// Posts a body with any authorization.
    pub async fn post_with(&self, source: &str, auth: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post(format!("/api/v1/sources/{source}/alertmanager"))
            .header("authorization", auth)
            .body(body.into())
            .unwrap();
        let answer = self.send(request).await;
        (answer.status, answer.body)
    }

    /// Its routes, to be served.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    /// Lets time pass and every timer fire that is due.
    pub async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        while self.upkeep.pass().await.unwrap() > 0 {}
    }
}
