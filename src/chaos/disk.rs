//! A disk that is full: one file of ours takes what is free, within a bound, and is removed again.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{fcntl::posix_fallocate, sys::statvfs::statvfs};

/// The file that takes the room.
const FILE: &str = "muster-drill.fill";
const MIB: u64 = 1024 * 1024;

/// Muster's own disk and that of the system are never filled: they are what the clean-up stands on.
pub(super) fn check(folder: &str, own: &Path) -> Result<(), String> {
    let about = fs::metadata(folder).map_err(|error| format!("{folder} cannot be filled: {error}"))?;
    if !about.is_dir() {
        return Err(format!("{folder} is not a folder"));
    }
    let own = own.ancestors().find_map(|folder| fs::metadata(folder).ok());
    let root = fs::metadata("/").ok();
    let is_needed = [own, root]
        .iter()
        .flatten()
        .any(|needed| needed.dev() == about.dev());
    if is_needed {
        return Err(format!(
            "{folder} lies on the disk of Muster's data or of the system, which a drill must not fill; use a disk of its own"
        ));
    }
    // It is that of another fault, and would be taken back with this one.
    match place(folder).exists() {
        true => Err(format!("{} is there already", place(folder).display())),
        false => Ok(()),
    }
}

pub(super) async fn fill(folder: String, leave_mib: u32, most_mib: u32) -> Result<(), String> {
    let filling = tokio::task::spawn_blocking(move || {
        let cannot = |error: io::Error| format!("{folder} cannot be filled: {error}");
        let about = statvfs(folder.as_str()).map_err(|error| cannot(error.into()))?;
        let free = about.blocks_available() * about.fragment_size();
        let room = free.saturating_sub(u64::from(leave_mib) * MIB);
        let bytes = room.min(u64::from(most_mib) * MIB);
        if bytes == 0 {
            return Err(format!("{folder} has no more than {leave_mib} MiB free already"));
        }
        let file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(place(&folder))
            .map_err(cannot)?;
        let length = i64::try_from(bytes).map_err(|error| error.to_string())?;
        posix_fallocate(&file, 0, length).map_err(|error| cannot(error.into()))
    });
    filling.await.map_err(|error| error.to_string())?
}

/// A folder that has gone holds nothing, which is said.
pub(super) fn free(folder: &str) -> Result<Option<String>, String> {
    let path = place(folder);
    match fs::remove_file(&path) {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_gone = !Path::new(folder).exists();
            Ok(is_gone.then(|| format!("the folder {folder} has gone")))
        }
        Err(error) => Err(format!("{} cannot be removed: {error}", path.display())),
    }
}

fn place(folder: &str) -> PathBuf {
    Path::new(folder).join(FILE)
}
