//! Every feature of a step on the real engine, against a real web service that does what its path says: what is sent,
//! in which order, and how the run ends. Bad runbooks and bad targets end in a clear state with a clear message.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use muster::{
    actions::{Bounds, Outside},
    catalog::{parse_runbook, parse_targets},
    clock::Clock,
    domain::{
        approval::Verdict,
        id::{IncidentId, RunId, StepId},
        operator::{Operator, Role},
        run::{RunFact, RunResult},
        runbook::Runbook,
        span::Span,
        step::OnFailure,
    },
    execute::{
        engine::{Engine, EngineLimits},
        people,
        standing::Standing,
        worker,
    },
    store::{approvals, events, operators, runbooks, runs, wake::Wake},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    fleet::wait,
    support::{intake::Intake, word::word},
};

const LONG: Duration = Duration::from_secs(40);

/// A web service whose paths say what it does: `ok`, `fail` (a clear no), `flaky` (the third time works), `slow`, `never`,
/// `garbage`, `big`, `hosts`.
#[derive(Clone, Default)]
struct Service {
    /// What changed something, in order.
    done: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    inside: Arc<AtomicUsize>,
    most_inside: Arc<AtomicUsize>,
}

impl Service {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Self::default();
        let router = Router::new()
            .route("/{kind}/{*path}", any(serve))
            .with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (service, address)
    }

    /// What changed something below this path, in order.
    fn done_under(&self, case: &str) -> Vec<String> {
        let prefix = format!("{case}/");
        let done = self.done.lock().unwrap();
        done.iter()
            .filter_map(|path| path.strip_prefix(&prefix).map(str::to_owned))
            .collect()
    }
}

async fn serve(
    State(service): State<Service>,
    Path((kind, path)): Path<(String, String)>,
    method: Method,
) -> Response {
    let times = {
        let mut asked = service.asked.lock().unwrap();
        let times = asked.entry(format!("{method} {kind}/{path}")).or_default();
        *times += 1;
        *times
    };
    if method != Method::GET {
        service.done.lock().unwrap().push(path);
    }
    match kind.as_str() {
        "fail" => StatusCode::CONFLICT.into_response(),
        "flaky" if times < 3 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "slow" => {
            let inside = service.inside.fetch_add(1, Ordering::SeqCst) + 1;
            service.most_inside.fetch_max(inside, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(150)).await;
            service.inside.fetch_sub(1, Ordering::SeqCst);
            Json(json!({"ok": true})).into_response()
        }
        "never" => std::future::pending().await,
        "garbage" => (
            [("content-type", "application/json")],
            Body::from(vec![0xff_u8; 512]),
        )
            .into_response(),
        "big" => Json(json!({"rows": vec!["x".repeat(1000); 3000]})).into_response(),
        "hosts" => Json(json!(["a", "b", "c"])).into_response(),
        "many" => Json(json!((0..10_000).collect::<Vec<i32>>())).into_response(),
        _ => Json(json!({"ok": true})).into_response(),
    }
}

