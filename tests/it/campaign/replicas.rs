//! The processes: several Musters on one database, each killed, stopped, let go on and started again, and a diary of
//! what was done to which.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use muster::clock::Clock;
use nix::sys::signal::Signal;

use crate::support::{
    database::Database,
    muster::{Muster, Setup},
};

/// What was done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Started,
    Killed,
    /// SIGSTOP: it keeps its memory, its connections and what it believes.
    Stopped,
    Continued,
}

/// One line of the diary. Every start of a process has a name of its own.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: DateTime<Utc>,
    pub who: String,
    pub deed: Deed,
}

/// From when and until when a process stands still.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub since: Instant,
    pub until: Instant,
}

/// One process and its next starts.
pub struct Replica {
    name: char,
    starts: u32,
    setup: Setup,
    process: Option<Muster>,
    /// When it is started again, once it was killed.
    pub restart: Instant,
    pub standing: Option<Standing>,
    /// Nothing is done to it before.
    pub spared_until: Instant,
}

impl Replica {
    /// The name of its present start, as the database knows it.
    pub fn who(&self) -> String {
        format!("{}-{}", self.name, self.starts)
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some() && self.standing.is_none()
    }

    pub fn is_dead(&self) -> bool {
        self.process.is_none()
    }
}

/// All of them.
pub struct Replicas {
    pub all: Vec<Replica>,
    pub diary: Vec<Line>,
    database_url: String,
    clock: Clock,
}

impl Replicas {
    pub fn new(names: &str, database: &Database, runbooks: &Path, logs: &Path) -> Self {
        let database_url = database.url();
        let all = names
            .chars()
            .map(|name| {
                let mut setup = Setup::new(database_url.clone(), runbooks);
                setup.log = logs.join(format!("{name}.log"));
                Replica {
                    name,
                    starts: 0,
                    setup,
                    process: None,
                    restart: Instant::now(),
                    standing: None,
                    spared_until: Instant::now(),
                }
            })
            .collect();
        Self {
            all,
            diary: Vec::new(),
            database_url,
            clock: Clock::real(),
        }
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.all.iter().map(|replica| replica.setup.address).collect()
    }

    /// A living process.
    pub fn muster(&self, index: usize) -> &Muster {
        self.all[index].process.as_ref().unwrap()
    }

    pub fn logs(&self) -> String {
        self.all.iter().map(|replica| replica.setup.logged()).collect()
    }

    /// Batches that were accepted and have not reached the database.
    pub fn spooled(&self) -> usize {
        let spools = self
            .all
            .iter()
            .map(|replica| replica.setup.log.with_extension("data").join("spool"));
        let parts = spools.filter_map(|spool| std::fs::read_dir(spool).ok()).flatten();
        let files = parts
            .filter_map(|part| std::fs::read_dir(part.ok()?.path()).ok())
            .flatten();
        let is_batch = |path: &Path| path.extension().is_some_and(|ending| ending == "spool");
        files
            .filter(|file| file.as_ref().is_ok_and(|file| is_batch(&file.path())))
            .count()
    }

    /// Starts it. Its sessions carry its name, so that the database can write down whose a lease is.
    pub fn start(&mut self, index: usize) {
        let replica = &mut self.all[index];
        replica.starts += 1;
        replica.setup.database_url = format!("{}&options[campaign.who]={}", self.database_url, replica.who());
        self.note(index, Deed::Started);
        let replica = &mut self.all[index];
        replica.process = Some(replica.setup.start(None));
    }

    /// Kills it, stopped or not, to be started again after a pause. It is gone when this returns.
    pub fn kill(&mut self, index: usize, pause: Duration) {
        self.note(index, Deed::Killed);
        let replica = &mut self.all[index];
        if let Some(mut process) = replica.process.take() {
            process.kill();
        }
        replica.standing = None;
        replica.restart = Instant::now() + pause;
    }

    /// Makes it stand still, at most so long.
    pub fn stop(&mut self, index: usize, length: Duration) {
        if let Some(process) = &self.all[index].process {
            process.signal(Signal::SIGSTOP);
        }
        self.note(index, Deed::Stopped);
        let since = Instant::now();
        self.all[index].standing = Some(Standing {
            since,
            until: since + length,
        });
    }

    /// Lets it go on, and alone for a while, so that it can do what it would do.
    pub fn go_on(&mut self, index: usize, spared: Duration) {
        self.note(index, Deed::Continued);
        let replica = &mut self.all[index];
        if let Some(process) = &replica.process {
            process.signal(Signal::SIGCONT);
        }
        replica.standing = None;
        replica.spared_until = Instant::now() + spared;
    }

    /// Those that ended though nobody killed them.
    pub fn ended_by_themselves(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for replica in &mut self.all {
            let who = replica.who();
            if let Some(how) = replica.process.as_mut().and_then(Muster::ended) {
                told.push(format!("{who} ended by itself: {how}"));
                replica.process = None;
            }
        }
        told
    }

    fn note(&mut self, index: usize, deed: Deed) {
        let line = Line {
            at: self.clock.now(),
            who: self.all[index].who(),
            deed,
        };
        self.diary.push(line);
    }
}
