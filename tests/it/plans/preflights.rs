//! Preflights: queued with the match, carried out once, found again, and never in the way.

use std::time::Duration;

use futures_util::future::join_all;
use muster::{
    domain::id::{IncidentId, VersionId},
    store::preflights::{self, Claimed, Preflight},
};
use sqlx::{PgConnection, Postgres, pool::PoolConnection};
use tokio_util::sync::CancellationToken;

use super::{Target, WHOLE, fire, hooks, replica, targets, targets_file};
use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{database::Database, intake::Intake, muster::Setup},
};

const LONG: Duration = Duration::from_secs(60);

struct Scene {
    intake: Intake,
    target: Target,
    hooks: axum::Router,
    version: VersionId,
}

impl Scene {
    async fn new(source: &str) -> Self {
        let (intake, target) = (Intake::new().await, Target::start().await);
        intake.source("prom", None).await;
        let (hooks, version) = hooks(&intake, source).await;
        Self {
            intake,
            target,
            hooks,
            version: version.id,
        }
    }

    async fn conn(&self) -> PoolConnection<Postgres> {
        self.intake.database.pools.web.acquire().await.unwrap()
    }

    async fn found(&self, incident: i64) -> Option<Preflight> {
        preflights::find(&mut *self.conn().await, IncidentId(incident), self.version)
            .await
            .unwrap()
    }

    async fn headline(&self, incident: i64) -> String {
        match self.found(incident).await {
            Some(Preflight::Done(report)) => report.headline(),
            other => panic!("{other:?}"),
        }
    }

