//! Who may send, as a file beside the spool: sources, and the hashes of their tokens. A Muster that starts while its
//! database is away knows its senders from it; a token that was revoked since opens its source until the database is
//! back, as it would have in a process that had kept running.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::store::sources::KnownSource;

/// The folder and the file in it.
const PLACE: (&str, &str) = ("senders", "known.json");

/// The file.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    /// What it holds, as far as this process knows.
    written: Mutex<Vec<u8>>,
}

impl Snapshot {
    /// The one of a spool.
    pub fn new(spool: &Path) -> Self {
        Self {
            folder: spool.join(PLACE.0),
            written: Mutex::default(),
        }
    }

    /// What it holds; `None` when there is none that can be used.
    pub fn load(&self) -> Option<Vec<KnownSource>> {
        let path = self.folder.join(PLACE.1);
        let content = fs::read(&path)
            .map_err(|error| {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, path = %path.display(), "the snapshot of senders cannot be read");
                }
            })
            .ok()?;
        serde_json::from_slice(&content)
            .map_err(
                |error| tracing::warn!(%error, path = %path.display(), "the snapshot of senders is not used"),
            )
            .ok()
    }

    /// Keeps these, if they are not what is kept already. A disk that refuses is no reason not to go on.
    pub fn save(&self, known: &[KnownSource]) {
        let Ok(content) = serde_json::to_vec(known) else {
            return;
        };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written == content {
            return;
        }
        match self.write(&content) {
            Ok(()) => *written = content,
            Err(error) => {
                tracing::warn!(%error, folder = %self.folder.display(), "the snapshot of senders was not written");
            }
        }
    }

    fn write(&self, content: &[u8]) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        // Processes of one machine share the folder, each with a draft of its own.
        let draft = self.folder.join(format!("{}.draft", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        let moved = file
            .write_all(content)
            .and_then(|()| file.sync_data())
            .and_then(|()| fs::rename(&draft, self.folder.join(PLACE.1)));
        if moved.is_err() {
            let _ = fs::remove_file(&draft);
        }
        moved
    }
}
