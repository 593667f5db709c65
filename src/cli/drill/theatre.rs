//! A theatre: a Muster of its own for unattended drills, with a database of its own and a clock that is moved by hand, so
//! that an hour takes seconds. It has everything that carries out a drill and no door to anywhere.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgConnectOptions;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    actions::{Bounds, Cage, Outside},
    catalog::shelf::{Librarian, Shelf},
    clock::Clock,
    domain::{drill::Depth, id::ScenarioVersionId, span::Span},
    drill::{
        self, Card, NewPlan,
        autopilot::Autopilot,
        conductor::{Conductor, Went},
    },
    execute::{
        engine::{Engine, EngineLimits},
        standing::Standing,
        worker,
    },
    pipeline::Patience,
    simulate::{Simulator, SimulatorParts},
    store::{
        drills, incidents, migrate, operators,
        pool::{PoolSizes, Pools},
        queue, scenarios,
        wake::Wake,
    },
    upkeep::{self, Upkeep},
};

/// When a theatre opens: any time does, and the same one makes equal drills equal.
const CURTAIN: i64 = 1_767_225_600;
/// Every drill begins at a whole one of these, so that whatever happens by the clock besides does so at the same times of
/// each.
const ACT: TimeDelta = TimeDelta::hours(1);
/// After people have acted the clock stops here at the latest: workers that wait for an answer look then what people did.
const ACTED: TimeDelta = TimeDelta::seconds(1);
/// The longest step of the clock while nothing is known of that comes earlier.
const STEP_MAX: TimeDelta = TimeDelta::seconds(60);
/// The longest step while something is due that cannot be done yet: an incident that has recovered waits for its run.
const STEP_OVERDUE: TimeDelta = TimeDelta::seconds(5);
/// The pause between two looks whether a worker has taken what is due.
const REST_LOOK: Duration = Duration::from_micros(300);
/// The longest everybody may take to rest.
const REST_MAX: Duration = Duration::from_secs(60);

/// A running theatre.
pub struct Theatre {
    pools: Pools,
    clock: Clock,
    conductor: Conductor,
    stop: CancellationToken,
    engine_stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    folder: PathBuf,
}

