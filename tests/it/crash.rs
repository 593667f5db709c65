//! Muster is killed with SIGKILL at every commit of a run, before it and after it, and started again: the outside
//! world has each key once, the timeline has no gap, and nobody was passed over.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use muster::{
    domain::{
        approval::Verdict,
        event::{Event, first_broken_link},
        id::{IncidentId, RunId},
        operator::{Operator, Role},
        run::{RunFact, UnknownChoice},
        state::{RunState, StepState},
    },
    execute::people,
    store::{approvals, events, operators},
};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{database::Database, ledger::Ledger, muster::Setup, word::word},
};

/// A runbook, and what its target may have seen of it in the end.
struct Shape {
    runbook: &'static str,
    /// Paths that change something, the step each belongs to, and whether it may come again by itself.
    paths: &'static [(&'static str, &'static str, bool)],
    result: &'static str,
    /// Commits of a run that nobody disturbs, at least.
    commits: usize,
}

/// One step after the other, of every kind.
const IN_ORDER: Shape = Shape {
    paths: &[
        ("strike", "strike", false),
        ("blind", "blind-strike", false),
        ("set", "set", true),
    ],
    result: "succeeded",
    commits: 10,
    runbook: r#"
runbook: count-me
title: Every kind of step
match: ['alertname="Broken"']
start: automatic
locks: ["the-ledger"]
steps:
  - id: look
    check: http
    with: { target: ledger, path: /look }
  - id: ask
    gate: {}
    title: Go on?
  - id: strike
    call: http
    with: { target: ledger, method: POST, path: /strike }
    effect: once
    verify:
      check: http
      with: { target: ledger, path: /strike }
      expect: result.body.done
      until: { every: 100ms, within: 200ms }
  - id: blind-strike
    call: http
    with: { target: ledger, method: POST, path: /blind }
    effect: once
  - id: pause
    wait: 100ms
  - id: set
    call: http
    with: { target: ledger, method: PUT, path: /set }
    effect: idempotent
"#,
};

/// Side by side, over a list, taken back in reverse under the same gate, and the last step whatever comes.
const BACK_AGAIN: Shape = Shape {
    paths: &[
        ("left", "left", false),
        ("right", "right", true),
        ("each-1", "each[0]", false),
        ("each-2", "each[1]", false),
        ("back-2", "undo:each[1]", true),
        ("back-1", "undo:each[0]", true),
        ("last", "last", true),
    ],
    result: "failed",
    commits: 12,
    runbook: r#"
runbook: count-me
title: There and back
match: ['alertname="Broken"']
start: automatic
locks: ["the-ledger"]
steps:
  - id: left
    needs: []
    call: http
    with: { target: ledger, method: POST, path: /left }
    effect: once
  - { id: right, needs: [], call: http, with: { target: ledger, method: PUT, path: /right }, effect: idempotent }
  - id: ask
    gate: {}
    title: Go on?
  - id: each
    for_each: "[1, 2]"
    call: http
    with: { target: ledger, method: POST, path: "/each-{{ item }}" }
    effect: once
    undo: { call: http, with: { target: ledger, method: PUT, path: "/back-{{ item }}" }, effect: idempotent }
  - { id: look, check: http, with: { target: ledger, path: /look }, expect: result.body.done, on_failure: undo }
finally:
  - { id: last, call: http, with: { target: ledger, method: PUT, path: /last }, effect: idempotent }
"#,
};

const LONG: Duration = Duration::from_secs(60);

/// One Muster that crashes at `point` and is started again; returns whether it got that far.
async fn survive(shape: &Shape, point: &str) -> bool {
    let (database, scratch, ledger) = (Database::new().await, Scratch::new(), Ledger::start().await);
    let targets = format!(
        "targets:\n  - name: ledger\n    http: {{ url: \"http://{}/\" }}\n",
        ledger.address
    );
    std::fs::write(scratch.path().join("count-me.yaml"), shape.runbook).unwrap();
    std::fs::write(scratch.path().join("targets.yaml"), targets).unwrap();
    let setup = Setup::new(database.url(), scratch.path());
    let ana = approver(&database).await;

    let mut muster = setup.start(Some(point));
    muster.stores(&alert()).await;
    let mut allowed = BTreeSet::new();
    let mut crashed = false;
    wait::until(&format!("the run ends ({point})"), LONG, async || {
        let mut conn = database.pools.background.acquire().await?;
        if let Some(how) = muster.ended() {
            assert!(!crashed, "it died again: {how}\n{}", setup.logged());
            crashed = true;
            // The dead process renews no lease; what is left of it need not be waited for.
            sqlx::query("update replicas set lease_until = 'epoch'")
                .execute(&mut *conn)
                .await?;
            muster = setup.start(None);
        }
        answer(&mut conn, &ana, &mut allowed).await;
        let finished: i64 = sqlx::query_scalar("select count(*) from runs where result is not null")
            .fetch_one(&mut *conn)
            .await?;
        anyhow::ensure!(finished == 1, "not finished:\n{}", setup.logged());
        Ok(())
    })
    .await
    .unwrap();
    check(shape, &database, &ledger, &allowed, point).await;
    crashed
}

async fn approver(database: &Database) -> Operator {
    muster::store::migrate::run(&database.options).await.unwrap();
    let mut conn = database.pools.background.acquire().await.unwrap();
    let now = muster::clock::Clock::real().now();
    let id = operators::insert(&mut conn, "ana", "none", Role::Approver, now)
        .await
        .unwrap()
        .unwrap();
    Operator {
        teams: Vec::new(),
        via: muster::domain::operator::Via::Session,
        id,
        name: "ana".to_owned(),
        role: Role::Approver,
    }
}

