//! What may not be reached is not reached: every kind of target, every spelling of an address, names that change what they
//! stand for, redirects, a proxy of the environment, and a network with a metadata service in it.

mod ledger;
mod names;
mod network;
mod tls;

use std::process::Command;

use muster::{
    actions::{Bounds, Fetch, Outside},
    domain::{
        action::{Envelope, Failure, FailureClass, Rendered},
        span::Span,
        step::ActionKind,
        target::{
            AlertmanagerConnection, Connection, HttpConnection, PostgresConnection, Target, Tls, Trust,
        },
    },
};
use serde_json::{Value, json};

use ledger::Ledger;
use names::Names;

/// Every kind of target that leads into a network.
const KINDS: [ActionKind; 8] = [
    ActionKind::Http,
    ActionKind::Tcp,
    ActionKind::Postgres,
    ActionKind::Prometheus,
    ActionKind::Alertmanager,
    ActionKind::Haproxy,
    ActionKind::Loki,
    ActionKind::Elasticsearch,
];

/// A target of that kind at `host:port`, with a question for it; `None` when such a thing cannot even be written.
fn aimed(kind: ActionKind, host: &str, port: u16, networks: &[&str]) -> Option<(Target, Value)> {
    let url = || {
        Some(HttpConnection::new(
            format!("http://{host}:{port}/").parse().ok()?,
        ))
    };
    let address = format!("{host}:{port}");
    let (connection, with) = match kind {
        ActionKind::Http => (Connection::Http(url()?), json!({})),
        ActionKind::Tcp => (Connection::Tcp { address }, json!({})),
        ActionKind::Postgres => {
            let database = PostgresConnection {
                host: host.trim_matches(['[', ']']).to_owned(),
                port,
                user: "u".to_owned(),
                database: None,
                password: None,
                tls: Tls::VerifyFull,
                trust: Trust::default(),
            };
            (Connection::Postgres(database), json!({"query": "select 1"}))
        }
        ActionKind::Prometheus => (Connection::Prometheus(url()?), json!({"query": "up"})),
        ActionKind::Alertmanager => {
            let nodes = vec![url()?];
            (
                Connection::Alertmanager(AlertmanagerConnection { nodes }),
                json!({"matchers": {"a": "b"}}),
            )
        }
        ActionKind::Haproxy => (Connection::Haproxy { address }, json!({"backend": "b"})),
        ActionKind::Loki => (Connection::Loki(url()?), json!({"query": "{a=\"b\"}"})),
        _ => (
            Connection::Elasticsearch(url()?),
            json!({"index": "i", "query": "*"}),
        ),
    };
    let target = Target {
        networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
        ..Target::new("thing", connection)
    };
    Some((target, with))
}

/// Asks; whether there was an answer or not does not matter to whoever calls, only what the other side saw.
async fn ask(outside: &Outside, target: &Target, with: Value) -> Result<Value, Failure> {
    let request = Rendered {
        action: target.kind(),
        target: target.name.clone(),
        with,
    };
    let envelope = Envelope {
        key: "run-1/step".to_owned(),
        fence: 1,
        timeout: Span::from_secs(5),
        not_after: None,
        read_only: true,
    };
    let outcome = outside.perform(target, &request, &envelope).await?;
    Ok(outcome.result)
}

/// A name, what it stands for when it is asked the first, second, third time, and the networks the target names.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

