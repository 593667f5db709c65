//! The data folder on disk: who owns the server's part of it, who may use it, what an earlier life left behind.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use sha2::{Digest, Sha256};

use super::{EmbeddedError, SOCKET_PORT};

/// A socket's whole path must stay below this, or the kernel refuses it.
const SOCKET_PATH_MAX: usize = 107;

/// A log larger than this is set aside at the next start.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How much of the log an error message quotes.
const LOG_TAIL_BYTES: i64 = 2_000;

/// The folders and files of one private server.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) data: PathBuf,
    pub(super) pgdata: PathBuf,
    pub(super) sockets: PathBuf,
    pub(super) log: PathBuf,
    /// Whom the server runs as, if not as ourselves: it refuses to run as root.
    pub(super) user: Option<User>,
    /// Held as long as the server may be running.
    _lock: File,
}

impl Home {
    /// Makes the data folder if needed and takes it; a second instance is refused here.
    pub(super) fn take(data: &Path) -> Result<Home, EmbeddedError> {
        // The server's user has to pass through it; what it must not read is protected one level below.
        let mode = if Uid::effective().is_root() { 0o711 } else { 0o700 };
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(data)
            .map_err(EmbeddedError::io("create the data folder", data))?;
        let data = data
            .canonicalize()
            .map_err(EmbeddedError::io("open the data folder", data))?;
        let lock = lock(&data)?;
        let pgdata = data.join("pg");
        let user = user_for(&data, &pgdata)?;
        let sockets = socket_folder(&data);
        Ok(Home {
            log: data.join("postgres.log"),
            data,
            pgdata,
            sockets,
            user,
            _lock: lock,
        })
    }

    /// The major version that made the cluster; none if there is no cluster yet.
    pub(super) fn version(&self) -> Result<Option<u32>, EmbeddedError> {
        let file = self.pgdata.join("PG_VERSION");
        match fs::read_to_string(&file) {
            Ok(text) => Ok(text.trim().split('.').next().and_then(|major| major.parse().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.pgdata.exists() => Ok(None),
            Err(error) => Err(EmbeddedError::io("read", &file)(error)),
        }
    }

    /// Makes a folder that only the server's user can enter; an existing one must be just that.
    pub(super) fn private_folder(&self, folder: &Path) -> Result<(), EmbeddedError> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(folder).map_err(EmbeddedError::io("look at", folder))?;
                let ours = [Uid::effective().as_raw(), self.uid()].contains(&found.uid());
                if !found.is_dir() || !ours {
                    return Err(EmbeddedError::Squatted(folder.to_owned()));
                }
                fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
                    .map_err(EmbeddedError::io("protect", folder))?;
            }
            Err(error) => return Err(EmbeddedError::io("create", folder)(error)),
        }
        match &self.user {
            Some(user) => std::os::unix::fs::chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .map_err(EmbeddedError::io("hand over", folder)),
            None => Ok(()),
        }
    }

    fn uid(&self) -> u32 {
        self.user
            .as_ref()
            .map_or_else(|| Uid::effective().as_raw(), |user| user.uid.as_raw())
    }

    /// The first folder on the way to the data that the server's user may not pass.
    pub(super) fn closed_parent(&self) -> Option<PathBuf> {
        let user = self.user.as_ref()?;
        let mut way: Vec<&Path> = self.data.ancestors().collect();
        way.reverse();
        let closed = way.into_iter().find(|folder| {
            fs::metadata(folder).is_ok_and(|found| {
                let bit = match (found.uid() == user.uid.as_raw(), found.gid() == user.gid.as_raw()) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                found.mode() & bit == 0
            })
        });
        closed.map(Path::to_owned)
    }

    /// Opens the server's log for appending; a very large one is set aside first.
    pub(super) fn open_log(&self) -> Result<File, EmbeddedError> {
        if fs::metadata(&self.log).is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
            fs::rename(&self.log, self.log.with_extension("log.1"))
                .map_err(EmbeddedError::io("set aside", &self.log))?;
        }
        let open = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.log);
        open.map_err(EmbeddedError::io("open", &self.log))
    }
}

/// The last lines the server wrote.
pub(super) fn tail(log: &Path) -> String {
    let mut tail = Vec::new();
    if let Ok(mut log) = File::open(log) {
        if log.seek(SeekFrom::End(-LOG_TAIL_BYTES)).is_err() {
            let _ = log.rewind();
        }
        let _ = log.read_to_end(&mut tail);
    }
    String::from_utf8_lossy(&tail).trim().to_owned()
}

fn lock(data: &Path) -> Result<File, EmbeddedError> {
    let path = data.join("lock");
    let failed = || EmbeddedError::io("lock", &path);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(EmbeddedError::InUse {
                data: data.to_owned(),
                holder: holder.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed()(error)),
    }
    // Only for the message above: what counts is the lock.
    file.set_len(0).map_err(failed())?;
    write!(file, "{}", std::process::id()).map_err(failed())?;
    Ok(file)
}

/// An existing cluster stays with its owner. Else root hands over to the data folder's owner, to the distribution's
/// `postgres`, or at last to `nobody`.
fn user_for(data: &Path, pgdata: &Path) -> Result<Option<User>, EmbeddedError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for folder in [pgdata, data] {
        let owner = fs::metadata(folder)
            .ok()
            .map(|found| Uid::from_raw(found.uid()))
            .filter(|uid| !uid.is_root());
        if let Some(uid) = owner {
            // The server looks its user up, so a bare number without an account does not do.
            let user = User::from_uid(uid).ok().flatten();
            return user.map(Some).ok_or(EmbeddedError::NoAccount {
                folder: folder.to_owned(),
                uid: uid.as_raw(),
            });
        }
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)
            .ok()
            .flatten()
            .filter(|user| !user.uid.is_root())
        {
            if name == "nobody" {
                tracing::warn!(
                    "there is no user \"postgres\": the database runs as \"nobody\", whose processes can read it"
                );
            }
            return Ok(Some(user));
        }
    }
    Err(EmbeddedError::NobodyToRunAs)
}

/// `<data>/pg-run`, or if that makes the socket's path too long, a folder under the system's temporary folder that
/// is named after the data folder.
fn socket_folder(data: &Path) -> PathBuf {
    let near = data.join("pg-run");
    let socket = near.join(format!(".s.PGSQL.{SOCKET_PORT}.lock"));
    if socket.as_os_str().len() < SOCKET_PATH_MAX {
        return near;
    }
    let name = Sha256::digest(data.as_os_str().as_bytes());
    std::env::temp_dir().join(format!("muster-{}", data_encoding::HEXLOWER.encode(&name[..8])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_data_folder_gets_a_short_socket_folder_of_its_own() {
        assert_eq!(
            socket_folder(Path::new("/var/lib/muster")),
            Path::new("/var/lib/muster/pg-run")
        );
        let long = PathBuf::from(format!("/var/{}", "x".repeat(90)));
        let other = PathBuf::from(format!("/var/{}", "y".repeat(90)));
        assert_ne!(socket_folder(&long), socket_folder(&other));
        assert!(socket_folder(&long).as_os_str().len() < 80);
    }
}