fn alert() -> serde_json::Value {
    json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
        "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z",
    }]})
}

/// What a person does: approves what is asked, and sends again what nobody knows about. `allowed` collects the steps a
/// person allowed to be sent again.
async fn answer(conn: &mut PgConnection, ana: &Operator, allowed: &mut BTreeSet<String>) {
    let now = muster::clock::Clock::real().now();
    for approval in approvals::list_pending(conn, None, 10).await.unwrap() {
        let (id, digest) = (approval.id, approval.digest);
        let mut tx = conn.begin().await.unwrap();
        let decided = people::decide(&mut tx, id, &word(Verdict::Approve, digest, ""), ana, now).await;
        // A lost race with the worker is told as such and met again.
        if decided.is_ok() {
            tx.commit().await.unwrap();
        }
    }
    let live: Vec<i64> = sqlx::query_scalar("select run_id from run_queue where state = 2")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    for run in live.into_iter().map(RunId) {
        let facts = events::run_log(conn, run).await.unwrap();
        let state = RunState::fold(facts.iter().map(|(at, fact)| (*at, fact))).unwrap();
        for (step, state) in &state.steps {
            if matches!(state, StepState::Unknown { .. })
                && people::decide_unknown(conn, run, step, UnknownChoice::RetrySameKey, "", ana, now)
                    .await
                    .is_ok()
            {
                allowed.insert(step.0.clone());
            }
        }
    }
}

/// An independent look at the promises: the ledger's account against the timeline's.
async fn check(shape: &Shape, database: &Database, ledger: &Ledger, allowed: &BTreeSet<String>, point: &str) {
    let mut conn = database.pools.background.acquire().await.unwrap();
    let incident = IncidentId(1);
    let timeline = events::list_after(&mut conn, incident, 0, 1000).await.unwrap();
    assert_eq!(first_broken_link(incident, &timeline), None, "{point}: P7");
    let facts: Vec<&RunFact> = timeline
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::Run(_, fact) => Some(fact),
            Event::Incident(_) => None,
        })
        .collect();
    assert_eq!(
        database.count("select count(*) from incidents").await,
        1,
        "{point}: P2"
    );
    assert_eq!(
        database.count("select count(*) from runs").await,
        1,
        "{point}: P2"
    );
    let result: String = sqlx::query_scalar("select result from runs")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(result, shape.result, "{point}");
    assert_eq!(
        database.count("select count(*) from run_queue").await,
        0,
        "{point}"
    );
    assert_eq!(
        database.count("select count(*) from target_locks").await,
        0,
        "{point}: P6"
    );
    assert_eq!(
        database
            .count("select count(*) from attempts where state = 'started'")
            .await,
        0,
        "{point}: P3"
    );

    let counts = ledger.counts();
    let mut fences = 0;
    for entry in ledger.entries() {
        let started = facts.iter().any(|fact| {
            matches!(fact, RunFact::StepStarted { key, fence, .. } if *key == entry.key && *fence == entry.fence)
        });
        assert!(
            started,
            "{point}: P3: {entry:?} was sent and never recorded as started"
        );
        assert!(entry.fence >= fences, "{point}: P6: an old worker sent {entry:?}");
        fences = entry.fence;
    }
    for (path, step, repeats) in shape.paths {
        let of_path: Vec<usize> = counts
            .iter()
            .filter(|((found, _), _)| found == *path)
            .map(|(_, count)| *count)
            .collect();
        assert_eq!(of_path.len(), 1, "{point}: {path} has one key: {counts:?}");
        let may_repeat = *repeats || allowed.contains(*step);
        assert!(
            of_path[0] == 1 || may_repeat,
            "{point}: P4: {path} came {} times by itself",
            of_path[0]
        );
    }
    let position = |wanted: &dyn Fn(&RunFact) -> bool| facts.iter().position(|fact| wanted(fact));
    let approved = position(&|fact| matches!(fact, RunFact::GateApproved { .. }));
    let gated = ["strike", "each[0]"];
    let struck = position(
        &|fact| matches!(fact, RunFact::StepStarted { step, .. } if gated.contains(&step.0.as_str())),
    );
    assert!(approved.is_some() && approved < struck, "{point}: P5: {facts:?}");
    let place = |path: &str| ledger.entries().iter().position(|entry| entry.path == path);
    assert!(
        place("back-2") <= place("back-1") && place("back-1") <= place("last"),
        "{point}: taken back in reverse, then the last step"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_every_commit_keeps_every_promise() {
    die_everywhere(&IN_ORDER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_every_commit_on_the_way_back_keeps_every_promise() {
    die_everywhere(&BACK_AGAIN).await;
}

async fn die_everywhere(shape: &Shape) {
    let mut points = 0;
    for batch in 0.. {
        // Four at once: most of the time of each is spent waiting.
        let numbers = (batch * 2 + 1)..=(batch * 2 + 2);
        let named = numbers.flat_map(|number| [format!("before:{number}"), format!("after:{number}")]);
        let survived = join_all(named.map(|point| async move { survive(shape, &point).await })).await;
        let crashed = survived.into_iter().filter(|crashed| *crashed).count();
        points += crashed;
        if crashed < 4 {
            break;
        }
    }
    println!("killed at {points} points");
    assert!(
        points >= 2 * shape.commits,
        "killed at {points} points, and the run has at least {} commits",
        shape.commits
    );
}
