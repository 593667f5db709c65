//! The lane to the database: batches that are ready together go through the pipeline together, in one transaction, in the
//! order in which they arrived.
//!
//! While the database is away, what is on the disk waits and is tried again; what is not is refused. What the database
//! refuses of a batch is tried alone, and what it refuses alone is kept as rejected, to be seen and sent again by hand:
//! one delivery cannot keep the others out.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use uuid::Uuid;

use super::{
    Shelf,
    backlog::{Backlog, Batch, Spooled, Waiting},
    parcel::{self, Answer, Letter, Parcel},
    senders::Senders,
    spool::record::decode,
    spooler::SharedFolder,
};
use crate::{
    clock::Clock,
    domain::causes,
    pipeline::{self, Outcome, Patience, Post},
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
/// How often a group is tried when another transaction is in its way.
const TRIES: u32 = 5;
/// A transaction that takes longer than this has an unknown outcome; the mark of the spool tells the next try.
const WRITE_MAX: Duration = Duration::from_secs(20);
/// The pause before a database that is away is tried again, doubled from the first to the second.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

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
}

/// A parcel with its place in the spool.
struct Placed {
    parcel: Parcel,
    /// Its batch, and its place in that, from 0; `None` when it is not on the disk.
    place: Option<Mark>,
    answer: Option<tokio::sync::oneshot::Sender<Answer>>,
}

/// A group of batches that is applied together.
#[derive(Default)]
struct Group {
    epoch: Option<Uuid>,
    parcels: Vec<Placed>,
    files: Vec<Spooled>,
    /// Where the mark stands when all of it is applied.
    end: Mark,
}

impl Committer {
    /// Applies what waits until no more will come.
    pub async fn run(self) {
        while let Some(batches) = self.backlog.next(POSTS_MAX).await {
            let Some(mut group) = self.load(batches).await else {
                continue;
            };
            self.apply(&mut group).await;
            self.remove(&group.files);
        }
    }

    /// Reads what is not in memory. A file that cannot be read whole is put aside; what can be read of it is applied.
    async fn load(&self, batches: Vec<Batch>) -> Option<Group> {
        let mut group = Group::default();
        for batch in batches {
            if let Some(file) = batch.file {
                group.epoch = Some(file.name.epoch);
                group.end = Mark {
                    seq: file.name.seq,
                    part: 0,
                };
            }
            match (batch.parcels, batch.file) {
                (Some(parcels), file) => {
                    group.files.extend(file);
                    let place = |part: usize| {
                        file.map(|file| Mark {
                            seq: file.name.seq,
                            part: part as i32,
                        })
                    };
                    let placed = parcels.into_iter().enumerate();
                    group
                        .parcels
                        .extend(placed.map(|(part, Waiting { parcel, answer })| Placed {
                            parcel,
                            place: place(part),
                            answer: Some(answer),
                        }));
                }
                (None, Some(file)) => self.read(file, &mut group).await,
                (None, None) => {}
            }
        }
        (!group.parcels.is_empty() || !group.files.is_empty()).then_some(group)
    }

