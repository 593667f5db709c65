//! A run of the real engine, saved from its page as a fixture, comes out the same when the fixture is played.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use muster::{
    actions::World,
    catalog::{fixture, parse_runbook, parse_targets},
    domain::{
        action::{Envelope, Failure, FailureClass, Outcome, Rendered},
        approval::Verdict,
        fixture::Fixture,
        id::{IncidentId, RunId, StepId},
        operator::{Operator, Role},
        run::{RunResult, UnknownChoice},
        runbook::Runbook,
        state::{RunState, StepState},
        target::Target,
    },
    execute::{
        engine::{Engine, EngineLimits},
        people::{self, PeopleError, Resumption},
        standing::Standing,
        worker,
    },
    fixtures::{differences, play},
    store::{approvals, events, operators, runbooks, runs, wake::Wake},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    fleet::wait,
    support::{site::Site, word::word},
};

const LONG: Duration = Duration::from_secs(60);
/// How far the clock goes between two looks: shorter than any pause of the runbook would be a standstill.
const TICK: Duration = Duration::from_millis(500);

const RUNBOOK: &str = r#"
runbook: mend
title: Mend it
match: ['alertname="Broken", host=~".+"']
start: manual
inputs:
  host: { from: labels.host, required: true }
  parts: { default: "a,b" }
locks: ["host/{{ inputs.host }}"]
steps:
  - id: look
    check: http
    with: { target: t, path: /look }
    expect: not result.ok
    retry: { attempts: 3, initial: 100ms, max: 200ms }
  - id: beside
    needs: []
    check: http
    with: { target: t, path: /beside }
    on_failure: continue
  - id: ask
    gate: { approvals: 1, roles: [approver] }
  - id: strike
    call: http
    with: { target: t, method: POST, path: "/strike/{{ inputs.host }}" }
    effect: once
    retry: { attempts: 3, initial: 100ms }
    verify: { check: http, with: { target: t, path: /struck }, expect: result.body.done, until: { every: 1s, within: 3s } }
    undo:
      call: http
      with: { target: t, method: POST, path: "/unstrike/{{ inputs.host }}" }
      effect: idempotent
  - id: each
    for_each: { in: 'inputs.parts | split(",")', at_once: 2 }
    call: http
    with: { target: u, method: PUT, path: "/each/{{ item }}" }
    effect: idempotent
    retry: { attempts: 3, initial: 100ms, max: 200ms }
    on_failure: undo
    undo: { call: http, with: { target: u, method: PUT, path: "/back/{{ item }}" }, effect: idempotent }
  - id: maybe
    when: labels.host == 'other'
    wait: 1s
  - id: by-hand
    manual: Look at {{ inputs.host }}
    timeout: 1h
  - id: steady
    phase: verify
    check: http
    with: { target: t, path: /steady }
    until: { every: 1s, within: 10s }
finally:
  - id: tidy
    call: http
    with: { target: t, method: PUT, path: /tidy }
    effect: idempotent
    verify: { check: http, with: { target: t, path: /tidied }, expect: result.body.done, until: { every: 1s, within: 3s } }
"#;

type Answer = Result<Value, (FailureClass, &'static str)>;

fn ok() -> Answer {
    Ok(json!({"ok": true, "status": 200}))
}

fn done(done: bool) -> Answer {
    Ok(json!({"ok": true, "status": 200, "body": {"done": done}}))
}

fn failed(class: FailureClass, message: &'static str) -> Answer {
    Err((class, message))
}

/// A world that answers each path from its list; the last answer is given again and again.
struct Scripted(Mutex<HashMap<String, VecDeque<Answer>>>);

impl World for Scripted {
    fn perform<'a>(
        &'a self,
        _: &'a Target,
        request: &'a Rendered,
        _: &'a Envelope,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        let path = request.with["path"].as_str().unwrap().to_owned();
        let mut answers = self.0.lock().unwrap();
        let list = answers
            .get_mut(&path)
            .unwrap_or_else(|| panic!("{path} is asked"));
        let answer = match list.len() {
            1 => list[0].clone(),
            _ => list.pop_front().unwrap(),
        };
        let answer = answer
            .map(|result| Outcome {
                summary: format!("HTTP {}", result["status"]),
                result,
            })
            .map_err(|(class, message)| Failure::new(class, message));
        Box::pin(async { answer })
    }
}

