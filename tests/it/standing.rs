//! What stands over every run, with two replicas on one database: circuits, the pause, freezes.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    catalog::parse_runbook,
    clock::Clock,
    domain::{
        action::FailureClass,
        breaker::BreakerState,
        event::{Event, IncidentFact},
        freeze::AskedFreeze,
        id::{FreezeId, IncidentId},
        operator::{Operator, Role},
    },
    execute::{
        control,
        people::PeopleError,
        standing::{AdmitError, Standing},
    },
    pipeline::Patience,
    store::{acts, breakers, events, freezes, operators, pool::Pools, runbooks, wake::Wake},
    web::hooks::{HookLimits, Hooks},
};
use serde_json::json;
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::wait,
    support::{
        database::Database,
        intake::{self, Intake, TOKEN},
    },
};

const LONG: Duration = Duration::from_secs(30);
const REFUSED: Option<(FailureClass, &str)> = Some((FailureClass::NotSent, "connection refused"));

fn at(seconds: i64) -> DateTime<Utc> {
    "2026-11-21T03:12:07Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

/// Two replicas on one database.
struct Pair {
    database: Database,
    a: Standing,
    b: Standing,
}

impl Pair {
    async fn new() -> Self {
        Self {
            database: Database::new().await,
            a: Standing::new(Wake::default()),
            b: Standing::new(Wake::default()),
        }
    }

    fn pool(&self) -> &PgPool {
        &self.database.pools.engine
    }

    async fn conn(&self) -> PoolConnection<Postgres> {
        self.database.pools.web.acquire().await.unwrap()
    }

    /// Both replicas look.
    async fn look(&self) {
        for replica in [&self.a, &self.b] {
            replica.refresh(&mut *self.conn().await).await.unwrap();
        }
    }

    /// The circuit of `lb` as the database has it.
    async fn circuit(&self) -> Option<BreakerState> {
        let found = breakers::find(&mut *self.conn().await, "lb").await.unwrap();
        found.map(|breaker| breaker.state)
    }

    /// An open circuit that both have seen.
    async fn open(&self) {
        for _ in 0..5 {
            self.a.report(self.pool(), "lb", REFUSED, at(0)).await.unwrap();
        }
        self.look().await;
    }

    /// How many of sixteen callers on both replicas are let through at once.
    async fn let_through(&self, now: DateTime<Utc>) -> usize {
        let callers: Vec<_> = (0..16)
            .map(|n| {
                let replica = if n % 2 == 0 {
                    self.a.clone()
                } else {
                    self.b.clone()
                };
                let pool = self.pool().clone();
                tokio::spawn(async move { replica.admit(&pool, "lb", now).await })
            })
            .collect();
        let mut through = 0;
        for caller in callers {
            match caller.await.unwrap() {
                Ok(()) => through += 1,
                Err(AdmitError::Held(_)) => {}
                Err(AdmitError::Store(error)) => panic!("{error}"),
            }
        }
        through
    }
}

async fn person(conn: &mut PgConnection, name: &str, role: Role) -> Operator {
    let id = operators::insert(conn, name, "no password", role, at(0))
        .await
        .unwrap()
        .unwrap();
    let name = name.to_owned();
    Operator { id, name, role }
}

fn asked(title: &str, matchers: &str, ends_at: DateTime<Utc>) -> AskedFreeze {
    AskedFreeze {
        title: title.to_owned(),
        matchers: matchers.to_owned(),
        starts_at: None,
        ends_at: Some(ends_at),
    }
}

async fn freeze(
    pools: &Pools,
    asked: &AskedFreeze,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<FreezeId, PeopleError> {
    let mut tx = pools.web.begin().await.unwrap();
    let made = control::freeze(&mut tx, asked, reason, by, now).await?;
    tx.commit().await.unwrap();
    Ok(made)
}

#[tokio::test]
async fn five_failures_in_a_row_seen_by_either_replica_open_a_circuit_for_both() {
    let pair = Pair::new().await;
    let (pool, lost) = (pair.pool(), Some((FailureClass::Lost, "no answer in 5 s")));
    for (replica, failure) in [
        (&pair.a, REFUSED),
        (&pair.b, lost),
        (&pair.a, REFUSED),
        (&pair.b, lost),
    ] {
        replica.report(pool, "lb", failure, at(0)).await.unwrap();
        replica.admit(pool, "lb", at(0)).await.unwrap();
    }
    assert_eq!(pair.circuit().await, Some(BreakerState::Closed { failures: 4 }));
    pair.b.report(pool, "lb", REFUSED, at(0)).await.unwrap();

    pair.look().await;
    for replica in [&pair.a, &pair.b] {
        let Err(AdmitError::Held(held)) = replica.admit(pool, "lb", at(3)).await else {
            panic!("it is open");
        };
        assert_eq!(
            held.reason,
            "the circuit of lb is open since 03:12:07: connection refused; next try 03:12:17"
        );
        assert_eq!(held.retry_at, at(10));
        assert_eq!(replica.held("lb", at(3)), Some(held));
        replica.admit(pool, "db", at(3)).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_closes_a_circuit_and_a_fault_of_ours_says_nothing() {
    let pair = Pair::new().await;
    let pool = pair.pool();
    let refusal = Some((FailureClass::Refused, "409 Conflict"));
    for answer in [None, refusal] {
        for _ in 0..4 {
            pair.a.report(pool, "lb", REFUSED, at(0)).await.unwrap();
        }
        pair.look().await;
        pair.b.report(pool, "lb", answer, at(0)).await.unwrap();
        assert_eq!(pair.circuit().await, None, "only targets that failed have a row");
    }
    for _ in 0..4 {
        pair.a.report(pool, "lb", REFUSED, at(0)).await.unwrap();
    }
    let invalid = Some((FailureClass::Invalid, "no such secret"));
    pair.a.report(pool, "lb", invalid, at(0)).await.unwrap();
    assert_eq!(pair.circuit().await, Some(BreakerState::Closed { failures: 4 }));
}

#[tokio::test]
async fn failures_reported_at_the_same_moment_are_all_counted() {
    let pair = Pair::new().await;
    let reports: Vec<_> = (0..16)
        .map(|n| {
            let replica = if n % 2 == 0 {
                pair.a.clone()
            } else {
                pair.b.clone()
            };
            let (pool, target) = (pair.pool().clone(), if n < 4 { "db" } else { "lb" });
            tokio::spawn(async move { replica.report(&pool, target, REFUSED, at(0)).await })
        })
        .collect();
    for report in reports {
        report.await.unwrap().unwrap();
    }
    let found = breakers::list(&mut *pair.conn().await, 10).await.unwrap();
    let found: Vec<_> = found
        .into_iter()
        .map(|breaker| (breaker.target, breaker.state))
        .collect();
    let open = BreakerState::Open {
        since: at(0),
        reason: "connection refused".to_owned(),
        retry_at: at(10),
    };
    let expected = [("lb", open), ("db", BreakerState::Closed { failures: 4 })];
    assert_eq!(found, expected.map(|(target, state)| (target.to_owned(), state)));
}

#[tokio::test]
async fn a_target_that_works_costs_no_statement() {
    let pair = Pair::new().await;
    pair.open().await;
    let pool = pair.pool();
    pool.close().await;
    pair.a.admit(pool, "db", at(0)).await.unwrap();
    pair.a.report(pool, "db", None, at(0)).await.unwrap();
    // Nor does one that is known to be held.
    let held = pair.a.admit(pool, "lb", at(0)).await;
    assert!(matches!(held, Err(AdmitError::Held(_))), "{held:?}");
    let due = pair.a.admit(pool, "lb", at(10)).await;
    assert!(matches!(due, Err(AdmitError::Store(_))), "{due:?}");
}

#[tokio::test]
async fn one_of_all_callers_tries_an_open_circuit_and_what_it_learns_counts() {
    let pair = Pair::new().await;
    pair.open().await;
    assert_eq!(pair.let_through(at(9)).await, 0);
    assert_eq!(pair.let_through(at(10)).await, 1);
    assert_eq!(pair.let_through(at(39)).await, 0, "one try is under way");

    let timed_out = Some((FailureClass::Lost, "timed out"));
    pair.a.report(pair.pool(), "lb", timed_out, at(12)).await.unwrap();
    let open = BreakerState::Open {
        since: at(0),
        reason: "timed out".to_owned(),
        retry_at: at(22),
    };
    assert_eq!(pair.circuit().await, Some(open));
    pair.look().await;
    assert_eq!(pair.let_through(at(21)).await, 0);
    assert_eq!(pair.let_through(at(22)).await, 1);
    pair.look().await;
    pair.b.report(pair.pool(), "lb", None, at(23)).await.unwrap();
    assert_eq!(pair.circuit().await, None);
    pair.look().await;
    assert_eq!(pair.let_through(at(23)).await, 16);
}

#[tokio::test]
async fn a_try_whose_worker_died_holds_nobody_for_ever() {
    let pair = Pair::new().await;
    pair.open().await;
    assert_eq!(pair.let_through(at(10)).await, 1);
    pair.look().await;
    // No word of it.
    assert_eq!(pair.let_through(at(39)).await, 0);
    assert_eq!(pair.let_through(at(40)).await, 1);
    assert_eq!(pair.let_through(at(69)).await, 0);
}

#[tokio::test]
async fn a_circuit_closed_by_hand_is_closed_for_all_and_says_who_did_it() {
    let pair = Pair::new().await;
    pair.open().await;
    let mut conn = pair.conn().await;
    let ana = person(&mut conn, "ana", Role::Approver).await;
    let close = async |conn: &mut PgConnection, target: &str, why: &str| {
        control::close_breaker(conn, target, why, &ana, at(5)).await
    };
    let silent = close(&mut conn, "lb", " ").await;
    assert!(matches!(silent, Err(PeopleError::Refused { .. })), "{silent:?}");
    close(&mut conn, "lb", "I restarted it").await.unwrap();
    for target in ["lb", "nonsense"] {
        let late = close(&mut conn, target, "so did I").await;
        assert!(matches!(late, Err(PeopleError::Moved { .. })), "{late:?}");
    }
    pair.look().await;
    assert_eq!(pair.let_through(at(5)).await, 16);
    let done = acts::list(&mut conn, i64::MAX, 10).await.unwrap();
    let done: Vec<_> = done
        .iter()
        .map(|act| {
            (
                act.kind.name(),
                act.subject.as_str(),
                act.by.as_str(),
                act.reason.as_str(),
            )
        })
        .collect();
    assert_eq!(done, [("circuit_closed", "lb", "ana", "I restarted it")]);
    for change in ["delete from standing_acts", "truncate standing_acts"] {
        let refused = sqlx::query(change).execute(&mut *conn).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn a_pause_reaches_the_other_replica_by_itself_and_outlives_both() {
    let pair = Pair::new().await;
    // A clock that stands still: only the notification can tell.
    let (clock, stop) = (Clock::test(at(0)), CancellationToken::new());
    let (near, far) = (Wake::default(), Wake::default());
    let pool = &pair.database.pools.background;
    let (here, there) = (Standing::new(near.clone()), Standing::new(far.clone()));
    for (wake, standing) in [(&near, &here), (&far, &there)] {
        tokio::spawn(wake.clone().run(pair.pool().clone(), stop.clone()));
        tokio::spawn(standing.clone().run(pool.clone(), clock.clone(), stop.clone()));
    }
    let mut conn = pair.conn().await;
    let ana = person(&mut conn, "ana", Role::Responder).await;
    let everywhere = async |paused: bool| {
        wait::until("both replicas see it", LONG, async || {
            let seen = [&here, &there].map(|standing| standing.pause().is_some());
            anyhow::ensure!(seen == [paused; 2], "{seen:?}");
            Ok(())
        })
        .await
        .unwrap();
    };
    control::pause(&mut conn, "the network is odd", &ana, at(1))
        .await
        .unwrap();
    near.changed();
    everywhere(true).await;
    assert_eq!(
        there.pause().unwrap().why(),
        "all automation is paused by ana since 21 Nov 2026 03:12:08 UTC: the network is odd"
    );
    let again = control::pause(&mut conn, "me too", &ana, at(2))
        .await
        .unwrap_err();
    assert!(again.to_string().contains("paused by ana"), "{again}");

    let restarted = Standing::new(Wake::default());
    restarted.refresh(&mut conn).await.unwrap();
    assert_eq!(restarted.pause(), there.pause());

    control::resume(&mut conn, "it was a cable", &ana, at(3))
        .await
        .unwrap();
    far.changed();
    everywhere(false).await;
    let again = control::resume(&mut conn, "me too", &ana, at(4)).await;
    assert!(matches!(again, Err(PeopleError::Moved { .. })), "{again:?}");
    let history = acts::list(&mut conn, i64::MAX, 10).await.unwrap();
    let history: Vec<_> = history
        .iter()
        .map(|act| (act.kind.name(), act.reason.as_str()))
        .collect();
    assert_eq!(
        history,
        [("resumed", "it was a cable"), ("paused", "the network is odd")]
    );
    stop.cancel();
}

#[tokio::test]
async fn there_are_never_more_freezes_than_a_start_reads() {
    let pair = Pair::new().await;
    let mut conn = pair.conn().await;
    let ana = person(&mut conn, "ana", Role::Approver).await;
    for n in 1..freezes::FREEZES_MAX {
        let asked = asked(&format!("freeze {n}"), "a=b", at(60 + n));
        freeze(&pair.database.pools, &asked, "a test", &ana, at(0))
            .await
            .unwrap();
    }
    // Two people at once, and room for one.
    let makers: Vec<_> = (0..2)
        .map(|_| {
            let (pools, ana) = (pair.database.pools.clone(), ana.clone());
            tokio::spawn(async move {
                let asked = asked("the last", "a=b", at(600));
                let made = freeze(&pools, &asked, "a test", &ana, at(0)).await;
                made.is_ok()
            })
        })
        .collect();
    let mut made = 0;
    for maker in makers {
        made += usize::from(maker.await.unwrap());
    }
    assert_eq!(made, 1);
    let all = freezes::list(&mut conn, at(0)).await.unwrap();
    assert_eq!(all.len() as i64, freezes::FREEZES_MAX);

    let end = async |conn: &mut PgConnection, id| control::end_freeze(conn, id, "enough", &ana, at(1)).await;
    end(&mut conn, all[0].id).await.unwrap();
    let over = end(&mut conn, all[0].id).await;
    assert!(matches!(over, Err(PeopleError::Moved { .. })), "{over:?}");
    let nothing = end(&mut conn, FreezeId(999)).await;
    assert!(
        matches!(nothing, Err(PeopleError::NotFound("freeze"))),
        "{nothing:?}"
    );
    let room = asked("one more", "a=b", at(600));
    freeze(&pair.database.pools, &room, "a test", &ana, at(1))
        .await
        .unwrap();
}

const AUTOMATIC: &str = r#"
runbook: restart
title: Restart it
match: ['alertname="Down"']
start: automatic
steps:
  - id: look
    check: http
    with: { target: shop, method: GET, path: / }
"#;

/// An intake with a runbook that starts by itself.
struct Starts {
    intake: Intake,
    hooks: Router,
    ana: Operator,
}

impl Starts {
    async fn new() -> Self {
        let intake = Intake::new().await;
        intake.source("prom", None).await;
        let (clock, pools) = (intake.clock.clone(), &intake.database.pools);
        let mut conn = pools.web.acquire().await.unwrap();
        let runbook = parse_runbook(AUTOMATIC).unwrap().runbook;
        let version = runbooks::publish(&mut conn, &runbook, AUTOMATIC, "a test", clock.now())
            .await
            .unwrap();
        let (_, shelf) = watch::channel(Some(Arc::new(vec![version])));
        let hooks = Hooks::new(
            pools.intake.clone(),
            clock,
            Wake::default(),
            shelf,
            Patience::default(),
            HookLimits::default(),
        );
        let ana = person(&mut conn, "ana", Role::Approver).await;
        Self {
            hooks: hooks.router(),
            intake,
            ana,
        }
    }

    async fn conn(&self) -> PoolConnection<Postgres> {
        self.intake.database.pools.web.acquire().await.unwrap()
    }

    fn now(&self) -> DateTime<Utc> {
        self.intake.clock.now()
    }

    /// An alert of a group of its own opens the next incident; returns why its runbook was only suggested, or `None`
    /// when it was started.
    async fn fire(&self, incident: i64, env: &str) -> Option<String> {
        let body = json!({"receiver": "r", "groupKey": format!("group {incident}"), "alerts": [{
            "status": "firing", "startsAt": self.now(),
            "labels": {"alertname": "Down", "env": env, "pod": incident.to_string()},
        }]});
        let request = Request::post("/api/v1/sources/prom/alertmanager")
            .header("authorization", format!("Bearer {TOKEN}-prom"))
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = intake::send(&self.hooks, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut conn = self.conn().await;
        let timeline = events::list_after(&mut conn, IncidentId(incident), 0, 100)
            .await
            .unwrap();
        let held = timeline.iter().find_map(|recorded| match &recorded.event {
            Event::Incident(IncidentFact::StartHeldBack { runbook, reason }) => {
                assert_eq!(runbook, "restart");
                Some(reason.clone())
            }
            _ => None,
        });
        let started = timeline
            .iter()
            .any(|recorded| matches!(recorded.event, Event::Run(..)));
        assert_ne!(held.is_some(), started, "{timeline:?}");
        held
    }
}

#[tokio::test]
async fn nothing_starts_by_itself_while_all_automation_is_paused() {
    let starts = Starts::new().await;
    let (mut conn, ana) = (starts.conn().await, &starts.ana);
    assert_eq!(starts.fire(1, "prod").await, None);
    control::pause(&mut conn, "the network\nis odd", ana, starts.now())
        .await
        .unwrap();
    assert_eq!(
        starts.fire(2, "prod").await.unwrap(),
        "all automation is paused by ana since 21 Nov 2026 03:00:00 UTC: the network is odd"
    );
    control::resume(&mut conn, "it was a cable", ana, starts.now())
        .await
        .unwrap();
    assert_eq!(starts.fire(3, "prod").await, None);
}

#[tokio::test]
async fn a_freeze_turns_automatic_into_a_suggestion_for_its_labels_and_its_time() {
    let starts = Starts::new().await;
    let (mut conn, ana, hour) = (starts.conn().await, &starts.ana, Duration::from_secs(3600));
    let mut planned = asked(
        "Release week",
        r#"env=~"prod|staging""#,
        starts.now() + TimeDelta::hours(2),
    );
    planned.starts_at = Some(starts.now() + TimeDelta::hours(1));
    let pools = &starts.intake.database.pools;
    let made = freeze(pools, &planned, "no surprises", ana, starts.now()).await;
    made.unwrap();
    assert_eq!(starts.fire(1, "prod").await, None, "it is only planned");

    starts.intake.clock.advance(hour);
    assert_eq!(
        starts.fire(2, "prod").await.unwrap(),
        "the freeze \"Release week\" of ana holds until 21 Nov 2026 05:00:00 UTC: no surprises"
    );
    assert_eq!(starts.fire(3, "dev").await, None, "not for these labels");
    starts.intake.clock.advance(hour);
    assert_eq!(starts.fire(4, "prod").await, None, "its time is over");

    let short = asked("Now", "env=prod", starts.now() + TimeDelta::hours(1));
    let id = freeze(pools, &short, "wait for me", ana, starts.now())
        .await
        .unwrap();
    assert!(starts.fire(5, "prod").await.unwrap().contains("wait for me"));
    control::end_freeze(&mut conn, id, "I am here", ana, starts.now())
        .await
        .unwrap();
    assert_eq!(starts.fire(6, "prod").await, None, "a person ended it");
}
