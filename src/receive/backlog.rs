//! What waits for the database, in order: batches that just arrived, with their senders still waiting, and batches of
//! which only the file is kept because there is no more room for them in memory.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot, watch};

use super::{
    parcel::{Answer, Parcel},
    spool::folder::BatchName,
};

/// Bytes of deliveries kept in memory; further ones are read from the disk when their turn comes.
const MEMORY_MAX: usize = 64 << 20;
/// Batches that may wait without a file.
const DIRECT_MAX: usize = 64;
/// Bytes of files that are read to be applied together.
const READ_MAX: u64 = 8 << 20;
/// A record of a file takes at least this many bytes: how many deliveries a file holds is known when it is read.
const RECORD_MIN: u64 = 200;
const AWAY: &str = "the disk and the database are away; send it again";

/// A parcel whose sender waits.
#[derive(Debug)]
pub struct Waiting {
    /// The parcel.
    pub parcel: Parcel,
    /// To be told.
    pub answer: oneshot::Sender<Answer>,
}

/// A batch on the disk.
#[derive(Clone, Copy, Debug)]
pub struct Spooled {
    /// Its file.
    pub name: BatchName,
    /// Length of that, in bytes.
    pub length: u64,
}

/// A batch that waits.
#[derive(Debug)]
pub struct Batch {
    /// Its file; `None` when the disk did not take it.
    pub file: Option<Spooled>,
    /// Its parcels; `None` when only the file is kept.
    pub parcels: Option<Vec<Waiting>>,
}

impl Batch {
    fn weight(&self) -> usize {
        let parcels = self.parcels.iter().flatten();
        parcels.map(|waiting| waiting.parcel.weight()).sum()
    }

    /// About how many deliveries it holds.
    fn deliveries(&self) -> usize {
        let length = self.file.map_or(0, |file| file.length);
        let guess = (length / RECORD_MIN) as usize + 1;
        self.parcels.as_ref().map_or(guess, Vec::len)
    }

    fn refuse(self) {
        for waiting in self.parcels.into_iter().flatten() {
            let _ = waiting.answer.send(Answer::Refused(AWAY.to_owned()));
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub struct Backlog {
    inner: Mutex<Inner>,
    more: Notify,
    away: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Inner {
    batches: VecDeque<Batch>,
    weight: usize,
    is_closed: bool,
}

impl Backlog {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch at the end. One that has a file gives up its memory when there is no room; one that has none is
    /// refused then, and while the database is known to be away.
    pub fn push(&self, mut batch: Batch) {
        let mut inner = self.lock();
        let weight = batch.weight();
        let is_direct = batch.file.is_none();
        if is_direct && (*self.away.borrow() || inner.batches.len() >= DIRECT_MAX) {
            drop(inner);
            batch.refuse();
            return;
        }
        if inner.weight + weight <= MEMORY_MAX {
            inner.weight += weight;
            inner.batches.push_back(batch);
            drop(inner);
        } else if is_direct {
            drop(inner);
            batch.refuse();
        } else {
            let parcels = batch.parcels.take();
            inner.batches.push_back(batch);
            drop(inner);
            for waiting in parcels.into_iter().flatten() {
                let _ = waiting.answer.send(Answer::Spooled);
            }
        }
        self.more.notify_one();
    }

    /// The lane says whether the database is away while something waits for it. Nobody waits for an answer of it then, and
    /// what has no file is refused.
    pub fn set_away(&self, is_away: bool) {
        let was_away = self.away.send_replace(is_away);
        if is_away && !was_away {
            let direct = self.lock().take_direct();
            direct.into_iter().for_each(Batch::refuse);
        }
    }

    /// Whether it is.
    pub fn away(&self) -> watch::Receiver<bool> {
        self.away.subscribe()
    }

    /// No more will come.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.more.notify_one();
    }

    /// The batches that can be applied together, at least one: consecutive ones of one process start, with at most
    /// `deliveries` parcels. `None` when it is closed and empty.
    pub async fn next(&self, deliveries: usize) -> Option<Vec<Batch>> {
        loop {
            let more = self.more.notified();
            {
                let mut inner = self.lock();
                let batches = inner.take(deliveries);
                if !batches.is_empty() {
                    return Some(batches);
                }
                if inner.is_closed {
                    return None;
                }
            }
            more.await;
        }
    }

    /// Whether no more will come and nothing waits.
    pub fn is_over(&self) -> bool {
        let inner = self.lock();
        inner.is_closed && inner.batches.is_empty()
    }

    /// The first batch that waits on the disk.
    pub fn first(&self) -> Option<BatchName> {
        let inner = self.lock();
        let found = inner.batches.iter().find_map(|batch| batch.file);
        found.map(|file| file.name)
    }

    /// Batches that wait.
    pub fn waiting(&self) -> usize {
        self.lock().batches.len()
    }
}

impl Inner {
    fn take(&mut self, deliveries: usize) -> Vec<Batch> {
        let mut taken: Vec<Batch> = Vec::new();
        let (mut count, mut bytes, mut epoch) = (0, 0, None);
        while let Some(next) = self.batches.front() {
            let of = next.file.map(|file| file.name.epoch);
            let is_foreign = epoch.is_some() && of.is_some() && of != epoch;
            count += next.deliveries();
            bytes += next.file.map_or(0, |file| file.length);
            if !taken.is_empty() && (count > deliveries || bytes > READ_MAX || is_foreign) {
                break;
            }
            epoch = epoch.or(of);
            if let Some(batch) = self.batches.pop_front() {
                self.weight -= batch.weight();
                taken.push(batch);
            }
        }
        taken
    }

    fn take_direct(&mut self) -> Vec<Batch> {
        let (mut direct, mut kept) = (Vec::new(), VecDeque::new());
        for batch in self.batches.drain(..) {
            match batch.file {
                None => direct.push(batch),
                Some(_) => kept.push_back(batch),
            }
        }
        self.batches = kept;
        self.weight -= direct.iter().map(Batch::weight).sum::<usize>();
        direct
    }
}
