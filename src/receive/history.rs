//! A database that lost what it had: its standby took over before it had heard of the last commits, or a backup was
//! restored. Every sender had its answer, so nobody sends again.
//!
//! The marks of the spools live in that database and went back with it, so every batch that is kept and lies behind the
//! mark of its process start is one that the database does not have any more, and no other is. These wait again, before
//! everything that came later.

use std::{collections::HashMap, sync::PoisonError, time::Duration};

use uuid::Uuid;

use super::silence::in_time;
use super::{
    backlog::Spooled,
    committer::{Committer, Refused},
};
use crate::store::{
    StoreError,
    spool_marks::{self, Mark},
};

/// How often the marks are looked at while nothing is written.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Committer {
    /// Looks at the marks and lets wait again what lies behind them.
    pub(super) async fn look_back(&self) -> Result<Vec<Spooled>, StoreError> {
        let Some(folder) = &self.folder else {
            return Ok(Vec::new());
        };
        let mut epochs = folder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .kept_epochs();
        let known: HashMap<Uuid, Mark> = self
            .applied
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        epochs.extend(known.keys());
        if epochs.is_empty() {
            return Ok(Vec::new());
        }
        let asked = in_time(async {
            let mut conn = self.pool.acquire().await?;
            spool_marks::list(&mut conn, &epochs).await
        });
        let marks: HashMap<Uuid, Mark> = asked.await?.into_iter().collect();
        let back = folder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bring_back(&marks);
        let mark_of = |epoch: &Uuid| marks.get(epoch).copied().unwrap_or_default();
        let is_lost = known.iter().any(|(epoch, known)| mark_of(epoch) < *known);
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        for (epoch, known) in applied.iter_mut() {
            *known = mark_of(epoch);
        }
        drop(applied);
        if is_lost && back.is_empty() {
            tracing::error!(
                "the database has lost deliveries that it had stored, and they are not kept any more"
            );
        }
        if !back.is_empty() {
            metrics::counter!("muster_history_lost_batches_total").increment(back.len() as u64);
            tracing::error!(
                batches = back.len(),
                "the database has lost deliveries that it had stored; they are stored again from the spool"
            );
        }
        let file = |(name, length)| Spooled { name, length };
        Ok(back.into_iter().map(file).collect())
    }

    /// Compares the mark that the database has with the one that it is known to have had.
    pub(super) fn check_history(&self, epoch: Uuid, mark: Mark) -> Result<(), Refused> {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        match applied.get(&epoch) {
            Some(known) if mark < *known => Err(Refused::HistoryLost),
            _ => Ok(()),
        }
    }

    /// Remembers a mark that is committed.
    pub(super) fn note_applied(&self, epoch: Option<Uuid>, mark: Mark) {
        let Some(epoch) = epoch else { return };
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let known = applied.entry(epoch).or_default();
        *known = mark.max(*known);
    }
}
