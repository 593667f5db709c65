//! `POST /api/v1/sources/{source}/{format}`: where senders deliver.
//!
//! [`door`] knows where a sender may put its token, [`body`] reads what it sends; from then on a delivery goes the one way
//! of [`crate::receive::counter`].
//!
//! Answers: 200 when everything that follows is committed; 202 when it is on this machine's disk and the database is
//! away; 400 for a body that can never be used, kept with the place of its fault; 401 for a wrong token or client
//! certificate, before the body is read, or a wrong signature; 413 for one that is too long; 415 for one that is
//! packed with anything but gzip; 503 with Retry-After for whatever may work in a moment. Never 429, never a redirect:
//! senders take those as final.

pub mod body;
pub mod door;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use self::{
    body::{Room, Unread, Whole},
    door::{Address, Caller, Door, Proof},
};
use crate::{
    clock::Clock,
    domain::{digest::Digest, id::SourceId},
    intake::Format,
    receive::{
        Receiver, ReceiverParts,
        counter::Verdict,
        signature,
        silence::in_time,
        spool::record::{Head, Record},
    },
    store::{StoreError, deliveries, sources::Source},
    web::{caller::Need, routes::Route},
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
    receiver: Receiver,
    limits: HookLimits,
    turns: Arc<Semaphore>,
    room: Room,
}

/// What a sender is asked to wait, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

impl Hooks {
    /// The intake over its own connections.
    pub fn new(parts: ReceiverParts, limits: HookLimits) -> Self {
        Self {
            pool: parts.pool.clone(),
            clock: parts.clock.clone(),
            receiver: Receiver::start(parts),
            limits,
            turns: Arc::new(Semaphore::new(limits.at_once)),
            room: Room::new(limits.bytes_at_once),
        }
    }

    /// What takes the deliveries.
    pub fn receiver(&self) -> Receiver {
        self.receiver.clone()
    }

    /// Its routes, with and without a final slash, and with the token in the path. Prometheus adds a path of its own to
    /// the one it is given. Grafana can be set to PUT.
    pub fn router(self) -> Router {
        let mut router = Router::new();
        for (format, path) in addresses() {
            let taking = move |hooks, door, address, caller, headers, body| {
                deliver(format, hooks, door, address, caller, headers, body)
            };
            let filter = methods(format)
                .iter()
                .filter_map(|method| MethodFilter::try_from(method.clone()).ok())
                .reduce(MethodFilter::or);
            if let Some(filter) = filter {
                router = router.route(&path, on(filter, taking));
            }
        }
        router.with_state(self)
    }
}

/// Where deliveries of each format come in.
fn addresses() -> Vec<(Format, String)> {
    let mut addresses = Vec::new();
    for format in Format::ALL {
        let path = format!("/api/v1/sources/{{source}}/{}", format.name());
        for base in [path.clone(), format!("{path}/{{token}}")] {
            let own = match format {
                Format::Prometheus => vec!["/api/v1/alerts", "/api/v2/alerts"],
                _ => Vec::new(),
            };
            let endings = ["", "/"].into_iter().chain(own);
            addresses.extend(endings.map(|ending| (format, format!("{base}{ending}"))));
        }
    }
    addresses
}

/// By which methods.
fn methods(format: Format) -> &'static [Method] {
    match format {
        Format::Grafana => &[Method::POST, Method::PUT],
        _ => &[Method::POST],
    }
}

/// The doors of senders: each opens by a token of its source, before the body is read.
pub fn table() -> Vec<Route> {
    let doors = addresses().into_iter().flat_map(|(format, path)| {
        methods(format).iter().map(move |method| Route {
            method: method.clone(),
            path: path.clone(),
            need: Need::Source,
        })
    });
    doors.collect()
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

    fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
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
    Path(door): Path<Door>,
    Query(address): Query<Address>,
    Caller { remote, peer }: Caller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let began = std::time::Instant::now();
    let senders = hooks.receiver.senders.clone();
    let (name, now) = (door.source.clone(), hooks.clock.now());
    // A task of its own: a sender that hangs up in the middle does not cut it off.
    let task = tokio::spawn(async move {
        let head = head(&headers, format, remote, now);
        let token = door::token(&headers, &door, address);
        let proof = Proof { token, peer };
        take(&hooks, format, &door.source, proof, &headers, head, body).await
    });
    let answer = task
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "a delivery broke off");
            Err(Refusal::busy("not stored; send it again"))
        })
        .unwrap_or_else(IntoResponse::into_response);
    // Names that are known, so that strangers cannot make series.
    let name = match senders.id_of(&name) {
        Some(_) => name,
        None => "unknown".to_owned(),
    };
    if answer.status().is_success() {
        metrics::gauge!("muster_last_delivery_timestamp_seconds", "source" => name.clone())
            .set(now.timestamp() as f64);
    }
    let status = answer.status().as_str().to_owned();
    metrics::counter!("muster_deliveries_total", "source" => name, "status" => status).increment(1);
    metrics::histogram!("muster_delivery_seconds").record(began.elapsed().as_secs_f64());
    answer
}

/// What is known of a delivery besides its source and its body.
fn head(headers: &HeaderMap, format: Format, remote: SocketAddr, received_at: DateTime<Utc>) -> Head {
    let agent = headers
        .get(header::USER_AGENT)
        .map(|agent| String::from_utf8_lossy(agent.as_bytes()));
    let agent = agent.unwrap_or_default();
    Head {
        source: SourceId(0),
        format: format.name().to_owned(),
        remote: remote.ip().to_string(),
        user_agent: agent.chars().filter(|c| *c != '\0').take(200).collect(),
        received_at,
        headers: body::kept(headers),
        replay_of: None,
        is_test: false,
    }
}

