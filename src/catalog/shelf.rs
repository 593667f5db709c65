//! The shelf: the published versions and the targets that everything else works with, kept up with the folder.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::folder::{self, Reading};
use crate::{
    clock::Clock,
    domain::{digest::Digest, target::Targets},
    store::{
        StoreError,
        runbooks::{self, Version},
    },
};

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is wrong with the files, for the pages.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<RwLock<Vec<String>>>);

impl Faults {
    /// Says what is wrong now; nothing, when the list is empty.
    pub fn replace(&self, faults: Vec<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// What is wrong now.
    pub fn list(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What matching and the engine work with. Clones share it.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// The current versions; `None` until the folder has been read and published once.
    pub versions: watch::Sender<Option<Arc<Vec<Version>>>>,
    /// The targets of the last good reading.
    pub targets: watch::Sender<Arc<Targets>>,
    /// What is wrong with the files.
    pub faults: Faults,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            versions: watch::Sender::new(None),
            targets: watch::Sender::new(Arc::default()),
            faults: Faults::default(),
        }
    }
}

/// Keeps the shelf up with the folder.
#[derive(Clone, Debug)]
pub struct Librarian {
    /// Folder with runbooks.
    pub folder: PathBuf,
    /// File with targets.
    pub targets: PathBuf,
    /// What is kept up.
    pub shelf: Shelf,
    /// Connections for publishing.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
}

impl Librarian {
    /// Looks again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut seen = None;
        while !stop.is_cancelled() {
            match self.pass(seen).await {
                Ok(digest) => seen = Some(digest),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "runbooks are published later"
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Reads the folder once and publishes what has changed since `seen`; returns what it saw.
    pub async fn pass(&self, seen: Option<Digest>) -> Result<Digest, StoreError> {
        let (folder, targets) = (self.folder.clone(), self.targets.clone());
        let reading = tokio::task::spawn_blocking(move || folder::read(&folder, &targets))
            .await
            .map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
        let digest = reading.digest;
        let faults: Vec<String> = reading.faults.iter().map(ToString::to_string).collect();
        if self.shelf.faults.list() != faults {
            for fault in &faults {
                tracing::warn!("{fault}");
            }
            self.shelf.faults.replace(faults);
        }
        if seen != Some(digest) {
            self.publish(reading).await?;
        }
        Ok(digest)
    }

    /// A runbook with a fault stays as its last good version says; one whose file is gone is retired.
    async fn publish(&self, reading: Reading) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        for runbook in reading.runbooks.values() {
            let origin = runbook.file.display().to_string();
            let version =
                runbooks::publish(&mut tx, &runbook.parsed.runbook, &runbook.source, &origin, now).await?;
            tracing::info!(
                runbook = version.runbook.slug,
                version = version.number,
                "published"
            );
        }
        if reading.faults.is_empty() {
            let slugs: Vec<String> = reading.runbooks.keys().cloned().collect();
            runbooks::retire_all_but(&mut tx, &slugs).await?;
        }
        let versions = runbooks::list_current(&mut tx).await?;
        tx.commit().await?;
        self.shelf.versions.send_replace(Some(Arc::new(versions)));
        if let Some(targets) = reading.targets {
            self.shelf.targets.send_replace(Arc::new(targets));
        }
        Ok(())
    }
}
