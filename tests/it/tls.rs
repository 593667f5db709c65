//! TLS at the door, with certificates made for the test by openssl.

use std::{net::SocketAddr, path::Path};

use axum::{Extension, Router, routing::get};
use muster::web::{
    server::{Limits, serve},
    tls::{Peer, Tls, TlsFault},
};
use reqwest::{Certificate, Client, Identity};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::support::authority::Authority;

async fn start(tls: Tls) -> SocketAddr {
    muster::actions::install_crypto();
    let who = |peer: Option<Extension<Peer>>| async move {
        match peer {
            Some(Extension(peer)) if peer.is_named("alertmanager.internal") => "alertmanager",
            Some(_) => "somebody",
            None => "nobody",
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(who));
    tokio::spawn(serve(
        listener,
        Some(tls),
        router,
        CancellationToken::new(),
        Limits::default(),
    ));
    address
}

async fn ask(address: SocketAddr, root: &Certificate, identity: Option<Identity>) -> reqwest::Result<String> {
    let mut client = Client::builder().no_proxy().tls_certs_only([root.clone()]);
    if let Some(identity) = identity {
        client = client.identity(identity);
    }
    let answer = client.build()?.get(format!("https://{address}/")).send().await?;
    answer.text().await
}

#[tokio::test]
async fn a_client_is_known_by_the_certificate_it_shows() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    ours.sign("server", "IP:127.0.0.1");
    ours.sign("sender", "DNS:alertmanager.internal");
    ours.sign("other", "DNS:other.internal");
    theirs.sign("stranger", "DNS:alertmanager.internal");
    let address = start(Tls::read(ours.files("server")).unwrap()).await;
    let root = ours.root();
    for (shown, known_as) in [
        (None, "nobody"),
        (Some("sender"), "alertmanager"),
        (Some("other"), "somebody"),
    ] {
        let identity = shown.map(|file| ours.identity(file));
        assert_eq!(ask(address, &root, identity).await.unwrap(), known_as);
    }
    // The right name, vouched for by nobody we know.
    ask(address, &root, Some(theirs.identity("stranger")))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn plain_http_is_told_so_and_not_sent_elsewhere() {
    let authority = Authority::new();
    authority.sign("server", "IP:127.0.0.1");
    let address = start(Tls::read(authority.files("server")).unwrap()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: muster\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(
        answer.ends_with("this port speaks TLS; use https://...\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_renewed_certificate_needs_no_restart_and_a_broken_one_breaks_nothing() {
    let (old, new) = (Authority::new(), Authority::new());
    old.sign("server", "IP:127.0.0.1");
    new.sign("server", "IP:127.0.0.1");
    let tls = Tls::read(old.files("server")).unwrap();
    let address = start(tls.clone()).await;
    let copy = |from: &Path, to: &Path| std::fs::copy(from, to).unwrap();
    copy(&new.path("server.pem"), &old.path("server.pem"));
    let fault = tls.refresh().unwrap_err();
    assert!(matches!(fault, TlsFault::Mismatch { .. }), "{fault}");
    assert!(fault.to_string().contains("server.pem"), "{fault}");
    assert_eq!(ask(address, &old.root(), None).await.unwrap(), "nobody");
    copy(&new.path("server.key"), &old.path("server.key"));
    tls.refresh().unwrap();
    assert_eq!(ask(address, &new.root(), None).await.unwrap(), "nobody");
    ask(address, &old.root(), None).await.unwrap_err();
    std::fs::write(old.path("server.key"), "not a key").unwrap();
    assert!(tls.refresh().unwrap_err().to_string().contains("private key"));
}
