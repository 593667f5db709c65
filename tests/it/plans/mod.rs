//! Plan mode and preflights against real targets: what is asked, what is never sent, and who is told what.

mod command;
mod pages;
mod preflights;
mod world;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{Method, Request, StatusCode, Uri},
};
use muster::{
    catalog,
    domain::{runbook::Runbook, target::Targets},
    execute::{preflight::Preflights, rehearse::Rehearser, standing::Standing},
    receive::ReceiverParts,
    store::{
        runbooks::{self, Version},
        wake::Wake,
    },
    web::hooks::{HookLimits, Hooks},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    fleet::ports,
    support::intake::{self, Intake, TOKEN, parts},
};

/// A web service that writes down everything that reaches it. `/done` says that it is done; `/slow` answers once it may.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<(Method, String)>>>,
    may_answer: watch::Sender<bool>,
}

impl Target {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            may_answer: watch::Sender::new(false),
        };
        let router = Router::new().fallback(answer).with_state(target.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        target
    }

    /// The paths that were read, sorted.
    fn reads(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let reads = seen.iter().filter(|(method, _)| *method == Method::GET);
        let mut paths: Vec<String> = reads.map(|(_, path)| path.clone()).collect();
        paths.sort();
        paths
    }

    /// How many requests were anything but a `GET`.
    fn changes(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(method, _)| *method != Method::GET).count()
    }
}

async fn answer(State(target): State<Target>, method: Method, uri: Uri) -> Json<Value> {
    target.seen.lock().unwrap().push((method, uri.path().to_owned()));
    if uri.path() == "/slow" {
        let mut may_answer = target.may_answer.subscribe();
        let _ = may_answer.wait_for(|may| *may).await;
    }
    let done = uri.path() == "/done";
    Json(json!({"done": done, "names": ["a", "b"], "path": uri.path()}))
}

fn runbook(source: &str) -> Runbook {
    catalog::parse_runbook(source)
        .unwrap_or_else(|faults| panic!("{faults:?}"))
        .runbook
}

/// `shop` and `locked` are the target, the second with a secret that is not there; nobody listens at `closed`.
fn targets_file(target: &Target) -> String {
    let closed = ports::free().unwrap();
    format!(
        "targets:\n  - name: shop\n    http: {{ url: \"http://{0}/\" }}\n  - name: locked\n    http: {{ url: \
         \"http://{0}/\", bearer: env:MUSTER_TEST_NO_SUCH_SECRET }}\n  - name: keyed\n    http: {{ url: \"http://{0}/\", \
         bearer: file:/nowhere/a-key }}\n  - name: closed\n    http: {{ url: \"http://127.0.0.1:{closed}/\" }}\n",
        target.address
    )
}

fn targets(target: &Target) -> Targets {
    catalog::parse_targets(&targets_file(target)).unwrap()
}

/// Every kind of step, one after the other; everything works.
const WHOLE: &str = r#"
runbook: whole
title: Restart it
summary: Every kind of step.
match: ['alertname="Down"']
start: suggest
inputs:
  pool: { from: labels.pool, required: true }
steps:
  - id: look
    check: http
    with: { target: shop, path: "/look/{{ inputs.pool }}" }
  - id: ask
    gate: { approvals: 1, roles: [approver] }
    title: Restart {{ inputs.pool }}?
    impact: Requests are cut off.
  - id: restart
    call: http
    with: { target: shop, method: POST, path: "/restart/{{ steps.look.result.body.names[0] }}" }
    effect: once
    verify:
      check: http
      with: { target: shop, path: /restarted }
      expect: result.body.done
  - id: set
    call: http
    with: { target: shop, method: PUT, path: /set }
    effect: idempotent
    verify:
      check: http
      with: { target: shop, path: /done }
      expect: result.body.done
  - id: tell
    manual: Tell {{ inputs.pool }}
  - id: answers
    check: http
    with: { target: shop, path: /answers }
    expect: result.body.done
"#;

/// An intake that matches alerts to this runbook, as the program has it.
async fn hooks(intake: &Intake, source: &str) -> (Router, Version) {
    let (pools, clock) = (&intake.database.pools, intake.clock.clone());
    let mut conn = pools.background.acquire().await.unwrap();
    let version = runbooks::publish(&mut conn, &runbook(source), source, "a test", clock.now())
        .await
        .unwrap();
    let (_, shelf) = watch::channel(Some(Arc::new(vec![version.clone()])));
    let hooks = Hooks::new(
        ReceiverParts {
            shelf,
            ..parts(pools.intake.clone(), clock)
        },
        HookLimits::default(),
    );
    (hooks.router(), version)
}

/// Fires the alert `Down` of that pool, in a group of its own.
async fn fire(hooks: &Router, pool: &str) {
    let alert = json!({
        "status": "firing", "startsAt": "2026-11-21T02:59:00Z",
        "labels": {"alertname": "Down", "pool": pool}, "annotations": {"summary": "It is down"},
    });
    let body = json!({"receiver": "r", "groupKey": format!("g-{pool}"), "alerts": [alert]}).to_string();
    let request = Request::post("/api/v1/sources/prom/alertmanager")
        .header("authorization", format!("Bearer {TOKEN}-prom"))
        .body(Body::from(body))
        .unwrap();
    let answer = intake::send(hooks, request).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
}

/// One replica's background, over this database.
fn replica(intake: &Intake, targets: Targets) -> Preflights {
    let clock = intake.clock.clone();
    Preflights {
        pool: intake.database.pools.background.clone(),
        rehearser: Rehearser {
            targets: watch::channel(Arc::new(targets)).1,
            ..Rehearser::new(Standing::new(Wake::default()), clock.clone())
        },
        wake: Wake::default(),
        clock,
    }
}
