//! Group commit: deliveries that are ready together go through the pipeline together, in one transaction.
//!
//! One lane holds one connection and takes whatever has gathered while it wrote, without waiting for more: an idle
//! system stores a delivery at once, a busy one many with each commit, in the order in which they arrived. What the
//! database refuses of a batch is tried alone, so that one delivery cannot keep the others out.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    clock::Clock,
    intake::Delivery,
    pipeline::{self, Outcome, Patience, Post},
    store::{StoreError, deliveries::NewDelivery, runbooks::Version, sources::Source, wake::Wake},
};

/// Deliveries of one transaction at most.
const POSTS_MAX: usize = 256;
/// Alerts of one transaction at most; a single delivery may hold more.
const ALERTS_MAX: usize = 4000;
/// Deliveries that may wait for the lane. Senders wait for their answers, so there are rarely more than connections.
const WAITING_MAX: usize = 1024;
/// How often a batch is tried when another transaction is in its way.
const TRIES: u32 = 5;
/// A transaction that takes longer than this has an unknown outcome; its senders are told to come again, which is
/// harmless.
const WRITE_MAX: Duration = Duration::from_secs(20);

/// A delivery to be stored.
#[derive(Debug)]
pub struct OwnPost {
    /// Who sent it.
    pub source: Arc<Source>,
    /// The sender's address.
    pub remote: String,
    /// What the sender calls itself.
    pub user_agent: String,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// What it says, group by group.
    pub groups: Vec<Delivery>,
}

impl OwnPost {
    fn as_post(&self) -> Post<'_> {
        Post {
            source: &self.source,
            raw: NewDelivery {
                remote: &self.remote,
                user_agent: &self.user_agent,
                body: &self.body,
                received_at: self.received_at,
            },
            groups: &self.groups,
        }
    }

    fn alerts(&self) -> usize {
        self.groups.iter().map(|group| group.alerts.len()).sum()
    }
}

/// The runbooks that matching uses now; `None` until they are known.
pub type Shelf = watch::Receiver<Option<Arc<Vec<Version>>>>;

/// Takes deliveries and answers each once it is committed.
#[derive(Clone, Debug)]
pub struct Committer {
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    post: OwnPost,
    answer: oneshot::Sender<Result<Outcome, StoreError>>,
}

struct Lane {
    pool: PgPool,
    clock: Clock,
    wake: Wake,
    shelf: Shelf,
    patience: Patience,
}

impl Committer {
    /// Starts the lane; it ends when the last clone of the committer is gone.
    pub fn start(pool: PgPool, clock: Clock, wake: Wake, shelf: Shelf, patience: Patience) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let lane = Lane {
            pool,
            clock,
            wake,
            shelf,
            patience,
        };
        tokio::spawn(lane.run(waiting));
        Self { jobs }
    }

    /// Stores a delivery, together with whatever else is ready. An error means that it is not stored, or that nobody
    /// knows: the sender may come again.
    pub async fn store(&self, post: OwnPost) -> Result<Outcome, StoreError> {
        let (answer, answered) = oneshot::channel();
        let gone = || StoreError::Database(sqlx::Error::WorkerCrashed);
        self.jobs.send(Job { post, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Lane {
    async fn run(self, mut waiting: mpsc::Receiver<Job>) {
        let mut jobs = Vec::new();
        while waiting.recv_many(&mut jobs, POSTS_MAX).await > 0 {
            // In the order of arrival, which parsing may have upset.
            jobs.sort_by_key(|job: &Job| job.post.received_at);
            let mut left = jobs.drain(..).peekable();
            while let Some(first) = left.next() {
                let mut alerts = first.post.alerts();
                let mut batch = vec![first];
                while let Some(next) = left.next_if(|next| alerts + next.post.alerts() <= ALERTS_MAX) {
                    alerts += next.post.alerts();
                    batch.push(next);
                }
                self.store(batch).await;
            }
        }
    }

    async fn store(&self, batch: Vec<Job>) {
        let (posts, answers): (Vec<OwnPost>, Vec<_>) =
            batch.into_iter().map(|job| (job.post, job.answer)).unzip();
        metrics::histogram!("muster_intake_group_deliveries").record(posts.len() as f64);
        let outcomes = match self.try_often(&posts).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(error) if posts.len() == 1 || error.is_unavailable() => {
                posts.iter().map(|_| Err(error.again())).collect()
            }
            Err(_) => {
                let mut outcomes = Vec::with_capacity(posts.len());
                for post in &posts {
                    let alone = self.try_often(std::slice::from_ref(post)).await;
                    outcomes.push(alone.map(|mut outcomes| outcomes.pop().unwrap_or_default()));
                }
                outcomes
            }
        };
        if outcomes.iter().any(Result::is_ok) {
            self.wake.changed();
        }
        // A sender that hung up meanwhile needs no answer.
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            let _ = answer.send(outcome);
        }
    }

    /// Commits posts. When another transaction is in the way the whole is tried again: nothing of it has been kept.
    async fn try_often(&self, posts: &[OwnPost]) -> Result<Vec<Outcome>, StoreError> {
        let mut tries = 1;
        loop {
            match tokio::time::timeout(WRITE_MAX, self.write(posts)).await {
                Ok(Err(error)) if error.is_conflict() && tries < TRIES => tries += 1,
                Ok(result) => return result,
                Err(_) => {
                    let text = format!("no answer to a write within {} s", WRITE_MAX.as_secs());
                    return Err(
                        sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text)).into(),
                    );
                }
            }
        }
    }

    async fn write(&self, posts: &[OwnPost]) -> Result<Vec<Outcome>, StoreError> {
        // Stored without its runbooks, an alert would wait for a person who is asleep.
        let shelf = self
            .shelf
            .borrow()
            .clone()
            .ok_or(StoreError::Database(sqlx::Error::WorkerCrashed))?;
        let posts: Vec<Post<'_>> = posts.iter().map(OwnPost::as_post).collect();
        let mut tx = self.pool.begin().await?;
        let outcomes = pipeline::receive(&mut tx, &posts, &shelf, &self.patience, self.clock.now()).await?;
        tx.commit().await?;
        Ok(outcomes)
    }
}
