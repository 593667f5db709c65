//! Receiving: one path for every delivery. It is written to this machine's spool together with whatever else arrived,
//! synced, and then given a short time to reach the database; the sender hears "stored" or "spooled". What the database
//! does not take now it takes later, in order and once; while it is known to be away nobody waits for it. When it comes
//! back without what it had taken, the disk still has that and gives it once more: [`history`].
//!
//! Without a disk to write to, deliveries go straight to the database, and are refused when that is away too.

pub mod backlog;
pub mod committer;
pub mod counter;
pub mod group;
pub mod history;
pub mod load;
pub mod notary;
pub mod parcel;
pub mod senders;
pub mod signature;
pub mod silence;
pub mod snapshot;
pub mod spool;
pub mod spooler;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicI32},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::watch;

use self::{
    backlog::Backlog,
    committer::Committer,
    notary::Notary,
    parcel::{Answer, Parcel},
    senders::Senders,
    snapshot::Snapshot,
    spool::folder::SpoolLimits,
    spooler::Spooler,
};
use crate::{
    actions::Fetch,
    clock::Clock,
    pipeline::Patience,
    store::{runbooks::Version, wake::Wake},
};

/// The runbooks that matching uses now; `None` until they are known.
pub type Shelf = watch::Receiver<Option<Arc<Vec<Version>>>>;

/// How long a delivery that is on the disk waits for the database before its sender is told that it is spooled.
const STORE_WAIT: Duration = Duration::from_millis(1500);
/// How long one that is not waits.
const DIRECT_WAIT: Duration = Duration::from_secs(25);

/// What receiving needs.
pub struct ReceiverParts {
    /// Connections.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Tells others that something changed.
    pub wake: Wake,
    /// The runbooks.
    pub shelf: Shelf,
    /// How long Muster waits before it believes.
    pub patience: Patience,
    /// The spool's folder; without one, deliveries go straight to the database.
    pub spool: Option<PathBuf>,
    /// Bounds of the spool.
    pub spool_limits: SpoolLimits,
    /// Fetches what signatures are checked with.
    pub web: Arc<dyn Fetch>,
}

/// Takes deliveries. Clones share their lanes, which end with the last of them.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Who may send.
    pub senders: Arc<Senders>,
    pool: PgPool,
    shelf: Shelf,
    notary: Arc<Notary>,
    spooler: Spooler,
    backlog: Arc<Backlog>,
}

/// What became of a parcel, and when it was on the disk.
struct Taken {
    answer: Answer,
    spooled_after: Option<Duration>,
}

/// What waits for the database on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Batches, those included that are only in memory.
    pub batches: usize,
    /// Bytes on the disk; `None` when there is no folder to write to.
    pub bytes: Option<u64>,
    /// When the first of them was written.
    pub oldest: Option<DateTime<Utc>>,
}

impl Receiver {
    /// Starts the lanes. What an earlier process left in the spool comes first.
    pub fn start(parts: ReceiverParts) -> Self {
        let snapshot = parts.spool.as_deref().map(Snapshot::new);
        let senders = Senders::start(parts.pool.clone(), parts.clock.clone(), snapshot);
        let backlog = Arc::new(Backlog::default());
        let spooler = Spooler::start(parts.spool, parts.spool_limits, backlog.clone());
        let shelf = parts.shelf.clone();
        let committer = Committer {
            pool: parts.pool.clone(),
            clock: parts.clock,
            wake: parts.wake,
            shelf: parts.shelf,
            patience: parts.patience,
            senders: senders.clone(),
            backlog: backlog.clone(),
            folder: spooler.folder(),
            applied: Mutex::default(),
            kept: Mutex::default(),
            backend: AtomicI32::default(),
        };
        tokio::spawn(committer.run());
        Self {
            senders,
            pool: parts.pool,
            shelf,
            notary: Arc::new(Notary::new(parts.web)),
            spooler,
            backlog,
        }
    }

    /// Takes a delivery; returns once it is stored, or surely will be, or is refused.
    pub async fn take(&self, parcel: Parcel) -> Answer {
        self.take_timed(parcel).await.answer
    }

    async fn take_timed(&self, parcel: Parcel) -> Taken {
        let refused = |why: &str| Answer::Refused(why.to_owned());
        let began = Instant::now();
        let Some(receipt) = self.spooler.put(parcel).await else {
            return Taken {
                answer: refused("Muster is stopping; send it again"),
                spooled_after: None,
            };
        };
        let is_spooled = receipt.spooled.await.unwrap_or(false);
        let spooled_after = is_spooled.then(|| began.elapsed());
        let answer = if is_spooled {
            let mut away = self.backlog.away();
            tokio::select! {
                biased;
                answer = receipt.answer => answer.unwrap_or(Answer::Spooled),
                _ = away.wait_for(|is_away| *is_away) => Answer::Spooled,
                () = tokio::time::sleep(STORE_WAIT) => Answer::Spooled,
            }
        } else {
            let answer = tokio::time::timeout(DIRECT_WAIT, receipt.answer).await;
            // Whoever finds it later sees that nobody waits, and leaves it.
            let answer = answer.ok().and_then(Result::ok);
            answer.unwrap_or_else(|| refused("not stored; send it again"))
        };
        Taken {
            answer,
            spooled_after,
        }
    }

    /// The runbooks are known, so that what is stored finds its own; or it can wait for them on the disk. Stored without
    /// them, an alert would wait for a person who is asleep.
    pub fn is_ready(&self) -> bool {
        self.shelf.borrow().is_some() || self.can_spool()
    }

    /// Whether deliveries are accepted while the database is away: there is a disk, and the senders are known.
    pub fn can_spool(&self) -> bool {
        self.spooler.folder().is_some() && self.senders.are_known()
    }

    /// Batches that have not reached the database.
    pub fn waiting(&self) -> usize {
        self.backlog.waiting()
    }

    /// What waits, on this machine.
    pub async fn backlog(&self) -> Waiting {
        let (batches, first) = (self.backlog.waiting(), self.backlog.first());
        let Some(folder) = self.spooler.folder() else {
            return Waiting {
                batches,
                bytes: None,
                oldest: None,
            };
        };
        // The lane may hold the folder while it syncs.
        let looked = tokio::task::spawn_blocking(move || {
            let folder = folder.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = first.and_then(|first| folder.written_at(first));
            (folder.bytes(), oldest.map(DateTime::from))
        });
        let (bytes, oldest) = looked.await.map_or((None, None), |(bytes, at)| (Some(bytes), at));
        Waiting {
            batches,
            bytes,
            oldest,
        }
    }
}
