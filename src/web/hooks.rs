//! `POST /api/v1/sources/{source}/alertmanager`: where senders deliver.
//!
//! Answers: 200 when everything that follows is committed; 400 for a body that can never be used, kept with the place
//! of its fault; 401 for a wrong token, before the body is read; 413 for one that is too long; 503 with Retry-After
//! for whatever may work in a moment. Never 429, never a redirect: senders take those as final.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use data_encoding::BASE64;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    domain::{digest::Digest, id::SourceId},
    intake::alertmanager,
    pipeline::{Outcome, Patience},
    receive::committer::{Committer, OwnPost, Shelf},
    store::{
        StoreError,
        deliveries::{self, NewDelivery},
        sources::{self, Source},
        wake::Wake,
    },
};

/// Bounds of the intake.
#[derive(Clone, Copy, Debug)]
pub struct HookLimits {
    /// The longest body, in bytes. 2,000 alerts take about 1 MB.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Deliveries worked on at once; more wait a little, then get 503.
    pub at_once: usize,
    /// How long a delivery may wait for its turn.
    pub queue_timeout: Duration,
}

impl Default for HookLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            body_timeout: Duration::from_secs(30),
            at_once: 64,
            queue_timeout: Duration::from_secs(5),
        }
    }
}

/// What the intake needs.
#[derive(Clone)]
pub struct Hooks {
    pool: PgPool,
    clock: Clock,
    shelf: Shelf,
    committer: Committer,
    limits: HookLimits,
    turns: Arc<Semaphore>,
}

/// What a sender is asked to wait, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

impl Hooks {
    /// The intake over its own connections.
    pub fn new(
        pool: PgPool,
        clock: Clock,
        wake: Wake,
        shelf: Shelf,
        patience: Patience,
        limits: HookLimits,
    ) -> Self {
        let turns = Arc::new(Semaphore::new(limits.at_once));
        let committer = Committer::start(pool.clone(), clock.clone(), wake, shelf.clone(), patience);
        Self {
            pool,
            clock,
            shelf,
            committer,
            limits,
            turns,
        }
    }

    /// Its routes, with and without a final slash.
    pub fn router(self) -> Router {
        Router::new()
            .route("/api/v1/sources/{source}/alertmanager", post(deliver))
            .route("/api/v1/sources/{source}/alertmanager/", post(deliver))
            .with_state(self)
    }
}

/// An answer to a sender: short, since a sender logs it whole.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn busy(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        // Every fault of ours is 5xx, so that the sender comes again.
        if !error.is_unavailable() && !error.is_conflict() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a delivery could not be stored"
            );
        }
        Self::busy("not stored; send it again")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": {"code": self.code, "message": self.message}}));
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer, Basic"),
            );
        }
        response
    }
}

/// Takes one delivery.
async fn deliver(
    State(hooks): State<Hooks>,
    Path(source): Path<String>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let began = std::time::Instant::now();
    // A task of its own: a sender that hangs up in the middle does not cut a transaction off.
    let task = tokio::spawn(async move {
        let letter = Letter::new(&headers, remote, hooks.clock.now());
        take(&hooks, &source, &headers, &letter, body).await
    });
    let answer = task
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "a delivery broke off");
            Err(Refusal::busy("not stored; send it again"))
        })
        .map(|outcome| {
            let incidents: Vec<String> = outcome.incidents.iter().map(|id| format!("INC-{id}")).collect();
            Json(json!({"status": "stored", "incidents": incidents, "alerts": outcome.readings}))
                .into_response()
        })
        .unwrap_or_else(IntoResponse::into_response);
    metrics::counter!("muster_deliveries_total", "status" => answer.status().as_str().to_owned())
        .increment(1);
    metrics::histogram!("muster_delivery_seconds").record(began.elapsed().as_secs_f64());
    answer
}

/// What is known of a delivery besides its body.
struct Letter {
    remote: String,
    user_agent: String,
    received_at: chrono::DateTime<chrono::Utc>,
}

