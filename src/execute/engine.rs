//! What every worker shares: the database, the outside world, the clock, the targets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{standing::Standing, writer::Writer};
use crate::{
    actions::{Ground, Grounds, NoDrills, World},
    clock::Clock,
    domain::{
        id::{IncidentId, ReplicaId, VersionId},
        span::Span,
        target::Targets,
    },
    faults::{CrashPoints, Side},
    store::{
        StoreError,
        queue::Claim,
        runbooks::{self, Version},
        wake::Wake,
    },
};

/// A replica starts no effect in the last stretch of its lease: another may hold the run a moment later.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// Bounds of the engine.
#[derive(Clone, Copy, Debug)]
pub struct EngineLimits {
    /// Runs worked on at once.
    pub runs_at_once: usize,
    /// How long a stopping process waits for attempts that are out.
    pub drain: Duration,
    /// How long a run waits in line for a lock before it fails.
    pub lock_wait: Span,
    /// Bytes kept of what one attempt writes: over it, its beginning and its end.
    pub output_bytes: usize,
}

/// Bytes kept of what one attempt writes, unless it is said otherwise.
const OUTPUT_BYTES: usize = 16 * 1024 * 1024;

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            runs_at_once: 256,
            drain: Duration::from_secs(20),
            lock_wait: Span::from_secs(3600),
            output_bytes: OUTPUT_BYTES,
        }
    }
}

/// What every worker shares.
pub struct Engine {
    /// Connections for runs and steps.
    pub pool: PgPool,
    /// The outside world.
    pub world: Arc<dyn World>,
    /// The time.
    pub clock: Clock,
    /// Tells others that something changed.
    pub wake: Wake,
    /// The targets as the file says now.
    pub targets: watch::Receiver<Arc<Targets>>,
    /// Part of every idempotency key.
    pub installation: Uuid,
    /// Bounds.
    pub limits: EngineLimits,
    /// Set while the process stops: nothing new is begun.
    pub stopping: CancellationToken,
    /// The lease this process holds.
    pub lease: Mutex<Lease>,
    /// When the worker last looked for due runs, with whatever it found.
    pub looked: watch::Sender<DateTime<Utc>>,
    /// Pauses and breakers that stand over every run.
    pub standing: Standing,
    /// Where runs of drills act.
    pub grounds: Arc<dyn Grounds>,
    /// Takes what workers write.
    pub(super) writer: Writer,
    /// Named places to crash at, in debug builds.
    pub crash_points: CrashPoints,
    versions: Mutex<HashMap<VersionId, Arc<Version>>>,
}

/// The lease of this process, by its own monotonic clock, counted from before the renewal was sent.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// Which replica this process is.
    pub replica: ReplicaId,
    /// When the lease surely holds until.
    pub until: Instant,
}

/// Versions kept in memory; far more than run at once.
const VERSIONS_MAX: usize = 256;

/// The longest the engine waits for an answer of the database. The server's own limits do not hold when it is the
/// network that has gone silent.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// A conversation with the database that ends in time, or counts as broken off.
pub(super) async fn in_time<T>(asking: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(ANSWER_MAX, asking).await {
        Ok(answer) => answer,
        Err(_) => {
            let text = format!("no answer within {} s", ANSWER_MAX.as_secs());
            Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text)).into())
        }
    }
}

impl Engine {
    /// An engine of a replica that has just registered.
    #[expect(
        clippy::too_many_arguments,
        reason = "built in one place, from parts that are each one thing"
    )]
    pub fn new(
        pool: PgPool,
        world: Arc<dyn World>,
        standing: Standing,
        clock: Clock,
        wake: Wake,
        targets: watch::Receiver<Arc<Targets>>,
        installation: Uuid,
        limits: EngineLimits,
        lease: Lease,
    ) -> Self {
        let crash_points = CrashPoints::default();
        let stopping = CancellationToken::new();
        let now = clock.now();
        Self {
            pool: pool.clone(),
            writer: Writer::start(&pool, &wake, &crash_points, &stopping),
            standing,
            grounds: Arc::new(NoDrills),
            world,
            clock,
            wake,
            targets,
            installation,
            limits,
            stopping,
            lease: Mutex::new(lease),
            looked: watch::Sender::new(now),
            crash_points,
            versions: Mutex::default(),
        }
    }

    /// This process as the queue knows it.
    pub fn replica(&self) -> ReplicaId {
        self.lease().replica
    }

    /// Whether this process's lease holds long enough to look for work.
    pub fn may_claim(&self) -> bool {
        Instant::now() + LEASE_MARGIN < self.lease().until
    }

    /// Whether something may be begun under this claim: the lease it stands on still holds long enough, and the
    /// process is not stopping. A lease taken anew after a gap does not carry the claims of the old one.
    pub fn may_begin(&self, claim: Claim) -> bool {
        self.holds(claim) && !self.stopping.is_cancelled()
    }

    /// Until when something begun under this claim may still be sent: the end of the lease it stands on.
    pub fn sends_until(&self, claim: Claim) -> Instant {
        let lease = self.lease();
        match lease.replica == claim.owner {
            true => lease.until,
            false => Instant::now(),
        }
    }

    fn lease(&self) -> Lease {
        *self
            .lease
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Where a run of this claim acts, as of now. The targets of drills and the real ones never meet.
    pub async fn ground(&self, claim: Claim) -> Result<Ground, StoreError> {
        match claim.drill {
            None => Ok(Ground {
                targets: Arc::clone(&self.targets.borrow()),
                world: self.world.clone(),
                held: None,
            }),
            Some(drill) => {
                let found = self.grounds.of(drill).await;
                found.map_err(|why| StoreError::corrupt("drills", "id", why))
            }
        }
    }

    /// A runbook version, which never changes, so it is read once.
    pub async fn version(&self, conn: &mut PgConnection, id: VersionId) -> Result<Arc<Version>, StoreError> {
        let kept = |engine: &Self| {
            engine
                .versions
                .lock()
                .ok()
                .and_then(|versions| versions.get(&id).cloned())
        };
        if let Some(version) = kept(self) {
            return Ok(version);
        }
        let version = runbooks::find_version(conn, id)
            .await?
            .map(Arc::new)
            .ok_or_else(|| StoreError::corrupt("runs", "version_id", id))?;
        if let Ok(mut versions) = self.versions.lock() {
            if versions.len() >= VERSIONS_MAX {
                versions.clear();
            }
            versions.insert(id, version.clone());
        }
        Ok(version)
    }

    /// Whether the lease a claim stands on still holds, stopping or not.
    pub fn holds(&self, claim: Claim) -> bool {
        self.lease().replica == claim.owner && self.may_claim()
    }

    /// Commits, and tells whoever listens. `name` says which write it is, for the crash points.
    pub async fn commit(&self, tx: Transaction<'static, Postgres>, name: &str) -> Result<(), StoreError> {
        let names = [name.to_owned()];
        self.crash_points.pass(Side::Before, &names);
        tx.commit().await?;
        self.crash_points.pass(Side::After, &names);
        self.wake.changed();
        Ok(())
    }

    /// For logs.
    pub fn span(claim: Claim, incident: IncidentId) -> tracing::Span {
        tracing::info_span!(
            "run",
            run.id = claim.run.0,
            incident.id = incident.0,
            fence = claim.fence
        )
    }
}