    async fn read(&self, file: Spooled, group: &mut Group) {
        let Some(folder) = &self.folder else { return };
        let content = {
            let folder = folder.lock().unwrap_or_else(PoisonError::into_inner);
            folder.read(file.name)
        };
        let (records, damage) = match content {
            Ok(content) => {
                let length = content.len() as u64;
                let read = decode(&content);
                match read.1.is_empty() {
                    true => group.files.push(Spooled { length, ..file }),
                    false => folder
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .set_aside(file.name),
                }
                read
            }
            Err(error) => {
                tracing::error!(%error, file = ?file.name, "a batch of the spool cannot be read; it stays where it is");
                return;
            }
        };
        for damage in damage {
            metrics::counter!("muster_spool_damaged_total").increment(1);
            tracing::error!(file = ?file.name, %damage, "a batch of the spool is damaged; it was put aside");
        }
        for (part, record) in records.into_iter().enumerate() {
            let place = Some(Mark {
                seq: file.name.seq,
                part: part as i32,
            });
            let source = self.senders.by_id_until_known(record.head.source).await;
            let (Some(source), Some(format)) = (source, record.head.format()) else {
                tracing::error!(
                    source = record.head.source.0,
                    "a spooled delivery has no source any more"
                );
                continue;
            };
            // It was read once before it was accepted; settings that changed since may have broken its mapping.
            match parcel::read(&source, &record, format) {
                Ok(Letter::Groups(groups, remark)) => group.parcels.push(Placed {
                    parcel: Parcel {
                        source,
                        record,
                        groups,
                        remark,
                    },
                    place,
                    answer: None,
                }),
                Ok(Letter::Asks(_)) => {}
                Err(fault) => tracing::error!(%fault, "a spooled delivery cannot be read any more"),
            }
        }
    }

