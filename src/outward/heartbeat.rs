//! Muster's own sign of life: an address outside is fetched every so often, and whoever watches that address raises the
//! alarm when it is not.
//!
//! Every process sends its own, so that as long as any of them does its work the watcher is content; one that cannot
//! write to the database, whose worker looks for no work or whose timers stand still sends none. A process that is
//! stopped or cut off sends none by itself.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    actions::Outside,
    clock::Clock,
    domain::{causes, id::ReplicaId, network::Network, span::Span, target::SecretRef},
    store::{StoreError, own_heartbeats},
};

/// How long the database may take to write one row.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// How long the address may take to answer.
const ANSWER_MAX: Span = Span::from_secs(10);
/// How long ago the worker may have looked for work, and the timers have passed: both do so each second.
const STILL_MAX: TimeDelta = TimeDelta::seconds(30);

/// What a sign of life needs.
pub struct OwnHeartbeat {
    /// Connections of the intake: what is written over them shows that a delivery could be.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// The way out.
    pub outside: Outside,
    /// Where the address is kept, which is a secret.
    pub address: SecretRef,
    /// Addresses that are not public and that its name may stand for.
    pub networks: Vec<Network>,
    /// The pause between two.
    pub every: Span,
    /// This process, which has another number after it lost its lease.
    pub replica: Box<dyn Fn() -> ReplicaId + Send + Sync>,
    /// When its worker last looked for work.
    pub worker: watch::Receiver<DateTime<Utc>>,
    /// When its timers last passed without trouble.
    pub timers: watch::Receiver<DateTime<Utc>>,
}

impl OwnHeartbeat {
    /// Sends again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(problem) = self.beat().await {
                tracing::warn!(problem, "no sign of life was sent");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep(self.every.as_duration()) => {}
            }
        }
    }

    /// Sends one, if all is well here; or says why not.
    pub async fn beat(&self) -> Result<(), String> {
        let found = match self.healthy().await {
            Ok(()) => self
                .outside
                .ping(&self.address, &self.networks, ANSWER_MAX)
                .await
                .map_err(|failure| failure.message),
            Err(problem) => Err(problem),
        };
        let now = self.clock.now();
        let outcome = if found.is_ok() { "sent" } else { "failed" };
        metrics::counter!("muster_heartbeats_total", "outcome" => outcome).increment(1);
        if found.is_ok() {
            metrics::gauge!("muster_heartbeat_last_success_timestamp_seconds").set(now.timestamp() as f64);
        }
        // What is shown to people; when it cannot be written, the log has it.
        _ = timeout(WRITE_MAX, self.note(found.as_ref().err(), now)).await;
        found
    }

    async fn healthy(&self) -> Result<(), String> {
        let now = self.clock.now();
        let still = |since: DateTime<Utc>| now - since > STILL_MAX;
        if still(*self.worker.borrow()) {
            return Err("the worker stands still".to_owned());
        }
        if still(*self.timers.borrow()) {
            return Err("the timers stand still".to_owned());
        }
        match timeout(WRITE_MAX, self.write(now)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err("the worker has lost its lease".to_owned()),
            Ok(Err(error)) => Err(causes::told(&error)),
            Err(_) => Err(format!("the database took no row within {WRITE_MAX:?}")),
        }
    }

    async fn write(&self, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut conn = self.pool.acquire().await?;
        own_heartbeats::write(&mut conn, (self.replica)(), now).await
    }

    async fn note(&self, problem: Option<&String>, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut conn = self.pool.acquire().await?;
        own_heartbeats::note(&mut conn, (self.replica)(), problem.map(String::as_str), now).await
    }
}
