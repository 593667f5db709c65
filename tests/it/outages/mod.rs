//! The fault campaign of the intake: the real program, a real Postgres, a network and disks that fail in every way we know
//! of. After each fault an independent checker compares what senders were told with what is in the database: whatever was
//! answered 200 or 202 is stored exactly once, and no incident is doubled. A fault that did not fire fails its test.
//!
//! The usual run of the tests holds a short form. The full one takes about half an hour:
//!
//! ```text
//! MUSTER_OUTAGE=full cargo test --test it outages -- --nocapture
//! ```
//!
//! The names F3, F5, ... are those of the list of faults that the engine and the intake were designed against.

mod database;
mod disk;

mod failover;
mod garbage;

mod history;
mod network;
mod proxy;
mod report;
mod server;
mod storm;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, MutexGuard};

use self::{
    history::History,
    proxy::Proxy,
    report::Row,
    server::{LONG, Server},
};
use crate::{
    fleet::wait,
    scratch::Scratch,
    support::muster::{Muster, Setup},
};

/// Whether the long form is asked for.
pub fn is_full() -> bool {
    std::env::var("MUSTER_OUTAGE").is_ok_and(|form| form == "full")
}

/// One campaign at a time: their figures are of a machine that does nothing else of this kind.
static TURN: Mutex<()> = Mutex::const_new(());

/// A Muster, its database, the network between them, and what senders were told. The fields are dropped in this order.
pub struct Bench {
    pub muster: Option<Muster>,
    pub setup: Setup,
    pub proxy: Proxy,
    pub server: Server,
    pub history: Arc<History>,
    pub scratch: Scratch,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    /// Everything runs and the first delivery is stored.
    pub async fn new(name: &'static str) -> Bench {
        Bench::with(name, &[], &[]).await
    }

    /// With runbooks, and settings from the environment.
    pub async fn with(name: &'static str, runbooks: &[(&str, &str)], env: &[(&str, String)]) -> Bench {
        let turn = TURN.lock().await;
        let scratch = Scratch::new();
        let server = Server::new(
            &scratch.path().join("postgres"),
            &scratch.path().join("postgres.log"),
        )
        .await;
        Bench::over(name, runbooks, env, server, scratch, turn).await
    }

    pub async fn over(
        name: &'static str,
        runbooks: &[(&str, &str)],
        env: &[(&str, String)],
        server: Server,
        scratch: Scratch,
        turn: MutexGuard<'static, ()>,
    ) -> Bench {
        let proxy = Proxy::start(server.port).await;
        let folder = scratch.path().join("runbooks");
        std::fs::create_dir(&folder).unwrap();
        for (file, content) in runbooks {
            std::fs::write(folder.join(file), content).unwrap();
        }
        let url = format!(
            "postgres://postgres@127.0.0.1:{}/muster?sslmode=disable",
            proxy.port
        );
        let mut setup = Setup::new(url, &folder);
        setup.log = scratch.path().join("muster.log");
        setup.env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let history = Arc::new(History::new(name, setup.address));
        let mut bench = Bench {
            muster: None,
            setup,
            proxy,
            server,
            history,
            scratch,
            _turn: turn,
        };
        bench.starts().await;
        bench
    }

    /// Waiting for a turn, for a bench whose parts are made by hand.
    pub async fn turn() -> MutexGuard<'static, ()> {
        TURN.lock().await
    }

    /// A process start, waited for until a delivery is stored.
    pub async fn starts(&mut self) {
        self.muster = Some(self.setup.start(None));
        self.is_usable().await;
    }

    /// Posts until one is answered 200; how long that took.
    pub async fn is_usable(&self) -> Duration {
        let began = Instant::now();
        wait::until("a delivery is stored at once", LONG, async || {
            let status = self.history.post().await;
            anyhow::ensure!(status == Some(200), "{status:?}");
            Ok(())
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.setup.logged()));
        began.elapsed()
    }

    /// Where the spool is.
    pub fn spool(&self) -> PathBuf {
        let named = self.setup.env.iter().find(|(name, _)| name == "MUSTER_SPOOL");
        match named {
            Some((_, path)) => PathBuf::from(path),
            None => self.setup.log.with_extension("data").join("spool"),
        }
    }

    /// The batch files that wait, or that ended in another way.
    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let parts = std::fs::read_dir(self.spool()).into_iter().flatten().flatten();
        let files = parts
            .filter_map(|part| std::fs::read_dir(part.path()).ok())
            .flatten()
            .flatten();
        let mut files: Vec<PathBuf> = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .collect();
        files.sort();
        files
    }

    /// Waits until nothing is on the disk that is not in the database; how long that took.
    pub async fn drains(&self, within: Duration) -> Duration {
        let began = Instant::now();
        wait::until("the spool drains", within, async || {
            let left = self.files("spool").len();
            anyhow::ensure!(left == 0, "{left} batches wait");
            Ok(())
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.setup.logged()));
        began.elapsed()
    }

    /// Holds the senders' account to the database's and adds the row to the table.
    pub async fn checked(&self, row: Row) {
        let mut conn = self.server.connect().await;
        let violations = self.history.check(&mut conn).await;
        let fired = row.fired;
        report::add(row, &self.history, self.muster.as_ref(), &violations);
        assert!(violations.is_empty(), "{violations:#?}\n{}", self.setup.logged());
        assert!(fired > 0, "the fault did not fire");
        self.history.forget_times();
    }
}
