//! What holds for every action: failure classes by time, forbidden addresses, secrets, descriptions, strict inputs.

use std::sync::atomic::AtomicUsize;

use data_encoding::BASE64;
use futures_util::{FutureExt, future::BoxFuture};
use serde_json::json;

use super::*;
use crate::domain::target::{CommandConnection, PostgresConnection, Tls, Trust};

fn forever() -> Outside {
    Outside::with_lookup(
        Bounds::default(),
        Lookup::by(|_| Box::pin(std::future::pending())),
    )
}

fn every_connection(host: &str) -> Vec<(Target, Value)> {
    let url = format!("http://{host}:1/");
    let postgres = PostgresConnection {
        host: host.to_owned(),
        port: 1,
        user: "u".to_owned(),
        database: None,
        password: None,
        tls: Tls::Prefer,
        trust: Trust::default(),
    };
    let address = format!("{host}:1");
    [
        (Connection::Http(web(&url)), json!({"method": "POST"})),
        (
            Connection::Tcp {
                address: address.clone(),
            },
            json!({}),
        ),
        (Connection::Postgres(postgres), json!({"query": "select 1"})),
        (Connection::Prometheus(web(&url)), json!({"query": "up"})),
        (
            Connection::Haproxy { address },
            json!({"backend": "b", "enable": "s"}),
        ),
        (Connection::Loki(web(&url)), json!({"query": "{}"})),
        (
            Connection::Elasticsearch(web(&url)),
            json!({"index": "i", "query": "*"}),
        ),
    ]
    .map(|(connection, with)| (target(connection), with))
    .into()
}

#[tokio::test]
async fn nothing_is_sent_when_the_lease_ended_on_the_way() {
    let (address, served) = serve(reply("200 OK", "text/plain", ""), End::Close).await;
    let late = Envelope {
        not_after: Some(std::time::Instant::now()),
        ..envelope()
    };
    let change = json!({"method": "POST"});
    let failure = go(&http(address), change.clone(), &late).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent, "{failure}");
    assert!(failure.message.contains("lease"), "{failure}");
    assert_eq!(served.await.unwrap(), "", "connected, and not a byte");

    let (address, served) = serve(reply("200 OK", "text/plain", ""), End::Close).await;
    let in_time = Envelope {
        not_after: Some(std::time::Instant::now() + Duration::from_secs(60)),
        ..envelope()
    };
    assert!(go(&http(address), change, &in_time).await.is_ok());
    assert!(served.await.unwrap().starts_with("POST"));
}

#[tokio::test]
async fn still_resolving_at_the_end_of_its_time_is_not_sent() {
    for (target, with) in every_connection("db.example") {
        let failure = go_by(&forever(), &target, with, &within(Span::from_millis(30)))
            .await
            .unwrap_err();
        assert_eq!(failure.class, FailureClass::NotSent, "{target:?}");
        assert!(failure.message.contains("within 30ms"), "{failure}");
    }
}

#[tokio::test]
async fn the_target_bounds_the_time_too() {
    let (mut target, with) = every_connection("db.example").remove(1);
    target.timeout_max = Span::from_millis(20);
    let failure = go_by(&forever(), &target, with, &envelope()).await.unwrap_err();
    assert!(failure.message.contains("within 20ms"), "{failure}");
}

