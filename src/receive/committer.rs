//! The lane to the database: batches that are ready together go through the pipeline together, in one transaction, in the
//! order in which they arrived.
//!
//! While the database is away, what is on the disk waits and is tried again; what is not is refused. What the database
//! refuses of a batch is tried alone, and what it refuses alone is kept as rejected, to be seen and sent again by hand:
//! one delivery cannot keep the others out.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection, PgPool, Postgres, pool::PoolConnection};
use uuid::Uuid;

use super::{
    Shelf,
    backlog::{Backlog, Batch, Spooled},
    group::{Group, Placed},
    history::LOOK_EVERY,
    parcel::Answer,
    senders::Senders,
    silence::in_time,
    spooler::SharedFolder,
};
use crate::{
    clock::Clock,
    domain::causes,
    faults,
    pipeline::{self, Outcome, Patience, Post, Received},
    store::{
        StoreError, deliveries,
        spool_marks::{self, Mark},
        wake::Wake,
    },
};

/// Deliveries of one transaction at most.
const POSTS_MAX: usize = 256;
/// Every statement of a batch looks up the few rows it speaks of by an index. The planner is told so: planned while the
/// tables of a new installation are still small, it would read them whole, and keep to that plan while they grow.
const BEGIN: &str = "begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; \
                     set local enable_hashjoin = off; set local enable_mergejoin = off";
/// How often one delivery may be stopped for the time that it takes before it is kept as rejected: nothing behind it
/// should wait for ever.
const TOO_SLOW_MAX: u32 = 20;
/// How long a connection is kept from batch to batch. The pool tests those that it gets back and those that it lends, which
/// takes longer than most statements of a batch; and each of its connections would have to prepare all of these.
const LINE_MAX: Duration = Duration::from_secs(60);
/// How long one may be unused, and is taken for a good one all the same.
const UNUSED_MAX: Duration = Duration::from_secs(1);
/// What the server says of a statement that it stopped, and of rows that are there already.
const QUERY_CANCELED: &str = "57014";
const UNIQUE_VIOLATION: &str = "23505";
/// Lost batches that are applied again together at most.
const LOST_MAX: usize = 32;
/// How often a group is tried when another transaction is in its way.
const TRIES: u32 = 5;
/// The pause before a database that is away is tried again, doubled from the first to the second.
pub(super) const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// What the lane needs.
pub struct Committer {
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
    /// Who may send.
    pub senders: Arc<Senders>,
    /// What waits.
    pub backlog: Arc<Backlog>,
    /// Where the files are.
    pub folder: SharedFolder,
    /// The marks that this process has moved, as far as they are known to be committed.
    pub applied: Mutex<HashMap<Uuid, Mark>>,
    /// The connection of the last batch.
    pub kept: Mutex<Option<Line>>,
    /// The server's process that works on the write; 0 while that is not known.
    pub backend: AtomicI32,
}

/// A connection that is kept from batch to batch.
pub struct Line {
    conn: PoolConnection<Postgres>,
    since: Instant,
    used: Instant,
}

