//! One run and two replicas, with the real lease: how soon the second goes on when the first is killed, and that the
//! first does nothing more when it only stood still.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    figures::FENCED,
    replicas::Replicas,
    succession::{BUSY, TAKE_OVER_MAX},
};
use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{
        database::Database,
        ledger::{Answer, Ledger, Manner},
    },
};

const RUNBOOK: &str = "
runbook: change
title: One change
match: ['alertname=\"Broken\"']
start: automatic
steps:
  - id: change
    call: http
    with: { target: ledger, method: PUT, path: /change }
    effect: idempotent
    timeout: 2m
";

/// The commit of the first start takes long, so that a process can be stopped while it waits for its answer.
const SLOW_COMMIT: &str = "
    create function sleep_in_commit() returns trigger language plpgsql as $$
    begin
        perform pg_sleep(1.5);
        return null;
    end $$;
    create constraint trigger sleep_in_commit after insert on events deferrable initially deferred for each row
        when (new.kind = 'step_started' and new.body ->> 'attempt' = '1') execute function sleep_in_commit();";
const IN_COMMIT: &str = "select count(*) from pg_stat_activity
                         where datname = current_database() and wait_event = 'PgSleep'";

const SOON: Duration = Duration::from_secs(30);

/// Two replicas of which the first lives, and what they work on.
struct Stage {
    database: Database,
    ledger: Ledger,
    replicas: Replicas,
    _scratch: Scratch,
}

impl Stage {
    async fn set(manner: Manner) -> Self {
        let (database, scratch) = (Database::new().await, Scratch::new());
        let ledger = Ledger::with(manner, Some(database.pools.intake.clone())).await;
        let runbooks = scratch.path().join("runbooks");
        std::fs::create_dir(&runbooks).unwrap();
        std::fs::write(runbooks.join("change.yaml"), RUNBOOK).unwrap();
        std::fs::write(runbooks.join("targets.yaml"), ledger.targets()).unwrap();
        let mut replicas = Replicas::new("ab", &database, &runbooks, scratch.path());
        replicas.start(0);
        Self {
            database,
            ledger,
            replicas,
            _scratch: scratch,
        }
    }

    async fn alert(&self) {
        let alert = json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
            "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z",
        }]});
        self.replicas.muster(0).stores(&alert).await;
    }

    /// Waits until it holds.
    async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        wait::until(what, SOON, async || {
            anyhow::ensure!(holds(self).await, "not yet\n{}", self.replicas.logs());
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn run_ends(&self) {
        let succeeded = "select count(*) from runs where result = 'succeeded'";
        self.until("the run ends", async |stage| {
            stage.database.count(succeeded).await == 1
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_takes_over_from_a_killed_one_in_time() {
    // The first call is never answered, the second at once.
    let manner: Manner = Arc::new(|asked| match asked.before {
        0 => Answer::Hang,
        _ => Answer::AT_ONCE,
    });
    let mut stage = Stage::set(manner).await;
    stage.alert().await;
    stage
        .until("the change is asked for", async |stage| {
            stage.ledger.entries().len() == 1
        })
        .await;
    stage.replicas.start(1);
    let leases = "select count(*) from replicas";
    stage
        .until("the other one is there", async |stage| {
            stage.database.count(leases).await == 2
        })
        .await;

    let killed = Instant::now();
    stage.replicas.kill(0, SOON);
    stage
        .until("the other one goes on", async |stage| {
            stage.ledger.entries().len() == 2
        })
        .await;
    let took = killed.elapsed();
    println!("taken over after {took:.2?}");
    assert!(took <= TAKE_OVER_MAX + BUSY, "taken over after {took:?}");

    stage.run_ends().await;
    let entries = stage.ledger.entries();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].key, entries[1].key, "the same key for every attempt");
    assert!(
        entries[0].fence < entries[1].fence,
        "the fence rises: {entries:?}"
    );
    assert!(
        entries.iter().all(|entry| entry.recorded == Some(true)),
        "P3: {entries:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_announced_before_a_standstill_is_not_done_after_it() {
    let mut stage = Stage::set(Arc::new(|_| Answer::AT_ONCE)).await;
    let pool = &stage.database.pools.background;
    sqlx::raw_sql(SLOW_COMMIT).execute(pool).await.unwrap();
    stage.alert().await;
    stage
        .until("the start is being written", async |stage| {
            stage.database.count(IN_COMMIT).await == 1
        })
        .await;
    stage.replicas.stop(0, SOON);
    stage.replicas.start(1);
    stage.run_ends().await;
    stage.replicas.go_on(0, SOON);
    stage
        .until("the fence stops the first one", async |stage| {
            stage.replicas.logs().contains(FENCED)
        })
        .await;

    let entries = stage.ledger.entries();
    let fences: Vec<i64> = entries.iter().map(|entry| entry.fence).collect();
    // The first claim has the fence 1, its end is 2, the second claim 3.
    assert_eq!(fences, [3], "P6: {entries:?}");
    let started = "select count(*) from events where kind = 'step_started'";
    assert_eq!(stage.database.count(started).await, 2);
}