/// One runbook, and what comes of it. `{case}` in a path is the case's name.
struct Case {
    name: &'static str,
    steps: &'static str,
    result: RunResult,
    /// What changed something outside, in order.
    done: &'static [&'static str],
    /// Part of the reason the run ends with.
    reason: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "side-by-side",
        steps: "
  - { id: a, needs: [], call: http, with: { target: web, method: POST, path: /slow/{case}/a } }
  - { id: b, needs: [], call: http, with: { target: web, method: POST, path: /slow/{case}/b } }
  - { id: join, needs: [a, b], call: http, with: { target: web, method: POST, path: /ok/{case}/join } }",
        result: RunResult::Succeeded,
        done: &["a|b", "a|b", "join"],
        reason: "",
    },
    Case {
        name: "each",
        steps: "
  - { id: hosts, check: http, with: { target: web, path: /hosts/{case}/x } }
  - id: drain
    for_each: { in: \"steps.hosts.result.body\", at_once: 2 }
    call: http
    with: { target: web, method: POST, path: \"/ok/{case}/{{ item }}-{{ index }}\" }
  - id: say
    call: http
    with: { target: web, method: POST, path: \"/ok/{case}/{{ steps.drain.results | length }}\" }",
        result: RunResult::Succeeded,
        done: &["a-0|b-1", "a-0|b-1", "c-2", "3"],
        reason: "",
    },
    Case {
        name: "too-many",
        steps: "
  - { id: hosts, check: http, with: { target: web, path: /many/{case}/x } }
  - id: drain
    for_each: steps.hosts.result.body
    call: http
    with: { target: web, method: POST, path: \"/ok/{case}/{{ index }}\" }",
        result: RunResult::Failed,
        done: &[],
        reason: "drain: for_each gives 10000 items, and at most 100 are allowed",
    },
    Case {
        name: "no-list",
        steps: "
  - id: drain
    for_each: incident.title
    call: http
    with: { target: web, method: POST, path: \"/ok/{case}/{{ index }}\" }",
        result: RunResult::Failed,
        done: &[],
        reason: "for_each needs a list, and this is a text",
    },
    Case {
        name: "retried",
        steps: "
  - id: a
    call: http
    effect: idempotent
    with: { target: bad, method: PUT, path: /flaky/{case}/a }
    retry: { attempts: 3, initial: 1ms, max: 2ms }",
        result: RunResult::Succeeded,
        done: &["a", "a", "a"],
        reason: "",
    },
    Case {
        name: "once-is-once",
        steps: "
  - id: a
    call: http
    with: { target: web, method: POST, path: /fail/{case}/a }
    retry: { attempts: 3, initial: 1ms, max: 2ms }",
        result: RunResult::Failed,
        done: &["a"],
        reason: "a: ",
    },
    Case {
        name: "go-to",
        steps: "
  - { id: a, call: http, with: { target: web, method: POST, path: /fail/{case}/a }, on_failure: { go_to: c } }
  - { id: b, call: http, with: { target: web, method: POST, path: /ok/{case}/b } }
  - { id: c, call: http, with: { target: web, method: POST, path: /ok/{case}/c } }",
        result: RunResult::Succeeded,
        done: &["a", "c"],
        reason: "",
    },
    Case {
        name: "goes-on",
        steps: "
  - { id: a, call: http, with: { target: web, method: POST, path: /fail/{case}/a }, on_failure: continue }
  - { id: b, call: http, with: { target: web, method: POST, path: /ok/{case}/b } }",
        result: RunResult::Succeeded,
        done: &["a", "b"],
        reason: "",
    },
    Case {
        name: "taken-back",
        steps: "
  - id: a
    call: http
    with: { target: web, method: POST, path: /ok/{case}/a }
    undo: { call: http, with: { target: web, method: DELETE, path: /ok/{case}/undo-a } }
  - { id: b, call: http, with: { target: web, method: POST, path: /ok/{case}/b } }
  - id: c
    for_each: { in: \"[1, 2]\" }
    call: http
    with: { target: web, method: POST, path: \"/ok/{case}/c{{ item }}\" }
    undo: { call: http, with: { target: web, method: DELETE, path: \"/ok/{case}/undo-c{{ item }}\" } }
  - { id: d, call: http, with: { target: web, method: POST, path: /fail/{case}/d }, on_failure: undo }",
        result: RunResult::Failed,
        done: &["a", "b", "c1", "c2", "d", "undo-c2", "undo-c1", "undo-a"],
        reason: "d: ",
    },
    Case {
        name: "taken-back-under-a-gate",
        steps: "
  - { id: ask, gate: {}, title: Go on? }
  - id: a
    call: http
    with: { target: web, method: POST, path: /ok/{case}/a }
    undo: { call: http, with: { target: web, method: DELETE, path: /ok/{case}/undo-a } }
  - { id: d, call: http, with: { target: web, method: POST, path: /fail/{case}/d }, on_failure: undo }",
        result: RunResult::Failed,
        done: &["a", "d", "undo-a"],
        reason: "d: ",
    },
    Case {
        name: "finally",
        steps: "
  - { id: a, call: http, with: { target: web, method: POST, path: /fail/{case}/a } }
finally:
  - { id: y, call: http, with: { target: web, method: POST, path: /fail/{case}/y } }
  - { id: z, call: http, with: { target: web, method: POST, path: /ok/{case}/z } }",
        result: RunResult::Failed,
        done: &["a", "y", "z"],
        reason: "finally y: ",
    },
    Case {
        name: "finally-after-success",
        steps: "
  - { id: a, call: http, with: { target: web, method: POST, path: /ok/{case}/a } }
finally:
  - { id: z, call: http, with: { target: web, method: POST, path: /ok/{case}/z } }",
        result: RunResult::Succeeded,
        done: &["a", "z"],
        reason: "",
    },
    Case {
        name: "expired-with-a-path",
        steps: "
  - { id: ask, gate: { decide_within: 1s, people: [nobody], on_expiry: { go_to: tell } } }
  - { id: a, call: http, with: { target: web, method: POST, path: /ok/{case}/a } }
  - { id: tell, check: http, with: { target: web, path: /ok/{case}/tell } }",
        result: RunResult::Succeeded,
        done: &[],
        reason: "",
    },
    Case {
        name: "nobody-did-it",
        steps: "
  - { id: look, manual: Look at it, timeout: 1s }
  - { id: a, call: http, with: { target: web, method: POST, path: /ok/{case}/a } }",
        result: RunResult::Failed,
        done: &[],
        reason: "look: nobody did it in time",
    },
    Case {
        name: "skipped",
        steps: "
  - { id: a, when: \"incident.severity == 'SEV9'\", call: http, with: { target: web, method: POST, path: /ok/{case}/a } }
  - { id: b, call: http, with: { target: web, method: POST, path: /ok/{case}/b } }",
        result: RunResult::Succeeded,
        done: &["b"],
        reason: "",
    },
    Case {
        name: "never-answers",
        steps: "
  - id: a
    call: http
    effect: idempotent
    timeout: 200ms
    with: { target: bad, method: PUT, path: /never/{case}/a }
    retry: { attempts: 2, initial: 1ms, max: 2ms }",
        result: RunResult::Failed,
        done: &["a", "a"],
        reason: "a: ",
    },
    Case {
        name: "garbage",
        steps: "
  - { id: a, check: http, with: { target: web, path: /garbage/{case}/a }, expect: result.body.fine }",
        result: RunResult::Failed,
        done: &[],
        reason: "result.body.fine cannot be judged",
    },
    Case {
        name: "too-big",
        steps: "
  - { id: a, check: http, with: { target: web, path: /big/{case}/a } }
  - { id: b, check: http, with: { target: web, path: \"/ok/{case}/{{ steps.a.result.body.rows[0] }}\" } }",
        result: RunResult::Failed,
        done: &[],
        reason: "b: ",
    },
    Case {
        name: "no-such-value",
        steps: "
  - { id: a, check: http, with: { target: web, path: \"/ok/{case}/{{ labels.nothing }}\" } }",
        result: RunResult::Failed,
        done: &[],
        reason: "a: ",
    },
    Case {
        name: "no-such-target",
        steps: "
  - { id: a, call: http, with: { target: \"{{ incident.id }}-db\", method: POST, path: / } }",
        result: RunResult::Failed,
        done: &[],
        reason: "there is no target 1-db",
    },
    Case {
        name: "asked-until",
        steps: "
  - id: a
    check: http
    with: { target: bad, path: /flaky/{case}/a }
    expect: result.status == 200
    until: { every: 100ms, within: 10s }",
        result: RunResult::Succeeded,
        done: &[],
        reason: "",
    },
];

/// What no catalogue lets through, made by hand: it ends all the same.
fn bad_runbooks() -> Vec<(Runbook, &'static str)> {
    let steps = "
  - { id: a, needs: [], check: http, with: { target: web, path: /ok/bad/a } }
  - { id: b, needs: [a], check: http, with: { target: web, path: /fail/bad/b }, expect: result.ok }";
    let read = |slug: &str| {
        parse_runbook(&format!("runbook: {slug}\ntitle: Bad\nsteps:{steps}"))
            .unwrap()
            .runbook
    };
    let mut looped = read("bad-loop");
    looped.steps[0].needs = Some(vec![StepId::from("b")]);
    let mut unknown = read("bad-need");
    unknown.steps[1].needs = Some(vec![StepId::from("nobody")]);
    let mut backwards = read("bad-go-to");
    backwards.steps[1].on_failure = OnFailure::GoTo(StepId::from("a"));
    vec![
        (looped, "these steps wait for each other: a, b"),
        (unknown, "these steps wait for each other: b"),
        (backwards, "there is no later step a to go on at"),
    ]
}

struct Rig {
    intake: Intake,
    engine: Arc<Engine>,
    service: Service,
    ben: Operator,
    ana: Operator,
}

impl Rig {
    async fn new() -> Self {
        let (intake, (service, address)) = (Intake::new().await, Service::start().await);
        intake.source("team", None).await;
        let alert = json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
            "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z",
        }]});
        let (status, answer) = intake.post("team", alert.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        let mut conn = intake.database.pools.web.acquire().await.unwrap();
        let mut people = Vec::new();
        for (name, role) in [("ben", Role::Responder), ("ana", Role::Approver)] {
            let now = Clock::real().now();
            let id = operators::insert(&mut conn, name, "none", role, now)
                .await
                .unwrap()
                .unwrap();
            people.push(Operator {
                teams: Vec::new(),
                via: muster::domain::operator::Via::Session,
                id,
                name: name.to_owned(),
                role,
            });
        }
        // What is out of reach here must not open the circuit of what is not.
        let targets = format!(
            "targets:\n  - name: web\n    http: {{ url: \"http://{address}/\" }}\n  - name: bad\n    http: {{ url: \"http://{address}/\" }}\n"
        );
        let (_, targets) = watch::channel(Arc::new(parse_targets(&targets).unwrap()));
        let wake = Wake::default();
        let engine = Arc::new(Engine::new(
            intake.database.pools.engine.clone(),
            Arc::new(Outside::new(Bounds::default())),
            Standing::new(wake.clone()),
            Clock::real(),
            wake,
            targets,
            operators::installation(&mut conn).await.unwrap(),
            EngineLimits {
                lock_wait: Span::from_secs(2),
                ..EngineLimits::default()
            },
            worker::register(&mut conn).await.unwrap(),
        ));
        drop(conn);
        tokio::spawn(worker::run(engine.clone()));
        let ana = people.remove(1);
        let ben = people.remove(0);
        Self {
            intake,
            engine,
            service,
            ben,
            ana,
        }
    }

    async fn conn(&self) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
        self.intake.database.pools.background.acquire().await.unwrap()
    }

    async fn start(&self, runbook: &Runbook, source: &str) -> RunId {
        let mut tx = self.intake.database.pools.background.begin().await.unwrap();
        let now = Clock::real().now();
        let version = runbooks::publish(&mut tx, runbook, source, "a test", now)
            .await
            .unwrap();
        let run = people::start(
            &mut tx,
            IncidentId(1),
            version.id,
            &BTreeMap::new(),
            &self.ben,
            now,
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        self.engine.wake.changed();
        run
    }

    /// Waits for the end of a run, approving whatever is asked; returns how it ended and why.
    async fn end(&self, run: RunId, name: &str) -> (RunResult, String) {
        wait::until(&format!("{name} ends"), LONG, async || {
            let mut conn = self.conn().await;
            for asked in approvals::list_pending(&mut conn, None, 50).await? {
                let now = Clock::real().now();
                let mut tx = self.intake.database.pools.background.begin().await?;
                let decided = people::decide(
                    &mut tx,
                    asked.id,
                    &word(Verdict::Approve, asked.digest, ""),
                    &self.ana,
                    now,
                )
                .await;
                if decided.is_ok() {
                    tx.commit().await?;
                    self.engine.wake.changed();
                }
            }
            let found = runs::find(&mut conn, run).await?;
            anyhow::ensure!(found.is_some_and(|found| found.result.is_some()), "it goes on");
            Ok(())
        })
        .await
        .unwrap();
        let facts = events::run_log(&mut *self.conn().await, run).await.unwrap();
        match facts.last() {
            Some((_, RunFact::RunFinished { result, reason })) => (*result, reason.clone()),
            other => panic!("{name} ended with {other:?}"),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.engine.stopping.cancel();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_feature_of_a_step_does_what_it_says() {
    let rig = Rig::new().await;
    let mut started = Vec::new();
    for case in CASES {
        let name = case.name;
        let steps = case.steps.replace("{case}", name);
        let source = format!("runbook: {name}\ntitle: {name}\nsteps:{steps}");
        let runbook = parse_runbook(&source)
            .unwrap_or_else(|faults| panic!("{name}: {faults:?}"))
            .runbook;
        started.push((case, rig.start(&runbook, &source).await));
    }
    for (case, run) in started {
        let name = case.name;
        let (result, reason) = rig.end(run, name).await;
        assert_eq!(result, case.result, "{name}: {reason}");
        assert!(reason.contains(case.reason), "{name}: {reason}");
        let done = rig.service.done_under(name);
        assert_eq!(done.len(), case.done.len(), "{name}: {done:?}");
        for (did, allowed) in done.iter().zip(case.done) {
            assert!(
                allowed.split('|').any(|allowed| allowed == did),
                "{name}: {done:?}"
            );
        }
    }
    assert!(
        rig.service.most_inside.load(Ordering::SeqCst) >= 2,
        "steps really ran side by side"
    );
    assert_eq!(
        rig.intake.database.count("select count(*) from run_queue").await,
        0
    );
    assert_eq!(
        rig.intake
            .database
            .count("select count(*) from attempts where state = 'started'")
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runbook_that_cannot_be_ends_and_says_why() {
    let rig = Rig::new().await;
    for (runbook, why) in bad_runbooks() {
        let run = rig.start(&runbook, &runbook.slug).await;
        let (result, reason) = rig.end(run, &runbook.slug).await;
        assert_eq!(result, RunResult::Failed, "{reason}");
        assert!(reason.contains(why), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_lock_gets_it_when_it_is_free_and_fails_when_it_never_is() {
    let rig = Rig::new().await;
    let holder =
        "runbook: holder\ntitle: Holder\nlocks: [db]\nsteps:\n  - { id: look, manual: Look at it }\n";
    let waiter = "runbook: waiter\ntitle: Waiter\nlocks: [db]\nsteps:\n  - { id: a, call: http, with: { target: web, method: POST, path: /ok/waiter/a } }\n";
    let read = |source: &str| parse_runbook(source).unwrap().runbook;
    let held = rig.start(&read(holder), holder).await;
    wait::until("the lock is held", LONG, async || {
        let held = rig
            .intake
            .database
            .count("select count(*) from target_locks")
            .await;
        anyhow::ensure!(held == 1);
        Ok(())
    })
    .await
    .unwrap();
    let late = rig.start(&read(waiter), waiter).await;
    let (result, reason) = rig.end(late, "the one in vain").await;
    assert_eq!(result, RunResult::Failed);
    assert!(
        reason.contains(&format!("the lock db, held by run {held} of INC-1")),
        "{reason}"
    );

    let next = rig.start(&read(waiter), waiter).await;
    wait::until("it waits in line", LONG, async || {
        let waits = rig.intake.database.count("select count(*) from lock_waits").await;
        anyhow::ensure!(waits == 1);
        Ok(())
    })
    .await
    .unwrap();
    let mut tx = rig.intake.database.pools.background.begin().await.unwrap();
    people::stop(&mut tx, held, "make room", &rig.ben, Clock::real().now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    rig.engine.wake.changed();
    let (result, reason) = rig.end(next, "the next in line").await;
    assert_eq!(result, RunResult::Succeeded, "{reason}");
    assert_eq!(rig.service.done_under("waiter"), ["a"]);
    assert_eq!(
        rig.intake
            .database
            .count("select count(*) from target_locks")
            .await,
        0
    );
    assert_eq!(
        rig.intake.database.count("select count(*) from lock_waits").await,
        0
    );
}
