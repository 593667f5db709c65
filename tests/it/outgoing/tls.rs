//! Servers that prove who they are, and those that do not; and what Muster shows of itself.

use std::sync::Arc;

use muster::{
    actions::{Bounds, Lookup, Outside},
    domain::{
        action::FailureClass,
        target::{Connection, HttpConnection, SecretRef, Target, Trust},
    },
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::ask;
use crate::support::authority::Authority;

/// A web service with that certificate; it says what it was called. Returns its port.
async fn serve(authority: &Authority, file: &str, asks_clients: bool) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(authority.path(&format!("{file}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{file}.key"))).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority.path("ca.pem")).unwrap())
        .unwrap();
    let config = match asks_clients {
        true => ServerConfig::builder()
            .with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap()),
        false => ServerConfig::builder().with_no_client_auth(),
    };
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut block = [0; 4096];
                let Ok(length) = stream.read(&mut block).await else {
                    return;
                };
                let asked = String::from_utf8_lossy(&block[..length]).into_owned();
                let host = asked
                    .lines()
                    .find_map(|line| line.strip_prefix("host: "))
                    .unwrap_or("?");
                let reply = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{host}",
                    host.len()
                );
                let _ = stream.write_all(reply.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

fn file(authority: &Authority, name: &str) -> Option<SecretRef> {
    Some(SecretRef::File(authority.path(name).display().to_string()))
}

fn target(host: &str, port: u16, trust: Trust) -> Target {
    let url = format!("https://{host}:{port}/").parse().unwrap();
    let web = HttpConnection {
        tls: trust,
        ..HttpConnection::new(url)
    };
    Target {
        networks: vec!["127.0.0.1".parse().unwrap()],
        ..Target::new("thing", Connection::Http(web))
    }
}

#[tokio::test]
async fn only_a_server_that_proves_its_name_is_asked() {
    muster::actions::install_crypto();
    let authority = Authority::new();
    authority.sign("web", "DNS:web.test");
    authority.sign("muster", "DNS:muster.test");
    let stranger = Authority::new();
    let open = serve(&authority, "web", false).await;
    let mutual = serve(&authority, "web", true).await;
    let here = Lookup::by(|_| Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap()]) }));
    let outside = Outside::with_lookup(Bounds::default(), here);
    let believing = || Trust {
        ca: file(&authority, "ca.pem"),
        ..Trust::default()
    };
    let named = |name: &str| Trust {
        server_name: Some(name.to_owned()),
        ..believing()
    };
    let showing = || Trust {
        client_certificate: file(&authority, "muster.pem"),
        client_key: file(&authority, "muster.key"),
        ..believing()
    };
    let strange = Trust {
        ca: file(&stranger, "ca.pem"),
        ..Trust::default()
    };
    for (host, port, trust, answer) in [
        ("web.test", open, believing(), Some(format!("web.test:{open}"))),
        (
            "127.0.0.1",
            open,
            named("web.test"),
            Some(format!("127.0.0.1:{open}")),
        ),
        (
            "other.test",
            open,
            named("web.test"),
            Some(format!("other.test:{open}")),
        ),
        ("web.test", mutual, showing(), Some(format!("web.test:{mutual}"))),
        ("web.test", open, Trust::default(), None),
        ("web.test", open, strange, None),
        ("other.test", open, believing(), None),
        ("127.0.0.1", open, believing(), None),
        ("web.test", open, named("other.test"), None),
        ("web.test", mutual, believing(), None),
    ] {
        let target = target(host, port, trust);
        match ask(&outside, &target, json!({})).await {
            Ok(result) => assert_eq!(
                Some(result["body"].as_str().unwrap().to_owned()),
                answer,
                "{target:?}"
            ),
            Err(failure) => {
                assert_eq!(answer, None, "{target:?}: {failure}");
                assert!(
                    matches!(failure.class, FailureClass::NotSent | FailureClass::Lost),
                    "{failure}"
                );
            }
        }
    }
    for (field, trust) in [
        (
            "tls.ca",
            Trust {
                ca: file(&authority, "web.key"),
                ..Trust::default()
            },
        ),
        (
            "tls.client_certificate",
            Trust {
                client_certificate: file(&authority, "muster.key"),
                ..showing()
            },
        ),
        (
            "tls.client_key",
            Trust {
                client_key: file(&authority, "muster.pem"),
                ..showing()
            },
        ),
        (
            "tls",
            Trust {
                client_key: file(&authority, "web.key"),
                ..showing()
            },
        ),
    ] {
        let failure = ask(&outside, &target("web.test", open, trust), json!({}))
            .await
            .unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
        assert!(
            failure.message.contains("target thing: ") && failure.message.contains(field),
            "{failure}"
        );
        assert!(!failure.message.contains("BEGIN"), "{failure}");
    }
}
