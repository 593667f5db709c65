//! The shelf: the published versions and the targets that everything else works with, kept up with the folder.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    folder::{self, Reading},
    publish::{self, Outcome},
    scenario::folder::{self as scenario, Scenarios},
};
use crate::{
    clock::Clock,
    domain::{digest::Digest, id::VersionId, target::Targets},
    store::{
        StoreError, publications,
        runbooks::{self, Version},
        scenarios as rows,
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
    /// File with targets, when it is not targets.yaml in the folder.
    pub targets: Option<PathBuf>,
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
                        "the runbooks are kept up with later"
                    );
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Looks at the folder once, and reads and publishes it when it has changed since `seen`; returns what it saw.
    pub async fn pass(&self, seen: Option<Digest>) -> Result<Digest, StoreError> {
        let (folder, targets) = (self.folder.clone(), self.targets.clone());
        let look = move || {
            let targets = targets.as_deref();
            let digest =
                Digest::of_bytes(&[folder::digest(&folder, targets).0, scenario::digest(&folder).0].concat());
            (seen != Some(digest)).then(|| {
                let reading = folder::read(&folder, targets);
                let scenarios = scenario::read(&folder, &reading);
                (digest, reading, scenarios)
            })
        };
        let reading = tokio::task::spawn_blocking(look)
            .await
            .map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
        match (reading, seen) {
            (Some((digest, reading, scenarios)), _) => {
                self.tell(&reading, &scenarios);
                self.publish(reading, scenarios).await?;
                Ok(digest)
            }
            // Nothing read means that what was seen is still there.
            (None, seen) => {
                self.follow().await?;
                Ok(seen.unwrap_or(Digest::ZERO))
            }
        }
    }

    /// Takes in what people published, here or at another replica.
    async fn follow(&self) -> Result<(), StoreError> {
        let mut conn = self.pool.acquire().await?;
        let ids = runbooks::list_current_ids(&mut conn).await?;
        let known: Option<Vec<VersionId>> = {
            let versions = self.shelf.versions.borrow();
            versions
                .as_ref()
                .map(|versions| versions.iter().map(|version| version.id).collect())
        };
        if known.is_some_and(|known| known != ids) {
            let versions = runbooks::list_current(&mut conn).await?;
            self.shelf.versions.send_replace(Some(Arc::new(versions)));
        }
        Ok(())
    }

    /// Shows faults on every page. Warnings only ask whoever writes the runbook for a second look: they stand in the
    /// log, in `muster runbook lint` and in the editor, not before somebody who is in the middle of an incident.
    fn tell(&self, reading: &Reading, scenarios: &Scenarios) {
        let of_runbooks = reading.runbooks.iter().flat_map(|file| &file.parsed.warnings);
        for warning in of_runbooks.chain(scenarios.warnings()) {
            tracing::warn!("{warning}");
        }
        let all = reading.faults.iter().chain(&scenarios.faults);
        let faults: Vec<String> = all.map(ToString::to_string).collect();
        for fault in &faults {
            tracing::error!("{fault}");
        }
        self.shelf.faults.replace(faults);
    }

    /// A runbook with a fault stays as its last good version says; one whose file is gone is retired.
    async fn publish(&self, reading: Reading, scenarios: Scenarios) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        for file in &reading.runbooks {
            let origin = file.path.display().to_string();
            let runbook = &file.parsed.runbook;
            match publish::take_file(&mut tx, runbook, &file.source, &origin, now).await? {
                Some(Outcome::Published(version)) => {
                    tracing::info!(runbook = runbook.slug, version = version.number, "published");
                }
                Some(Outcome::Proposed(proposal)) => {
                    tracing::info!(
                        runbook = runbook.slug,
                        proposal = proposal.0,
                        "waits until others have looked at it"
                    );
                }
                Some(Outcome::Unchanged(_)) | None => {}
            }
        }
        if reading.faults.is_empty() {
            let slugs: Vec<String> = reading
                .runbooks
                .iter()
                .map(|file| file.parsed.runbook.slug.clone())
                .collect();
            publications::retire_all_but(&mut tx, &slugs).await?;
        }
        let slugs: Vec<String> = scenarios
            .files
            .iter()
            .map(|file| file.parsed.scenario.slug.clone())
            .collect();
        let taken = rows::made_of_incidents(&mut tx, &slugs).await?;
        for file in &scenarios.files {
            let slug = &file.parsed.scenario.slug;
            match taken.contains(slug) {
                // What plays a real incident again proves action items; a file must not make that easier.
                true => tracing::warn!(
                    scenario = slug.as_str(),
                    "left alone: a real incident is played again under this name; give the file one of its own"
                ),
                false => _ = rows::publish(&mut tx, &file.parsed.scenario, &file.source, now).await?,
            }
        }
        if scenarios.faults.is_empty() {
            rows::retire_all_but(&mut tx, &slugs).await?;
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
