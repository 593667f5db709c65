//! The HTTP server against clients that stall, stay or crowd.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use muster::web::server::{Drained, Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const GET: &[u8] = b"GET /peer HTTP/1.1\r\nhost: muster\r\n\r\n";

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<Drained>,
    /// One message for each request that has reached a handler.
    arrived: mpsc::UnboundedReceiver<()>,
    /// Lets `/slow` answer.
    go: CancellationToken,
}

async fn start(limits: Limits) -> Running {
    let (arrival, arrived) = mpsc::unbounded_channel();
    let go = CancellationToken::new();
    let slow = {
        let (arrival, go) = (arrival.clone(), go.clone());
        move || async move {
            arrival.send(()).unwrap();
            go.cancelled().await;
            "done"
        }
    };
    let stream = move || async move {
        let tick = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"tick\n")), ()))
        });
        arrival.send(()).unwrap();
        Body::from_stream(tick)
    };
    let router = Router::new()
        .route(
            "/peer",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
        )
        .route("/body", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/slow", get(slow))
        .route("/stream", get(stream));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let ended = tokio::spawn(serve(listener, None, router, shutdown.clone(), limits));
    Running {
        address,
        shutdown,
        ended,
        arrived,
        go,
    }
}

async fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Everything up to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

fn impatient() -> Limits {
    Limits {
        header_read: Duration::from_millis(300),
        drain: Duration::from_secs(5),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_half_sent_header_is_closed_at_the_timeout() {
    let server = start(impatient()).await;
    let start = Instant::now();
    let mut half = send(server.address, b"GET /peer HTTP/1.1\r\nhost: mus").await;
    rest(&mut half).await;
    assert!(
        start.elapsed() >= Duration::from_millis(290),
        "too early: {:?}",
        start.elapsed()
    );
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "too late: {:?}",
        start.elapsed()
    );
    server.shutdown.cancel();
    assert_eq!(server.ended.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_half_sent_header_does_not_hang_the_shutdown() {
    let limits = Limits {
        header_read: Duration::from_secs(60),
        drain: Duration::from_millis(300),
        ..impatient()
    };
    let server = start(limits).await;
    let mut half = send(server.address, GET).await;
    half.read_exact(&mut [0; 20]).await.unwrap();
    half.write_all(b"GET /peer HT").await.unwrap();
    let start = Instant::now();
    server.shutdown.cancel();
    server.ended.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_idle_connection_is_closed_too() {
    let server = start(impatient()).await;
    let mut idle = send(server.address, GET).await;
    let text = tokio::time::timeout(Duration::from_secs(3), rest(&mut idle))
        .await
        .expect("closed by the server");
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(
        text.ends_with(&idle.local_addr().unwrap().to_string()),
        "the peer's address: {text}"
    );
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let limits = Limits {
        body_pause: Duration::from_millis(200),
        ..impatient()
    };
    let server = start(limits).await;
    let mut stalled = send(
        server.address,
        b"POST /body HTTP/1.1\r\nhost: muster\r\ncontent-length: 9\r\n\r\nfour",
    )
    .await;
    let text = tokio::time::timeout(Duration::from_secs(3), rest(&mut stalled))
        .await
        .expect("given up");
    assert!(text.starts_with("HTTP/1.1 4"), "{text}");
}

#[tokio::test]
async fn an_open_request_is_answered_before_the_end_and_new_clients_are_refused() {
    let mut server = start(impatient()).await;
    let mut open = send(server.address, b"GET /slow HTTP/1.1\r\nhost: muster\r\n\r\n").await;
    server.arrived.recv().await.unwrap();
    server.shutdown.cancel();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.go.cancel();
    assert!(rest(&mut open).await.ends_with("done"));
    assert_eq!(server.ended.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_stream_without_end_is_cut_when_the_time_to_drain_is_over() {
    let mut server = start(Limits {
        drain: Duration::from_millis(200),
        ..impatient()
    })
    .await;
    let _stream = send(server.address, b"GET /stream HTTP/1.1\r\nhost: muster\r\n\r\n").await;
    server.arrived.recv().await.unwrap();
    let start = Instant::now();
    server.shutdown.cancel();
    assert_eq!(server.ended.await.unwrap(), Drained { cut: 1 });
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn at_the_cap_a_client_waits_for_another_to_leave() {
    let mut server = start(Limits {
        connections: 1,
        header_read: Duration::from_secs(30),
        ..impatient()
    })
    .await;
    let mut first = send(
        server.address,
        b"GET /slow HTTP/1.1\r\nhost: muster\r\nconnection: close\r\n\r\n",
    )
    .await;
    server.arrived.recv().await.unwrap();
    let mut second = send(
        server.address,
        b"GET /slow HTTP/1.1\r\nhost: muster\r\nconnection: close\r\n\r\n",
    )
    .await;
    let early = tokio::time::timeout(Duration::from_millis(200), server.arrived.recv()).await;
    assert!(early.is_err(), "the second was let in beyond the cap");
    server.go.cancel();
    assert!(rest(&mut first).await.ends_with("done"));
    assert!(rest(&mut second).await.ends_with("done"));
}