/// What a person does once the run needs it.
#[derive(Clone)]
enum Act {
    Approve,
    BreakGlass,
    SendBack,
    Done,
    Unknown(UnknownChoice),
    Undo,
}

struct Bench {
    site: Site,
    engine: Arc<Engine>,
    runbook: Runbook,
    run: RunId,
    ana: Operator,
    cookie: String,
}

impl Bench {
    /// A run that somebody has started on an alert, with these answers behind its target.
    async fn new(answers: &[(&str, &[Answer])]) -> Self {
        let site = Site::new().await;
        let alert = json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
            "status": "firing", "startsAt": "2026-11-21T02:00:00Z",
            "labels": {"alertname": "Broken", "host": "db-1", "severity": "page"},
            "annotations": {"summary": "It is: \"broken\""},
        }]});
        let (status, answer) = site.intake.post("prom", alert.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        let (ben, _) = site.person("ben", Role::Responder).await;
        let (ana, cookie) = site.person("ana", Role::Approver).await;
        let mut conn = site.conn().await;
        let now = site.clock().now();
        let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
        let version = runbooks::publish(&mut conn, &runbook, RUNBOOK, "a test", now)
            .await
            .unwrap();
        let run = people::start(&mut conn, IncidentId(1), version.id, &BTreeMap::new(), &ben, now)
            .await
            .unwrap();
        let targets = parse_targets(
            "targets:\n  - { name: t, http: { url: \"http://nowhere.invalid/\" } }\n  - { name: u, http: { url: \"http://nowhere.invalid/\" } }\n",
        );
        let answers = answers
            .iter()
            .map(|(path, list)| ((*path).to_owned(), list.iter().cloned().collect()))
            .collect();
        let engine = Arc::new(Engine::new(
            site.intake.database.pools.engine.clone(),
            Arc::new(Scripted(Mutex::new(answers))),
            Standing::new(Wake::default()),
            site.clock().clone(),
            Wake::default(),
            watch::Sender::new(Arc::new(targets.unwrap())).subscribe(),
            operators::installation(&mut conn).await.unwrap(),
            EngineLimits::default(),
            worker::register(&mut conn).await.unwrap(),
        ));
        drop(conn);
        tokio::spawn(worker::run(engine.clone()));
        Self {
            site,
            engine,
            runbook,
            run,
            ana,
            cookie,
        }
    }

    /// Lets time pass and people act until the run is over.
    async fn ends(&self, acts: &[(&str, &[Act])]) -> RunResult {
        let mut acts: HashMap<StepId, VecDeque<Act>> = acts
            .iter()
            .map(|(step, acts)| ((*step).into(), acts.iter().cloned().collect()))
            .collect();
        wait::until("the run ends", LONG, async || {
            self.site.clock().advance(TICK);
            self.engine.wake.changed();
            let mut conn = self.site.conn().await;
            let run = runs::find(&mut conn, self.run).await?;
            if let Some(result) = run.and_then(|run| run.result) {
                return Ok(result);
            }
            let log = events::run_log(&mut conn, self.run).await?;
            let state = RunState::fold(log.iter().map(|(at, fact)| (*at, fact)))?;
            drop(conn);
            if state.paused.is_some() {
                self.act(None, &StepId::from("ask"), &state).await?;
            }
            for step in state.steps.keys() {
                let Some(act) = acts.get_mut(step).filter(|acts| !acts.is_empty()) else {
                    continue;
                };
                if self.act(Some(&act[0]), step, &state).await? {
                    act.pop_front();
                    break;
                }
            }
            anyhow::bail!("it stands at {:?}", state.steps)
        })
        .await
        .unwrap()
    }

    /// Does it if it can be done now.
    async fn act(&self, act: Option<&Act>, step: &StepId, state: &RunState) -> Result<bool, PeopleError> {
        let mut tx = self.site.intake.database.pools.web.begin().await.unwrap();
        let (now, by) = (self.site.clock().now(), &self.ana);
        match (act, state.step(step)) {
            (None, _) => people::go_on(&mut tx, self.run, by, now).await?,
            (Some(act), StepState::GateOpen { approval, .. }) => {
                let digest = approvals::find(&mut tx, *approval).await?.unwrap().digest;
                match act {
                    Act::Approve => {
                        let verdict = Verdict::Approve;
                        people::decide(&mut tx, *approval, &word(verdict, digest, "go"), by, now).await?;
                    }
                    Act::BreakGlass => {
                        people::break_glass(
                            &mut tx,
                            *approval,
                            &word(Verdict::Approve, digest, "nobody is awake"),
                            by,
                            now,
                        )
                        .await?;
                    }
                    Act::SendBack => {
                        people::send_back(&mut tx, *approval, digest, "which host?", by, now).await?;
                    }
                    _ => return Ok(false),
                }
            }
            (Some(Act::Done), StepState::ManualOpen { .. }) => {
                people::manual_done(&mut tx, self.run, step, "looked: fine", by, now).await?;
            }
            (Some(Act::Undo), StepState::ManualOpen { .. }) => {
                people::undo(&mut tx, self.run, "the wrong host", by, now).await?;
            }
            (Some(Act::Unknown(choice)), StepState::Unknown { probed: true, .. }) => {
                people::decide_unknown(&mut tx, self.run, step, *choice, "I looked", by, now).await?;
            }
            _ => return Ok(false),
        }
        tx.commit().await.unwrap();
        Ok(true)
    }

    /// Saves the run from its page, reads the file, and plays it.
    async fn saved(&self) -> Fixture {
        let path = format!("/runs/{}/fixture", self.run);
        let page = self.site.get(&format!("/runs/{}", self.run), &self.cookie).await;
        assert!(
            page.text.contains(&format!("href=\"{path}\"")),
            "the page offers it"
        );
        let file = self.site.get(&path, &self.cookie).await;
        assert_eq!(file.status, StatusCode::OK, "{}", file.text);
        let name = format!("attachment; filename=\"mend-run-{}.yaml\"", self.run);
        assert_eq!(file.header("content-disposition"), name);
        let api = self.site.get(&format!("/api/v1{path}"), &self.cookie).await;
        assert_eq!(api.text, file.text);
        assert!(
            file.text
                .contains("# Played when it was saved, it came out as the run did.\n"),
            "{}",
            file.text
        );
        let fixture =
            fixture::parse(&file.text, &[&self.runbook]).unwrap_or_else(|faults| panic!("{faults:?}"));
        let played = play(&fixture, &self.runbook, None);
        let found = differences(&fixture, &self.runbook, &played);
        assert!(found.is_empty(), "{found:#?}\n{}", file.text);
        fixture
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.engine.stopping.cancel();
    }
}

