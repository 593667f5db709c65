//! Batches that are applied, kept for a while: a database that is replaced by its standby, or restored, may have lost what
//! it said it had.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::folder::{BatchName, ENDING};

/// How long an applied batch is kept: longer than a standby may lag behind.
pub const KEEP: Duration = Duration::from_secs(15 * 60);
/// Bytes of applied batches that are kept at most.
pub const BYTES_MAX: u64 = 256 << 20;
/// Its folder, beside the batches that wait.
const FOLDER: &str = "done";

/// The applied batches of one part, the one applied first in front.
#[derive(Debug)]
pub struct Done {
    path: PathBuf,
    kept: VecDeque<Kept>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    name: BatchName,
    length: u64,
    since: Instant,
}

impl Done {
    /// Finds what earlier processes kept; its time begins again.
    pub fn open(part: &Path) -> io::Result<Self> {
        let path = part.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().and_then(BatchName::parse) {
                kept.push(Kept {
                    name,
                    length: entry.metadata()?.len(),
                    since: Instant::now(),
                });
            }
        }
        kept.sort_by_key(|kept| kept.name);
        Ok(Self {
            path,
            bytes: kept.iter().map(|kept| kept.length).sum(),
            kept: kept.into(),
        })
    }

    fn file(&self, name: BatchName) -> PathBuf {
        self.path.join(name.file(ENDING))
    }

    /// Takes a batch in and lets go of those that are too old or too many.
    pub fn keep(&mut self, from: &Path, name: BatchName, length: u64) -> io::Result<()> {
        fs::rename(from, self.file(name))?;
        self.kept.push_back(Kept {
            name,
            length,
            since: Instant::now(),
        });
        self.bytes += length;
        while self
            .kept
            .front()
            .is_some_and(|first| self.bytes > BYTES_MAX || first.since.elapsed() > KEEP)
        {
            self.let_go();
        }
        Ok(())
    }

    fn let_go(&mut self) {
        if let Some(first) = self.kept.pop_front() {
            self.bytes = self.bytes.saturating_sub(first.length);
            if let Err(error) = fs::remove_file(self.file(first.name)) {
                tracing::warn!(%error, batch = ?first.name, "an applied batch could not be removed");
            }
        }
    }

    /// Lets go of all of them, because the disk is full; `false` when there are none.
    pub fn clear(&mut self) -> bool {
        let had_any = !self.kept.is_empty();
        while !self.kept.is_empty() {
            self.let_go();
        }
        had_any
    }

    /// The process starts whose batches are kept.
    pub fn epochs(&self) -> Vec<Uuid> {
        let mut epochs: Vec<Uuid> = self.kept.iter().map(|kept| kept.name.epoch).collect();
        epochs.sort();
        epochs.dedup();
        epochs
    }

    /// Gives back the batches for which `is_lost` holds, in order, with their lengths.
    pub fn give_back(&mut self, part: &Path, is_lost: impl Fn(BatchName) -> bool) -> Vec<(BatchName, u64)> {
        let (mut lost, kept): (Vec<Kept>, Vec<Kept>) =
            self.kept.drain(..).partition(|kept| is_lost(kept.name));
        self.kept = kept.into();
        lost.sort_by_key(|kept| kept.name);
        let mut back = Vec::new();
        for kept in lost {
            self.bytes = self.bytes.saturating_sub(kept.length);
            match fs::rename(self.file(kept.name), part.join(kept.name.file(ENDING))) {
                Ok(()) => back.push((kept.name, kept.length)),
                Err(error) => {
                    tracing::error!(%error, batch = ?kept.name, "a batch that the database lost cannot be brought back");
                }
            }
        }
        back
    }
}
