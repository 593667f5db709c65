//! `POST /api/v1/sources/{source}/{format}`: where senders deliver.
//!
//! Answers: 200 when everything that follows is committed; 202 when it is on this machine's disk and the database is
//! away; 400 for a body that can never be used, kept with the place of its fault; 401 for a wrong token, before the body
//! is read, or a wrong signature; 413 for one that is too long; 503 with Retry-After for whatever may work in a moment.
//! Never 429, never a redirect: senders take those as final.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    clock::Clock,
    domain::{digest::Digest, id::SourceId},
    intake::{Content, Format},
    receive::{
        Receiver, ReceiverParts, Shelf,
        parcel::{self, Answer, Parcel},
        signature,
        silence::in_time,
        spool::record::{Head, Record},
    },
    store::{
        StoreError,
        deliveries::{self, NewDelivery},
        sources::Source,
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
    /// Bytes of bodies in memory at once, those that wait for their answer included; more get 503.
    pub bytes_at_once: usize,
}

impl Default for HookLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            body_timeout: Duration::from_secs(30),
            at_once: 64,
            queue_timeout: Duration::from_secs(5),
            bytes_at_once: 64 << 20,
        }
    }
}

/// What the intake needs.
#[derive(Clone)]
pub struct Hooks {
    pool: PgPool,
    clock: Clock,
    shelf: Shelf,
    receiver: Receiver,
    limits: HookLimits,
    turns: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// What an address may carry besides its path.
#[derive(Deserialize)]
struct Address {
    /// The token, for senders that cannot set a header.
    token: Option<String>,
}

/// Bodies are counted in units of so many bytes.
const BYTES_UNIT: usize = 1024;
/// What a sender is asked to wait, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

impl Hooks {
    /// The intake over its own connections.
    pub fn new(parts: ReceiverParts, limits: HookLimits) -> Self {
        Self {
            pool: parts.pool.clone(),
            clock: parts.clock.clone(),
            shelf: parts.shelf.clone(),
            receiver: Receiver::start(parts),
            limits,
            turns: Arc::new(Semaphore::new(limits.at_once)),
            bytes: Arc::new(Semaphore::new(limits.bytes_at_once / BYTES_UNIT)),
        }
    }

    /// What takes the deliveries.
    pub fn receiver(&self) -> Receiver {
        self.receiver.clone()
    }

    /// Its routes, with and without a final slash. Prometheus adds a path of its own to the one it is given.
    pub fn router(self) -> Router {
        let mut router = Router::new();
        for format in Format::ALL {
            let path = format!("/api/v1/sources/{{source}}/{}", format.name());
            let mut paths = vec![path.clone(), format!("{path}/")];
            if format == Format::Prometheus {
                paths.extend(["v1", "v2"].map(|version| format!("{path}/api/{version}/alerts")));
            }
            for path in paths {
                router = router.route(
                    &path,
                    post(move |hooks, source, address, remote, headers, body| {
                        deliver(format, hooks, source, address, remote, headers, body)
                    }),
                );
            }
        }
        router.with_state(self)
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
    format: Format,
    State(hooks): State<Hooks>,
    Path(source): Path<String>,
    Query(address): Query<Address>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let began = std::time::Instant::now();
    // A task of its own: a sender that hangs up in the middle does not cut it off.
    let task = tokio::spawn(async move {
        let letter = Letter::new(&headers, remote, hooks.clock.now());
        let token = token(&headers).or_else(|| address.token.map(String::into_bytes));
        take(&hooks, format, &source, token, &headers, &letter, body).await
    });
    let answer = task
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "a delivery broke off");
            Err(Refusal::busy("not stored; send it again"))
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
    received_at: DateTime<Utc>,
}

impl Letter {
    fn new(headers: &HeaderMap, remote: SocketAddr, received_at: DateTime<Utc>) -> Self {
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
    format: Format,
    name: &str,
    token: Option<Vec<u8>>,
    headers: &HeaderMap,
    letter: &Letter,
    body: Body,
) -> Result<Response, Refusal> {
    let turn = tokio::time::timeout(hooks.limits.queue_timeout, hooks.turns.acquire()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Refusal::busy("too many deliveries at once; send it again"));
    };
    // Without its runbooks an alert is not stored, but it can wait for them on the disk.
    if hooks.shelf.borrow().is_none() && !hooks.receiver.can_spool() {
        return Err(Refusal::busy("starting; send it again"));
    }
    let source = authenticate(hooks, name, token, letter).await?;
    let (body, _bytes) = read(hooks, headers, body, &source, letter).await?;
    check_signature(hooks, &source, format, headers, &body, letter).await?;
    let record = Record {
        head: Head {
            source: source.id,
            format: format.name().to_owned(),
            remote: letter.remote.clone(),
            user_agent: letter.user_agent.clone(),
            received_at: letter.received_at,
        },
        body,
    };
    let (groups, remark) = match parcel::read(&source, &record, format) {
        Ok(parcel::Letter::Groups(groups, remark)) => (groups, remark),
        Ok(parcel::Letter::Asks(asked)) => {
            let reason = match asked {
                Content::Confirm { url } => format!("the sender asks to be confirmed: open {url}"),
                _ => "nothing to store".to_owned(),
            };
            reject(hooks, &source, letter, &record.body, &reason).await?;
            return Ok(Json(json!({"status": "kept", "reason": reason})).into_response());
        }
        Err(fault) => {
            reject(hooks, &source, letter, &record.body, &fault.to_string()).await?;
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "unusable_body",
                fault.to_string(),
            ));
        }
    };
    let parcel = Parcel {
        source,
        record,
        groups,
        remark: remark.clone(),
    };
    // Whoever waits for the disk or the database keeps nobody else from being read.
    drop(turn);
    match hooks.receiver.take(parcel).await {
        Answer::Stored(outcome) => {
            let incidents: Vec<String> = outcome.incidents.iter().map(|id| format!("INC-{id}")).collect();
            let mut answer = json!({"status": "stored", "incidents": incidents, "alerts": outcome.readings});
            if format == Format::Prometheus && !remark.is_empty() {
                // As Alertmanager answers: what can be used is stored all the same.
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "unusable_alerts", remark));
            }
            if !remark.is_empty() {
                answer["remark"] = remark.into();
            }
            Ok(Json(answer).into_response())
        }
        Answer::Spooled => Ok((StatusCode::ACCEPTED, Json(json!({"status": "spooled"}))).into_response()),
        Answer::Refused(why) => Err(Refusal::busy(&why)),
    }
}

