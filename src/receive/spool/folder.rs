//! The folder of a spool: batch files in order, within bounds.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use uuid::Uuid;

use super::done::Done;
use crate::{faults, store::spool_marks::Mark};

/// How batch files end, and those that are being written.
pub const ENDING: &str = "spool";
const DRAFT: &str = "draft";
/// How files end that could not be read; they stay for a person.
const DAMAGED: &str = "damaged";

/// Bounds of a spool.
#[derive(Clone, Copy, Debug)]
pub struct SpoolLimits {
    /// Bytes that may wait on the disk.
    pub bytes_max: u64,
    /// Files that may wait.
    pub files_max: usize,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            bytes_max: 1 << 30,
            files_max: 1_000_000,
        }
    }
}

/// A batch on the disk: which process start wrote it, and its place among that one's. Earlier ones sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchName {
    /// The process start; rises with time.
    pub epoch: Uuid,
    /// From 1.
    pub seq: i64,
}

impl BatchName {
    /// Its file's name.
    pub fn file(self, ending: &str) -> String {
        format!("{}-{:016}.{ending}", self.epoch.simple(), self.seq)
    }

    /// The batch of a file's name; `None` for any other file.
    pub fn parse(name: &str) -> Option<Self> {
        let (stem, ending) = name.rsplit_once('.')?;
        let (epoch, seq) = stem.split_once('-')?;
        Some(Self {
            epoch: Uuid::try_parse(epoch).ok()?,
            seq: seq.parse().ok()?,
        })
        .filter(|_| ending == ENDING)
    }
}

/// The batches of a part, in order, each with its length in bytes.
fn leftovers(path: &Path) -> io::Result<Vec<(BatchName, u64)>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(batch) = BatchName::parse(name) {
            left.push((batch, entry.metadata()?.len()));
        } else if name.ends_with(&format!(".{DRAFT}")) {
            // Nobody was told that it was there.
            fs::remove_file(entry.path())?;
        }
    }
    left.sort();
    Ok(left)
}

/// A folder that one process writes to.
#[derive(Debug)]
pub struct SpoolFolder {
    path: PathBuf,
    handle: File,
    limits: SpoolLimits,
    epoch: Uuid,
    seq: i64,
    bytes: u64,
    files: usize,
    done: Done,
}

/// Processes of one machine that may share a folder, each in a part of its own.
const PARTS_MAX: usize = 64;

impl SpoolFolder {
    /// Takes a free part of the folder, one in which an earlier process left something first, and finds what that was, in
    /// order. A part belongs to one process at a time: the lock on it ends with the process, however that ends.
    pub fn open(folder: &Path, limits: SpoolLimits) -> io::Result<(Self, Vec<(BatchName, u64)>)> {
        let mut free = None;
        for part in 0..PARTS_MAX {
            let path = folder.join(part.to_string());
            let is_new = !path.exists();
            if is_new && free.is_some() {
                break;
            }
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
            let handle = File::open(&path)?;
            match handle.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let left = leftovers(&path)?;
            let is_wanted = !left.is_empty() || free.is_none();
            if is_wanted {
                free = Some((handle, path, left));
            }
            if is_new || free.as_ref().is_some_and(|(.., left)| !left.is_empty()) {
                break;
            }
        }
        let (handle, path, left) = free.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("all {PARTS_MAX} parts of it are in use"),
            )
        })?;
        let folder = Self {
            done: Done::open(&path)?,
            handle,
            path,
            limits,
            epoch: Uuid::now_v7(),
            seq: 0,
            bytes: left.iter().map(|(_, length)| length).sum(),
            files: left.len(),
        };
        Ok((folder, left))
    }

    /// Writes a batch so that it survives the process and the machine's next start. After an error the batch is not
    /// there: a file whose sync failed is never trusted, and never written again.
    pub fn write(&mut self, content: &[u8]) -> io::Result<BatchName> {
        let length = content.len() as u64;
        if self.bytes + length > self.limits.bytes_max || self.files >= self.limits.files_max {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!(
                    "the spool is full: {} bytes wait in {} files",
                    self.bytes, self.files
                ),
            ));
        }
        let name = match self.try_write(content) {
            // What is new matters more than what is applied.
            Err(error) if is_full(&error) && self.done.clear() => self.try_write(content)?,
            tried => tried?,
        };
        self.bytes += length;
        self.files += 1;
        Ok(name)
    }

    fn try_write(&mut self, content: &[u8]) -> io::Result<BatchName> {
        self.seq += 1;
        let (epoch, seq) = (self.epoch, self.seq);
        let name = BatchName { epoch, seq };
        let draft = self.path.join(name.file(DRAFT));
        let path = self.waiting(name);
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&draft)?;
            file.write_all(content)?;
            faults::place("spool/written", seq);
            file.sync_data()?;
            faults::place("spool/synced", seq);
            fs::rename(&draft, &path)?;
            faults::place("spool/renamed", seq);
            self.handle.sync_data()
        })();
        if let Err(error) = written {
            // Whatever is left of it must not be found by the next start: its sender is told to come again.
            for left in [&draft, &path] {
                if let Err(error) = fs::remove_file(left)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    tracing::error!(%error, file = %left.display(), "a refused batch could not be removed");
                }
            }
            return Err(error);
        }
        Ok(name)
    }

    fn waiting(&self, batch: BatchName) -> PathBuf {
        self.path.join(batch.file(ENDING))
    }

    /// What a batch holds.
    pub fn read(&self, batch: BatchName) -> io::Result<Vec<u8>> {
        fs::read(self.waiting(batch))
    }

    /// Keeps a batch that is applied for a while, or removes it when that fails. One that stays is found again and passed
    /// over then.
    pub fn finish(&mut self, batch: BatchName, length: u64) {
        let path = self.waiting(batch);
        if let Err(error) = self
            .done
            .keep(&path, batch, length)
            .or_else(|_| fs::remove_file(&path))
        {
            tracing::warn!(%error, ?batch, "an applied batch could not be removed");
        }
        self.forget(length);
        faults::place("spool/finished", batch.seq);
    }

    /// Puts a batch aside that cannot be read whole, for a person.
    pub fn set_aside(&mut self, batch: BatchName, length: u64) {
        if let Err(error) = fs::rename(self.waiting(batch), self.path.join(batch.file(DAMAGED))) {
            tracing::error!(%error, ?batch, "a damaged batch could not be put aside");
        }
        self.forget(length);
    }

    fn forget(&mut self, length: u64) {
        self.bytes = self.bytes.saturating_sub(length);
        self.files = self.files.saturating_sub(1);
    }

    /// When a batch was written; `None` when it is gone.
    pub fn written_at(&self, batch: BatchName) -> Option<SystemTime> {
        fs::metadata(self.waiting(batch)).ok()?.modified().ok()
    }

    /// The process starts whose applied batches are still kept.
    pub fn kept_epochs(&self) -> Vec<Uuid> {
        self.done.epochs()
    }

    /// Lets the applied batches wait again that these marks do not cover; a process start without a mark has none.
    pub fn bring_back(&mut self, marks: &HashMap<Uuid, Mark>) -> Vec<(BatchName, u64)> {
        let is_lost = |name: BatchName| marks.get(&name.epoch).is_none_or(|mark| name.seq > mark.seq);
        let back = self.done.give_back(&self.path, is_lost);
        self.files += back.len();
        self.bytes += back.iter().map(|(_, length)| length).sum::<u64>();
        back
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many batches wait.
    pub fn files(&self) -> usize {
        self.files
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
