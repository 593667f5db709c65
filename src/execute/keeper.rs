//! Stores what an attempt writes while it is on its way: every quarter of a second, or as soon as there is a chunk.
//!
//! The action is never kept waiting; when the database is slow or away, the oldest lines that wait are let go, and counted.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::engine::{Engine, in_time};
use crate::{
    actions::Listener,
    domain::{
        id::StepId,
        output::{Batch, Outflow, OutputLine},
    },
    store::{outputs, queue::Claim},
};

/// How long lines are gathered before they are stored.
const GATHER: Duration = Duration::from_millis(250);
/// The pause before a failed write is tried again.
const WRITE_AGAIN: Duration = Duration::from_millis(200);

/// Hears one attempt and stores what it says.
pub(super) struct Keeper {
    engine: Arc<Engine>,
    claim: Claim,
    step: StepId,
    attempt: i32,
    outflow: Mutex<Outflow>,
    /// What is being stored; it stays until the database has said that it is.
    batch: tokio::sync::Mutex<Option<Batch>>,
    some: Notify,
    full: Notify,
    /// Another worker has the run: nothing more may be written.
    is_over: AtomicBool,
}

impl Listener for Keeper {
    fn hear(&self, lines: Vec<OutputLine>) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let is_full = {
            let mut outflow = self.outflow();
            outflow.push(lines);
            outflow.is_full()
        };
        self.some.notify_one();
        if is_full {
            self.full.notify_one();
        }
    }
}

impl Keeper {
    pub(super) fn new(engine: Arc<Engine>, claim: Claim, step: StepId, attempt: u32) -> Self {
        Self {
            outflow: Mutex::new(Outflow::new(engine.limits.output_bytes)),
            engine,
            claim,
            step,
            attempt: attempt as i32,
            batch: tokio::sync::Mutex::default(),
            some: Notify::new(),
            full: Notify::new(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Stores what is heard for as long as it is asked to. May be dropped at any moment; nothing is lost by that.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            self.some.notified().await;
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                () = self.full.notified() => {}
            }
            while self.owes().await {
                self.write().await;
            }
        }
    }

    /// Stores what is left, before the answer itself is: for as long as the answer could be.
    pub(super) async fn finish(self) {
        while self.owes().await && self.engine.holds(self.claim) {
            self.write().await;
        }
    }

    fn outflow(&self) -> MutexGuard<'_, Outflow> {
        self.outflow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn owes(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
            && (self.batch.lock().await.is_some() || !self.outflow().is_empty())
    }

    async fn write(&self) {
        let mut waiting = self.batch.lock().await;
        if waiting.is_none() {
            *waiting = self.outflow().take();
        }
        let Some(batch) = waiting.as_ref() else { return };
        let written = in_time(async {
            let mut conn = self.engine.pool.acquire().await?;
            outputs::insert(&mut conn, self.claim, &self.step, self.attempt, batch).await
        });
        match written.await {
            Ok(true) => *waiting = None,
            Ok(false) => {
                tracing::warn!(step.id = %self.step, "another worker has this run; its output is not kept any more");
                self.is_over.store(true, Ordering::Relaxed);
                *waiting = None;
            }
            Err(error) if error.is_unavailable() || error.is_conflict() => {
                tracing::debug!(%error, "output is not stored yet; trying again");
                tokio::time::sleep(WRITE_AGAIN).await;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, step.id = %self.step, "output was refused; these lines are lost");
                *waiting = None;
            }
        }
    }
}
