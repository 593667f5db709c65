//! The lane to the disk: takes whatever has gathered while it wrote, writes it as one batch, and hands it on.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    backlog::{Backlog, Batch, Spooled, Waiting},
    parcel::{Answer, Parcel, Receipt},
    spool::{
        folder::{SpoolFolder, SpoolLimits},
        record::encode,
    },
};
use crate::faults;

/// Deliveries of one batch at most.
const BATCH_MAX: usize = 256;
/// Deliveries that may wait for the lane. Senders wait for their answers, so there are rarely more than connections.
const WAITING_MAX: usize = 1024;

/// The folder, shared with whoever removes what is applied; `None` when there is none.
pub type SharedFolder = Option<Arc<Mutex<SpoolFolder>>>;

/// Takes parcels to the disk.
#[derive(Clone, Debug)]
pub struct Spooler {
    jobs: mpsc::Sender<Job>,
    folder: SharedFolder,
}

#[derive(Debug)]
struct Job {
    parcel: Parcel,
    spooled: oneshot::Sender<bool>,
    answer: oneshot::Sender<Answer>,
}

impl Spooler {
    /// Starts the lane, behind what an earlier process left. A folder that cannot be used is no reason not to start.
    pub fn start(path: Option<PathBuf>, limits: SpoolLimits, backlog: Arc<Backlog>) -> Self {
        let folder = path.and_then(|path| match SpoolFolder::open(&path, limits) {
            Ok((folder, left)) => {
                if !left.is_empty() {
                    tracing::info!(batches = left.len(), "deliveries of an earlier start wait in the spool");
                }
                for (name, length) in left {
                    let file = Some(Spooled { name, length });
                    backlog.push(Batch { file, parcels: None });
                }
                Some(Arc::new(Mutex::new(folder)))
            }
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the spool cannot be used; without the database deliveries will be refused");
                None
            }
        });
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(waiting, folder.clone(), backlog));
        Self { jobs, folder }
    }

    /// Its folder.
    pub fn folder(&self) -> SharedFolder {
        self.folder.clone()
    }

    /// Hands a parcel in; `None` when the lane is gone.
    pub async fn put(&self, parcel: Parcel) -> Option<Receipt> {
        let ((spooled, is_spooled), (answer, answered)) = (oneshot::channel(), oneshot::channel());
        let job = Job {
            parcel,
            spooled,
            answer,
        };
        self.jobs.send(job).await.ok()?;
        Some(Receipt {
            spooled: is_spooled,
            answer: answered,
        })
    }
}

async fn run(mut waiting: mpsc::Receiver<Job>, folder: SharedFolder, backlog: Arc<Backlog>) {
    let mut jobs = Vec::new();
    while waiting.recv_many(&mut jobs, BATCH_MAX).await > 0 {
        // In the order of arrival, which reading may have upset.
        jobs.sort_by_key(|job: &Job| job.parcel.record.head.received_at);
        let file = match &folder {
            Some(folder) => write(folder, &jobs).await,
            None => None,
        };
        let parcels = jobs
            .drain(..)
            .map(|job| {
                let _ = job.spooled.send(file.is_some());
                Waiting {
                    parcel: job.parcel,
                    answer: job.answer,
                }
            })
            .collect();
        backlog.push(Batch {
            file,
            parcels: Some(parcels),
        });
        if let Some(file) = file {
            faults::place("spool/acked", file.name.seq);
        }
    }
    backlog.close();
}

async fn write(folder: &Arc<Mutex<SpoolFolder>>, jobs: &[Job]) -> Option<Spooled> {
    let content = encode(jobs.iter().map(|job| &job.parcel.record));
    let length = content.len() as u64;
    let folder = folder.clone();
    let written = tokio::task::spawn_blocking(move || {
        let mut folder = folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.write(&content)
    })
    .await;
    match written {
        Ok(Ok(name)) => Some(Spooled { name, length }),
        Ok(Err(error)) => {
            metrics::counter!("muster_spool_refused_total").increment(jobs.len() as u64);
            tracing::error!(%error, "the spool did not take a batch; it goes straight to the database");
            None
        }
        Err(error) => {
            tracing::error!(%error, "writing to the spool broke off");
            None
        }
    }
}
