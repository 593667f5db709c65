//! Wake-ups: a change in the database is told to this process at once and to the other replicas by coalesced
//! notifications, which say who speaks and whether a run may be due. Never the only way: whoever waits also polls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CHANNEL: &str = "muster";
/// The shortest pause between two notifications of one replica: a notification in each commit would serialise them.
const COALESCE: Duration = Duration::from_millis(10);
const RECONNECT: Duration = Duration::from_secs(1);
/// What follows the speaker's name when a run may be due.
const DUE: &str = " due";

/// Tells and hears that something changed.
#[derive(Clone, Debug)]
pub struct Wake {
    changes: watch::Sender<u64>,
    queue: watch::Sender<u64>,
    outgoing: Arc<Outgoing>,
    /// This process among the replicas.
    speaker: Uuid,
}

/// What the others have not been told yet.
#[derive(Debug, Default)]
struct Outgoing {
    more: Notify,
    due: AtomicBool,
}

impl Default for Wake {
    fn default() -> Self {
        Self {
            changes: watch::Sender::new(0),
            queue: watch::Sender::new(0),
            outgoing: Arc::default(),
            speaker: Uuid::new_v4(),
        }
    }
}

impl Wake {
    /// Says that something was committed that may have made a run due: wakes this process now, the others within a few
    /// milliseconds.
    pub fn changed(&self) {
        self.queue.send_modify(|count| *count += 1);
        self.outgoing.due.store(true, Ordering::Relaxed);
        self.told();
    }

    /// Says that something was committed that people may be looking at; no run is due because of it here.
    pub fn told(&self) {
        self.changes.send_modify(|count| *count += 1);
        self.outgoing.more.notify_one();
    }

    /// Hears that runs may be due. Subscribe first, then look in the database.
    pub fn subscribe_queue(&self) -> watch::Receiver<u64> {
        self.queue.subscribe()
    }

    fn heard(&self, is_due: bool) {
        if is_due {
            self.queue.send_modify(|count| *count += 1);
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// What another replica said; its own voice comes back to each, and says nothing new.
    fn heard_of(&self, payload: &str) {
        if !payload.starts_with(&self.speaker.to_string()) {
            self.heard(payload.ends_with(DUE));
        }
    }

    /// How many changes were told so far: who looks in the database afterwards sees what those were about.
    pub fn count(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Hears of changes. Subscribe first, then look in the database.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Carries wake-ups to and from the other replicas until `stop`.
    pub async fn run(self, pool: PgPool, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.send(pool.clone()) => {}
            () = self.listen(pool) => {}
        }
    }

    async fn send(&self, pool: PgPool) {
        loop {
            self.outgoing.more.notified().await;
            let due = match self.outgoing.due.swap(false, Ordering::Relaxed) {
                true => DUE,
                false => "",
            };
            let payload = format!("{}{due}", self.speaker);
            // A notification is nothing that the disk must keep: nobody waits for its sync.
            let told = sqlx::query!(
                "select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
                CHANNEL,
                payload
            );
            if let Err(error) = told.fetch_one(&pool).await {
                tracing::debug!(%error, "other replicas were not woken; they will find the change by polling");
            }
            tokio::time::sleep(COALESCE).await;
        }
    }

    async fn listen(&self, pool: PgPool) {
        loop {
            if let Err(error) = self.listen_once(&pool).await {
                tracing::warn!(%error, "lost the wake-up connection; polling until it is back");
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    async fn listen_once(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            // Whatever happened before the connection stood is found by looking once now.
            self.heard(true);
            while let Some(told) = listener.try_recv().await? {
                self.heard_of(told.payload());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_voice_wakes_nobody_and_that_of_others_only_whom_it_concerns() {
        let (one, other) = (Wake::default(), Wake::default());
        let (mut queue, mut changes) = (one.subscribe_queue(), one.subscribe());
        for (payload, due, changed) in [
            (one.speaker.to_string(), false, false),
            (format!("{}{DUE}", one.speaker), false, false),
            (other.speaker.to_string(), false, true),
            (format!("{}{DUE}", other.speaker), true, true),
        ] {
            queue.mark_unchanged();
            changes.mark_unchanged();
            one.heard_of(&payload);
            assert_eq!(queue.has_changed().unwrap(), due, "{payload}");
            assert_eq!(changes.has_changed().unwrap(), changed, "{payload}");
        }
    }
}
