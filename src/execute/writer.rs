//! Group commit: turns that are ready together are written together, in one statement and one commit.
//!
//! A few lanes each hold a connection. A lane takes whatever has gathered while it wrote, without waiting for more, so
//! an idle system writes at once and a busy one in groups. Turns of one incident always take the same lane: they stand
//! in each other's way in the database anyway.

use std::time::Duration;

use sqlx::{Executor, PgPool, Postgres, pool::PoolConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    faults::{CrashPoints, Side},
    store::{
        StoreError,
        turns::{self, Heads, Turn, Verdict},
        wake::Wake,
    },
};

/// Connections that write turns.
const LANES: usize = 2;
/// Turns of one statement at most.
const GROUP_MAX: usize = 256;
/// Turns that may wait in a lane; a worker has one at a time, so this is more than there are runs at work.
const WAITING_MAX: usize = 4096;
/// A write that takes longer than this has an unknown outcome: the connection is thrown away and the worker looks.
const WRITE_MAX: Duration = Duration::from_secs(8);

/// Takes turns and says what became of them.
#[derive(Clone, Debug)]
pub struct Writer {
    lanes: Vec<mpsc::Sender<Job>>,
}

#[derive(Debug)]
struct Job {
    turn: Turn,
    verdict: oneshot::Sender<Result<Verdict, StoreError>>,
}

struct Lane {
    pool: PgPool,
    wake: Wake,
    crash_points: CrashPoints,
    stopping: CancellationToken,
    jobs: mpsc::Receiver<Job>,
    conn: Option<PoolConnection<Postgres>>,
    heads: Heads,
}

impl Writer {
    /// Starts the lanes; they end when the last clone of the writer is gone.
    pub fn start(
        pool: &PgPool,
        wake: &Wake,
        crash_points: &CrashPoints,
        stopping: &CancellationToken,
    ) -> Self {
        let lanes = (0..LANES)
            .map(|_| {
                let (sender, jobs) = mpsc::channel(WAITING_MAX);
                let lane = Lane {
                    pool: pool.clone(),
                    wake: wake.clone(),
                    crash_points: crash_points.clone(),
                    stopping: stopping.clone(),
                    jobs,
                    conn: None,
                    heads: Heads::default(),
                };
                tokio::spawn(lane.run());
                sender
            })
            .collect();
        Self { lanes }
    }

    /// Writes a turn, together with whatever else is ready. An error leaves the outcome unknown: read again.
    pub async fn write(&self, turn: Turn) -> Result<Verdict, StoreError> {
        let lane = turn.claim.incident.0.unsigned_abs() as usize % self.lanes.len();
        let (verdict, answer) = oneshot::channel();
        let gone = || StoreError::Database(sqlx::Error::WorkerCrashed);
        self.lanes[lane]
            .send(Job { turn, verdict })
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Lane {
    async fn run(mut self) {
        let mut jobs = Vec::new();
        while self.gather(&mut jobs).await > 0 {
            let (turns, answers): (Vec<Turn>, Vec<_>) =
                jobs.drain(..).map(|job| (job.turn, job.verdict)).unzip();
            metrics::histogram!("muster_engine_group_turns").record(turns.len() as f64);
            let names = names(&turns);
            self.crash_points.pass(Side::Before, &names);
            let verdicts = self.write(&turns).await;
            self.crash_points.pass(Side::After, &names);
            // A worker that was dropped meanwhile needs no answer.
            for (answer, verdict) in answers.into_iter().zip(verdicts) {
                let _ = answer.send(verdict);
            }
            self.wake.told();
        }
    }

    /// Waits for turns; returns how many there are, none when no worker is left. While Muster stops no connection is
    /// held in between: the pool waits for it.
    async fn gather(&mut self, jobs: &mut Vec<Job>) -> usize {
        if self.stopping.is_cancelled() {
            self.conn = None;
        }
        tokio::select! {
            count = self.jobs.recv_many(jobs, GROUP_MAX) => return count,
            () = self.stopping.cancelled(), if self.conn.is_some() => self.conn = None,
        }
        self.jobs.recv_many(jobs, GROUP_MAX).await
    }

    /// A connection that plans the one statement once and for all: planning it takes longer than carrying it out.
    async fn connect(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let mut conn = self.pool.acquire().await?;
        conn.execute("set plan_cache_mode = force_generic_plan").await?;
        Ok(conn)
    }

    async fn write(&mut self, turns: &[Turn]) -> Vec<Result<Verdict, StoreError>> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => match self.connect().await {
                Ok(conn) => conn,
                Err(error) => return every(turns, || away(&error)),
            },
        };
        let written = tokio::time::timeout(WRITE_MAX, turns::write(&mut conn, &mut self.heads, turns));
        match written.await {
            Ok(verdicts) => {
                let broke =
                    |verdict: &Result<_, StoreError>| verdict.as_ref().is_err_and(StoreError::is_unavailable);
                if !verdicts.iter().any(broke) {
                    self.conn = Some(conn);
                }
                verdicts
            }
            Err(_) => {
                // Not given back: it may still be in the middle of the statement.
                drop(conn.detach());
                self.heads = Heads::default();
                every(turns, || {
                    let text = format!("no answer to a write within {} s", WRITE_MAX.as_secs());
                    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text)).into()
                })
            }
        }
    }
}

fn every(turns: &[Turn], error: impl Fn() -> StoreError) -> Vec<Result<Verdict, StoreError>> {
    turns.iter().map(|_| Err(error())).collect()
}

/// The same trouble for each turn of a group.
fn away(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => sqlx::Error::PoolTimedOut.into(),
        sqlx::Error::PoolClosed => sqlx::Error::PoolClosed.into(),
        other => sqlx::Error::Io(std::io::Error::other(other.to_string())).into(),
    }
}

/// What is being written, for the crash points: `intent/<step>` and `outcome/<step>`.
fn names(turns: &[Turn]) -> Vec<String> {
    if !CrashPoints::ARE_BUILT_IN {
        return Vec::new();
    }
    let mut names = Vec::new();
    for turn in turns {
        names.extend(turn.ended.iter().map(|ended| format!("outcome/{}", ended.step)));
        names.extend(
            turn.started
                .iter()
                .map(|started| format!("intent/{}", started.step)),
        );
    }
    names
}