fn calls(fixture: &Fixture) -> Vec<&str> {
    let calls = fixture.expect.calls.as_ref().unwrap();
    calls.iter().flatten().map(|id| id.0.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_with_lost_answers_and_retries_comes_out_the_same() {
    use FailureClass::{Lost, NotSent, Refused};
    let bench = Bench::new(&[
        ("/look", &[ok(), failed(Lost, "no answer")]),
        ("/beside", &[failed(Refused, "no such thing")]),
        ("/struck", &[done(false), done(false), done(true)]),
        ("/strike/db-1", &[failed(Lost, "connection reset")]),
        ("/each/a", &[failed(NotSent, "refused"), ok()]),
        (
            "/each/b",
            &[
                failed(Lost, "reset"),
                Ok(json!({"ok": false, "status": 503})),
                ok(),
            ],
        ),
        ("/steady", &[failed(NotSent, "refused"), ok()]),
        ("/tidied", &[done(false), done(true)]),
        ("/tidy", &[ok()]),
    ])
    .await;
    let acts: &[(&str, &[Act])] = &[
        ("ask", &[Act::SendBack, Act::BreakGlass]),
        ("by-hand", &[Act::Done]),
    ];
    assert_eq!(bench.ends(acts).await, RunResult::Succeeded);
    let fixture = bench.saved().await;
    let mut sent = calls(&fixture);
    sent.sort_unstable();
    assert_eq!(
        sent,
        ["each[0]", "each[1]", "each[1]", "each[1]", "strike", "tidy"]
    );
    assert_eq!(fixture.expect.skipped, Some(vec!["maybe".into()]));
    assert_eq!(fixture.expect.gates, Some(vec!["ask".into(), "ask".into()]));
    assert!(fixture.inputs.is_empty() && fixture.title.is_none() && fixture.severity.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_taken_back_comes_out_the_same() {
    use FailureClass::{Lost, Refused};
    let bench = Bench::new(&[
        ("/look", &[failed(Lost, "no answer")]),
        ("/beside", &[ok()]),
        ("/struck", &[done(false)]),
        ("/strike/db-1", &[ok(), failed(Refused, "struck already")]),
        ("/unstrike/db-1", &[ok()]),
        ("/each/a", &[ok()]),
        ("/each/b", &[ok()]),
        ("/back/a", &[failed(Lost, "reset"), ok()]),
        ("/back/b", &[ok()]),
        ("/tidied", &[done(true)]),
    ])
    .await;
    // The target says that it was done and the probe says that it was not, so a person says what is true.
    let acts: &[(&str, &[Act])] = &[
        ("ask", &[Act::Approve]),
        (
            "strike",
            &[
                Act::Unknown(UnknownChoice::RunCheck),
                Act::Unknown(UnknownChoice::MarkDone),
            ],
        ),
        ("by-hand", &[Act::Undo]),
        ("undo:ask", &[Act::Approve]),
    ];
    assert_eq!(bench.ends(acts).await, RunResult::Stopped);
    let fixture = bench.saved().await;
    // One attempt to take an item back, as its undo says: a lost answer there is the end of taking back.
    assert_eq!(fixture.expect.result, RunResult::Stopped);
    assert!(calls(&fixture).contains(&"strike"), "{:?}", calls(&fixture));
    assert!(
        calls(&fixture).iter().any(|call| call.starts_with("undo:each")),
        "{:?}",
        calls(&fixture)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_whole_run_is_saved_and_only_by_those_who_may_act() {
    let bench = Bench::new(&[
        ("/look", &[ok()]),
        ("/beside", &[ok()]),
        ("/tidied", &[done(true)]),
    ])
    .await;
    let path = format!("/runs/{}/fixture", bench.run);
    let early = bench.site.get(&path, &bench.cookie).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    assert!(early.text.contains("the run is not over"), "{}", early.text);
    assert_eq!(bench.ends(&[]).await, RunResult::Failed);
    bench.saved().await;

    let (_, viewer) = bench.site.person("vic", Role::Viewer).await;
    assert_eq!(bench.site.get(&path, &viewer).await.status, StatusCode::FORBIDDEN);
    let page = bench.site.get(&format!("/runs/{}", bench.run), &viewer).await;
    assert!(!page.text.contains(&path));
    let nothing = bench.site.get("/api/v1/runs/999/fixture", &bench.cookie).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);

    let mut tx = bench.site.intake.database.pools.web.begin().await.unwrap();
    let now = bench.site.clock().now();
    let next = people::resume(&mut tx, bench.run, &Resumption::default(), &bench.ana, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let continued = bench
        .site
        .get(&format!("/runs/{next}/fixture"), &bench.cookie)
        .await;
    assert_eq!(continued.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        continued
            .text
            .contains(&format!("goes on where run {} ended", bench.run)),
        "{}",
        continued.text
    );
}