async fn reject(
    hooks: &Hooks,
    source: &Source,
    letter: &Letter,
    body: &[u8],
    reason: &str,
) -> Result<(), StoreError> {
    in_time(async {
        let mut conn = hooks.pool.acquire().await?;
        deliveries::insert_rejected(&mut conn, source.id, letter.with(body), reason).await
    })
    .await
}

/// Finds the source by its token, before the body is read. A wrong name and a wrong token get the same answer.
async fn authenticate(
    hooks: &Hooks,
    name: &str,
    token: Option<Vec<u8>>,
    letter: &Letter,
) -> Result<Arc<Source>, Refusal> {
    let senders = &hooks.receiver.senders;
    let source = match token {
        Some(token) => senders.find(name, Digest::of_bytes(&token)).await?,
        None => None,
    };
    match source {
        Some(source) => Ok(source),
        None => {
            refuse(hooks, senders.id_of(name), letter, "no or wrong token").await?;
            Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "no such source, or not its token; send it as a bearer token or as the password of basic auth",
            ))
        }
    }
}

/// Checks what a sender signs, when its source has a secret for that.
async fn check_signature(
    hooks: &Hooks,
    source: &Source,
    format: Format,
    headers: &HeaderMap,
    body: &[u8],
    letter: &Letter,
) -> Result<(), Refusal> {
    let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    match signature::is_right(source, format, header, body).await {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(failure) => {
            tracing::error!(
                source = source.name,
                reason = failure.message,
                "a signing secret cannot be read"
            );
            return Err(Refusal::busy(
                "the signature cannot be checked now; send it again",
            ));
        }
    }
    refuse(hooks, Some(source.id), letter, "no or wrong signature").await?;
    Err(Refusal::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "the body is not signed with the secret of this source",
    ))
}

async fn refuse(
    hooks: &Hooks,
    source: Option<SourceId>,
    letter: &Letter,
    reason: &str,
) -> Result<(), StoreError> {
    in_time(async {
        let mut conn = hooks.pool.acquire().await?;
        deliveries::count_refused(&mut conn, source, letter.with(b""), reason).await
    })
    .await
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

/// Why a body was not read.
enum Unread {
    TooLong,
    NoRoom,
    Broken(String),
}

/// Reads a body, with the room that it takes. One whose length is said to be too long is not read at all.
async fn read(
    hooks: &Hooks,
    headers: &HeaderMap,
    body: Body,
    source: &Source,
    letter: &Letter,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Refusal> {
    let limit = hooks.limits.body_bytes_max;
    let collected = tokio::time::timeout(hooks.limits.body_timeout, collect(hooks, headers, body))
        .await
        .map_err(|_| Refusal::busy("the body did not arrive in time; send it again"))?;
    match collected {
        Ok(read) => Ok(read),
        Err(Unread::TooLong) => {
            let reason =
                format!("the body is longer than {limit} bytes; raise --body-max or send smaller groups");
            refuse(hooks, Some(source.id), letter, &reason).await?;
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", reason))
        }
        Err(Unread::NoRoom) => Err(Refusal::busy("too many long bodies at once; send it again")),
        Err(Unread::Broken(why)) => {
            let why = format!("the body broke off: {why}; send it again");
            Err(Refusal::busy(&why))
        }
    }
}

async fn collect(
    hooks: &Hooks,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Unread> {
    let limit = hooks.limits.body_bytes_max;
    // As the header says it: what stands between the connection and here hides how long a body is.
    let said = headers.get(header::CONTENT_LENGTH);
    let said: usize = said
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or_default();
    if said > limit {
        return Err(Unread::TooLong);
    }
    let take_room = |bytes: usize| {
        let units = bytes.div_ceil(BYTES_UNIT) as u32;
        let room = hooks.bytes.clone().try_acquire_many_owned(units);
        room.map_err(|_| Unread::NoRoom)
    };
    let mut room = take_room(0)?;
    let mut whole = Vec::with_capacity(said);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unread::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(Unread::TooLong);
        }
        let needed = whole.len() + data.len();
        let held = room.num_permits() * BYTES_UNIT;
        if needed > held {
            room.merge(take_room(needed - held)?);
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole, room))
}
