//! Preflights: when a runbook matches an incident, it is rehearsed in the background, so that whoever wakes up sees
//! which of its steps cannot work. Nothing waits for it, and a run that started by itself does not look at it.
//!
//! The loop takes no input but the database, on any replica; a claim is a lease, and one whose replica died is found
//! again when it has run out.

use std::{collections::HashMap, time::Duration};

use sqlx::PgPool;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::rehearse::{IncidentHead, REHEARSAL_MAX, Rehearser, Script};
use crate::{
    clock::Clock,
    domain::span::Span,
    store::{
        StoreError, matches,
        preflights::{self, Claimed},
        runbooks,
        wake::Wake,
    },
};

/// Preflights of one replica at once.
const AT_ONCE: usize = 2;
/// How long a claim lasts; then its replica counts as dead.
const LEASE: Span = Span::from_secs(60);
/// How often one is begun at most: it may be what kills its replica.
const CLAIMS_MAX: i16 = 3;
/// The longest pause between two looks.
const POLL: Duration = Duration::from_secs(1);
/// The shortest pause between two looks: a burst of changes is one.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

// A rehearsal and the write of its report fit into the lease.
const _: () = assert!(REHEARSAL_MAX.as_millis() + 10_000 < LEASE.as_millis());

/// Carries out preflights.
#[derive(Clone)]
pub struct Preflights {
    /// Connections.
    pub pool: PgPool,
    /// What rehearses.
    pub rehearser: Rehearser,
    /// Tells open pages that a report is there.
    pub wake: Wake,
    /// The time.
    pub clock: Clock,
}

impl Preflights {
    /// Looks again and again until `stop`, then gives back what is not finished.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.wake.subscribe_queue();
        let mut tasks = JoinSet::new();
        let mut claims: HashMap<Id, Claimed> = HashMap::new();
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            while tasks.len() < AT_ONCE {
                match self.claim().await {
                    Ok(Some(claimed)) => {
                        let task = tasks.spawn(self.clone().work(claimed.clone()).in_current_span());
                        claims.insert(task.id(), claimed);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "cannot look for preflights"
                        );
                        break;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = tasks.join_next_with_id() => {
                    claims.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
                    continue;
                }
                _ = changes.changed(), if tasks.len() < AT_ONCE => {}
                () = self.clock.sleep(POLL) => {}
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        tasks.shutdown().await;
        for claimed in claims.values() {
            if let Err(error) = self.give_back(claimed).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a preflight will be found by its lease"
                );
            }
        }
    }

    /// Carries out one preflight that is due, if there is one; whether there was.
    pub async fn pass(&self) -> Result<bool, StoreError> {
        let Some(claimed) = self.claim().await? else {
            return Ok(false);
        };
        self.carry_out(&claimed).await?;
        Ok(true)
    }

    async fn claim(&self) -> Result<Option<Claimed>, StoreError> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        preflights::claim(&mut conn, now, now + LEASE.as_delta()).await
    }

    async fn give_back(&self, claimed: &Claimed) -> Result<(), StoreError> {
        let mut conn = self.pool.acquire().await?;
        preflights::release(&mut conn, claimed, self.clock.now()).await
    }

    async fn work(self, claimed: Claimed) {
        if let Err(error) = self.carry_out(&claimed).await {
            tracing::warn!(
                incident.id = claimed.incident.0,
                error = &error as &dyn std::error::Error,
                "a preflight was not carried out; it will be tried again"
            );
        }
    }

    /// No connection is held while targets are asked.
    async fn carry_out(&self, claimed: &Claimed) -> Result<(), StoreError> {
        let mut conn = self.pool.acquire().await?;
        if !claimed.is_open || claimed.claims > CLAIMS_MAX {
            preflights::finish(&mut conn, claimed, None, self.clock.now()).await?;
            return Ok(());
        }
        let version = runbooks::find_version(&mut conn, claimed.version)
            .await?
            .ok_or_else(|| StoreError::corrupt("preflights", "version_id", claimed.version))?;
        let alert = matches::run_context(&mut conn, claimed.incident, claimed.version).await?;
        drop(conn);
        let script = Script {
            runbook: &version.runbook,
            given: &Default::default(),
            alert: &alert,
            incident: Some(IncidentHead {
                id: claimed.incident,
                title: &claimed.title,
                severity: claimed.severity,
            }),
            asks: true,
        };
        let report = match self.rehearser.within(claimed.drill).await {
            Ok(rehearser) => rehearser.rehearse(&script).await,
            Err(why) => {
                tracing::debug!(why, "the drill of a preflight has no ground");
                let mut conn = self.pool.acquire().await?;
                preflights::finish(&mut conn, claimed, None, self.clock.now()).await?;
                return Ok(());
            }
        };
        let mut conn = self.pool.acquire().await?;
        if preflights::finish(&mut conn, claimed, Some(&report), self.clock.now()).await? {
            tracing::info!(
                incident.id = claimed.incident.0,
                runbook = version.runbook.slug,
                "preflight: {}",
                report.headline()
            );
            self.wake.told();
        }
        Ok(())
    }
}