impl Theatre {
    /// Opens one over an empty database, with the runbooks and targets of a folder. `relay` is the program Muster; what
    /// must be files is kept in `folder`.
    pub async fn open(
        options: &PgConnectOptions,
        runbooks: &Path,
        relay: PathBuf,
        folder: PathBuf,
    ) -> anyhow::Result<Self> {
        migrate::run(options).await.context("migrating")?;
        // What a theatre writes is of no use once it has ended: no commit waits for the disk.
        let hasty = options.clone().options([("synchronous_commit", "off")]);
        let pools = Pools::new(&hasty, &PoolSizes::default());
        let start = DateTime::<Utc>::from_timestamp(CURTAIN, 0).unwrap_or_default();
        let clock = Clock::test(start);
        let wake = Wake::default();
        let shelf = Shelf::default();
        let mut conn = pools.background.acquire().await?;
        anyhow::ensure!(
            incidents::none_exists(&mut conn).await?,
            "unattended drills move the clock of everything in their database, and this one is in use; leave \
             --database-url out"
        );
        let librarian = Librarian {
            folder: runbooks.to_owned(),
            targets: None,
            shelf: shelf.clone(),
            pool: pools.background.clone(),
            clock: clock.clone(),
        };
        librarian.pass(None).await.context("publishing the runbooks")?;
        let simulator = Simulator::new(SimulatorParts {
            pool: pools.web.clone(),
            clock: clock.clone(),
            folder: folder.clone(),
            relay,
            is_compressed: true,
            outdoors: None,
        });
        let standing = Standing::new(wake.clone());
        standing.refresh(&mut conn).await?;
        let installation = operators::installation(&mut conn).await?;
        let lease = worker::register(&mut conn).await?;
        drop(conn);
        // Nothing but drills is carried out here, and whatever else is asked for finds a cage without an address.
        let nowhere = Outside::caged(Bounds::default(), Cage::new(folder.join("nowhere")));
        let mut engine = Engine::new(
            pools.engine.clone(),
            Arc::new(nowhere),
            standing.clone(),
            clock.clone(),
            wake.clone(),
            watch::channel(Arc::default()).1,
            installation,
            EngineLimits::default(),
            lease,
        );
        engine.grounds = Arc::new(simulator.clone());
        let engine_stop = engine.stopping.clone();
        let patience = Patience {
            hold_down: Span::from_secs(60),
            ..Patience::default()
        };
        let upkeep = Upkeep {
            passed: watch::Sender::new(clock.now()),
            pool: pools.background.clone(),
            clock: clock.clone(),
            wake: wake.clone(),
            patience,
            shelf: shelf.versions.subscribe(),
            listening_since: clock.now(),
            keep_deliveries: Span::from_secs(30 * 24 * 3600),
            deliveries_bytes_max: u64::MAX / 2,
        };
        let stop = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(worker::run(Arc::new(engine))),
            tokio::spawn(upkeep.run(stop.clone())),
            tokio::spawn(standing.run(pools.engine.clone(), clock.clone(), stop.clone())),
        ];
        let conductor = Conductor::new(
            pools.background.clone(),
            clock.clone(),
            wake,
            simulator,
            shelf.versions.subscribe(),
            patience,
        );
        Ok(Self {
            pools,
            clock,
            conductor,
            stop,
            engine_stop,
            tasks,
            folder,
        })
    }

    /// The scenarios that can be played here, by name: a game day takes the time it takes, and real targets.
    pub async fn scenarios(&self) -> anyhow::Result<Vec<scenarios::ScenarioVersion>> {
        let mut conn = self.pools.web.acquire().await?;
        let mut all = scenarios::list_current(&mut conn, None, 500).await?;
        all.retain(|version| version.scenario.game_day.is_none());
        Ok(all)
    }

    /// Plays a scenario to its end; with `wrong`, its people do something wrong that it knows.
    pub async fn play(
        &self,
        version: ScenarioVersionId,
        seed: u64,
        wrong: Option<&str>,
    ) -> anyhow::Result<Card> {
        let simulator = &self.conductor.simulator;
        let pool = &self.pools.web;
        let mut conn = pool.acquire().await?;
        let scenario = scenarios::find(&mut conn, version)
            .await?
            .context("there is no such scenario")?
            .scenario;
        self.clock.set(next_whole(self.clock.now(), ACT));
        self.rest().await?;
        let now = self.clock.now();
        let mut people = Autopilot::new(&mut conn, &scenario, wrong, now).await?;
        let plan = NewPlan {
            version,
            depth: Depth::Simulated,
            seed,
            trainer: None,
            players: &[],
            planned_for: None,
        };
        let id = drill::plan(&mut conn, &plan, now).await?;
        drill::start(&mut conn, id, None, now).await?;
        drop(conn);
        let mut acted_at = None;
        loop {
            self.rest().await?;
            let clocked = match self.conductor.look_at(id).await? {
                Went::Over => break,
                Went::Happened => continue,
                Went::Quiet { until } => until,
            };
            let now = self.clock.now();
            if people.act(pool, simulator, id, now).await? {
                self.conductor.wake.changed();
                acted_at = Some(now);
                continue;
            }
            let mut conn = pool.acquire().await?;
            let queued = queue::next_due(&mut conn).await?;
            let timer = upkeep::next_due(&mut conn).await?;
            let thought = people.next(&mut conn, simulator, id, now).await?;
            drop(conn);
            let overdue = timer.filter(|due| *due <= now).map(|_| now + STEP_OVERDUE);
            let looked = acted_at.map(|at| at + ACTED);
            let rested = self.clock.next_rest_over();
            let all = [
                clocked,
                queued,
                timer,
                overdue,
                thought,
                looked,
                rested,
                Some(now + STEP_MAX),
            ];
            let ahead = all.into_iter().flatten().filter(|at| *at > now).min();
            let next = self
                .conductor
                .quiet_until(id, ahead.unwrap_or(now + STEP_MAX))
                .await?;
            self.clock.set(next);
        }
        self.rest().await?;
        let mut conn = pool.acquire().await?;
        // Runs that went on find that their drill is over before the next one begins.
        while drills::has_live_run(&mut conn, id).await? {
            self.clock.advance(Duration::from_secs(1));
            self.conductor.wake.changed();
            self.rest().await?;
        }
        Ok(drill::score(&mut conn, simulator, id).await?)
    }

    /// Waits until nobody is in the middle of anything.
    async fn rest(&self) -> anyhow::Result<()> {
        let resting = async {
            let mut conn = self.pools.web.acquire().await?;
            loop {
                let before = self.clock.rested().await;
                if queue::has_due(&mut conn, self.clock.now()).await? {
                    self.conductor.wake.changed();
                    tokio::time::sleep(REST_LOOK).await;
                } else if self.clock.at_rest() == Some(before) {
                    // Nobody has taken a run and laid it down again between the looks.
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(REST_MAX, resting)
            .await
            .with_context(|| format!("the drill does not come to rest: {:?}", self.clock))?
    }

    /// Ends everything.
    pub async fn close(self) {
        self.engine_stop.cancel();
        self.stop.cancel();
        // Whoever sleeps by the clock wakes and finds that it is over.
        self.clock.advance(Duration::from_secs(3600));
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the theatre broke off");
            }
        }
        self.pools.close().await;
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::debug!(%error, "the folder of the drills stays");
        }
    }
}

/// The next time that is a whole one of these since the epoch; the time itself never is.
fn next_whole(now: DateTime<Utc>, step: TimeDelta) -> DateTime<Utc> {
    now + step
        - TimeDelta::milliseconds(now.timestamp_millis().rem_euclid(step.num_milliseconds()))
        - TimeDelta::microseconds(i64::from(now.timestamp_subsec_micros() % 1000))
}
