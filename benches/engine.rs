//! The engine under load and at rest: how many runs a second, what a step costs, how soon a run starts.
//!
//! Everything is the real engine over a private Postgres: claims, fences, attempts, hash-chained timeline events. Only
//! the outside is not there: a step's target answers at once, so what is measured is Muster's own work. A floor is
//! measured in the same run with the same number of connections: each step one transaction of one update and one
//! insert, the least that a durable step can be without writing in groups.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures_util::future::{BoxFuture, try_join_all};
use hdrhistogram::Histogram;
use muster::{
    actions::World,
    catalog::{parse_runbook, parse_targets},
    clock::Clock,
    domain::{
        action::{Envelope, Failure, Outcome, Rendered},
        target::Target,
    },
    execute::{
        engine::{Engine, EngineLimits},
        standing::Standing,
        worker,
    },
    store::{
        embedded::Embedded,
        migrate, operators,
        pool::{PoolSizes, Pools},
        runbooks,
        wake::Wake,
    },
};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// Connections of the engine's pool, and of the floor.
const CONNECTIONS: u32 = 8;
const STEPS: usize = 5;
const RUNS: i64 = 10_000;
/// Incidents the runs belong to.
const INCIDENTS: i64 = 500;
const FLOOR_RUNS: i64 = 6_000;
const IDLE_RUNS: usize = 300;
/// Rows a held snapshot keeps from being cleaned away.
const PINNED: i64 = 20_000;
const CLAIMED: i64 = 2_000;
const GIVE_UP: Duration = Duration::from_secs(120);

/// A target that answers at once, and says when.
struct Instantly {
    said: mpsc::UnboundedSender<Instant>,
    is_listened_to: Arc<AtomicU64>,
}

impl World for Instantly {
    fn perform<'a>(
        &'a self,
        _: &'a Target,
        _: &'a Rendered,
        _: &'a Envelope,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        if self.is_listened_to.load(Ordering::Relaxed) > 0 {
            let _ = self.said.send(Instant::now());
        }
        Box::pin(async {
            Ok(Outcome {
                result: json!({"ok": true}),
                summary: "done".to_owned(),
            })
        })
    }
}