impl Letter {
    fn new(headers: &HeaderMap, remote: SocketAddr, received_at: chrono::DateTime<chrono::Utc>) -> Self {
        let agent = headers
            .get(header::USER_AGENT)
            .map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let user_agent = agent
            .unwrap_or_default()
            .chars()
            .filter(|c| *c != '\0')
            .take(200)
            .collect();
        Self {
            remote: remote.ip().to_string(),
            user_agent,
            received_at,
        }
    }

    fn with<'a>(&'a self, body: &'a [u8]) -> NewDelivery<'a> {
        NewDelivery {
            remote: &self.remote,
            user_agent: &self.user_agent,
            body,
            received_at: self.received_at,
        }
    }
}

async fn take(
    hooks: &Hooks,
    name: &str,
    headers: &HeaderMap,
    letter: &Letter,
    body: Body,
) -> Result<Outcome, Refusal> {
    let turn = tokio::time::timeout(hooks.limits.queue_timeout, hooks.turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(Refusal::busy("too many deliveries at once; send it again"));
    };
    // Stored without its runbooks, an alert would wait for a person who is asleep.
    if hooks.shelf.borrow().is_none() {
        return Err(Refusal::busy("starting; send it again"));
    }
    let source = authenticate(hooks, name, headers, letter).await?;
    let body = read(hooks, body, &source, letter).await?;
    let delivery = match alertmanager::parse(&body) {
        Ok(delivery) => delivery,
        Err(fault) => {
            let mut conn = hooks.pool.acquire().await.map_err(StoreError::from)?;
            deliveries::insert_rejected(&mut conn, source.id, letter.with(&body), &fault.to_string()).await?;
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "unusable_body",
                fault.to_string(),
            ));
        }
    };
    let post = OwnPost {
        source: Arc::new(source),
        remote: letter.remote.clone(),
        user_agent: letter.user_agent.clone(),
        received_at: letter.received_at,
        body,
        groups: vec![delivery],
    };
    Ok(hooks.committer.store(post).await?)
}

/// Finds the source by its token, from the headers alone. A wrong name and a wrong token get the same answer.
async fn authenticate(
    hooks: &Hooks,
    name: &str,
    headers: &HeaderMap,
    letter: &Letter,
) -> Result<Source, Refusal> {
    let mut conn = hooks.pool.acquire().await.map_err(StoreError::from)?;
    // Postgres takes no U+0000: asked for such a name it would fail, and the sender be told to come again.
    let name = if name.contains('\0') { "" } else { name };
    let source = match token(headers) {
        Some(token) => sources::find_by_token(&mut conn, name, Digest::of_bytes(&token)).await?,
        None => None,
    };
    match source {
        Some(source) => Ok(source),
        None => {
            let known = sources::find_by_name(&mut conn, name)
                .await?
                .map(|source| source.id);
            refuse(&mut conn, known, letter, "no or wrong token").await?;
            Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "no such source, or not its token; send it as a bearer token or as the password of basic auth",
            ))
        }
    }
}

async fn refuse(
    conn: &mut sqlx::PgConnection,
    source: Option<SourceId>,
    letter: &Letter,
    reason: &str,
) -> Result<(), StoreError> {
    deliveries::count_refused(conn, source, letter.with(b""), reason).await
}

/// The token of a bearer or basic header. The user of basic auth may be anything.
fn token(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let at = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = (&value[..at], value[at..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = BASE64.decode(rest).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

async fn read(hooks: &Hooks, body: Body, source: &Source, letter: &Letter) -> Result<Vec<u8>, Refusal> {
    let limit = hooks.limits.body_bytes_max;
    let reading = Limited::new(body, limit).collect();
    let collected = tokio::time::timeout(hooks.limits.body_timeout, reading)
        .await
        .map_err(|_| Refusal::busy("the body did not arrive in time; send it again"))?;
    match collected {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => {
            let reason =
                format!("the body is longer than {limit} bytes; raise --body-max or send smaller groups");
            let mut conn = hooks.pool.acquire().await.map_err(StoreError::from)?;
            refuse(&mut conn, Some(source.id), letter, &reason).await?;
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", reason))
        }
        Err(error) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "broken_off",
            error.to_string(),
        )),
    }
}