/// None of these may be reached. A host that is no name needs no answers.
const ROWS: &[Row] = &[
    // Names that stand for this machine or a private network, and nobody said that they may.
    ("a.test", &["127.0.0.1"], &[]),
    ("a.test", &["127.8.9.1"], &[]),
    ("a.test", &["::1"], &[]),
    ("a.test", &["10.0.0.5"], &[]),
    ("a.test", &["172.16.0.9"], &[]),
    ("a.test", &["192.168.0.9"], &[]),
    ("a.test", &["100.64.0.1"], &[]),
    ("a.test", &["198.18.0.1"], &[]),
    ("a.test", &["192.0.2.1"], &[]),
    ("a.test", &["fd12:3456::1"], &[]),
    ("a.test", &["fc00::1"], &[]),
    ("a.test", &["2001:db8::1"], &[]),
    ("a.test", &["fec0::1"], &[]),
    // One good address does not make up for a bad one.
    ("a.test", &["93.184.216.34 127.0.0.1"], &[]),
    ("a.test", &["127.0.0.1 93.184.216.34"], &[]),
    ("a.test", &["93.184.216.34 169.254.169.254"], &[]),
    ("a.test", &["93.184.216.34 ::ffff:127.0.0.1"], &[]),
    // Another network than the one that is named.
    ("a.test", &["127.0.0.2"], &["127.0.0.1"]),
    ("a.test", &["127.0.0.1"], &["10.0.0.0/8"]),
    ("a.test", &["10.0.0.5"], &["10.0.1.0/24"]),
    ("a.test", &["::1"], &["127.0.0.0/8"]),
    // Never, whoever names it: link-local, metadata, no single host.
    ("a.test", &["169.254.169.254"], &["10.0.0.0/8", "127.0.0.0/8"]),
    ("a.test", &["169.254.170.2"], &[]),
    ("a.test", &["100.100.100.200"], &["100.64.0.0/10"]),
    ("a.test", &["192.0.0.192"], &["192.0.0.0/24"]),
    ("a.test", &["168.63.129.16"], &[]),
    ("a.test", &["fe80::1"], &[]),
    ("a.test", &["fd00:ec2::254"], &["fd00::/8"]),
    ("a.test", &["fd20:ce::254"], &["fd00::/8"]),
    ("a.test", &["0.0.0.0"], &["127.0.0.0/8"]),
    ("a.test", &["::"], &["127.0.0.0/8"]),
    ("a.test", &["224.0.0.1"], &[]),
    ("a.test", &["255.255.255.255"], &[]),
    ("a.test", &["240.0.0.1"], &[]),
    // An address in the disguise of another, even of one that is named.
    ("a.test", &["::ffff:127.0.0.1"], &["127.0.0.0/8"]),
    ("a.test", &["::ffff:169.254.169.254"], &[]),
    ("a.test", &["::127.0.0.1"], &["127.0.0.0/8"]),
    ("a.test", &["::ffff:0:127.0.0.1"], &["127.0.0.0/8"]),
    ("a.test", &["64:ff9b::7f00:1"], &["127.0.0.0/8"]),
    ("a.test", &["64:ff9b::a9fe:a9fe"], &[]),
    ("a.test", &["64:ff9b:1::a9fe:a9fe"], &[]),
    ("a.test", &["2002:7f00:1::"], &["127.0.0.0/8"]),
    ("a.test", &["2002:a9fe:a9fe::"], &[]),
    // The same in the target's own words.
    ("169.254.169.254", &[], &[]),
    ("100.100.100.200", &[], &[]),
    ("0.0.0.0", &[], &[]),
    ("[::]", &[], &[]),
    ("[fe80::1]", &[], &[]),
    ("[fd00:ec2::254]", &[], &[]),
    ("[::ffff:127.0.0.1]", &[], &[]),
    ("[::ffff:7f00:1]", &[], &[]),
    ("[::ffff:169.254.169.254]", &[], &[]),
    ("[::127.0.0.1]", &[], &[]),
    ("[64:ff9b::a9fe:a9fe]", &[], &[]),
    ("[2002:a9fe:a9fe::]", &[], &[]),
    ("169.254.169.254.", &[], &[]),
    // Numbers that some programs read as 169.254.169.254, decimal, hexadecimal, octal, short.
    ("2852039166", &[], &[]),
    ("0xa9fea9fe", &[], &[]),
    ("0xa9.0xfe.0xa9.0xfe", &[], &[]),
    ("0251.0376.0251.0376", &[], &[]),
    ("169.254.43518", &[], &[]),
    ("169.16689662", &[], &[]),
    ("0xA9FEA9FE.", &[], &[]),
    // Names that only look like this machine's, and a name that is not what it was.
    ("localhost.evil.test", &["127.0.0.1"], &[]),
    ("localhost", &["10.0.0.5"], &[]),
    ("localhost.", &["169.254.169.254"], &[]),
    ("evil-localhost", &["::1"], &[]),
    ("later.test", &["127.0.0.1", "93.184.216.34"], &[]),
];

#[tokio::test]
async fn nothing_that_may_not_be_reached_is_reached() {
    let ledger = Ledger::anywhere().await;
    let names = Names::default();
    let outside = Outside::with_lookup(Bounds::default(), names.lookup());
    let mut asked = 0;
    println!(
        "{:<26} {:<34} {:<26} {:>5} refused as",
        "host", "stands for", "named", "kinds"
    );
    for (host, stands_for, networks) in ROWS {
        let mut words = String::new();
        let mut kinds = 0;
        for kind in KINDS {
            names.become_these(&[(host.trim_end_matches('.'), stands_for)]);
            let Some((target, with)) = aimed(kind, host, ledger.port, networks) else {
                continue;
            };
            let failure = match ask(&outside, &target, with).await {
                Ok(answer) => panic!("{kind:?} {host} {stands_for:?} answered {answer}"),
                Err(failure) => failure,
            };
            // A cluster says of each of its nodes why it did not answer, and then that none did.
            let class = match kind {
                ActionKind::Alertmanager => FailureClass::Refused,
                _ => FailureClass::Invalid,
            };
            assert_eq!(failure.class, class, "{kind:?} {host} {stands_for:?}: {failure}");
            assert!(names.asked() <= 1, "asked once: {kind:?} {host}");
            if kind != ActionKind::Alertmanager {
                words = failure.message;
            }
            kinds += 1;
        }
        assert!(kinds > 0, "{host}");
        asked += kinds;
        let words: String = words.chars().take(70).collect();
        println!(
            "{host:<26} {:<34} {:<26} {kinds:>5} {words}",
            stands_for.join(" then "),
            networks.join(" ")
        );
    }
    println!(
        "{} rows, {asked} requests, {} reached",
        ROWS.len(),
        ledger.count()
    );
    assert!(ROWS.len() >= 60);
    assert_eq!(ledger.reached(), Vec::<String>::new());
}

