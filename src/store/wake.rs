//! Wake-ups: a change in the database is told to this process at once and to the other replicas by one coalesced,
//! empty notification. Never the only way: whoever waits also polls.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

const CHANNEL: &str = "muster";
/// The shortest pause between two notifications of one replica: a notification in each commit would serialise them.
const COALESCE: Duration = Duration::from_millis(10);
const RECONNECT: Duration = Duration::from_secs(1);

/// Tells and hears that something changed.
#[derive(Clone, Debug)]
pub struct Wake {
    changes: watch::Sender<u64>,
    queue: watch::Sender<u64>,
    outgoing: Arc<Notify>,
}

impl Default for Wake {
    fn default() -> Self {
        Self {
            changes: watch::Sender::new(0),
            queue: watch::Sender::new(0),
            outgoing: Arc::default(),
        }
    }
}

impl Wake {
    /// Says that something was committed that may have made a run due: wakes this process now, the others within a few
    /// milliseconds.
    pub fn changed(&self) {
        self.queue.send_modify(|count| *count += 1);
        self.told();
    }

    /// Says that something was committed that people may be looking at; no run is due because of it here.
    pub fn told(&self) {
        self.changes.send_modify(|count| *count += 1);
        self.outgoing.notify_one();
    }

    /// Hears that runs may be due. Subscribe first, then look in the database.
    pub fn subscribe_queue(&self) -> watch::Receiver<u64> {
        self.queue.subscribe()
    }

    fn heard(&self) {
        self.queue.send_modify(|count| *count += 1);
        self.changes.send_modify(|count| *count += 1);
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
            self.outgoing.notified().await;
            if let Err(error) = sqlx::query!("select pg_notify($1, '')", CHANNEL)
                .execute(&pool)
                .await
            {
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
            self.heard();
            while listener.try_recv().await?.is_some() {
                self.heard();
            }
        }
    }
}
