//! Every kind of twin, and every way it can fail to answer: how far the action says that it got.

use std::time::Instant;

use tokio::{net::TcpStream, time::timeout};

use super::*;

struct Case {
    real: Connection,
    with: Value,
    /// What is answered when all is well.
    good: Reply,
    /// How a refusal, a broken connection, no answer at all and a closed address count.
    classes: [Option<FailureClass>; 4],
}

fn cases() -> Vec<Case> {
    use FailureClass::{Invalid, Lost, NotSent, Refused};
    let usual = [Some(Refused), Some(Lost), Some(Lost), Some(NotSent)];
    let none = || Reply::Lines(Vec::new());
    vec![
        Case {
            real: Connection::Http(far("v1")),
            with: json!({"method": "POST", "path": "failover"}),
            good: Reply::Done,
            classes: usual,
        },
        Case {
            real: Connection::Prometheus(far("")),
            with: json!({"query": "up"}),
            good: Reply::Samples(vec![(Default::default(), 1.0)]),
            classes: usual,
        },
        Case {
            real: Connection::Loki(far("")),
            with: json!({"query": "{app=\"x\"}"}),
            good: none(),
            classes: usual,
        },
        Case {
            real: Connection::Elasticsearch(far("")),
            with: json!({"index": "logs-*", "query": "*"}),
            good: none(),
            classes: usual,
        },
        // A look leaves nothing in doubt, and nodes that do not answer count together.
        Case {
            real: alertmanager(),
            with: json!({"matchers": "a=b"}),
            good: Reply::Done,
            classes: [Some(Refused), Some(Refused), Some(Lost), Some(Refused)],
        },
        Case {
            real: database(),
            with: json!({"query": "select pg_promote()"}),
            good: Reply::Rows(vec![vec![("pg_promote".to_owned(), json!(true))]]),
            classes: usual,
        },
        Case {
            real: proxy(),
            with: json!({"backend": "db", "disable": "a"}),
            good: Reply::Done,
            classes: usual,
        },
        Case {
            real: command::host(),
            with: json!({"program": "/usr/bin/promote", "args": ["x"]}),
            good: Reply::Done,
            classes: [Some(Refused), Some(Lost), Some(Lost), Some(Invalid)],
        },
        // What is not answered is a file that is as it was.
        Case {
            real: log(),
            with: json!({}),
            good: none(),
            classes: [Some(Refused), Some(Refused), None, Some(Refused)],
        },
    ]
}

/// What an action changes is answered so; what it only looks at before is there.
fn says(reply: Reply) -> impl Fn(&Asked) -> Reply {
    move |asked| match asked {
        Asked::Servers { .. } => Reply::Servers(vec![("a".to_owned(), true, "maint".to_owned())]),
        _ => reply.clone(),
    }
}

#[tokio::test]
async fn each_says_how_far_an_action_got() {
    for case in cases() {
        let kind = target(case.real.clone()).kind().name();
        let stage = Stage::open(case.real.clone(), says(case.good)).await;
        stage.post.refresh().await.unwrap();
        let outcome = stage.go(case.with.clone()).await.unwrap();
        assert_eq!(outcome.result["ok"], true, "{kind}: {outcome:?}");
        let [refused, lost, silent, closed] = case.classes;
        for (reply, class) in [
            (Reply::Refused("not today".to_owned()), refused),
            (Reply::Lost, lost),
            (Reply::Silence, silent),
            // What has no place in any protocol is no success.
            (Reply::Servers(Vec::new()), Some(FailureClass::Refused)),
        ] {
            if kind == "haproxy" && matches!(reply, Reply::Servers(_)) {
                continue;
            }
            let stage = Stage::open(case.real.clone(), says(reply.clone())).await;
            if reply == Reply::Silence && kind == "file" {
                let Connection::File { path } = stage.post.connection(&stage.real) else {
                    panic!("a file stays a file");
                };
                std::fs::write(path, "old\n").unwrap();
            }
            stage.post.refresh().await.unwrap();
            let time = if reply == Reply::Silence { SHORT } else { PLENTY };
            let answer = perform(&stage.target(), case.with.clone(), &envelope(time)).await;
            let found = answer.as_ref().err().map(|failure| failure.class);
            let expected = match (&reply, kind) {
                // A status of 500 after a change says nothing.
                (Reply::Servers(_), "http") => Some(FailureClass::Lost),
                _ => class,
            };
            assert_eq!(found, expected, "{kind} {reply:?}: {answer:?}");
            let told = answer.err().map(|failure| failure.message).unwrap_or_default();
            let is_told = reply != Reply::Refused("not today".to_owned()) || kind == "file";
            assert!(is_told || told.contains("not today"), "{kind}: {told}");
        }
        let shut = Closed::open().unwrap();
        let failure = perform(&target(shut.connection(&case.real)), case.with, &envelope(PLENTY)).await;
        let failure = failure.unwrap_err();
        assert_eq!(Some(failure.class), closed, "{kind}: {failure}");
    }
}