/// An engine at work over a database of its own.
struct Rig {
    options: PgConnectOptions,
    pools: Pools,
    engine: Arc<Engine>,
    wake: Wake,
    version: i64,
    runbook: i64,
    hits: mpsc::UnboundedReceiver<Instant>,
    is_listened_to: Arc<AtomicU64>,
    wakes: JoinHandle<()>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Tests that build every target also run it, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("muster-bench-engine-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    let measured = measure(&folder).await;
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    measured
}

async fn measure(folder: &Path) -> anyhow::Result<()> {
    let embedded = Embedded::start(&folder.join("data")).await?;
    let options = embedded.connect_options();
    migrate::run(&options).await?;
    let mut rig = Rig::start(&options).await?;

    println!("{STEPS}-step runs of steps that do nothing, {CONNECTIONS} connections\n");
    println!("{:<44}{:>12}{:>12}{:>12}", "", "runs/s", "steps/s", "to floor");
    let before = floor(&options).await?;
    row("floor, before", before, before);
    let mut best = 0.0_f64;
    for round in 1..=3 {
        let rate = rig.drain().await?;
        best = best.max(rate);
        row(&format!("engine under load, round {round}"), rate, before);
    }
    let after = floor(&options).await?;
    row("floor, after", after, before);
    println!(
        "best round to the mean of both floors: {:.2}",
        best / ((before + after) / 2.0)
    );

    let (starts, steps) = rig.idle().await?;
    println!(
        "\nOn an idle system, {IDLE_RUNS} runs one after another{:>14}{:>12}",
        "p50 ms", "p99 ms"
    );
    latency("commit of the start to the first step", &starts);
    latency("one step, answer to the next step's request", &steps);
    let step_floor = idle_floor(&options).await?;
    latency("the floor's step: one statement, one commit", &step_floor);
    println!(
        "step to the floor's step: {:.2} at p50",
        steps.value_at_quantile(0.5) as f64 / step_floor.value_at_quantile(0.5) as f64
    );

    rig.stop().await;
    let (clean, pinned) = claims(&options).await?;
    println!(
        "\nClaims of {CLAIMED} queued runs, 16 at a time{:>26}",
        "claims/s"
    );
    println!("{:<56}{clean:>12.0}", "clean");
    println!(
        "{:<56}{pinned:>12.0}   {:.2} of clean",
        format!("beside {PINNED} rows a held snapshot keeps"),
        pinned / clean
    );
    embedded.stop().await;
    Ok(())
}

fn row(what: &str, rate: f64, floor: f64) {
    println!(
        "{what:<44}{rate:>12.0}{:>12.0}{:>12.2}",
        rate * STEPS as f64,
        rate / floor
    );
}

fn latency(what: &str, micros: &Histogram<u64>) {
    let millis = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
    println!("{what:<44}{:>18.3}{:>12.3}", millis(0.5), millis(0.99));
}

/// Five transactions a run, each with one update and one insert, on every connection at once.
async fn floor(options: &PgConnectOptions) -> anyhow::Result<f64> {
    let mut conn = PgConnection::connect_with(options).await?;
    conn.execute(
        "drop table if exists floor_run, floor_step;
         create table floor_run (id bigint primary key, pos int not null) with (fillfactor = 70);
         create table floor_step (run_id bigint, pos int, body jsonb not null, primary key (run_id, pos))",
    )
    .await?;
    sqlx::query("insert into floor_run select g, 0 from generate_series(1, $1) g")
        .bind(FLOOR_RUNS)
        .execute(&mut conn)
        .await?;
    let next = Arc::new(AtomicU64::new(1));
    let began = Instant::now();
    let workers = (0..CONNECTIONS).map(|_| {
        let (options, next) = (options.clone(), next.clone());
        async move {
            let mut conn = PgConnection::connect_with(&options).await?;
            loop {
                let run = next.fetch_add(1, Ordering::Relaxed) as i64;
                if run > FLOOR_RUNS {
                    return anyhow::Ok(());
                }
                for pos in 1..=STEPS as i32 {
                    let mut tx = conn.begin().await?;
                    sqlx::query("update floor_run set pos = $2 where id = $1")
                        .bind(run)
                        .bind(pos)
                        .execute(&mut *tx)
                        .await?;
                    sqlx::query("insert into floor_step values ($1, $2, $3)")
                        .bind(run)
                        .bind(pos)
                        .bind(json!({"ok": true, "summary": "done"}))
                        .execute(&mut *tx)
                        .await?;
                    tx.commit().await?;
                }
            }
        }
    });
    try_join_all(workers).await?;
    Ok(FLOOR_RUNS as f64 / began.elapsed().as_secs_f64())
}

/// The least that one durable step takes on this machine when nothing else goes on: an update and an insert in one
/// statement, committed, on one connection. What a step of Muster's takes beside it is Muster's own.
async fn idle_floor(options: &PgConnectOptions) -> anyhow::Result<Histogram<u64>> {
    let mut micros = Histogram::new(3)?;
    let mut conn = PgConnection::connect_with(options).await?;
    conn.execute("truncate floor_step").await?;
    for step in 0..IDLE_RUNS * STEPS {
        let began = Instant::now();
        sqlx::query(
            "with u as (update floor_run set pos = $2 where id = $1 returning id)
             insert into floor_step select id, $2, $3 from u",
        )
        .bind((step / STEPS) as i64 + 1)
        .bind((step % STEPS) as i32 + 1)
        .bind(json!({"ok": true, "summary": "done"}))
        .execute(&mut conn)
        .await?;
        micros.record(began.elapsed().as_micros() as u64)?;
    }
    Ok(micros)
}

impl Rig {
    async fn start(options: &PgConnectOptions) -> anyhow::Result<Self> {
        let mut sizes = PoolSizes::default();
        sizes.engine.max = CONNECTIONS;
        let pools = Pools::new(options, &sizes);
        let clock = Clock::real();
        let mut conn = pools.background.acquire().await?;
        let source = {
            let steps: String = (1..=STEPS)
                .map(|n| {
                    format!(
                        "  - id: step-{n}\n    check: http\n    with: {{ target: nowhere, path: /{n} }}\n"
                    )
                })
                .collect();
            format!("runbook: nothing\ntitle: Nothing\nsteps:\n{steps}")
        };
        let runbook = parse_runbook(&source)
            .map_err(|error| anyhow::anyhow!("{error:?}"))?
            .runbook;
        let version = runbooks::publish(&mut conn, &runbook, &source, "benchmark", clock.now()).await?;
        let targets =
            parse_targets("targets:\n  - name: nowhere\n    http: { url: \"http://127.0.0.1:9/\" }\n")
                .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        sqlx::query(
            "with s as (insert into sources (name, created_at) values ('bench', now()) returning id)
             insert into incidents (title, severity, state, source_id, receiver, group_key, correlation_key, context,
                                    opened_at, detected_at)
             select 'Nothing ' || g, 3, 'triggered', s.id, 'r', g::text, sha256(g::text::bytea), '{}', now(), now()
             from s, generate_series(1, $1) g",
        )
        .bind(INCIDENTS)
        .execute(&mut *conn)
        .await?;
        let (said, hits) = mpsc::unbounded_channel();
        let is_listened_to = Arc::new(AtomicU64::new(0));
        let wake = Wake::default();
        let (_, targets) = watch::channel(Arc::new(targets));
        let world = Instantly {
            said,
            is_listened_to: is_listened_to.clone(),
        };
        let engine = Arc::new(Engine::new(
            pools.engine.clone(),
            Arc::new(world),
            Standing::new(wake.clone()),
            clock,
            wake.clone(),
            targets,
            operators::installation(&mut conn).await?,
            EngineLimits::default(),
            worker::register(&mut conn).await?,
        ));
        drop(conn);
        let wakes = tokio::spawn(
            wake.clone()
                .run(pools.background.clone(), engine.stopping.clone()),
        );
        tokio::spawn(worker::run(engine.clone()));
        Ok(Self {
            options: options.clone(),
            pools,
            engine,
            wake,
            version: version.id.0,
            runbook: version.runbook_id,
            hits,
            is_listened_to,
            wakes,
        })
    }

