//! What stands over every run of every replica: the pause of all automation and the circuits of targets.
//!
//! The database is the truth. Each replica keeps a snapshot of it, read anew after every wake-up and at least each
//! second, so that asking costs nothing: a step whose target has not failed lately makes no statement, neither before
//! it is sent nor after. A snapshot is a moment old, so a step may still go out just after somebody paused or a circuit
//! opened; who must be exact reads the database in its own transaction.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use super::engine::in_time;
use crate::{
    clock::Clock,
    domain::{
        action::FailureClass,
        breaker::{Admission, BreakerInput, BreakerState, Held},
        drill::is_twin,
        pause::Pause,
    },
    store::{StoreError, breakers, pauses, wake::Wake},
};

/// The longest time a snapshot stays without a look.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest time between two looks: a burst of changes is one.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Circuits in a snapshot: far more than a file of targets names.
const BREAKERS_MAX: i64 = 1000;
/// How often a circuit is read again because somebody else moved it. Each time somebody has moved it, and no more than
/// a few moves lead to a state that stays.
const TRIES_MAX: usize = 32;

/// What stood over every run at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The pause of all automation.
    pub pause: Option<Pause>,
    /// The circuits of targets that failed lately; every other one is closed.
    pub breakers: BTreeMap<String, BreakerState>,
}