#[tokio::test]
async fn a_port_accepts_until_it_is_closed() {
    let real = Connection::Tcp {
        address: "real.example:5432".to_owned(),
    };
    let stage = Stage::saying(real.clone(), Reply::Silence).await;
    assert_eq!(stage.look(json!({})).await.unwrap().result["ok"], true);
    assert_eq!(stage.script.heard(), []);
    let shut = Closed::open().unwrap();
    let failure = perform(&target(shut.connection(&real)), json!({}), &reading()).await;
    assert_eq!(failure.unwrap_err().class, FailureClass::NotSent);
}

#[tokio::test]
async fn nothing_of_the_real_target_is_left_in_its_connection() {
    let all = cases().into_iter().map(|case| case.real);
    for real in all.chain([Connection::Tcp {
        address: "real.example:5432".to_owned(),
    }]) {
        let stage = Stage::saying(real.clone(), Reply::Done).await;
        let shut = Closed::open().unwrap();
        for twin in [stage.post.connection(&real), shut.connection(&real)] {
            let twin = target(twin);
            assert_eq!(twin.kind(), target(real.clone()).kind());
            assert_eq!((twin.secrets(), twin.certificates()), (vec![], vec![]));
            let text = serde_json::to_string(&twin).unwrap();
            for word in ["real.example", "/run/haproxy", "/var/log", "https"] {
                assert!(!text.contains(word), "{word} in {text}");
            }
        }
        // A twin of another kind leads nowhere either.
        for other in cases() {
            let text = serde_json::to_string(&stage.post.connection(&other.real)).unwrap();
            assert!(
                !text.contains("real.example") && !text.contains("/var/log"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn a_twin_that_is_dropped_lets_go_of_everything() {
    let stage = Stage::saying(command::host(), Reply::Silence).await;
    let files = stage.folder.files();
    let Connection::Tcp { address } = stage.post.connection(&Connection::Tcp {
        address: "x:1".to_owned(),
    }) else {
        panic!("a port stays a port");
    };
    assert!(address.starts_with("127.0.0.1:"));
    let mut open = TcpStream::connect(&address).await.unwrap();
    drop(stage.post);
    assert!(stage.folder.files() < files, "the scripts are gone");
    let gone = async {
        crate::twins::post::until_gone(&mut open).await;
        while TcpStream::connect(&address).await.is_ok() {}
    };
    timeout(PLENTY.as_duration(), gone).await.unwrap();
}

#[tokio::test]
async fn an_answer_takes_next_to_no_time() {
    const TIMES: u32 = 200;
    let stage = Stage::saying(Connection::Prometheus(far("")), Reply::Samples(Vec::new())).await;
    let (outside, target) = (Outside::new(Bounds::default()), stage.target());
    let request = Rendered {
        action: target.kind(),
        target: target.name.clone(),
        with: json!({"query": "up"}),
    };
    let begun = Instant::now();
    for _ in 0..TIMES {
        outside.perform(&target, &request, &reading()).await.unwrap();
    }
    let each = begun.elapsed() / TIMES;
    // Far more than it takes, and less than what a delayed acknowledgement costs.
    assert!(each < Duration::from_millis(20), "{each:?}");
}

#[tokio::test]
async fn whoever_gave_up_waiting_takes_nobodys_place() {
    // More than a twin serves at once.
    const MANY: usize = 80;
    let is_silent = |text: &str| text.contains("silent");
    for (real, silent, good) in [
        (
            Connection::Http(far("")),
            json!({"path": "silent"}),
            json!({"path": "good"}),
        ),
        (
            database(),
            json!({"query": "select silent"}),
            json!({"query": "select good"}),
        ),
        (proxy(), json!({"backend": "silent"}), json!({"backend": "good"})),
    ] {
        let stage = Stage::open(real, move |asked| match asked {
            Asked::Web { path, .. } if is_silent(path) => Reply::Silence,
            Asked::Query { text, .. } if is_silent(text) => Reply::Silence,
            Asked::Servers { backend } if is_silent(backend) => Reply::Silence,
            _ => Reply::Done,
        })
        .await;
        let (target, short) = (stage.target(), envelope(SHORT));
        let waiting = (0..MANY).map(|_| perform(&target, silent.clone(), &short));
        for answer in futures_util::future::join_all(waiting).await {
            answer.unwrap_err();
        }
        let outcome = stage.look(good).await.unwrap();
        assert_eq!(outcome.result["ok"], true, "{outcome:?}");
    }
}