    /// Queues runs as `execute::start` does, without the events that only their start has.
    async fn queue(&self, count: i64, due: &str) -> anyhow::Result<()> {
        queue(&self.pools.web, self.runbook, self.version, count, due).await
    }

    /// Runs that wait in the queue, worked off as fast as it goes.
    async fn drain(&self) -> anyhow::Result<f64> {
        self.queue(RUNS, "now() + interval '1 hour'").await?;
        let mut conn = PgConnection::connect_with(&self.options).await?;
        conn.execute("vacuum analyze run_queue").await?;
        let began = Instant::now();
        conn.execute("update run_queue set due = now()").await?;
        self.wake.changed();
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let left: i64 = sqlx::query_scalar("select count(*) from run_queue")
                .fetch_one(&mut conn)
                .await?;
            if left == 0 {
                break;
            }
            ensure!(began.elapsed() < GIVE_UP, "{left} runs are still queued");
        }
        let rate = RUNS as f64 / began.elapsed().as_secs_f64();
        let (failed, events, attempts): (i64, i64, i64) = sqlx::query_as(
            "select (select count(*) from runs where result is distinct from 'succeeded'),
                    (select count(*) from events), (select count(*) from attempts where state = 'succeeded')",
        )
        .fetch_one(&mut conn)
        .await?;
        ensure!(failed == 0, "{failed} runs did not succeed");
        ensure!(
            attempts % (RUNS * STEPS as i64) == 0 && events > attempts,
            "{events} events, {attempts} attempts"
        );
        Ok(rate)
    }

