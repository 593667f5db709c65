//! Circuits of targets.

use chrono::{DateTime, Utc};
use muster::{
    domain::{action::FailureClass, breaker::BreakerState, operator::Role},
    execute::{
        control,
        people::PeopleError,
        standing::{AdmitError, Standing},
    },
    store::{audit, breakers, wake::Wake},
};
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};

use super::{at, person};
use crate::support::database::Database;

const REFUSED: Option<(FailureClass, &str)> = Some((FailureClass::NotSent, "connection refused"));

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
    let done = audit::list_standing(&mut conn, i64::MAX, 10).await.unwrap();
    let done: Vec<_> = done
        .iter()
        .map(|row| {
            let act = &row.act;
            (
                act.kind.clone(),
                act.subject(),
                act.actor.to_string(),
                act.reason.clone(),
            )
        })
        .collect();
    let expected = ["circuit_closed", "lb", "ana", "I restarted it"].map(str::to_owned);
    assert_eq!(done, [expected.into()]);
    for change in [
        "delete from audit",
        "truncate audit cascade",
        "update audit set reason = ''",
    ] {
        let refused = sqlx::query(change).execute(&mut *conn).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}
