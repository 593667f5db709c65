//! Gates in front of a target that counts: what is not allowed now is not sent.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use muster::{
    actions::{Bounds, Outside},
    catalog::{parse_runbook, parse_targets},
    domain::{
        approval::{ApprovalState, Refusal, Verdict},
        id::{IncidentId, RunId},
        operator::{Operator, Role},
        run::{RunFact, RunResult},
        target::Targets,
    },
    execute::{
        engine::{Engine, EngineLimits},
        people::{self, PeopleError},
        standing::Standing,
        worker,
    },
    store::{
        approvals::{self, Approval},
        events, operators, runbooks, runs,
        wake::Wake,
    },
};
use serde_json::json;
use sqlx::PgConnection;
use tokio::sync::watch;

use crate::{
    fleet::wait,
    support::{intake::Intake, ledger::Ledger, word::word},
};

const RUNBOOK: &str = r#"
runbook: gated
title: One effect below a gate
steps:
  - id: ask
    gate: { decide_within: 15m, use_within: 10m }
  - id: strike
    call: http
    with: { target: ledger, method: POST, path: /strike }
    effect: once
"#;

const LONG: Duration = Duration::from_secs(30);

/// A run that stands at its gate, and the engine that would carry it on. Its clock moves only when it is told to.
struct Bench {
    intake: Intake,
    ledger: Ledger,
    targets: watch::Sender<Arc<Targets>>,
    engine: Arc<Engine>,
    run: RunId,
    ben: Operator,
    ana: Operator,
    eve: Operator,
}

fn targets(ledger: &Ledger) -> Arc<Targets> {
    let source = format!(
        "targets:\n  - name: ledger\n    http: {{ url: \"http://{}/\" }}\n",
        ledger.address
    );
    Arc::new(parse_targets(&source).unwrap())
}

impl Bench {
    async fn new() -> Self {
        let (intake, ledger) = (Intake::new().await, Ledger::start().await);
        intake.source("team", None).await;
        let alert = json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
            "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z",
        }]});
        let (status, answer) = intake.post("team", alert.to_string()).await;
        assert_eq!(status, 200, "{answer}");

        let mut conn = intake.database.pools.web.acquire().await.unwrap();
        // The requester could decide at any gate, were it not their own run.
        let ben = person(&mut conn, "ben", Role::Admin).await;
        let ana = person(&mut conn, "ana", Role::Approver).await;
        let eve = person(&mut conn, "eve", Role::Approver).await;
        let now = intake.clock.now();
        let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
        let version = runbooks::publish(&mut conn, &runbook, RUNBOOK, "a test", now)
            .await
            .unwrap();
        let run = people::start(&mut conn, IncidentId(1), version.id, &BTreeMap::new(), &ben, now)
            .await
            .unwrap();

        let targets = watch::Sender::new(targets(&ledger));
        let engine = Arc::new(Engine::new(
            intake.database.pools.engine.clone(),
            Arc::new(Outside::new(Bounds::default())),
            Standing::new(Wake::default()),
            intake.clock.clone(),
            Wake::default(),
            targets.subscribe(),
            operators::installation(&mut conn).await.unwrap(),
            EngineLimits::default(),
            worker::register(&mut conn).await.unwrap(),
        ));
        drop(conn);
        tokio::spawn(worker::run(engine.clone()));
        Self {
            intake,
            ledger,
            targets,
            engine,
            run,
            ben,
            ana,
            eve,
        }
    }

    async fn conn(&self) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
        self.intake.database.pools.web.acquire().await.unwrap()
    }

    /// The gate's open request, once there is one other than `not`.
    async fn asked(&self, not: Option<&Approval>) -> Approval {
        wait::until("the gate asks", LONG, async || {
            self.engine.wake.changed();
            let pending = approvals::list_pending(&mut *self.conn().await, None, 10).await?;
            let new = pending
                .into_iter()
                .find(|approval| not.is_none_or(|not| not.id != approval.id));
            new.ok_or_else(|| anyhow::anyhow!("nothing is asked"))
        })
        .await
        .unwrap()
    }

    async fn facts(&self) -> Vec<RunFact> {
        let facts = events::run_log(&mut *self.conn().await, self.run).await.unwrap();
        facts.into_iter().map(|(_, fact)| fact).collect()
    }

    /// How the run ended, once it has.
    async fn result(&self) -> RunResult {
        wait::until("the run ends", LONG, async || {
            self.engine.wake.changed();
            let run = runs::find(&mut *self.conn().await, self.run).await?;
            run.and_then(|run| run.result)
                .ok_or_else(|| anyhow::anyhow!("it goes on"))
        })
        .await
        .unwrap()
    }

    async fn state(&self, approval: &Approval) -> ApprovalState {
        let found = approvals::find(&mut *self.conn().await, approval.id).await;
        found.unwrap().unwrap().state
    }

    async fn decide(
        &self,
        approval: &Approval,
        verdict: Verdict,
        by: &Operator,
    ) -> Result<ApprovalState, PeopleError> {
        self.decide_after(approval, verdict, by, Duration::ZERO).await
    }

    /// Decides now; the world learns of it when `pause` has passed.
    async fn decide_after(
        &self,
        approval: &Approval,
        verdict: Verdict,
        by: &Operator,
        pause: Duration,
    ) -> Result<ApprovalState, PeopleError> {
        let mut tx = self.intake.database.pools.web.begin().await.unwrap();
        let now = self.intake.clock.now();
        let digest = approval.digest;
        let state = people::decide(&mut tx, approval.id, &word(verdict, digest, ""), by, now).await?;
        self.intake.clock.advance(pause);
        tx.commit().await.unwrap();
        Ok(state)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.engine.stopping.cancel();
    }
}

