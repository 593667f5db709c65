//! Sources that need a client certificate beside the token: what they take, what they refuse, and how that is set.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use muster::{
    domain::{operator::Role, source::SourceSettings},
    intake::Format,
    receive::snapshot::Snapshot,
    store::sources::{self, KnownSource},
    web::{
        server::{Limits, serve},
        tls::Tls,
    },
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{authority::Authority, intake::TOKEN, site::Site},
};

const LONG: Duration = Duration::from_secs(30);
const BODY: &str = r#"{"receiver": "r", "groupKey": "g", "alerts": [
    {"status": "firing", "startsAt": "2026-11-21T02:59:00Z", "labels": {"alertname": "Down"}}]}"#;

/// A Muster that asks its clients for certificates, with a source `bound` that needs one and `prom` that does not.
struct Bench {
    site: Site,
    root: String,
    authority: Authority,
    secure: SocketAddr,
    plain: SocketAddr,
}

impl Bench {
    async fn new() -> Self {
        muster::actions::install_crypto();
        let site = Site::with(|state| state.asks_clients = true).await;
        site.intake.source_with("bound", needing("sender.internal")).await;
        let authority = Authority::new();
        for (file, name) in [
            ("server", "IP:127.0.0.1"),
            ("sender", "DNS:sender.internal"),
            ("other", "DNS:other.internal"),
        ] {
            authority.sign(file, name);
        }
        let tls = Tls::read(authority.files("server")).unwrap();
        let (_, root) = site.person("root", Role::Admin).await;
        Self {
            secure: listen(&site, Some(tls)).await,
            plain: listen(&site, None).await,
            site,
            root,
            authority,
        }
    }

    /// A sender that shows this certificate, or none.
    fn sender(&self, shown: Option<&str>) -> Client {
        let mut client = Client::builder()
            .no_proxy()
            .tls_certs_only([self.authority.root()]);
        if let Some(file) = shown {
            client = client.identity(self.authority.identity(file));
        }
        client.build().unwrap()
    }

    /// Gives `bound` this name by the JSON interface.
    async fn set(&self, client_name: Value) {
        let path = "/api/v1/sources/bound";
        let read = self.site.get(path, &self.root).await.json();
        let mut settings = read["settings"].clone();
        settings["client_name"] = client_name;
        let body = json!({"revision": read["revision"], "reason": "a test", "settings": settings});
        let changed = self.site.put_json(path, &self.root, &body.to_string()).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    }

    /// Gives `bound` this name in the database, as another process would.
    async fn set_elsewhere(&self, client_name: Option<&str>) {
        let mut conn = self.site.conn().await;
        let source = sources::find_by_name(&mut conn, "bound").await.unwrap().unwrap();
        let settings = SourceSettings {
            client_name: client_name.map(str::to_owned),
            ..source.settings
        };
        let revision = source.revision;
        assert!(
            sources::update(&mut conn, source.id, revision, &settings)
                .await
                .unwrap()
        );
    }
}

fn needing(client_name: &str) -> SourceSettings {
    SourceSettings {
        client_name: Some(client_name.to_owned()),
        ..SourceSettings::default()
    }
}

async fn listen(site: &Site, tls: Option<Tls>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = site.intake.router();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, tls, router, stop, Limits::default()));
    address
}