    async fn claim(&self, conn: &mut PgConnection) -> Option<Claimed> {
        let now = self.intake.clock.now();
        preflights::claim(conn, now, now + Duration::from_secs(60))
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_match_queues_a_preflight_and_two_replicas_carry_it_out_once() {
    for start in ["automatic", "suggest", "manual"] {
        let scene = Scene::new(&WHOLE.replace("start: suggest", &format!("start: {start}"))).await;
        assert_eq!(scene.found(1).await, None);
        fire(&scene.hooks, "blue").await;
        // The same alert once more is the same match.
        fire(&scene.hooks, "blue").await;
        assert_eq!(scene.found(1).await, Some(Preflight::Pending), "{start}");

        let replicas = [(); 2].map(|()| replica(&scene.intake, targets(&scene.target)));
        let passes = (0..8).map(|n| replicas[n % 2].pass());
        let done = join_all(passes).await;
        assert_eq!(done.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1);
        assert_eq!(scene.headline(1).await, "All 6 steps can work", "{start}");
        assert_eq!(
            scene.target.reads(),
            ["/answers", "/done", "/look/blue", "/restarted"]
        );
        assert_eq!(scene.target.changes(), 0);
        let runs = scene.intake.database.count("select count(*) from runs").await;
        assert_eq!(runs, i64::from(start == "automatic"));
    }
}

#[tokio::test]
async fn an_input_that_only_a_person_can_give_is_named() {
    let scene = Scene::new(&WHOLE.replace("from: labels.pool", "from: labels.none")).await;
    fire(&scene.hooks, "blue").await;
    assert!(
        replica(&scene.intake, targets(&scene.target))
            .pass()
            .await
            .unwrap()
    );
    let line = "A run cannot begin: no value for the required input pool; 3 of 6 steps can work; look, restart \
                and tell can only be known during the run";
    assert_eq!(scene.headline(1).await, line);
}

#[tokio::test]
async fn a_claim_whose_replica_died_is_found_again_and_its_late_write_changes_nothing() {
    let scene = Scene::new(WHOLE).await;
    fire(&scene.hooks, "blue").await;
    let mut conn = scene.conn().await;
    let dead = scene.claim(&mut conn).await.unwrap();
    assert_eq!(
        (dead.incident, dead.claims, dead.is_open),
        (IncidentId(1), 1, true)
    );
    let alive = replica(&scene.intake, targets(&scene.target));
    scene.intake.clock.advance(Duration::from_secs(59));
    assert!(!alive.pass().await.unwrap(), "the lease still holds");
    scene.intake.clock.advance(Duration::from_secs(1));
    assert!(alive.pass().await.unwrap());
    let now = scene.intake.clock.now();
    assert!(!preflights::finish(&mut conn, &dead, None, now).await.unwrap());
    assert_eq!(scene.headline(1).await, "All 6 steps can work");
    assert!(!alive.pass().await.unwrap());
}

#[tokio::test]
async fn one_that_kills_whoever_takes_it_is_dropped_and_so_is_one_nobody_needs() {
    let scene = Scene::new(WHOLE).await;
    fire(&scene.hooks, "blue").await;
    let alive = replica(&scene.intake, targets(&scene.target));
    let mut conn = scene.conn().await;
    for _ in 0..3 {
        scene.claim(&mut conn).await.unwrap();
        scene.intake.clock.advance(Duration::from_secs(60));
    }
    assert!(alive.pass().await.unwrap());
    assert_eq!(scene.found(1).await, Some(Preflight::Missing));

    fire(&scene.hooks, "green").await;
    sqlx::query("update incidents set state = 'cancelled' where id = 2")
        .execute(&mut *conn)
        .await
        .unwrap();
    assert!(alive.pass().await.unwrap());
    assert_eq!(scene.found(2).await, Some(Preflight::Missing));
    assert!(scene.target.reads().is_empty(), "nothing was asked");
}

#[tokio::test]
async fn the_newest_incident_comes_first_and_what_is_given_back_is_taken_at_once() {
    let scene = Scene::new(WHOLE).await;
    fire(&scene.hooks, "blue").await;
    scene.intake.clock.advance(Duration::from_secs(1));
    fire(&scene.hooks, "green").await;
    let mut conn = scene.conn().await;
    let newest = scene.claim(&mut conn).await.unwrap();
    assert_eq!(newest.incident, IncidentId(2));
    preflights::release(&mut conn, &newest, scene.intake.clock.now())
        .await
        .unwrap();
    assert_eq!(scene.claim(&mut conn).await.unwrap(), newest, "not one try more");
}

#[tokio::test]
async fn a_replica_that_stops_gives_back_what_it_has_not_finished() {
    let scene = Scene::new(&WHOLE.replace("path: /answers", "path: /slow")).await;
    fire(&scene.hooks, "blue").await;
    let (stop, replica) = (
        CancellationToken::new(),
        replica(&scene.intake, targets(&scene.target)),
    );
    let working = tokio::spawn(replica.clone().run(stop.clone()));
    wait::until("the slow target is asked", LONG, async || {
        anyhow::ensure!(scene.target.reads().contains(&"/slow".to_owned()));
        Ok(())
    })
    .await
    .unwrap();
    let queued = "select count(*) from preflights where state = 'queued' and claims = 0";
    assert_eq!(scene.intake.database.count(queued).await, 0);
    stop.cancel();
    working.await.unwrap();
    assert_eq!(scene.intake.database.count(queued).await, 1);

    scene.target.may_answer.send_replace(true);
    let stop = CancellationToken::new();
    let working = tokio::spawn(replica.run(stop.clone()));
    wait::until("the next one finishes it", LONG, async || {
        anyhow::ensure!(matches!(scene.found(1).await, Some(Preflight::Done(_))));
        Ok(())
    })
    .await
    .unwrap();
    stop.cancel();
    working.await.unwrap();
}

#[tokio::test]
async fn old_reports_are_forgotten_and_an_unreadable_one_hides_nothing_else() {
    let scene = Scene::new(WHOLE).await;
    fire(&scene.hooks, "blue").await;
    fire(&scene.hooks, "green").await;
    let alive = replica(&scene.intake, targets(&scene.target));
    assert!(alive.pass().await.unwrap() && alive.pass().await.unwrap());
    let mut conn = scene.conn().await;
    sqlx::query("update preflights set report = '{\"of\": \"another version\"}' where incident_id = 1")
        .execute(&mut *conn)
        .await
        .unwrap();
    assert_eq!(scene.found(1).await, Some(Preflight::Missing));
    assert_eq!(scene.headline(2).await, "All 6 steps can work");
    let now = scene.intake.clock.now();
    assert_eq!(preflights::prune(&mut conn, now, 10).await.unwrap(), 0);
    let later = now + Duration::from_secs(1);
    assert_eq!(preflights::prune(&mut conn, later, 1).await.unwrap(), 1);
    assert_eq!(preflights::prune(&mut conn, later, 10).await.unwrap(), 1);
    assert_eq!(preflights::prune(&mut conn, later, 10).await.unwrap(), 0);
}

#[tokio::test]
async fn a_process_that_is_killed_in_the_middle_leaves_it_to_the_next_and_delays_no_start() {
    let (database, scratch, target) = (Database::new().await, Scratch::new(), Target::start().await);
    let runbook = WHOLE
        .replace("start: suggest", "start: automatic")
        .replace("path: /answers", "path: /slow");
    std::fs::write(scratch.path().join("whole.yaml"), runbook).unwrap();
    std::fs::write(scratch.path().join("targets.yaml"), targets_file(&target)).unwrap();
    let setup = Setup::new(database.url(), scratch.path());
    let mut muster = setup.start(None);
    let alert = serde_json::json!({"receiver": "r", "groupKey": "g", "alerts": [{
        "status": "firing", "labels": {"alertname": "Down", "pool": "blue"}, "startsAt": "2026-11-21T02:00:00Z",
    }]});
    muster.stores(&alert).await;
    let reached = async |what: &str, sql: &'static str| {
        wait::until(what, LONG, async || {
            anyhow::ensure!(database.count(sql).await == 1, "not yet:\n{}", setup.logged());
            Ok(())
        })
        .await
        .unwrap();
    };
    reached(
        "it is asking",
        "select count(*) from preflights where state = 'running'",
    )
    .await;
    wait::until("the slow target is asked", LONG, async || {
        anyhow::ensure!(target.reads().contains(&"/slow".to_owned()));
        Ok(())
    })
    .await
    .unwrap();
    // While it waits, the run has come to its gate.
    reached(
        "the run asks at its gate",
        "select count(*) from approvals where state = 'pending'",
    )
    .await;
    muster.kill();
    assert_eq!(
        database
            .count("select count(*) from preflights where state = 'running'")
            .await,
        1
    );

    target.may_answer.send_replace(true);
    let mut conn = database.pools.background.acquire().await.unwrap();
    // The lease of the dead need not be waited for.
    for expire in [
        "update preflights set due = now()",
        "update replicas set lease_until = 'epoch'",
    ] {
        sqlx::query(expire).execute(&mut *conn).await.unwrap();
    }
    let _muster = setup.start(None);
    reached(
        "the next one finishes it",
        "select count(*) from preflights where state = 'done' and claims = 2",
    )
    .await;
    assert_eq!(target.changes(), 0);
    assert_eq!(database.count("select count(*) from runs").await, 1);
}