/// The other way round, so that what is refused above is not refused for another reason.
#[tokio::test]
async fn what_a_target_names_is_reached() {
    let ledger = Ledger::anywhere().await;
    let names = Names::default();
    let outside = Outside::with_lookup(Bounds::default(), names.lookup());
    let mut rows = 0;
    for (host, stands_for, networks) in [
        ("127.0.0.1", &[] as &[&str], &[] as &[&str]),
        ("[::1]", &[], &[]),
        ("localhost", &["127.0.0.1"], &[]),
        ("LocalHost.", &["::1"], &[]),
        ("a.test", &["127.0.0.1"], &["127.0.0.1"]),
        ("a.test", &["127.8.9.1"], &["127.0.0.0/8"]),
        ("a.test", &["::1"], &["::1"]),
        // What it stands for the second time is of no interest.
        ("flip.test", &["127.0.0.1", "169.254.169.254"], &["127.0.0.1"]),
    ] {
        for kind in KINDS {
            let before = ledger.count();
            names.become_these(&[(&host.trim_end_matches('.').to_lowercase(), stands_for)]);
            let (target, with) = aimed(kind, host, ledger.port, networks).unwrap();
            let answer = ask(&outside, &target, with).await;
            let is_invalid = answer.is_err_and(|failure| failure.class == FailureClass::Invalid);
            assert!(!is_invalid, "{kind:?} {host}");
            ledger.until(before + 1).await;
            rows += 1;
        }
    }
    println!("{rows} requests, {} reached", ledger.count());
}

#[tokio::test]
async fn a_login_in_an_address_leads_nowhere_else() {
    let ledger = Ledger::anywhere().await;
    let outside = Outside::new(Bounds::default());
    for url in [
        format!("http://good.example@127.0.0.1:{}/", ledger.port),
        format!("http://good.example:80@127.0.0.1:{}/", ledger.port),
        format!("http://good.example%40@127.0.0.1:{}/", ledger.port),
        format!("http://127.0.0.1:{}#@good.example/", ledger.port),
        format!("http://127.0.0.1:{}\\@good.example/", ledger.port),
    ] {
        let Ok(parsed) = url.parse() else { continue };
        let failure = Fetch::get(&outside, &parsed).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{url}: {failure}");
    }
    // In the targets file it is refused when it is read.
    for url in [
        "http://good.example@127.0.0.1/",
        "http://u:p@a.test/",
        "http://2130706433/",
        "http://0x7f.1/",
    ] {
        let file = format!("targets:\n- {{ name: a, http: {{ url: '{url}' }} }}\n");
        assert!(muster::catalog::parse_targets(&file).is_err(), "{url}");
    }
    assert_eq!(ledger.reached(), Vec::<String>::new());
}

const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

#[tokio::test]
async fn a_proxy_of_the_environment_sees_nothing() {
    let (proxy, service) = (Ledger::anywhere().await, Ledger::anywhere().await);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["outgoing::one_request_to_the_service", "--exact", "--ignored"]);
    child.env("MUSTER_TEST_SERVICE", service.port.to_string());
    for name in PROXIES {
        child.env(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    let ended = tokio::task::spawn_blocking(move || child.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stdout)
    );
    assert_eq!((service.count(), proxy.count()), (1, 0));
}

#[tokio::test]
#[ignore = "started by a_proxy_of_the_environment_sees_nothing, with proxies in its environment"]
async fn one_request_to_the_service() {
    let Ok(port) = std::env::var("MUSTER_TEST_SERVICE") else {
        return;
    };
    let (target, with) = aimed(ActionKind::Http, "127.0.0.1", port.parse().unwrap(), &[]).unwrap();
    let answer = ask(&Outside::new(Bounds::default()), &target, with)
        .await
        .unwrap();
    assert_eq!(answer["status"], 200);
}