async fn post(client: &Client, url: String, token: &str, body: &'static str) -> (u16, Value) {
    let answer = client
        .post(url)
        .bearer_auth(token)
        .body(body)
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

/// Delivers an alert of a source with its token.
async fn deliver(client: &Client, source: &str, base: String) -> (u16, Value) {
    let url = format!("{base}/api/v1/sources/{source}/alertmanager");
    post(client, url, &format!("{TOKEN}-{source}"), BODY).await
}

#[tokio::test]
async fn a_source_that_names_a_certificate_takes_nothing_without_it() {
    let bench = Bench::new().await;
    let (secure, plain) = (
        format!("https://{}", bench.secure),
        format!("http://{}", bench.plain),
    );
    for (shown, base, status, why) in [
        (Some("sender"), &secure, 200, ""),
        (None, &secure, 401, "none was shown"),
        (
            Some("other"),
            &secure,
            401,
            "the one shown is not for sender.internal",
        ),
        (None, &plain, 401, "none was shown"),
        (Some("sender"), &plain, 401, "none was shown"),
    ] {
        let sender = bench.sender(shown);
        let (got, answer) = deliver(&sender, "bound", base.clone()).await;
        assert_eq!(got, status, "{shown:?} {base}: {answer}");
        if status == 401 {
            assert_eq!(answer["error"]["code"], "unauthorized");
            let message = answer["error"]["message"].as_str().unwrap();
            let begins =
                format!("no or wrong client certificate: {why}; deliver over https to Muster itself");
            assert!(message.starts_with(&begins), "{message}");
        }
        let (got, answer) = deliver(&sender, "prom", base.clone()).await;
        assert_eq!(
            got, 200,
            "the token is enough for prom: {shown:?} {base}: {answer}"
        );
    }
    let sender = bench.sender(Some("sender"));
    let url = format!("{secure}/api/v1/sources/bound/alertmanager");
    let (got, answer) = post(&sender, url, "not-the-token", BODY).await;
    assert_eq!(got, 401, "the certificate alone is not enough: {answer}");

    let database = &bench.site.intake.database;
    let refused =
        "select coalesce(sum(d.repeats), 0)::bigint from deliveries d join sources s on s.id = d.source_id
                   where s.name = 'bound' and d.outcome = 'rejected' and d.body = ''
                         and d.reason like 'no or wrong client certificate: %'";
    assert_eq!(database.count(refused).await, 4);
    let applied = "select count(*) from deliveries d join sources s on s.id = d.source_id
                   where s.name = 'bound' and d.outcome <> 'rejected'";
    assert_eq!(database.count(applied).await, 1);
}

#[tokio::test]
async fn names_are_compared_with_the_alternative_names_only() {
    let bench = Bench::new().await;
    for (file, name) in [
        ("numbered", "IP:10.0.0.7"),
        ("several", "DNS:other.internal,DNS:sender.internal"),
        ("wild", "DNS:*.senders.internal"),
    ] {
        bench.authority.sign(file, name);
    }
    let base = format!("https://{}", bench.secure);
    for (needed, shown, status) in [
        ("sender.internal", "several", 200),
        ("a.senders.internal", "wild", 200),
        ("b.a.senders.internal", "wild", 401),
        ("senders.internal", "wild", 401),
        ("a.sender.internal", "sender", 401),
        ("10.0.0.7", "numbered", 200),
        ("10.0.0.8", "numbered", 401),
        // The common name of all of them.
        ("whoever", "sender", 401),
    ] {
        bench.set(needed.into()).await;
        let (got, answer) = deliver(&bench.sender(Some(shown)), "bound", base.clone()).await;
        assert_eq!(got, status, "{needed} {shown}: {answer}");
    }
}

#[tokio::test]
async fn every_address_of_every_format_needs_it() {
    let bench = Bench::new().await;
    let sender = bench.sender(Some("sender"));
    let token = format!("{TOKEN}-bound");
    let mut paths = Vec::new();
    for format in Format::ALL {
        let path = format!("/api/v1/sources/bound/{}", format.name());
        paths.extend([path.clone(), format!("{path}/"), format!("{path}/{token}")]);
        paths.extend([format!("{path}/{token}/"), format!("{path}?token={token}")]);
        if format == Format::Prometheus {
            for version in ["v1", "v2"] {
                let tail = format!("api/{version}/alerts");
                paths.extend([format!("{path}/{tail}"), format!("{path}/{token}/{tail}")]);
            }
        }
    }
    assert_eq!(paths.len(), 5 * Format::ALL.len() + 4);
    for path in paths {
        for method in [reqwest::Method::POST, reqwest::Method::PUT] {
            let mut without = Request::builder().method(method.as_str()).uri(&path);
            let mut with = sender.request(method.clone(), format!("https://{}{path}", bench.secure));
            if !path.contains(&token) {
                without = without.header("x-muster-token", &token);
                with = with.header("x-muster-token", &token);
            }
            let refused = bench
                .site
                .intake
                .send(without.body(Body::from("{}")).unwrap())
                .await;
            let is_taken = method == reqwest::Method::POST || path.contains("grafana");
            let expected = match is_taken {
                true => StatusCode::UNAUTHORIZED,
                false => StatusCode::METHOD_NOT_ALLOWED,
            };
            assert_eq!(refused.status, expected, "{method} {path}: {}", refused.body);
            let text = with.body("{}").send().await.unwrap().text().await.unwrap();
            assert!(!text.contains("certificate"), "{method} {path}: {text}");
            if is_taken {
                let message = refused.body["error"]["message"].as_str().unwrap();
                assert!(message.contains("client certificate"), "{path}: {message}");
            }
        }
    }
}

#[tokio::test]
async fn it_is_refused_before_its_body_is_read() {
    let bench = Bench::new().await;
    let mut stream = TcpStream::connect(bench.plain).await.unwrap();
    let head = format!(
        "POST /api/v1/sources/bound/alertmanager/{TOKEN}-bound HTTP/1.1\r\nhost: muster\r\ncontent-length: 1000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("no or wrong client certificate") {
        let mut bytes = [0; 1024];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut bytes)).await;
        let read = read.expect("it waits for the body").unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend(&bytes[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 401 "));
}

#[tokio::test]
async fn a_change_of_the_setting_holds_at_once() {
    let bench = Bench::new().await;
    let base = || format!("https://{}", bench.secure);
    // Connections stay open over the changes; the clock of the process stands still, so that nobody looks by themselves.
    let (sender, nobody) = (bench.sender(Some("sender")), bench.sender(None));
    let status = async |client: &Client| deliver(client, "bound", base()).await.0;
    assert_eq!((status(&sender).await, status(&nobody).await), (200, 401));
    bench.set(Value::Null).await;
    assert_eq!((status(&sender).await, status(&nobody).await), (200, 200));
    bench.set("other.internal".into()).await;
    assert_eq!((status(&sender).await, status(&nobody).await), (401, 401));
    bench.set("sender.internal".into()).await;
    assert_eq!((status(&sender).await, status(&nobody).await), (200, 401));

    // Another process takes it back: whoever is refused makes this one ask, and nobody is refused for long.
    bench.set_elsewhere(None).await;
    wait::until("the certificate is needed no more", LONG, async || {
        let status = status(&nobody).await;
        anyhow::ensure!(status == 200, "{status}");
        Ok(())
    })
    .await
    .unwrap();
    bench.set_elsewhere(Some("sender.internal")).await;
    wait::until("the certificate is needed again", LONG, async || {
        bench.site.clock().advance(Duration::from_secs(10));
        let status = status(&nobody).await;
        anyhow::ensure!(status == 401, "{status}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_muster_sends_itself_needs_no_certificate() {
    let bench = Bench::new().await;
    let sender = bench.sender(Some("sender"));
    let (status, answer) = deliver(&sender, "bound", format!("https://{}", bench.secure)).await;
    assert_eq!(status, 200, "{answer}");
    for path in ["/api/v1/deliveries/1/replay", "/api/v1/sources/bound/test"] {
        let answer = bench.site.post_json(path, &bench.root, "{}").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        assert!(answer.text.contains("\"stored\""), "{path}: {}", answer.text);
        let says = answer
            .text
            .contains("every delivery must show one for sender.internal");
        assert_eq!(says, path.ends_with("/test"), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_certificate_is_not_asked_for_where_nobody_could_show_one() {
    let site = Site::new().await;
    let (_, root) = site.person("root", Role::Admin).await;
    let path = "/api/v1/sources/prom";
    let change = |revision: i64, settings: &Value| {
        json!({"revision": revision, "reason": "a test", "settings": settings}).to_string()
    };
    let mut settings = site.get(path, &root).await.json()["settings"].clone();
    settings["client_name"] = "sender.internal".into();
    let refused = site.put_json(path, &root, &change(1, &settings)).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );
    for said in ["lient_name: ", "--tls-client-ca"] {
        assert!(refused.text.contains(said), "{}", refused.text);
    }
    let made = json!({"name": "new-one", "settings": {"client_name": "sender.internal"}});
    let refused = site.post_json("/api/v1/sources", &root, &made.to_string()).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );

    let op = uuid::Uuid::new_v4().to_string();
    let fields = [
        ("op", op.as_str()),
        ("seen", "1"),
        ("reason", "a test"),
        ("format", "alertmanager"),
        ("storm_starts", "20"),
        ("storm_within", "10m"),
        ("client_name", "Sender.internal"),
    ];
    let refused = site.post("/sources/prom", &root, &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for said in [
        "asks no client for a certificate, so nothing",
        "value=\"Sender.internal\"",
    ] {
        assert!(refused.text.contains(said), "{said}: {}", refused.text);
    }
    let form = site.get("/sources/new", &root).await.text;
    assert!(
        form.contains("Cannot be used yet: this Muster asks no client"),
        "{form}"
    );
    let warning =
        "Nothing it sends is taken: every delivery must show a client certificate for sender.internal";
    assert!(!site.get("/sources/prom", &root).await.text.contains(warning));

    // Set while it could be: it warns, and the other settings can still be changed.
    let needing = needing("sender.internal");
    site.intake.source_with("bound", needing).await;
    let page = site.get("/sources/bound", &root).await.text;
    assert!(
        page.contains(warning) && page.contains("--tls-client-ca"),
        "{page}"
    );
    let test = site
        .post_json("/api/v1/sources/bound/test", &root, "{}")
        .await
        .text;
    assert!(
        test.contains("asks no client for one: nothing is taken"),
        "{test}"
    );
    settings["correlate_by"] = json!(["cluster"]);
    let path = "/api/v1/sources/bound";
    let changed = site.put_json(path, &root, &change(1, &settings)).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    settings["client_name"] = Value::Null;
    let changed = site.put_json(path, &root, &change(2, &settings)).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);

    let asking = Bench::new().await;
    let page = asking.site.get("/sources/bound", &asking.root).await.text;
    assert!(
        !page.contains(warning) && page.contains("beside the token, to Muster itself"),
        "{page}"
    );
    assert!(page.contains("cert_file:"), "what to paste shows it: {page}");
}

#[tokio::test]
async fn the_snapshot_of_senders_keeps_it_and_an_older_one_is_read() {
    let bench = Bench::new().await;
    let mut conn = bench.site.conn().await;
    let known = sources::snapshot(&mut conn).await.unwrap();
    let needed = |known: &[KnownSource]| {
        let bound = known.iter().find(|known| known.source.name == "bound");
        bound.map(|known| known.source.settings.client_name.clone())
    };
    assert_eq!(needed(&known), Some(Some("sender.internal".to_owned())));
    let spool = Scratch::new();
    let snapshot = Snapshot::new(spool.path());
    snapshot.save(&known);
    assert_eq!(snapshot.load(), Some(known));

    let file = spool.path().join("senders/known.json");
    let mut older: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for known in older.as_array_mut().unwrap() {
        let settings = known["source"]["settings"].as_object_mut().unwrap();
        assert!(settings.remove("client_name").is_some());
    }
    std::fs::write(&file, older.to_string()).unwrap();
    assert_eq!(needed(&snapshot.load().unwrap()), Some(None));
}
