//! Timers that belong to no run: incidents recover, re-fires are believed, held alerts are let go, silence raises an
//! incident, a start is told of, old rows go.
//! Each pass takes no input but the database and may be repeated at will, on any replica.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{check, mark},
    clock::Clock,
    correlate,
    domain::{
        alert::{AlertReport, AlertStatus, Fingerprint},
        event::{IncidentFact, NewEvent},
        id::IncidentId,
        labels::Labels,
        operator::Actor,
        span::Span,
    },
    incident::{
        fold,
        membership::{self, Group},
        staleness,
    },
    pipeline::{self, Patience},
    store::{
        StoreError, anchors,
        audit_checks::Chain,
        boots, delivery_sizes, events, heartbeats,
        heartbeats::Silent,
        identities, incidents, openings, operators, passkeys, preflights, replicas,
        runbooks::Version,
        sessions,
        timers::{self, Timers},
        tries,
        wake::Wake,
    },
};

/// The longest pause between two passes.
const POLL: Duration = Duration::from_secs(1);
/// How often old rows are looked for.
const PRUNE_EVERY: Span = Span::from_secs(600);
/// How often too many bytes of deliveries are looked for: a storm fills a disk faster than days do.
const SIZE_EVERY: Span = Span::from_secs(60);
/// How often the audit notes where the timelines stand, and goes on through the chains.
const AUDIT_EVERY: Span = Span::from_secs(60);
/// How long after its lease an alert that must be renewed is waited for: a sender whose clock is a little behind, or
/// that missed one turn, is no reason to say that it is over.
const LEASE_GRACE: Span = Span::from_secs(60);
/// How long after Muster's own start every sender is given to report again what still fires: twice Prometheus' usual
/// minute, and a half.
const RESENT_WITHIN: Span = Span::from_secs(150);
/// How often alerts that were not heard of are looked for: their limits are a minute and more.
const STALE_EVERY: Span = Span::from_secs(15);
/// The longest time after Muster's own start in which silence of a heartbeat is not held against it.
const HEARD_WITHIN_MAX: Span = Span::from_secs(3600);
/// Things done in one pass; the next follows at once when there was more.
const BATCH: i64 = 100;
/// Rows forgotten in one pass.
const PRUNE_BATCH: i64 = 1000;

/// What upkeep needs to know.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// Connections for timers.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Tells others that something changed.
    pub wake: Wake,
    /// How long Muster waits before it believes.
    pub patience: Patience,
    /// When this process began to listen: what nobody could report before that is not held against a sender.
    pub listening_since: DateTime<Utc>,
    /// When a pass last went through without trouble.
    pub passed: watch::Sender<DateTime<Utc>>,
    /// The runbooks that matching uses now; `None` until they are known.
    pub shelf: watch::Receiver<Option<Arc<Vec<Version>>>>,
    /// How long raw deliveries and preflights are kept.
    pub keep_deliveries: Span,
    /// Bytes of raw deliveries that are kept; the oldest go first.
    pub deliveries_bytes_max: u64,
}

