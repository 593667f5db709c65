//! Serves a router over HTTP/1.1, with or without TLS, with a bound on everything a client could drag out.
//!
//! This drives hyper itself because the ready-made server has no limit on the time a header may take: one half-sent
//! request would keep its connection for ever and hold up the shutdown.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_http::timeout::RequestBodyTimeoutLayer;

use super::tls::{self, Peer, Tls};

/// A server that is full for long says so once a minute.
const SAY_FULL_EVERY: Duration = Duration::from_secs(60);

/// The bounds of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; at the cap the server stops accepting, and the kernel's queue holds the rest.
    pub connections: usize,
    /// How long a client may take to send a request's header, which is also how long an idle connection is kept.
    pub header_read: Duration,
    /// How long a client may pause within a request's body.
    pub body_pause: Duration,
    /// How many bytes a connection may buffer, so also how long a request's header may be.
    pub buffer_bytes: usize,
    /// How long open requests may go on after the shutdown began; then they are cut, live streams included.
    pub drain: Duration,
    /// The first pause after a failed accept, doubled up to ten times itself while it keeps failing.
    pub accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1_024,
            header_read: Duration::from_secs(10),
            body_pause: Duration::from_secs(10),
            buffer_bytes: 64 * 1_024,
            drain: Duration::from_secs(10),
            accept_pause: Duration::from_millis(100),
        }
    }
}

/// How serving came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open when the time to drain was over.
    pub cut: usize,
}

/// Serves until `shutdown`, then stops accepting, lets open requests finish for `limits.drain`, and cuts the rest.
///
/// Handlers find the peer's address as `ConnectInfo<SocketAddr>`, and the certificate it has shown as an extension,
/// [`Peer`]. The future must be polled to its end; run it as a
/// task of its own.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    shutdown: CancellationToken,
    limits: Limits,
) -> Drained {
    let router = router.layer(RequestBodyTimeoutLayer::new(limits.body_pause));
    let drain_max = limits.drain;
    let mut door = Door::new(listener, limits.clone());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => report(ended),
            (stream, peer, place) = door.next() => {
                let (tls, router) = (tls.clone(), router.clone());
                let (shutdown, limits) = (shutdown.clone(), limits.clone());
                connections.spawn(async move {
                    greet(stream, peer, tls, router, shutdown, limits).await;
                    drop(place);
                });
            }
        }
    }
    // From here on a new connection is refused rather than left hanging.
    drop(door);
    drain(connections, drain_max).await
}

/// Takes clients in, one at a time, when there is room.
struct Door {
    listener: TcpListener,
    room: Arc<Semaphore>,
    limits: Limits,
    pause: Duration,
    said_full: Option<Instant>,
}

impl Door {
    fn new(listener: TcpListener, limits: Limits) -> Door {
        let room = Arc::new(Semaphore::new(limits.connections));
        Door {
            listener,
            room,
            pause: limits.accept_pause,
            limits,
            said_full: None,
        }
    }

    /// Waits for room first and for a client second. No client is lost if this is dropped while it waits.
    async fn next(&mut self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let place = self.place().await;
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.pause = self.limits.accept_pause;
                    return (stream, peer, place);
                }
                Err(error) if concerns_one_client(&error) => {}
                Err(error) => {
                    let pause = self.pause;
                    self.pause = (pause * 2).min(self.limits.accept_pause * 10);
                    tracing::error!(%error, ?pause, "cannot accept connections; trying again after a pause");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn place(&mut self) -> OwnedSemaphorePermit {
        if let Ok(place) = Arc::clone(&self.room).try_acquire_owned() {
            return place;
        }
        if self.said_full.is_none_or(|said| said.elapsed() > SAY_FULL_EVERY) {
            self.said_full = Some(Instant::now());
            tracing::warn!(
                connections = self.limits.connections,
                "all connections are taken; clients have to wait"
            );
        }
        match Arc::clone(&self.room).acquire_owned().await {
            Ok(place) => place,
            // The semaphore is never closed; were it, then nobody is to be let in.
            Err(_) => std::future::pending().await,
        }
    }
}

/// A client that left while it was queued; anything else (no file handles, no memory) would fail again at once.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Prepares a connection, which may take as long as a request's header, and answers it.
async fn greet(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Tls>,
    router: Router,
    shutdown: CancellationToken,
    limits: Limits,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(peer = %address, %error, "connection lost before its first request");
        return;
    }
    let Some(tls) = tls else {
        return drive(stream, address, None, router, shutdown, limits).await;
    };
    let shaken = shutdown
        .run_until_cancelled(tokio::time::timeout(limits.header_read, tls.accept(stream)))
        .await;
    match shaken {
        Some(Ok(Ok(stream))) => {
            let shown = tls::peer(&stream);
            drive(stream, address, shown, router, shutdown, limits).await;
        }
        Some(Ok(Err(error))) => tracing::debug!(peer = %address, %error, "no TLS connection"),
        Some(Err(_)) | None => {}
    }
}

/// Answers one client's requests until it leaves, stalls, or the shutdown finds it between two requests.
async fn drive(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    shown: Option<Peer>,
    router: Router,
    shutdown: CancellationToken,
    limits: Limits,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(shown) = shown.clone() {
            request.extensions_mut().insert(shown);
        }
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(limits.buffer_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Mostly clients that hung up or were too slow: nothing an operator could act on.
        tracing::debug!(%peer, %error, "connection ended early");
    }
}

async fn drain(mut connections: JoinSet<()>, bound: Duration) -> Drained {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    let in_time = tokio::time::timeout(bound, all_ended).await.is_ok();
    let cut = if in_time { 0 } else { connections.len() };
    if cut > 0 {
        tracing::info!(
            cut,
            "cutting connections that are still open after the time to drain"
        );
    }
    connections.shutdown().await;
    Drained { cut }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task panicked");
    }
}
