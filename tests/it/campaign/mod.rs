//! The crash campaign: three real Musters on one real Postgres carry out many runs while one of them is killed every
//! few seconds or made to stand still, and started again. The outside world must see each key of a `once` step at most
//! once, every run must end, no lock may stay.
//!
//! The usual run of the tests holds a short one. The full one takes about half an hour and prints its report:
//!
//! ```text
//! MUSTER_CAMPAIGN_KILLS=500 MUSTER_CAMPAIGN_RUNS=1000 cargo test --test it campaign -- --nocapture
//! ```
//!
//! `MUSTER_CAMPAIGN_SEED` names another campaign. The seed fixes what is drawn, not what the machine makes of it: two
//! campaigns of one seed are alike, not the same.

mod alerts;
mod chance;
mod checker;
mod figures;
mod instruments;
mod killer;
mod people;
mod quick;
mod replicas;
mod report;
mod shapes;
mod story;
mod succession;
mod take_over;
mod wire;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use muster::store::sources;
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{database::Database, ledger::Ledger},
};

const SENDERS: usize = 3;

/// How large a campaign is.
#[derive(Clone, Debug)]
pub struct Scale {
    pub seed: u64,
    pub runs: usize,
    pub kills: usize,
    pub stops: usize,
    /// Kills of everything at once.
    pub blackouts: usize,
    /// Hosts that share the runs, each with one lock.
    pub hosts: usize,
    /// Runs started ahead of the kills' share, so that every kill meets some.
    pub ahead: usize,
    /// Milliseconds between two kills, and until a killed process is started again.
    pub every: Range<u64>,
    pub pauses: Range<u64>,
    /// A short campaign ends the leases of killed processes by hand, never those of stopped ones.
    pub is_full: bool,
    /// How long it may take to finish what is begun when the killing is over.
    pub end_within: Duration,
}

impl Scale {
    fn from_env() -> Self {
        let number = |name: &str| {
            let value = std::env::var(format!("MUSTER_CAMPAIGN_{name}")).ok()?;
            Some(value.parse::<usize>().unwrap())
        };
        let seed = number("SEED").unwrap_or(1) as u64;
        match number("KILLS") {
            Some(kills) => Self {
                seed,
                runs: number("RUNS").unwrap_or(kills * 2),
                kills,
                stops: kills.div_ceil(12),
                blackouts: kills.div_ceil(25),
                hosts: 20,
                ahead: 30,
                every: 300..3000,
                pauses: 100..2500,
                is_full: true,
                end_within: Duration::from_secs(300),
            },
            None => Self {
                seed,
                runs: number("RUNS").unwrap_or(60),
                kills: 12,
                stops: 1,
                blackouts: 1,
                hosts: 30,
                ahead: 25,
                every: 300..1500,
                pauses: 100..1000,
                is_full: false,
                // Beside other tests on a small machine it takes several times the usual ten seconds.
                end_within: Duration::from_secs(240),
            },
        }
    }
}

/// What everybody in a campaign shares.
pub struct World {
    pub scale: Scale,
    pub database: Database,
    pub ledger: Ledger,
    /// Where the replicas listen when they live.
    pub addresses: Vec<SocketAddr>,
    /// The folder of the runbooks.
    pub runbooks: PathBuf,
    /// Kills so far.
    pub kills: AtomicUsize,
    /// The next group to send.
    pub groups: AtomicUsize,
    /// Marks of the deliveries that were answered 2xx.
    pub acknowledged: Mutex<Vec<String>>,
    pub notebook: Mutex<people::Notebook>,
}

impl World {
    /// How many groups may have been sent by now.
    pub fn groups_due(&self) -> usize {
        let Scale {
            runs, kills, ahead, ..
        } = self.scale;
        runs * self.kills.load(Ordering::SeqCst) / kills + ahead
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_three_replicas_break_no_promise() {
    let scale = Scale::from_env();
    let began = Instant::now();
    let (database, server) = Database::alone("campaign").await;
    instruments::install(&database.pools.background).await;
    let scratch = Scratch::new();
    let runbooks = scratch.path().join("runbooks");
    std::fs::create_dir(&runbooks).unwrap();
    let ledger = Ledger::with(shapes::manner(scale.seed), Some(database.pools.intake.clone())).await;
    std::fs::write(runbooks.join("targets.yaml"), ledger.targets()).unwrap();
    for (_, slug) in shapes::SHAPES {
        shapes::write(&runbooks, slug, 1);
    }
    let ana = people::approver(&database).await;
    // Every run of it starts by itself.
    let mut conn = database.pools.background.acquire().await.unwrap();
    let now = muster::clock::Clock::real().now();
    sources::upsert(&mut conn, "test", None, now).await.unwrap();
    sqlx::query("update sources set storm_starts = 10000, storm_within_ms = 60000")
        .execute(&mut *conn)
        .await
        .unwrap();
    drop(conn);
    let mut replicas = replicas::Replicas::new("abc", &database, &runbooks, scratch.path());
    let world = Arc::new(World {
        addresses: replicas.addresses(),
        scale,
        database,
        ledger,
        runbooks,
        kills: AtomicUsize::new(0),
        groups: AtomicUsize::new(0),
        acknowledged: Mutex::default(),
        notebook: Mutex::default(),
    });

    let stop = CancellationToken::new();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| tokio::spawn(alerts::send(world.clone(), sender, stop.clone())))
        .collect();
    let people = tokio::spawn(people::play(world.clone(), ana, stop.clone()));
    let mut past = quick::Past::default();
    let mut toll = killer::rage(&world, &mut replicas, &mut past).await;
    killer::revive(&mut replicas);
    let end = wait::until("every run ends", world.scale.end_within, async || {
        toll.violations.extend(replicas.ended_by_themselves());
        anyhow::ensure!(
            senders.iter().all(|sender| sender.is_finished()),
            "not all is sent"
        );
        let left = world.database.count("select count(*) from run_queue").await;
        anyhow::ensure!(left == 0, "{left} runs have not ended");
        let spooled = replicas.spooled();
        anyhow::ensure!(spooled == 0, "{spooled} accepted batches are not stored");
        Ok(())
    })
    .await;
    let waiting = story::waiting(&world).await;
    stop.cancel();
    people.await.unwrap();
    // A worker of old that were to send something now would do so within this time.
    for index in 0..replicas.all.len() {
        replicas.kill(index, Duration::ZERO);
    }

    let mut violations = std::mem::take(&mut toll.violations);
    violations.extend(end.err().map(|error| format!("{error:#}")));
    violations.extend(past.look(&world).await);
    let evidence = checker::gather(&world, &replicas.diary).await;
    violations.extend(checker::check(&world, &evidence).await);
    // What the cheap look found it found again after every kill.
    let mut told = BTreeSet::new();
    violations.retain(|violation| told.insert(violation.clone()));
    let took = began.elapsed();
    let report = report::Report::new(&world, &replicas, &evidence, &toll, &past, violations, took).await;
    println!("{report}");
    if !report.violations.is_empty() {
        println!("the logs:\n{}", replicas.logs());
        println!("runs that have not ended, with the last of their story:\n{waiting}");
    }
    // The logs are long: what was broken stands behind them, where a shortened output still shows it.
    assert!(
        report.violations.is_empty(),
        "promises were broken: {:#?}",
        report.violations
    );
    let silent = report.silent();
    assert!(silent.is_empty(), "these faults hit nothing: {silent:?}");
    world.database.pools.close().await;
    server.stop().await;
}