/// Why a step may not be sent to its target now.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The circuit of the target is open.
    #[error(transparent)]
    Held(#[from] Held),
    /// It was time for a try, but the database could not be asked for it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A handle on what stands over every run; clones share one snapshot.
#[derive(Clone, Debug)]
pub struct Standing {
    kept: Arc<Mutex<Kept>>,
    wake: Wake,
}

#[derive(Debug, Default)]
struct Kept {
    snapshot: Arc<Snapshot>,
    /// Circuits noted by this process: a look that began before one must not undo it.
    noted: u64,
    /// When the database last told what stands.
    answered_at: Option<DateTime<Utc>>,
}

impl Standing {
    /// Nothing stands yet; [`Standing::refresh`] it before anything relies on it.
    pub fn new(wake: Wake) -> Self {
        Self {
            kept: Arc::default(),
            wake,
        }
    }

    /// What stood at the last look.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.kept().snapshot)
    }

    /// The pause of all automation, while one stands: nothing that changes anything may be begun.
    pub fn pause(&self) -> Option<Pause> {
        self.kept().snapshot.pause.clone()
    }

    /// When the database last answered a look of [`Standing::run`]: at most a few seconds ago, unless it is away.
    pub fn answered_at(&self) -> Option<DateTime<Utc>> {
        self.kept().answered_at
    }

    /// Why nothing may be sent to a target now, for pages. Takes no try.
    pub fn held(&self, target: &str, now: DateTime<Utc>) -> Option<Held> {
        self.kept()
            .snapshot
            .breakers
            .get(target)
            .and_then(|state| state.holds(target, now))
    }

    /// Asks whether something may be sent to a target. When the circuit is open and a try is due, one of all callers on
    /// all replicas is let through; it must [`Standing::report`] what became of it, or the next try waits until this one
    /// counts as lost.
    pub async fn admit(&self, pool: &PgPool, target: &str, now: DateTime<Utc>) -> Result<(), AdmitError> {
        let known = self.snapshot();
        match known.breakers.get(target) {
            None => return Ok(()),
            Some(state) => match state.admission(now) {
                Admission::Free => return Ok(()),
                Admission::Held { .. } => return held(state, target, now),
                // Only the database knows whether nobody else has taken this try.
                Admission::Probe => {}
            },
        }
        for _ in 0..TRIES_MAX {
            let (state, revision) = self.look_at(pool, target).await?;
            match state.admission(now) {
                Admission::Free => return Ok(()),
                Admission::Held { .. } => return held(&state, target, now),
                Admission::Probe => {
                    let next = state.after(BreakerInput::Asked, now);
                    if self.swap(pool, target, revision, next, now).await? {
                        return Ok(());
                    }
                }
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Says what became of something that was sent to a target: `None` when it answered, else how it failed. A success
    /// of a target that has not failed lately makes no statement.
    pub async fn report(
        &self,
        pool: &PgPool,
        target: &str,
        failure: Option<(FailureClass, &str)>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let input = match failure {
            None | Some((FailureClass::Refused, _)) => BreakerInput::Answered,
            Some((FailureClass::NotSent | FailureClass::Lost, message)) => BreakerInput::Unreachable(message),
            Some((FailureClass::Invalid, _)) => BreakerInput::NothingLearnt,
        };
        let is_news = matches!(input, BreakerInput::Unreachable(_));
        if !is_news && !self.snapshot().breakers.contains_key(target) {
            return Ok(());
        }
        for _ in 0..TRIES_MAX {
            let (state, revision) = self.look_at(pool, target).await?;
            let next = state.clone().after(input, now);
            if next == state {
                return Ok(());
            }
            if self.swap(pool, target, revision, next.clone(), now).await? {
                tell(target, &state, &next);
                return Ok(());
            }
        }
        Err(StoreError::Contended)
    }

    /// Reads what stands now.
    pub async fn refresh(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let noted = self.kept().noted;
        let pause = pauses::find(conn).await?;
        let breakers: BTreeMap<String, BreakerState> = breakers::list(conn, BREAKERS_MAX)
            .await?
            .into_iter()
            .map(|breaker| (breaker.target, breaker.state))
            .collect();
        let open = breakers
            .iter()
            .filter(|(target, state)| !is_twin(target) && !matches!(state, BreakerState::Closed { .. }))
            .count();
        metrics::gauge!("muster_paused").set(if pause.is_some() { 1.0 } else { 0.0 });
        metrics::gauge!("muster_circuits_open").set(open as f64);
        let mut kept = self.kept();
        let breakers = match kept.noted == noted {
            true => breakers,
            // This process has moved one meanwhile and knows better; the next look takes the others.
            false => kept.snapshot.breakers.clone(),
        };
        let seen = Snapshot { pause, breakers };
        if *kept.snapshot != seen {
            kept.snapshot = Arc::new(seen);
            drop(kept);
            // Whoever was woken by the change itself may have looked at the snapshot before it.
            self.wake.changed();
        }
        Ok(())
    }

    /// Keeps the snapshot up to date until `stop`.
    pub async fn run(self, pool: PgPool, clock: Clock, stop: CancellationToken) {
        let mut changes = self.wake.subscribe_queue();
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            let looked = async { self.refresh(&mut *pool.acquire().await?).await };
            match in_time(looked).await {
                Ok(()) => self.kept().answered_at = Some(clock.now()),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot see what stands over the runs; the last that was seen counts"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                _ = changes.changed() => {}
                () = clock.sleep(LOOK) => {}
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The circuit of a target as the database has it, noted for everybody in this process.
    async fn look_at(&self, pool: &PgPool, target: &str) -> Result<(BreakerState, Option<i64>), StoreError> {
        let found = breakers::find(&mut *pool.acquire().await?, target).await?;
        let revision = found.as_ref().map(|breaker| breaker.revision);
        let state = found.map(|breaker| breaker.state).unwrap_or_default();
        self.note(target, &state);
        Ok((state, revision))
    }

    /// Moves a circuit; `false` when somebody else did meanwhile.
    async fn swap(
        &self,
        pool: &PgPool,
        target: &str,
        revision: Option<i64>,
        next: BreakerState,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let is_moved = breakers::swap(&mut *pool.acquire().await?, target, revision, &next, now).await?;
        if is_moved {
            self.note(target, &next);
            self.wake.changed();
        }
        Ok(is_moved)
    }

    fn note(&self, target: &str, state: &BreakerState) {
        let mut kept = self.kept();
        let known = kept.snapshot.breakers.get(target);
        if known.unwrap_or(&BreakerState::default()) == state {
            return;
        }
        let mut snapshot = (*kept.snapshot).clone();
        match state {
            BreakerState::Closed { failures: 0 } => _ = snapshot.breakers.remove(target),
            state => _ = snapshot.breakers.insert(target.to_owned(), state.clone()),
        }
        kept.snapshot = Arc::new(snapshot);
        kept.noted += 1;
    }
}

/// The refusal of a circuit that holds.
fn held(state: &BreakerState, target: &str, now: DateTime<Utc>) -> Result<(), AdmitError> {
    match state.holds(target, now) {
        Some(held) => Err(held.into()),
        None => Ok(()),
    }
}

/// Logs what people want to hear of a circuit: that it opened, and that it closed again.
fn tell(target: &str, was: &BreakerState, is: &BreakerState) {
    match (was, is) {
        (BreakerState::Closed { .. }, BreakerState::Open { reason, .. }) => {
            tracing::warn!(target.name = target, reason, "the circuit of a target opened");
        }
        (BreakerState::Open { .. } | BreakerState::HalfOpen { .. }, BreakerState::Closed { .. }) => {
            tracing::info!(target.name = target, "the circuit of a target closed");
        }
        _ => {}
    }
}