/// Why a write was not done.
#[derive(Debug)]
pub enum Refused {
    /// The database did not take it.
    Store(StoreError),
    /// The database does not have any more what it had; that comes first.
    HistoryLost,
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Committer {
    /// Applies what waits until no more will come.
    pub async fn run(self) {
        let mut looked: Option<Instant> = None;
        loop {
            // At first, and now and then: what an earlier process applied may be lost as well.
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                let is_first = looked.is_none();
                for batches in self.lost(is_first).await {
                    self.carry(batches).await;
                }
                looked = Some(Instant::now());
            }
            tokio::select! {
                batches = self.backlog.next(POSTS_MAX) => match batches {
                    Some(batches) => self.carry(batches).await,
                    None => return,
                },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// The batches that the database has lost, in groups. Only at the start, and when the database itself has said that
    /// there are some, is it waited for.
    async fn lost(&self, must_know: bool) -> Vec<Vec<Batch>> {
        let mut pause = AGAIN_AFTER.0;
        loop {
            match self.look_back().await {
                Ok(lost) => {
                    self.backlog.set_away(false);
                    let together = lost.chunk_by(|one, next| one.name.epoch == next.name.epoch);
                    let groups = together.flat_map(|files| files.chunks(LOST_MAX));
                    return groups.map(bare).collect();
                }
                Err(_) if !must_know || self.backlog.is_over() => return Vec::new(),
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the database has not said yet what it has"
                    );
                    self.backlog.set_away(true);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(AGAIN_AFTER.1);
                }
            }
        }
    }

    /// Carries batches to the database, behind whatever that turns out to have lost.
    async fn carry(&self, batches: Vec<Batch>) {
        // The last of them comes first.
        let mut table = vec![batches];
        while let Some(batches) = table.pop() {
            let mut group = self.load(batches).await;
            if group.is_empty() {
                continue;
            }
            match self.apply(&mut group).await {
                Ok(()) => self.finish(&group),
                Err(HistoryLost) => {
                    // What of it had been applied may be lost as well.
                    table.push(bare(&group.abandon()));
                    table.extend(self.lost(true).await.into_iter().rev());
                }
            }
        }
        self.backlog.set_away(false);
    }

    /// Waits until the runbooks are known: stored without them, an alert would wait for a person who is asleep.
    async fn knows_runbooks(&self) -> bool {
        let mut shelf = self.shelf.clone();
        loop {
            if shelf.borrow_and_update().is_some() {
                return true;
            }
            let asked = in_time(async { Ok(self.pool.acquire().await.map(drop)?) });
            self.backlog.set_away(asked.await.is_err());
            if let Ok(Err(_)) = tokio::time::timeout(AGAIN_AFTER.1, shelf.changed()).await {
                return false;
            }
        }
    }

    /// Applies a group, however long that takes for what is on the disk: all of it at once, or less at once when the
    /// database does not manage that.
    async fn apply(&self, group: &mut Group) -> Result<(), HistoryLost> {
        let (mut pause, mut most, mut given_up, mut too_slow) = (AGAIN_AFTER.0, POSTS_MAX, 0, 0);
        if !self.knows_runbooks().await {
            // Muster ends; the next start finds it where it is.
            group.abandon();
            return Ok(());
        }
        while !group.is_applied {
            let count = group.stretch(most);
            if count == 0 && group.files.is_empty() && group.damaged.is_empty() {
                return Ok(());
            }
            metrics::histogram!("muster_intake_group_deliveries").record(count as f64);
            match self.try_often(group, count, given_up).await {
                Ok(received) => {
                    match received.queued {
                        true => self.wake.changed(),
                        false => self.wake.told(),
                    }
                    self.backlog.set_away(false);
                    group.advance(count, received.outcomes);
                    (pause, given_up, too_slow) = (AGAIN_AFTER.0, 0, 0);
                    most = (most * 2).min(POSTS_MAX);
                }
                Err(Refused::HistoryLost) => return Err(HistoryLost),
                Err(Refused::Store(error)) if may_pass(&error) && too_slow < TOO_SLOW_MAX => {
                    // Alone in its transaction, and still stopped for the time it takes.
                    too_slow += u32::from(count == 1 && has_code(&error, QUERY_CANCELED));
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        waiting = self.backlog.waiting(),
                        "deliveries wait for the database"
                    );
                    group.refuse_direct();
                    given_up += 1;
                    most = (count / 2).max(1);
                    // One connection that was lost says nothing of the next.
                    if given_up > 1 {
                        self.backlog.set_away(true);
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(AGAIN_AFTER.1);
                    }
                }
                Err(Refused::Store(error)) if count > 1 => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a group of deliveries was refused; fewer are tried together"
                    );
                    most = count / 2;
                }
                Err(Refused::Store(error)) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a delivery cannot be applied; it is kept as rejected"
                    );
                    match group.parcels.first_mut() {
                        Some(placed) if placed.fault.is_none() => {
                            placed.tell(Answer::Refused("not stored; send it again".to_owned()));
                            placed.fault = Some(format!("it could not be applied: {}", causes::told(&error)));
                        }
                        _ => group.put_aside_first(),
                    }
                    if group.parcels.is_empty() {
                        return Ok(());
                    }
                    too_slow = 0;
                }
            }
        }
        Ok(())
    }

    /// Commits the next `count` parcels of a group and moves the mark of its spool. When another transaction is in the way
    /// the whole is tried again: nothing of it has been kept.
    async fn try_often(&self, group: &Group, count: usize, given_up: u32) -> Result<Received, Refused> {
        let mut tries = 1;
        loop {
            self.backend.store(0, Ordering::Relaxed);
            let write = self.write(group, count);
            match self.answered(write, group.bytes(count), given_up).await {
                Err(Refused::Store(error)) if error.is_conflict() && tries < TRIES => tries += 1,
                result => return result,
            }
        }
    }

    /// The connection of the batch before, or another one.
    async fn line(&self) -> Result<Line, sqlx::Error> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_fresh = |line: &Line| line.used.elapsed() < UNUSED_MAX && line.since.elapsed() < LINE_MAX;
        if let Some(line) = kept.filter(is_fresh) {
            return Ok(line);
        }
        let conn = self.pool.acquire().await?;
        let since = Instant::now();
        Ok(Line {
            conn,
            since,
            used: since,
        })
    }

    async fn write(&self, group: &Group, count: usize) -> Result<Received, Refused> {
        let shelf = self
            .shelf
            .borrow()
            .clone()
            .ok_or(StoreError::Database(sqlx::Error::WorkerCrashed))?;
        let now = self.clock.now();
        // Whatever keeps Muster from a connection is no fault of a delivery: a password that was changed, a database that
        // is being moved.
        let mut line = self
            .line()
            .await
            .map_err(|error| StoreError::from(error).again())?;
        let begun = line.conn.begin_with(BEGIN).await;
        let mut tx = begun.map_err(|error| StoreError::from(error).again())?;
        let end = group.mark_after(count);
        // What an earlier try or an earlier process has applied is not applied again.
        let mark = match group.epoch {
            Some(epoch) => {
                let moved = spool_marks::advance(&mut tx, epoch, end, now).await?;
                self.backend.store(moved.backend, Ordering::Relaxed);
                self.check_history(epoch, moved.before)?;
                moved.before
            }
            None => Mark::default(),
        };
        let which = &group.parcels[..count];
        let is_open = |placed: &Placed| !placed.place.is_some_and(|place| mark.covers(place));
        let mut posts: Vec<Post<'_>> = Vec::with_capacity(count);
        for placed in which.iter().filter(|placed| is_open(placed)) {
            let post = placed.parcel.as_post();
            match &placed.fault {
                None => posts.push(post),
                Some(fault) => {
                    deliveries::insert_rejected(&mut tx, post.source.id, post.raw, fault).await?;
                }
            }
        }
        let received = pipeline::receive(&mut tx, &posts, &shelf, &self.patience, now).await?;
        tx.commit().await?;
        line.used = Instant::now();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        self.note_applied(group.epoch, end);
        if let Some(last) = group.files.last() {
            faults::place("spool/applied", last.name.seq);
        }
        let mut outcomes = received.outcomes.into_iter();
        let of = |placed: &Placed| match is_open(placed) && placed.fault.is_none() {
            true => outcomes.next().unwrap_or_default(),
            false => Outcome::default(),
        };
        Ok(Received {
            outcomes: which.iter().map(of).collect(),
            queued: received.queued,
        })
    }

    fn finish(&self, group: &Group) {
        if let Some(folder) = &self.folder {
            let mut folder = folder.lock().unwrap_or_else(PoisonError::into_inner);
            for file in &group.files {
                folder.finish(file.name, file.length);
            }
            for file in &group.damaged {
                folder.set_aside(file.name, file.length);
            }
        }
    }
}

/// Whether a write may be done later as it is: the database is away, or somebody else holds what it needs.
fn may_pass(error: &StoreError) -> bool {
    let is_in_the_way = matches!(error, StoreError::Database(_)) && error.is_conflict();
    error.is_unavailable() || is_in_the_way && !has_code(error, UNIQUE_VIOLATION)
}

fn has_code(error: &StoreError, code: &str) -> bool {
    let StoreError::Database(sqlx::Error::Database(error)) = error else {
        return false;
    };
    error.code().is_some_and(|found| found == code)
}

/// A group waits for what the database has lost.
struct HistoryLost;

/// Batches of which only the files are there.
fn bare(files: &[Spooled]) -> Vec<Batch> {
    let batch = |file: &Spooled| Batch {
        file: Some(*file),
        parcels: None,
    };
    files.iter().map(batch).collect()
}
