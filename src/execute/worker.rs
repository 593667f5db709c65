//! The worker loop: claim what is due, drive each claim in a task of its own, keep the lease, take over what dead
//! replicas held. Woken by a change and by a timer; it takes no input but the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::{
    drive::drive,
    engine::{Engine, Lease, in_time},
    view::View,
};
use crate::{
    clock::Work,
    domain::{causes, id::RunId},
    store::{
        StoreError,
        pool::{self, PoolSize},
        queue::{self, Claim},
        replicas,
    },
};

/// The longest the loop waits without looking.
const POLL: Duration = Duration::from_secs(1);
/// How often the lease is renewed.
const RENEW: Duration = Duration::from_secs(3);
/// How often runs of dead replicas are looked for.
const SWEEP: Duration = Duration::from_secs(2);
/// Runs taken back in one sweep.
const SWEEP_MAX: i64 = 500;

/// Runs claimed by one statement.
const CLAIM_MAX: usize = 64;
/// Every so many claims look through the whole queue.
const CLAIMS_PER_FULL_PASS: u32 = 20;
/// How far before the last claimed run the next claim begins to look: later than any transaction that queues a run
/// takes to commit.
const MARK_BEHIND: TimeDelta = TimeDelta::seconds(2);

type Working = Arc<Mutex<HashMap<RunId, i64>>>;

/// Registers this process start and its lease.
pub async fn register(conn: &mut sqlx::PgConnection) -> Result<Lease, StoreError> {
    let asked = Instant::now();
    let replica = replicas::insert(conn).await?;
    Ok(Lease {
        replica,
        until: asked + replicas::LEASE.as_duration(),
    })
}

/// Works until the engine is told to stop, then waits for attempts that are out, at most the drain time, and gives
/// everything back.
pub async fn run(engine: Arc<Engine>) {
    let working = Working::default();
    let lease = tokio::spawn(keep_lease(engine.clone()));
    let sweep = tokio::spawn(sweep(engine.clone(), working.clone()));
    let mut tasks = JoinSet::new();
    claim_loop(&engine, &working, &mut tasks).await;

    let drained = tokio::time::timeout(engine.limits.drain, async {
        while tasks.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!(
            left = tasks.len(),
            "attempts are still out; recovery will settle them"
        );
        tasks.abort_all();
    }
    sweep.abort();
    lease.abort();
    if let Ok(mut conn) = engine.pool.acquire().await
        && let Err(error) = replicas::end(&mut conn, engine.replica()).await
    {
        tracing::warn!(%error, "the lease was not ended; it will run out by itself");
    }
}

async fn claim_loop(engine: &Arc<Engine>, working: &Working, tasks: &mut JoinSet<()>) {
    let permits = Arc::new(Semaphore::new(engine.limits.runs_at_once));
    let freed = Arc::new(Notify::new());
    let mut changes = engine.wake.subscribe_queue();
    let mut mark = Mark::default();
    let own_work = engine.clock.work();
    while !engine.stopping.is_cancelled() {
        changes.mark_unchanged();
        while tasks.try_join_next().is_some() {}
        let wait = match in_time(claim(engine, &mut mark, permits.available_permits())).await {
            Ok((views, next_due)) => {
                engine.looked.send_replace(engine.clock.now());
                for view in views {
                    let Ok(permit) = permits.clone().try_acquire_owned() else {
                        break;
                    };
                    let (engine, working, freed) = (engine.clone(), working.clone(), freed.clone());
                    let span = Engine::span(view.claim, view.claim.incident);
                    // The run is worked on from here, and not from when its task first gets its turn.
                    let own_work = engine.clock.work();
                    tasks.spawn(
                        async move {
                            work(&engine, &working, view, own_work).await;
                            drop(permit);
                            freed.notify_one();
                        }
                        .instrument(span),
                    );
                }
                next_due
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot look for due runs; trying again"
                );
                POLL
            }
        };
        let rest = own_work.rest();
        tokio::select! {
            () = engine.stopping.cancelled() => {}
            _ = changes.changed() => {}
            () = freed.notified(), if permits.available_permits() <= engine.limits.runs_at_once / 2 => {}
            () = engine.clock.sleep(wait) => {}
        }
        drop(rest);
    }
}

/// Where the next claim begins to look: a little before the last one's runs, so that it steps over the index entries
/// they have left. Now and then, and whenever nothing was found, everything is looked through.
#[derive(Default)]
struct Mark {
    due: DateTime<Utc>,
    claims: u32,
}