#[tokio::test]
async fn nobody_listening_and_no_such_name_are_not_sent() {
    let port = nobody().await.port();
    let unknown = Outside::with_lookup(
        Bounds::default(),
        Lookup::by(|_| Box::pin(async { Err(std::io::Error::other("no such host")) })),
    );
    for (mut target, with) in every_connection("127.0.0.1") {
        match &mut target.connection {
            Connection::Http(web)
            | Connection::Prometheus(web)
            | Connection::Loki(web)
            | Connection::Elasticsearch(web) => web.url.set_port(Some(port)).unwrap(),
            Connection::Tcp { address } | Connection::Haproxy { address } => {
                *address = format!("127.0.0.1:{port}")
            }
            Connection::Postgres(database) => database.port = port,
            _ => unreachable!(),
        }
        let failure = go(&target, with, &envelope()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::NotSent, "{target:?}: {failure}");
        assert!(failure.message.contains("refused"), "{failure}");
    }
    for (target, with) in every_connection("nowhere.example") {
        let failure = go_by(&unknown, &target, with, &envelope()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::NotSent);
        assert!(
            failure.message.contains("cannot resolve nowhere.example"),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn metadata_addresses_are_never_connected_to() {
    let named = Outside::with_lookup(
        Bounds::default(),
        Lookup::by(|_| {
            Box::pin(async {
                Ok(vec![
                    "127.0.0.1".parse().unwrap(),
                    "169.254.169.254".parse().unwrap(),
                ])
            })
        }),
    );
    for (target, with) in every_connection("metadata.example") {
        let failure = go_by(&named, &target, with, &envelope()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{target:?}: {failure}");
        assert!(failure.message.contains("169.254.169.254"), "{failure}");
    }
    for host in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"] {
        for (target, with) in every_connection(host) {
            if matches!(target.connection, Connection::Postgres(_)) && host.starts_with('[') {
                continue;
            }
            let failure = go(&target, with, &envelope()).await.unwrap_err();
            assert_eq!(failure.class, FailureClass::Invalid, "{target:?}: {failure}");
        }
    }
    // Other ways to write the same number, once as a URL has it and once as the machine's resolver has it.
    for url in [
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
    ] {
        let failure = go(&target(Connection::Http(web(url))), json!({}), &envelope())
            .await
            .unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{url}: {failure}");
    }
    for address in ["0xa9fea9fe:80", "2852039166:80", "169.254.43518:80"] {
        let address = address.to_owned();
        let failure = go(&target(Connection::Tcp { address }), json!({}), &envelope())
            .await
            .unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_public_is_reached_only_when_the_target_names_it() {
    let by = |ip: &'static str| {
        let find =
            move |_| -> BoxFuture<'static, _> { Box::pin(async move { Ok(vec![ip.parse().unwrap()]) }) };
        Outside::with_lookup(Bounds::default(), Lookup::by(find))
    };
    for (target, with) in every_connection("inside.example") {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "100.64.0.1",
            "::1",
            "fd12::1",
            "203.0.113.9",
        ] {
            let failure = go_by(&by(ip), &target, with.clone(), &envelope())
                .await
                .unwrap_err();
            assert_eq!(failure.class, FailureClass::Invalid, "{target:?}: {failure}");
            assert!(
                failure.message.contains(&format!("networks: [{ip}]")),
                "{failure}"
            );
        }
        // Port 1 answers nobody, but it is asked.
        let named = Target {
            networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..target
        };
        let failure = go_by(&by("127.0.0.1"), &named, with, &envelope())
            .await
            .unwrap_err();
        assert_eq!(failure.class, FailureClass::NotSent, "{failure}");
        assert!(failure.message.contains("refused"), "{failure}");
    }
}

#[tokio::test]
async fn what_no_target_names_reaches_public_addresses_only() {
    let (address, request) = serve(reply("200 OK", "text/plain", "hi"), End::Close).await;
    for host in ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254"] {
        let url = format!("http://{host}:{}/", address.port()).parse().unwrap();
        let failure = Fetch::get(&outside(), &url).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{host}: {failure}");
    }
    for url in [
        "ftp://example.com/",
        "http://me:hush@example.com/",
        "file:///etc/passwd",
    ] {
        let failure = Fetch::get(&outside(), &url.parse().unwrap()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{url}: {failure}");
        assert!(!failure.message.contains("hush"), "{failure}");
    }
    assert!(request.now_or_never().is_none(), "nobody came");
    let (address, _request) = serve(reply("200 OK", "text/plain", "hi"), End::Close).await;
    let url = format!("http://{address}/").parse().unwrap();
    let allowed = outside().fetch(&url, &["127.0.0.1".parse().unwrap()]).await;
    assert_eq!(allowed.unwrap(), b"hi");
}

#[tokio::test]
async fn a_name_is_asked_once_and_the_checked_address_is_the_one_connected() {
    let (address, _request) = serve(reply("200 OK", "text/plain", "hi"), End::Close).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let flipping = Outside::with_lookup(
        Bounds::default(),
        Lookup::by(move |_| {
            let ip = match count.fetch_add(1, Ordering::SeqCst) {
                0 => "127.0.0.1",
                _ => "169.254.169.254",
            };
            Box::pin(async move { Ok(vec![ip.parse().unwrap()]) })
        }),
    );
    let url = format!("http://flip.example:{}/", address.port());
    let target = Target {
        networks: vec!["127.0.0.1".parse().unwrap()],
        ..target(Connection::Http(web(&url)))
    };
    let outcome = go_by(&flipping, &target, json!({}), &envelope()).await.unwrap();
    assert_eq!(
        (&outcome.result["body"], asked.load(Ordering::SeqCst)),
        (&json!("hi"), 1)
    );
    let failure = go_by(&flipping, &target, json!({}), &envelope())
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Invalid);
}

const CANARY: &str = "c4n4ry/with \"quotes\"+";

fn assert_hidden(answer: &Result<Outcome, Failure>) {
    let text = format!("{answer:?} {}", json!(answer.as_ref().ok()));
    for form in [
        CANARY.to_owned(),
        "c4n4ry".to_owned(),
        BASE64.encode(CANARY.as_bytes()),
        BASE64.encode(format!("user:{CANARY}").as_bytes()),
    ] {
        assert!(!text.contains(&form), "{form} in {text}");
    }
    assert!(text.contains("[redacted]"), "the canary came back at all: {text}");
}

#[tokio::test]
async fn a_secret_never_comes_back_from_a_web_service() {
    let folder = Folder::new();
    let basic = BASE64.encode(format!("user:{CANARY}").as_bytes());
    let body =
        json!({"said": CANARY, "deep": [{CANARY: 1}], "basic": basic, "again": json!(CANARY).to_string()});
    for (status, kind, method) in [
        ("200 OK", "application/json", "GET"),
        ("200 OK", "text/plain", "POST"),
        ("403 Forbidden", "application/json", "POST"),
        ("500 Oops", "application/json", "POST"),
    ] {
        let (address, request) = serve(reply(status, kind, &body.to_string()), End::Close).await;
        let mut target = http(address);
        if let Connection::Http(web) = &mut target.connection {
            web.basic = Some(folder.secret("login", &format!("user:{CANARY}\n")));
            web.headers
                .insert("x-api-key".to_owned(), folder.secret("key", CANARY));
        }
        let answer = go(&target, json!({"method": method}), &envelope()).await;
        let request = request.await.unwrap();
        assert!(
            request.contains(&format!("authorization: Basic {basic}")),
            "{request}"
        );
        assert!(request.contains(&format!("x-api-key: {CANARY}")), "{request}");
        assert_hidden(&answer);
    }
}

#[tokio::test]
async fn a_secret_never_comes_back_from_a_program() {
    let folder = Folder::new();
    for (script, envelope) in [
        ("echo \"$TOKEN\"; printf %s \"$TOKEN\" | base64 >&2", envelope()),
        ("echo \"user:$TOKEN\" >&2; exit 3", envelope()),
        (
            "echo \"$TOKEN\" >&2; exec sleep 600",
            within(Span::from_millis(300)),
        ),
    ] {
        let target = target(Connection::Command(CommandConnection {
            env: [("TOKEN".to_owned(), folder.secret("token", CANARY))].into(),
            ..CommandConnection::new(vec![any("/bin/sh")])
        }));
        let answer = go(
            &target,
            json!({"program": "/bin/sh", "args": ["-c", script]}),
            &envelope,
        )
        .await;
        assert_hidden(&answer);
    }
}

/// A vault of one secret.
struct OneSecret;

impl SecretStore for OneSecret {
    fn read<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<Secret, String>> {
        let found = match reference {
            SecretRef::Env(name) if name == "IN_THE_VAULT" => Ok(Secret::new(CANARY)),
            _ => Err("is not in the vault".to_owned()),
        };
        Box::pin(async { found })
    }
}

#[tokio::test]
async fn secrets_may_come_from_another_store() {
    let body = json!({"said": CANARY}).to_string();
    let (address, request) = serve(reply("200 OK", "application/json", &body), End::Close).await;
    let vault = outside().with_secrets(Arc::new(OneSecret));
    let mut target = http(address);
    let refer = |target: &mut Target, name: &str| {
        if let Connection::Http(web) = &mut target.connection {
            let reference = SecretRef::Env(name.to_owned());
            web.headers.insert("x-api-key".to_owned(), reference);
        }
    };
    refer(&mut target, "CARGO_PKG_NAME");
    let failure = go_by(&vault, &target, json!({}), &envelope()).await.unwrap_err();
    assert_eq!(failure.message, "secret env:CARGO_PKG_NAME is not in the vault");
    refer(&mut target, "IN_THE_VAULT");
    assert_hidden(&go_by(&vault, &target, json!({}), &envelope()).await);
    assert!(request.await.unwrap().contains(&format!("x-api-key: {CANARY}")));
}

#[tokio::test]
async fn a_missing_secret_stops_the_action_and_is_named() {
    let (address, request) = serve("", End::Close).await;
    let mut target = http(address);
    if let Connection::Http(web) = &mut target.connection {
        web.bearer = Some(SecretRef::Env("MUSTER_NOT_THERE".to_owned()));
    }
    let failure = go(&target, json!({}), &envelope()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Invalid);
    assert!(failure.message.contains("env:MUSTER_NOT_THERE"), "{failure}");
    assert!(request.now_or_never().is_none(), "nothing was sent");
}

#[tokio::test]
async fn wrong_inputs_name_the_field() {
    let command = CommandConnection::new(vec![any("/bin/true")]);
    let mut kinds = every_connection("127.0.0.1");
    kinds.push((
        target(Connection::File {
            path: "/x".to_owned(),
        }),
        json!({}),
    ));
    kinds.push((
        target(Connection::Command(command)),
        json!({"program": "/bin/true"}),
    ));
    for (target, with) in &kinds {
        let mut wrong = with.clone();
        wrong["tiemout"] = json!(5);
        let failure = go(target, wrong.clone(), &envelope()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid);
        assert!(failure.message.contains("with.tiemout"), "{failure}");
        assert!(
            describe(target, &rendered(target, wrong)).contains("cannot be sent"),
            "{target:?}"
        );
        let other = kinds
            .iter()
            .find(|(other, _)| other.kind() != target.kind())
            .unwrap();
        let failure = outside()
            .perform(target, &rendered(&other.0, with.clone()), &envelope())
            .await
            .unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
    }
    for (kind, with, field) in [
        (0, json!({"method": "BREW"}), "with.method"),
        (0, json!({"path": "../x"}), "with.path"),
        (0, json!({"query": {"a": {}}}), "with.query.a"),
        (
            0,
            json!({"headers": {"Authorization": "x"}}),
            "with.headers.Authorization",
        ),
        (0, json!({"headers": {"x": "a\r\nb"}}), "with.headers.x"),
        (0, json!({"body": "x"}), "with.body"),
        (2, json!({}), "with.query"),
        (2, json!({"query": "  "}), "with.query"),
        (2, json!({"query": "select 1", "params": [[1]]}), "with.params[0]"),
        (4, json!({"backend": "b;x"}), "with.backend"),
        (4, json!({"backend": "b", "drain": [1]}), "with.drain"),
        (5, json!({"query": "{}", "since": "soon"}), "with.since"),
        (5, json!({"query": "{}", "limit": 501}), "with.limit"),
        (6, json!({"query": "*", "index": "a/b"}), "with.index"),
        (8, json!({"program": "/bin/false"}), "with.program"),
        (8, json!({"program": "true"}), "with.program"),
        (8, json!({"program": "/bin/true", "args": "x"}), "with.args"),
        (8, json!({"program": "/bin/true", "args": [null]}), "with.args[0]"),
    ] {
        let failure = go(&kinds[kind].0, with.clone(), &envelope()).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{with}: {failure}");
        assert!(failure.message.contains(field), "{with}: {failure}");
    }
}

#[test]
fn a_request_is_described_as_it_will_be_sent() {
    let command = CommandConnection::new(vec![any("/usr/bin/systemctl")]);
    let mut kinds = every_connection("db");
    kinds.push((
        target(Connection::File {
            path: "/var/log/x".to_owned(),
        }),
        json!({}),
    ));
    kinds.push((target(Connection::Command(command)), json!({})));
    for (kind, with, text) in [
        (
            0,
            json!({"method": "post", "path": "/failover", "query": {"dry": false}, "body": {"to": "b"}}),
            "POST http://db:1/failover?dry=false {\"to\":\"b\"}",
        ),
        (1, json!({}), "TCP connect db:1"),
        (
            2,
            json!({"query": "select $1", "params": [1]}),
            "SQL on thing (db:1/u as u): select $1 with [\"1\"]",
        ),
        (3, json!({"query": "up"}), "PromQL on thing (http://db:1/): up"),
        (
            4,
            json!({"backend": "b", "enable": "s"}),
            "haproxy set server b/s state ready",
        ),
        (4, json!({"backend": "b"}), "haproxy show servers state b"),
        (
            5,
            json!({"query": "{a=\"b\"}"}),
            "LogQL on thing (http://db:1/), last 15m, at most 100 lines: {a=\"b\"}",
        ),
        (
            6,
            json!({"index": "logs-*", "query": "x", "since": "1h", "limit": 5}),
            "search logs-* on thing (http://db:1/), last 1h, at most 5 lines: x",
        ),
        (
            7,
            json!({"limit": 5, "contains": "err"}),
            "last 5 lines of /var/log/x that contain \"err\"",
        ),
        (
            8,
            json!({"program": "/usr/bin/systemctl", "args": ["restart", "a; rm -rf /"]}),
            "/usr/bin/systemctl restart \"a; rm -rf /\"",
        ),
    ] {
        let target = &kinds[kind].0;
        assert_eq!(describe(target, &rendered(target, with)), text);
    }
}

#[test]
fn an_action_can_be_moved_between_threads() {
    fn send<T: Send>(_: T) {}
    let (target, with) = every_connection("db").remove(0);
    install_crypto();
    let outside = outside();
    send(outside.perform(&target, &rendered(&target, with), &envelope()));
}