    /// Applies a group, however long that takes for what is on the disk.
    async fn apply(&self, group: &mut Group) {
        let mut pause = AGAIN_AFTER.0;
        loop {
            metrics::histogram!("muster_intake_group_deliveries").record(group.parcels.len() as f64);
            let all: Vec<usize> = (0..group.parcels.len()).collect();
            match self.try_often(group, &all, group.end).await {
                Ok(outcomes) => return self.tell(group, outcomes),
                Err(error) if error.is_unavailable() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        waiting = self.backlog.waiting(),
                        "deliveries wait for the database"
                    );
                    group.refuse_direct();
                    if group.parcels.is_empty() && group.files.is_empty() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(AGAIN_AFTER.1);
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a group of deliveries was refused; each is tried alone"
                    );
                    self.one_by_one(group).await;
                    return;
                }
            }
        }
    }

    async fn one_by_one(&self, group: &mut Group) {
        for at in 0..group.parcels.len() {
            let next = group.parcels[at + 1..].iter().find_map(|placed| placed.place);
            // The mark stands before the next parcel of this batch, or behind the batch.
            let end = match (group.parcels[at].place, next) {
                (Some(place), Some(next)) if next.seq == place.seq => Mark {
                    seq: place.seq - 1,
                    part: next.part,
                },
                (Some(place), _) => Mark {
                    seq: place.seq,
                    part: 0,
                },
                (None, _) => Mark::default(),
            };
            loop {
                match self.try_often(group, &[at], end).await {
                    Ok(outcomes) => {
                        self.tell(group, outcomes);
                        break;
                    }
                    Err(error) if error.is_unavailable() && group.parcels[at].place.is_some() => {
                        tokio::time::sleep(AGAIN_AFTER.1).await;
                    }
                    Err(error) => {
                        if !self.quarantine(&mut group.parcels[at], &error).await {
                            // The next start finds it where it is.
                            group.files.clear();
                        }
                        break;
                    }
                }
            }
        }
    }

    /// Keeps a delivery that the database refuses as it is, with the reason; `false` when it refuses even that.
    async fn quarantine(&self, placed: &mut Placed, error: &StoreError) -> bool {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "a delivery cannot be applied; it is kept as rejected"
        );
        if let Some(answer) = placed.answer.take() {
            let _ = answer.send(Answer::Refused("not stored; send it again".to_owned()));
        }
        let post = placed.parcel.as_post();
        let reason = format!("it could not be applied: {}", causes::told(error));
        loop {
            let kept = async {
                let begun = self.pool.acquire().await;
                let mut conn = begun.map_err(|error| StoreError::from(error).again())?;
                deliveries::insert_rejected(&mut conn, post.source.id, post.raw, &reason).await
            };
            match kept.await {
                Ok(()) => return true,
                Err(error) if error.is_unavailable() && placed.place.is_some() => {
                    tokio::time::sleep(AGAIN_AFTER.1).await;
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "nor can it be kept");
                    return false;
                }
            }
        }
    }

    fn tell(&self, group: &mut Group, outcomes: Vec<(usize, Outcome)>) {
        self.wake.changed();
        for (at, outcome) in outcomes {
            // A sender that hung up meanwhile needs no answer.
            if let Some(answer) = group.parcels[at].answer.take() {
                let _ = answer.send(Answer::Stored(outcome));
            }
        }
    }

    /// Commits parcels of a group and moves the mark of its spool. When another transaction is in the way the whole is
    /// tried again: nothing of it has been kept.
    async fn try_often(
        &self,
        group: &Group,
        which: &[usize],
        end: Mark,
    ) -> Result<Vec<(usize, Outcome)>, StoreError> {
        let mut tries = 1;
        loop {
            match tokio::time::timeout(WRITE_MAX, self.write(group, which, end)).await {
                Ok(Err(error)) if error.is_conflict() && tries < TRIES => tries += 1,
                Ok(result) => return result,
                Err(_) => {
                    let text = format!("no answer to a write within {} s", WRITE_MAX.as_secs());
                    let late = std::io::Error::new(std::io::ErrorKind::TimedOut, text);
                    return Err(sqlx::Error::Io(late).into());
                }
            }
        }
    }

    async fn write(
        &self,
        group: &Group,
        which: &[usize],
        end: Mark,
    ) -> Result<Vec<(usize, Outcome)>, StoreError> {
        // Stored without its runbooks, an alert would wait for a person who is asleep.
        let shelf = self
            .shelf
            .borrow()
            .clone()
            .ok_or(StoreError::Database(sqlx::Error::WorkerCrashed))?;
        let now = self.clock.now();
        // Whatever keeps Muster from a connection is no fault of a delivery: a password that was changed, a database that
        // is being moved.
        let begun = self.pool.begin_with(BEGIN).await;
        let mut tx = begun.map_err(|error| StoreError::from(error).again())?;
        // What an earlier try or an earlier process has applied is not applied again.
        let mark = match group.epoch {
            Some(epoch) => spool_marks::lock(&mut tx, epoch).await?,
            None => Mark::default(),
        };
        let is_applied =
            |place: Mark| place.seq <= mark.seq || place.seq == mark.seq + 1 && place.part < mark.part;
        let is_open = |placed: &Placed| !placed.place.is_some_and(is_applied);
        let open: Vec<usize> = which
            .iter()
            .copied()
            .filter(|at| is_open(&group.parcels[*at]))
            .collect();
        let posts: Vec<Post<'_>> = open
            .iter()
            .map(|at| group.parcels[*at].parcel.as_post())
            .collect();
        let mut outcomes = pipeline::receive(&mut tx, &posts, &shelf, &self.patience, now)
            .await?
            .into_iter();
        if let Some(epoch) = group.epoch
            && mark < end
        {
            spool_marks::set(&mut tx, epoch, end, now).await?;
        }
        tx.commit().await?;
        Ok(which
            .iter()
            .map(|at| {
                let outcome = match open.contains(at) {
                    true => outcomes.next().unwrap_or_default(),
                    false => Outcome::default(),
                };
                (*at, outcome)
            })
            .collect())
    }

    fn remove(&self, files: &[Spooled]) {
        if let Some(folder) = &self.folder {
            let mut folder = folder.lock().unwrap_or_else(PoisonError::into_inner);
            for file in files {
                folder.remove(file.name, file.length);
            }
        }
    }
}

impl Group {
    /// What is not on the disk cannot wait.
    fn refuse_direct(&mut self) {
        self.parcels.retain_mut(|placed| {
            if placed.place.is_none()
                && let Some(answer) = placed.answer.take()
            {
                let _ = answer.send(Answer::Refused("not stored; send it again".to_owned()));
            }
            placed.place.is_some()
        });
    }
}