async fn claim(
    engine: &Arc<Engine>,
    mark: &mut Mark,
    limit: usize,
) -> Result<(Vec<View>, Duration), StoreError> {
    if limit == 0 || !engine.may_claim() {
        return Ok((Vec::new(), POLL));
    }
    let now = engine.clock.now();
    let limit = limit.min(CLAIM_MAX) as i64;
    let mut conn = engine.pool.acquire().await?;
    mark.claims = (mark.claims + 1) % CLAIMS_PER_FULL_PASS;
    if mark.claims == 0 {
        mark.due = DateTime::default();
    }
    let claimed = queue::claim(&mut conn, engine.replica(), now, mark.due, limit).await?;
    if claimed.is_empty() {
        let began = std::mem::take(&mut mark.due);
        if began > DateTime::<Utc>::default() {
            return Ok((Vec::new(), Duration::ZERO));
        }
        let next_due = queue::next_due(&mut conn).await?;
        let wait = next_due.and_then(|due| (due - now).to_std().ok()).unwrap_or(POLL);
        return Ok((Vec::new(), wait.clamp(Duration::from_millis(1), POLL)));
    }
    drop(conn);
    // A claim that was not filled has come to the end of the queue; one that took a single freed place must not keep
    // passing over whoever is due for longer.
    mark.due = match (
        claimed.len() == CLAIM_MAX,
        claimed.iter().map(|run| run.due).max(),
    ) {
        (true, Some(newest)) => newest - MARK_BEHIND,
        _ => DateTime::default(),
    };
    let mut views = Vec::with_capacity(claimed.len());
    for view in View::load(engine, claimed).await? {
        match view {
            Ok(view) => views.push(view),
            Err((claim, error)) => {
                tracing::error!(
                    run.id = claim.run.0,
                    error = &error as &dyn std::error::Error,
                    "the run cannot be read; it is put off"
                );
                put_off(engine, claim, &error).await;
            }
        }
    }
    Ok((views, Duration::ZERO))
}

/// Drives one claim; whatever goes wrong, the run is let go or found again.
async fn work(engine: &Arc<Engine>, working: &Working, view: View, own_work: Work) {
    let claim = view.claim;
    if let Ok(mut runs) = working.lock() {
        runs.insert(claim.run, claim.fence);
    }
    // A task of its own, so that a panic ends one run's turn and not the worker's.
    let driver = engine.clone();
    let outcome = AbortOnDropHandle::new(tokio::spawn(
        async move { drive(driver, view, own_work).await }.in_current_span(),
    ))
    .await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(StoreError::Fenced(_))) => {
            tracing::warn!("another worker has this run; nothing more was written")
        }
        Ok(Err(error)) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the run is put off after a fault"
            );
            put_off(engine, claim, &error).await;
        }
        Err(error) => {
            tracing::error!(%error, "the run's worker broke off; it is put off");
            put_off(engine, claim, &error).await;
        }
    }
    if let Ok(mut runs) = working.lock()
        && runs.get(&claim.run) == Some(&claim.fence)
    {
        runs.remove(&claim.run);
    }
}

/// Lets a run go after a fault, ever longer while it stays, and tells its page. When even that fails, the sweep finds
/// that nobody works on it.
async fn put_off(engine: &Engine, claim: Claim, error: &(dyn std::error::Error + Sync)) {
    let fault = causes::told(error);
    let put_off = in_time(async {
        let mut conn = engine.pool.acquire().await?;
        queue::put_off(&mut conn, claim, &fault, engine.clock.now()).await
    });
    if let Err(error) = put_off.await {
        tracing::debug!(%error, "not put off; the sweep will find it");
    }
}

/// Renews the lease. A lease that has ended is never renewed: the process takes a new identity, and whatever it was
/// doing finds its fence stale.
async fn keep_lease(engine: Arc<Engine>) {
    let options = (*engine.pool.connect_options()).clone();
    let pool = pool::connect(options, "muster lease", &PoolSize::LEASE);
    loop {
        tokio::time::sleep(RENEW).await;
        let asked = Instant::now();
        let renewed = async {
            let mut conn = pool.acquire().await?;
            match replicas::renew(&mut conn, engine.replica()).await? {
                true => Ok(Lease {
                    replica: engine.replica(),
                    until: asked + replicas::LEASE.as_duration(),
                }),
                false => {
                    tracing::warn!("the lease had ended; going on as a new replica");
                    register(&mut conn).await
                }
            }
        };
        match in_time(renewed).await {
            Ok(lease) => {
                *engine
                    .lease
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = lease
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot renew the lease"),
        }
    }
}

/// Takes over from dead replicas, and back from workers of this one that ended without letting go. A claim counts as
/// left behind when two sweeps in a row find nobody working on it: one may look between a claim and its worker's start.
async fn sweep(engine: Arc<Engine>, working: Working) {
    let mut suspects: Vec<Claim> = Vec::new();
    loop {
        let busy: Vec<RunId> = working
            .lock()
            .map(|runs| runs.keys().copied().collect())
            .unwrap_or_default();
        let swept = async {
            let now = engine.clock.now();
            let mut conn = engine.pool.acquire().await?;
            let mut count = queue::take_back_expired(&mut conn, now, SWEEP_MAX).await?;
            let strays = queue::strays(&mut conn, engine.replica(), &busy).await?;
            for claim in strays.iter().filter(|claim| suspects.contains(claim)) {
                queue::give_back(&mut conn, *claim, now).await?;
                count += 1;
            }
            suspects = strays;
            Ok::<u64, StoreError>(count)
        };
        match in_time(swept).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(count, "took over runs whose worker is gone");
                engine.wake.changed();
            }
            Err(error) => tracing::debug!(%error, "cannot look for runs of dead replicas"),
        }
        tokio::time::sleep(SWEEP).await;
    }
}