impl Upkeep {
    /// Passes again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut prune_due = self.clock.now();
        let mut stale_due = self.clock.now();
        let mut size_due = self.clock.now();
        let mut audit_due = self.clock.now();
        let work = self.clock.work();
        while !stop.is_cancelled() {
            self.after(self.pass().await);
            if self.clock.now() >= stale_due {
                stale_due = self.clock.now() + STALE_EVERY.as_delta();
                self.after(self.tell_stale().await);
            }
            if self.clock.now() >= prune_due {
                prune_due = self.clock.now() + PRUNE_EVERY.as_delta();
                if let Err(error) = self.prune().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "old rows stay for now");
                }
            }
            if self.clock.now() >= size_due {
                size_due = self.clock.now() + SIZE_EVERY.as_delta();
                if let Err(error) = self.keep_within_size().await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "too many deliveries stay for now"
                    );
                }
            }
            if self.clock.now() >= audit_due {
                audit_due = self.clock.now() + AUDIT_EVERY.as_delta();
                if let Err(error) = self.keep_audit().await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the audit is marked and gone through later"
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.rest_about(&work, POLL) => {}
            }
        }
    }

    fn after(&self, passed: Result<usize, StoreError>) {
        match passed {
            Ok(count) => {
                self.passed.send_replace(self.clock.now());
                if count > 0 {
                    self.wake.changed();
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "upkeep will try again")
            }
        }
    }

    /// Tells people of alerts that were not heard of for too long and that nobody else can be asked about; returns of
    /// how many.
    pub async fn tell_stale(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let count = staleness::tell_untold(&mut tx, self.listening_since, BATCH, now).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Does everything that is due now; returns how many things that were. One kind of timer that fails does not keep
    /// the others from firing.
    pub async fn pass(&self) -> Result<usize, StoreError> {
        let timers = timers::find(&mut *self.pool.acquire().await?).await?;
        let now = self.clock.now();
        let is_due = |timer: Option<DateTime<Utc>>| timer.is_some_and(|due| due <= now);
        let (leases, refires, held, calm, recovered, silent, starts, folded) = (
            when(is_due(timers.lease_over.map(after_grace)), self.end_leases()).await,
            when(is_due(timers.refire), self.believe_refires()).await,
            when(is_due(timers.held), self.let_held_go()).await,
            when(is_due(timers.calm), self.calm_down()).await,
            when(is_due(timers.recovery), self.recover()).await,
            when(is_due(timers.silence), self.raise_silences()).await,
            when(timers.has_open_boots, self.settle_starts()).await,
            when(timers.has_fold_rules, self.fold_storms()).await,
        );
        Ok(leases? + refires? + held? + calm? + recovered? + silent? + starts? + folded?)
    }

    async fn fold_storms(&self) -> Result<usize, StoreError> {
        let mut tx = self.pool.begin().await?;
        let count = fold::fold_storms(&mut tx, self.clock.now()).await?;
        tx.commit().await?;
        Ok(count)
    }

    async fn settle_starts(&self) -> Result<usize, StoreError> {
        let mut conn = self.pool.acquire().await?;
        Ok(boots::settle(&mut conn).await? + tell_of_outages(&mut conn, self.clock.now()).await?)
    }

    async fn end_leases(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        if now < self.listening_since + RESENT_WITHIN.as_delta() {
            return Ok(0);
        }
        let mut tx = self.pool.begin().await?;
        let (hold_down, flap) = (self.patience.hold_down, self.patience.flap);
        let count = membership::end_leases(&mut tx, LEASE_GRACE, hold_down, flap, BATCH, now).await?;
        tx.commit().await?;
        Ok(count)
    }

    async fn believe_refires(&self) -> Result<usize, StoreError> {
        let Some(shelf) = self.shelf.borrow().clone() else {
            return Ok(0);
        };
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let count = pipeline::believe_refires(&mut tx, &shelf, &self.patience, BATCH, now).await?;
        tx.commit().await?;
        Ok(count)
    }

    async fn let_held_go(&self) -> Result<usize, StoreError> {
        let Some(shelf) = self.shelf.borrow().clone() else {
            return Ok(0);
        };
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let count = pipeline::let_held_go(&mut tx, &shelf, &self.patience, BATCH, now).await?;
        tx.commit().await?;
        Ok(count)
    }

    async fn calm_down(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let count = membership::calm_down(&mut tx, BATCH, now).await?;
        tx.commit().await?;
        Ok(count)
    }

    async fn recover(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let recovered = membership::recover_due(&mut tx, self.patience.hold_down, BATCH, now).await?;
        tx.commit().await?;
        Ok(recovered.len())
    }

    async fn raise_silences(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let since = self.listening_since;
        let silent = heartbeats::claim_silent(&mut tx, since, HEARD_WITHIN_MAX, now, BATCH).await?;
        for heartbeat in &silent {
            raise_silence(&mut tx, heartbeat, now).await?;
        }
        tx.commit().await?;
        Ok(silent.len())
    }

    /// Forgets the oldest deliveries while there are more bytes of them than may be.
    pub async fn keep_within_size(&self) -> Result<(), StoreError> {
        let mut conn = self.pool.acquire().await?;
        let limit = i64::try_from(self.deliveries_bytes_max).unwrap_or(i64::MAX);
        let mut excess = delivery_sizes::fold(&mut conn).await? - limit;
        while excess > 0 {
            let gone = delivery_sizes::forget(&mut conn, excess, PRUNE_BATCH).await?;
            if gone.rows == 0 {
                break;
            }
            excess -= gone.bytes;
        }
        Ok(())
    }

    /// Notes where the timelines stand, and goes on through the chains that show whether anybody has changed them.
    pub async fn keep_audit(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        match anchors::take_new_blocks_in(&mut tx).await {
            // Another replica or a vacuum does the same.
            Err(error) if error.is_conflict() => drop(tx),
            taken => {
                taken?;
                tx.commit().await?;
            }
        }
        let mut tx = self.pool.begin().await?;
        mark::mark(&mut tx, now).await?;
        tx.commit().await?;
        for chain in [Chain::Acts, Chain::Timelines] {
            // Both ends of a chain have to be seen at the same moment.
            let mut tx = self
                .pool
                .begin_with("begin isolation level repeatable read")
                .await?;
            match check::pass(&mut tx, chain, now).await {
                // Another replica has just gone on.
                Err(error) if error.is_conflict() => {}
                passed => {
                    passed?;
                    tx.commit().await?;
                }
            }
        }
        Ok(())
    }

    /// Forgets old rows: those whose time is over.
    pub async fn prune(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        operators::prune(&mut conn, now).await?;
        sessions::prune(&mut conn, now).await?;
        passkeys::prune(&mut conn, now).await?;
        identities::prune(&mut conn, now).await?;
        tries::prune(&mut conn, now).await?;
        replicas::prune(&mut conn).await?;
        while openings::prune(&mut conn, now, PRUNE_BATCH).await? == PRUNE_BATCH as u64 {}
        let before = now - self.keep_deliveries.as_delta();
        while delivery_sizes::prune(&mut conn, before, PRUNE_BATCH).await? == PRUNE_BATCH {}
        while preflights::prune(&mut conn, before, PRUNE_BATCH).await? == PRUNE_BATCH as u64 {}
        Ok(())
    }
}