async fn person(conn: &mut PgConnection, name: &str, role: Role) -> Operator {
    let now = muster::clock::Clock::real().now();
    let id = operators::insert(conn, name, "none", role, now).await;
    Operator {
        teams: Vec::new(),
        via: muster::domain::operator::Via::Session,
        id: id.unwrap().unwrap(),
        name: name.to_owned(),
        role,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_void_when_its_target_changes_before_the_step_starts() {
    let bench = Bench::new().await;
    let first = bench.asked(None).await;
    let elsewhere = Ledger::start().await;
    bench.targets.send_replace(targets(&elsewhere));
    let state = bench.decide(&first, Verdict::Approve, &bench.ana).await.unwrap();
    assert_eq!(state, ApprovalState::Approved);

    let second = bench.asked(Some(&first)).await;
    assert_ne!(second.digest, first.digest);
    assert_eq!(bench.state(&first).await, ApprovalState::Void);
    let facts = bench.facts().await;
    let voided = facts.iter().find_map(|fact| match fact {
        RunFact::GateVoided { approval, why, .. } if *approval == first.id => Some(why.as_str()),
        _ => None,
    });
    assert_eq!(voided, Some("the target ledger has changed since"), "{facts:?}");
    assert!(
        !facts
            .iter()
            .any(|fact| matches!(fact, RunFact::StepStarted { .. }))
    );
    assert_eq!((bench.ledger.entries(), elsewhere.entries()), (vec![], vec![]));

    bench.decide(&second, Verdict::Approve, &bench.ana).await.unwrap();
    assert_eq!(bench.result().await, RunResult::Succeeded);
    assert_eq!(bench.ledger.entries(), []);
    assert_eq!(elsewhere.entries().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_nobody_used_in_time_is_asked_for_again() {
    let bench = Bench::new().await;
    let first = bench.asked(None).await;
    // Good for ten minutes.
    let late = Duration::from_secs(601);
    bench
        .decide_after(&first, Verdict::Approve, &bench.ana, late)
        .await
        .unwrap();
    let second = bench.asked(Some(&first)).await;
    assert_eq!(bench.state(&first).await, ApprovalState::Expired);
    assert_eq!(bench.ledger.entries(), []);
    bench.decide(&second, Verdict::Approve, &bench.eve).await.unwrap();
    assert_eq!(bench.result().await, RunResult::Succeeded);
    assert_eq!(bench.ledger.entries().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_started_the_run_may_not_approve_it_whatever_their_role() {
    let bench = Bench::new().await;
    let approval = bench.asked(None).await;
    let refused = bench.decide(&approval, Verdict::Approve, &bench.ben).await;
    assert!(
        matches!(refused, Err(PeopleError::Forbidden(Refusal::Requester))),
        "{refused:?}"
    );
    assert_eq!(bench.state(&approval).await, ApprovalState::Pending);
    assert_eq!(bench.intake.database.count("select count(*) from votes").await, 0);
    assert_eq!(bench.ledger.entries(), []);
    bench
        .decide(&approval, Verdict::Approve, &bench.ana)
        .await
        .unwrap();
    assert_eq!(bench.result().await, RunResult::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_nobody_decides_in_time_ends_the_run_as_rejected() {
    let bench = Bench::new().await;
    let approval = bench.asked(None).await;
    bench.intake.clock.advance(Duration::from_secs(899));
    bench.engine.wake.changed();
    assert_eq!(bench.state(&approval).await, ApprovalState::Pending);
    bench.intake.clock.advance(Duration::from_secs(1));
    // From this second on nobody can decide, whether or not the engine has looked yet.
    let late = bench.decide(&approval, Verdict::Approve, &bench.ana).await;
    assert!(matches!(late, Err(PeopleError::Moved { .. })), "{late:?}");
    assert_eq!(bench.result().await, RunResult::Rejected);
    assert_eq!(bench.state(&approval).await, ApprovalState::Expired);
    let facts = bench.facts().await;
    let expired = |fact: &RunFact| matches!(fact, RunFact::GateExpired { unused: false, .. });
    assert!(facts.iter().any(expired), "{facts:?}");
    assert_eq!(bench.ledger.entries(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_people_who_approve_at_once_one_decides_and_the_other_is_told() {
    let bench = Bench::new().await;
    let approval = bench.asked(None).await;
    let (ana, eve) = tokio::join!(
        bench.decide(&approval, Verdict::Approve, &bench.ana),
        bench.decide(&approval, Verdict::Approve, &bench.eve),
    );
    let (won, lost): (Vec<_>, Vec<_>) = [ana, eve].into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 1), "{won:?} {lost:?}");
    assert!(matches!(lost[0], Err(PeopleError::Moved { .. })), "{lost:?}");
    assert_eq!(bench.result().await, RunResult::Succeeded);
    let facts = bench.facts().await;
    let given = facts
        .iter()
        .filter(|fact| matches!(fact, RunFact::GateApproval { .. }));
    assert_eq!(given.count(), 1, "{facts:?}");
    assert_eq!(bench.ledger.entries().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_at_the_gate_ends_the_run_and_nothing_is_sent() {
    let bench = Bench::new().await;
    let approval = bench.asked(None).await;
    let now = bench.intake.clock.now();
    let mut tx = bench.intake.database.pools.web.begin().await.unwrap();
    people::stop(&mut tx, bench.run, "not now", &bench.ana, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(bench.result().await, RunResult::Stopped);
    assert_eq!(bench.state(&approval).await, ApprovalState::Void);
    let late = bench.decide(&approval, Verdict::Approve, &bench.eve).await;
    assert!(matches!(late, Err(PeopleError::Moved { .. })), "{late:?}");
    assert_eq!(bench.ledger.entries(), []);
}