async fn take(
    hooks: &Hooks,
    format: Format,
    name: &str,
    proof: Proof,
    headers: &HeaderMap,
    mut head: Head,
    body: Body,
) -> Result<Response, Refusal> {
    let turn = tokio::time::timeout(hooks.limits.queue_timeout, hooks.turns.acquire()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Refusal::busy("too many deliveries at once; send it again"));
    };
    if !hooks.receiver.is_ready() {
        return Err(Refusal::busy("starting; send it again"));
    }
    let source = authenticate(hooks, name, &proof, &head).await?;
    head.source = source.id;
    // Its room is kept until it has its answer.
    let Whole { body, room: _room } = read(hooks, body, headers, &head).await?;
    check_signature(hooks, &source, format, headers, &body, &head).await?;
    let record = Record {
        head: head.clone(),
        body,
    };
    let handed = hooks.receiver.hand_in(source, format, record, turn).await;
    match handed.verdict {
        Verdict::Stored(outcome, remark) => {
            if format == Format::Prometheus && !remark.is_empty() {
                // As Alertmanager answers: what can be used is stored all the same.
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "unusable_alerts", remark));
            }
            let incidents: Vec<String> = outcome.incidents.iter().map(|id| format!("INC-{id}")).collect();
            let mut answer = json!({"status": "stored", "incidents": incidents, "alerts": outcome.readings});
            if !remark.is_empty() {
                answer["remark"] = remark.into();
            }
            Ok(Json(answer).into_response())
        }
        Verdict::Spooled => Ok((StatusCode::ACCEPTED, Json(json!({"status": "spooled"}))).into_response()),
        Verdict::Understood(_, remark) => Ok(Json(
            json!({"status": "stored", "incidents": [], "alerts": {}, "remark": remark}),
        )
        .into_response()),
        Verdict::Unsigned(why) => {
            refuse(hooks, &head, &format!("no or wrong signature: {why}")).await?;
            Err(Refusal::unauthorized(why))
        }
        Verdict::Unusable(_, fault) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "unusable_body",
            fault.to_string(),
        )),
        Verdict::Refused(why) => Err(Refusal::busy(&why)),
    }
}

/// Finds the source by its token and looks at the certificate it needs, before the body is read. A wrong name and a wrong
/// token get the same answer.
async fn authenticate(hooks: &Hooks, name: &str, proof: &Proof, head: &Head) -> Result<Arc<Source>, Refusal> {
    let senders = &hooks.receiver.senders;
    let source = match proof.token.as_deref().map(Digest::of_bytes) {
        Some(token) => match senders.find(name, token).await? {
            // Another process may have been told since that it is not needed any more.
            Some(source) if proof.misses(&source).is_some() => senders.find_anew(name, token).await?,
            found => found,
        },
        None => None,
    };
    let Some(source) = source else {
        count_refused(hooks, senders.id_of(name), head, "no or wrong token").await?;
        return Err(Refusal::unauthorized(
            "no such source, or not its token; send it as a bearer token, as the password of basic auth, or in \
             X-Muster-Token",
        ));
    };
    match proof.misses(&source) {
        None => Ok(source),
        Some(missing) => {
            count_refused(hooks, Some(source.id), head, &missing.why).await?;
            Err(Refusal::unauthorized(missing.way_out))
        }
    }
}

/// Checks what a sender signs with a secret it shares with its source. What Amazon signs is checked at the counter.
async fn check_signature(
    hooks: &Hooks,
    source: &Source,
    format: Format,
    headers: &HeaderMap,
    body: &[u8],
    head: &Head,
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
    refuse(hooks, head, "no or wrong signature").await?;
    Err(Refusal::unauthorized(
        "the body is not signed with the secret of this source",
    ))
}

async fn refuse(hooks: &Hooks, head: &Head, reason: &str) -> Result<(), StoreError> {
    count_refused(hooks, Some(head.source), head, reason).await
}

async fn count_refused(
    hooks: &Hooks,
    source: Option<SourceId>,
    head: &Head,
    reason: &str,
) -> Result<(), StoreError> {
    let empty = Record {
        head: head.clone(),
        body: Vec::new(),
    };
    in_time(async {
        let mut conn = hooks.pool.acquire().await?;
        deliveries::count_refused(&mut conn, source, empty.as_new(), reason).await
    })
    .await
}

async fn read(hooks: &Hooks, body: Body, headers: &HeaderMap, head: &Head) -> Result<Whole, Refusal> {
    match body::read(body, headers, &hooks.limits, &hooks.room).await {
        Ok(whole) => Ok(whole),
        Err(Unread::Late) => Err(Refusal::busy("the body did not arrive in time; send it again")),
        Err(Unread::TooLong(what)) => {
            let reason = format!("{what}; raise --body-max or send smaller groups");
            refuse(hooks, head, &reason).await?;
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", reason))
        }
        Err(Unread::Unknown(reason)) => {
            refuse(hooks, head, &reason).await?;
            Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown_encoding",
                reason,
            ))
        }
        Err(Unread::NoRoom) => Err(Refusal::busy("too many long bodies at once; send it again")),
        Err(Unread::Broken(why)) => {
            let why = format!("the body broke off: {why}; send it again");
            Err(Refusal::busy(&why))
        }
        Err(Unread::Garbled(reason)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "unusable_body", reason)),
    }
}
