//! What waits for the database, in order: batches that just arrived, with their senders still waiting, and batches of
//! which only the file is kept because there is no more room for them in memory.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot};

use super::{
    parcel::{Answer, Parcel},
    spool::folder::BatchName,
};

/// Bytes of deliveries kept in memory; further ones are read from the disk when their turn comes.
const MEMORY_MAX: usize = 64 << 20;
/// Batches that may wait without a file.
const DIRECT_MAX: usize = 64;

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
}

/// The queue.
#[derive(Debug, Default)]
pub struct Backlog {
    inner: Mutex<Inner>,
    more: Notify,
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
    /// refused then.
    pub fn push(&self, mut batch: Batch) {
        let mut inner = self.lock();
        let weight = batch.weight();
        if inner.weight + weight > MEMORY_MAX || (batch.file.is_none() && inner.batches.len() >= DIRECT_MAX) {
            let parcels = batch.parcels.take();
            let is_kept = batch.file.is_some();
            if is_kept {
                inner.batches.push_back(batch);
            }
            drop(inner);
            for waiting in parcels.into_iter().flatten() {
                let answer = match is_kept {
                    true => Answer::Spooled,
                    false => Answer::Refused("the disk and the database are away; send it again".to_owned()),
                };
                let _ = waiting.answer.send(answer);
            }
        } else {
            inner.weight += weight;
            inner.batches.push_back(batch);
            drop(inner);
        }
        self.more.notify_one();
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
        let (mut count, mut epoch) = (0, None);
        while let Some(next) = self.batches.front() {
            let of = next.file.map(|file| file.name.epoch);
            // How many parcels a bare file holds is known when it is read.
            let parcels = next.parcels.as_ref().map_or(1, Vec::len);
            let is_foreign = epoch.is_some() && of.is_some() && of != epoch;
            if !taken.is_empty() && (count + parcels > deliveries || is_foreign) {
                break;
            }
            epoch = epoch.or(of);
            count += parcels;
            if let Some(batch) = self.batches.pop_front() {
                self.weight -= batch.weight();
                taken.push(batch);
            }
        }
        taken
    }
}
