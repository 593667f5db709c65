//! Signs of life: Muster's own, which stop when it does no work, and those of others after Muster itself was away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::any};
use chrono::{DateTime, Utc};
use muster::{
    actions::{Bounds, Outside},
    domain::{operator::Role, span::Span, target::SecretRef},
    outward::heartbeat::OwnHeartbeat,
    store::{own_heartbeats, replicas},
};
use serde_json::json;
use tokio::sync::watch;

use crate::{fleet::scratch::Scratch, support::site::Site};

const RAISED: &str = "select count(*) from events where kind = 'heartbeat_missed'";

/// Counts what it hears, and answers as it is told.
#[derive(Default)]
struct Watcher {
    heard: AtomicUsize,
    answer: AtomicU16,
}

struct Bench {
    site: Site,
    watcher: Arc<Watcher>,
    heartbeat: OwnHeartbeat,
    worker: watch::Sender<DateTime<Utc>>,
    timers: watch::Sender<DateTime<Utc>>,
    _scratch: Scratch,
}

impl Bench {
    async fn new() -> Self {
        async fn hear(State(watcher): State<Arc<Watcher>>) -> StatusCode {
            watcher.heard.fetch_add(1, Ordering::SeqCst);
            StatusCode::from_u16(watcher.answer.load(Ordering::SeqCst)).unwrap()
        }
        let watcher = Arc::new(Watcher::default());
        watcher.answer.store(200, Ordering::SeqCst);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(any(hear)).with_state(watcher.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });

        let site = Site::new().await;
        let mut scratch = Scratch::new().unwrap();
        scratch.ended_well();
        let file = scratch.path().join("heartbeat");
        std::fs::write(&file, format!("http://{address}/ping/the-secret-part\n")).unwrap();
        let mut conn = site.conn().await;
        let replica = replicas::insert(&mut conn).await.unwrap();
        let (worker, sees_worker) = watch::channel(site.clock().now());
        let (timers, sees_timers) = watch::channel(site.clock().now());
        let heartbeat = OwnHeartbeat {
            pool: site.intake.database.pools.intake.clone(),
            clock: site.clock().clone(),
            outside: Outside::new(Bounds::default()),
            address: SecretRef::File(file.display().to_string()),
            networks: Vec::new(),
            every: Span::from_secs(60),
            replica: Box::new(move || replica),
            worker: sees_worker,
            timers: sees_timers,
        };
        drop(conn);
        Self {
            site,
            watcher,
            heartbeat,
            worker,
            timers,
            _scratch: scratch,
        }
    }

    fn heard(&self) -> usize {
        self.watcher.heard.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn it_is_sent_while_all_is_well_and_the_system_page_says_so() {
    let bench = Bench::new().await;
    let (_, cookie) = bench.site.person("ana", Role::Viewer).await;
    assert!(
        !bench
            .site
            .get("/system", &cookie)
            .await
            .text
            .contains("own heartbeat")
    );
    assert_eq!(bench.heartbeat.beat().await, Ok(()));
    assert_eq!(bench.heard(), 1);
    let page = bench.site.get("/system", &cookie).await.text;
    assert!(page.contains("own heartbeat") && page.contains("sent "), "{page}");

    bench.watcher.answer.store(500, Ordering::SeqCst);
    let problem = bench.heartbeat.beat().await.unwrap_err();
    assert_eq!(problem, "answered 500");
    let page = bench.site.get("/system", &cookie).await.text;
    assert!(page.contains("answered 500"), "{page}");
    let mut conn = bench.site.conn().await;
    let kept = own_heartbeats::list(&mut conn, 10).await.unwrap();
    assert!(kept[0].sent_at.is_some() && kept[0].failed_at.is_some());
    assert!(!format!("{kept:?}{problem}").contains("the-secret-part"));
}

#[tokio::test]
async fn none_is_sent_when_worker_timers_lease_or_database_stand_still() {
    let bench = Bench::new().await;
    bench.site.clock().advance(Duration::from_secs(31));
    let now = bench.site.clock().now();
    let problem = bench.heartbeat.beat().await.unwrap_err();
    assert!(problem.contains("worker"), "{problem}");
    bench.worker.send_replace(now);
    let problem = bench.heartbeat.beat().await.unwrap_err();
    assert!(problem.contains("timers"), "{problem}");
    bench.timers.send_replace(now);
    assert_eq!(bench.heartbeat.beat().await, Ok(()));
    assert_eq!(bench.heard(), 1);

    let mut conn = bench.site.conn().await;
    let ends = "update replicas set lease_until = 'epoch'";
    sqlx::query(ends).execute(&mut *conn).await.unwrap();
    let problem = bench.heartbeat.beat().await.unwrap_err();
    assert!(problem.contains("lease"), "{problem}");
    let begins = "update replicas set lease_until = now() + interval '1 hour'";
    sqlx::query(begins).execute(&mut *conn).await.unwrap();
    assert_eq!(bench.heartbeat.beat().await, Ok(()));

    // It answers, but takes no row.
    sqlx::query("lock table own_heartbeats in exclusive mode")
        .execute(&mut *conn)
        .await
        .unwrap_err();
    let mut tx = sqlx::Connection::begin(&mut *conn).await.unwrap();
    sqlx::query("lock table own_heartbeats in exclusive mode")
        .execute(&mut *tx)
        .await
        .unwrap();
    assert!(bench.heartbeat.beat().await.is_err());
    drop(tx);
    bench.heartbeat.pool.close().await;
    assert!(bench.heartbeat.beat().await.is_err());
    assert_eq!(bench.heard(), 2);
}

#[tokio::test]
async fn a_watchdog_has_its_time_again_after_muster_was_away() {
    let site = Site::new().await;
    let (short, long) = (Span::from_secs(300), Span::from_secs(7 * 3600));
    let beat = json!({"receiver": "r", "groupKey": "w", "alerts": [{
        "status": "firing", "labels": {"alertname": "Watchdog"}, "startsAt": "2026-11-21T02:00:00Z"}]});
    for (name, within) in [("dog", short), ("slow-dog", long)] {
        site.intake.source(name, Some(within)).await;
        site.intake.post(name, beat.to_string()).await;
    }
    // Away for ten hours, in which nobody could be heard.
    site.clock().advance(Duration::from_secs(10 * 3600));
    let mut upkeep = site.intake.upkeep.clone();
    upkeep.listening_since = site.clock().now();
    let raised = async || site.intake.database.count(RAISED).await;
    upkeep.pass().await.unwrap();
    site.clock().advance(Duration::from_secs(299));
    upkeep.pass().await.unwrap();
    assert_eq!(raised().await, 0);
    site.clock().advance(Duration::from_secs(1));
    upkeep.pass().await.unwrap();
    assert_eq!(raised().await, 1, "the short one is silent");
    site.clock().advance(Duration::from_secs(3299));
    upkeep.pass().await.unwrap();
    assert_eq!(raised().await, 1);
    site.clock().advance(Duration::from_secs(1));
    upkeep.pass().await.unwrap();
    assert_eq!(raised().await, 2, "an hour is the most that is given");
}

#[tokio::test]
async fn a_watchdog_that_is_heard_after_muster_was_away_raises_nothing() {
    let site = Site::new().await;
    site.intake.source("dog", Some(Span::from_secs(300))).await;
    let beat = json!({"receiver": "r", "groupKey": "w", "alerts": [{
        "status": "firing", "labels": {"alertname": "Watchdog"}, "startsAt": "2026-11-21T02:00:00Z"}]});
    site.intake.post("dog", beat.to_string()).await;
    site.clock().advance(Duration::from_secs(3600));
    let mut upkeep = site.intake.upkeep.clone();
    upkeep.listening_since = site.clock().now();
    upkeep.pass().await.unwrap();
    site.clock().advance(Duration::from_secs(60));
    site.intake.post("dog", beat.to_string()).await;
    site.clock().advance(Duration::from_secs(299));
    upkeep.pass().await.unwrap();
    assert_eq!(site.intake.database.count(RAISED).await, 0);
}