/// Writes into every open incident that is owed it that Muster was away; returns how many. A transaction each batch, so
/// that what arrives meanwhile waits for a batch at most.
pub async fn tell_of_outages(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let mut count = 0;
    loop {
        let mut tx = conn.begin().await?;
        let told = boots::tell(&mut tx, now).await?;
        tx.commit().await?;
        count += told;
        if told == 0 {
            return Ok(count);
        }
    }
}

/// When something is due at the earliest, as far as is known now; it may be past while a run keeps an incident open.
pub async fn next_due(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, StoreError> {
    let timers = timers::find(conn).await?;
    let timers = Timers {
        lease_over: timers.lease_over.map(after_grace),
        ..timers
    };
    Ok(timers.next())
}

fn after_grace(lease_over: DateTime<Utc>) -> DateTime<Utc> {
    lease_over + LEASE_GRACE.as_delta()
}

async fn when(
    is_due: bool,
    work: impl Future<Output = Result<usize, StoreError>>,
) -> Result<usize, StoreError> {
    match is_due {
        true => work.await,
        false => Ok(0),
    }
}

/// Silence of a heartbeat opens one incident, which a person closes: nothing else can say that it is over.
async fn raise_silence(
    conn: &mut PgConnection,
    silent: &Silent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let labels: Labels = serde_json::from_value(silent.labels.clone())
        .map_err(|error| StoreError::corrupt("heartbeats", "labels", error))?;
    let title = format!("No sign of life from {}", silent.title);
    let report = AlertReport {
        fingerprint: Fingerprint::parse(&silent.fingerprint).unwrap_or_else(|| labels.fingerprint()),
        status: AlertStatus::Firing,
        labels,
        annotations: Labels::from([("summary", title.as_str())]),
        starts_at: silent.last_seen_at,
        ends_at: None,
        lease_until: None,
        generator_url: String::new(),
    };
    let key = correlate::key(silent.source, "heartbeat", &silent.fingerprint);
    let group = Group {
        source: silent.source,
        receiver: "heartbeat",
        group_key: &silent.fingerprint,
        key,
    };
    let reason = "a heartbeat was not heard in time";
    let newest = incidents::lock_newest_by_key(conn, key).await?;
    let merged = newest.filter(|holder| holder.through.is_some() && holder.state.is_open());
    let opened = match merged {
        Some(holder) => Some(holder.id),
        None => membership::open(conn, group, &[&report], None, reason, &Actor::Automation, now).await?,
    };
    let incident: IncidentId = match opened {
        Some(incident) => incident,
        None => match incidents::lock_newest_by_key(conn, key).await? {
            Some(holder) => holder.id,
            None => return Ok(()),
        },
    };
    heartbeats::set_incident(conn, silent.source, &silent.fingerprint, incident).await?;
    let fact = IncidentFact::HeartbeatMissed {
        name: silent.title.clone(),
        last_seen_at: silent.last_seen_at,
    };
    events::append(conn, incident, &[NewEvent::automatic(fact, now)], now).await?;
    Ok(())
}