    /// One run at a time: how long from the commit that queued it to its first step, and from step to step.
    async fn idle(&mut self) -> anyhow::Result<(Histogram<u64>, Histogram<u64>)> {
        let (mut starts, mut steps) = (Histogram::new(3)?, Histogram::new(3)?);
        self.is_listened_to.store(1, Ordering::Relaxed);
        for _ in 0..IDLE_RUNS {
            self.queue(1, "now()").await?;
            let committed = Instant::now();
            self.wake.changed();
            let mut last = None;
            for _ in 0..STEPS {
                let hit = tokio::time::timeout(GIVE_UP, self.hits.recv())
                    .await?
                    .context("the engine is gone")?;
                match last {
                    None => starts.record(hit.duration_since(committed).as_micros() as u64)?,
                    Some(last) => steps.record(hit.duration_since(last).as_micros() as u64)?,
                }
                last = Some(hit);
            }
            // The end of the run, and a moment of rest.
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        Ok((starts, steps))
    }

    async fn stop(self) {
        self.engine.stopping.cancel();
        let _ = self.wakes.await;
        self.pools.close().await;
    }
}

async fn queue(pool: &PgPool, runbook: i64, version: i64, count: i64, due: &str) -> anyhow::Result<()> {
    let sql = format!(
        "with r as (
             insert into runs (incident_id, runbook_id, version_id, mode, requested_by, inputs, context, started_at)
             select i.id, $1, $2, 'suggest', o.id, '{{}}', '{{\"labels\": {{}}, \"annotations\": {{}}}}', now()
             from (select id, row_number() over () as n from incidents) i
             join generate_series(0, $3 - 1) g on g % $4 + 1 = i.n
             join operators o on true
             returning id, incident_id)
         insert into run_queue (run_id, incident_id, state, due) select id, incident_id, 0, {due} from r"
    );
    sqlx::query(
        "insert into operators (name, password_hash, role, created_at) values ('bench', 'none', 'responder', now())
         on conflict do nothing",
    )
    .execute(pool)
    .await?;
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(runbook)
        .bind(version)
        .bind(count)
        .bind(INCIDENTS)
        .execute(pool)
        .await?;
    Ok(())
}

/// Claims a second from a clean queue, and from one whose dead rows an old snapshot keeps.
async fn claims(options: &PgConnectOptions) -> anyhow::Result<(f64, f64)> {
    let clean = claim_all(options, 0).await?;
    let pinned = claim_all(options, PINNED).await?;
    Ok((clean, pinned))
}

async fn claim_all(options: &PgConnectOptions, dead: i64) -> anyhow::Result<f64> {
    let pools = Pools::new(options, &PoolSizes::default());
    let mut conn = PgConnection::connect_with(options).await?;
    conn.execute("truncate run_queue; vacuum full run_queue")
        .await
        .ok();
    conn.execute("delete from run_queue").await?;
    conn.execute("vacuum run_queue").await?;
    let (runbook, version): (i64, i64) =
        sqlx::query_as("select runbook_id, id from runbook_versions limit 1")
            .fetch_one(&mut conn)
            .await?;
    let mut holder = PgConnection::connect_with(options).await?;
    if dead > 0 {
        queue(&pools.web, runbook, version, dead, "now() - interval '1 minute'").await?;
        holder
            .execute("begin isolation level repeatable read; select count(*) from run_queue")
            .await?;
        // What was queued a minute ago was claimed and ended: its rows are dead, but nobody may clean them away.
        conn.execute("update run_queue set state = 0, fence = fence + 1; delete from run_queue")
            .await?;
    }
    queue(&pools.web, runbook, version, CLAIMED, "clock_timestamp()").await?;
    conn.execute("analyze run_queue").await?;
    let replica = muster::store::replicas::insert(&mut conn).await?;
    let now = Clock::real().now();
    let mut mark = chrono::DateTime::default();
    let began = Instant::now();
    let mut claimed = 0;
    while claimed < CLAIMED {
        let runs = muster::store::queue::claim(&mut conn, replica, now, mark, 16).await?;
        ensure!(!runs.is_empty(), "{claimed} claimed, then none");
        claimed += runs.len() as i64;
        mark = runs.iter().map(|run| run.due).max().unwrap_or(mark) - chrono::TimeDelta::seconds(2);
    }
    let rate = CLAIMED as f64 / began.elapsed().as_secs_f64();
    holder.close().await?;
    conn.execute("delete from run_queue").await?;
    pools.close().await;
    Ok(rate)
}
