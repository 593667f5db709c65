//! The folder a fleet lives in: `logs/` and one folder a program. It goes when the fleet ends well; otherwise the logs
//! stay, and with `MUSTER_FLEET_KEEP` in the environment everything does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

pub struct Scratch {
    root: PathBuf,
    ended_well: bool,
}

impl Scratch {
    pub fn new() -> Result<Scratch> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short, because the path of a Unix socket may have 107 bytes.
        let root = std::env::temp_dir().join(format!("fleet-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&root); // of an earlier process with our number
        fs::create_dir_all(root.join("logs")).with_context(|| format!("cannot make {}", root.display()))?;
        Ok(Scratch {
            root,
            ended_well: false,
        })
    }

    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Nobody will want the logs.
    pub fn ended_well(&mut self) {
        self.ended_well = true;
    }

    /// Makes and names a folder for one program.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Where the program of this name writes what it has to say.
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("MUSTER_FLEET_KEEP").is_some() {
            eprintln!("the fleet's files are in {}", self.root.display());
        } else if !self.ended_well {
            eprintln!("the fleet's logs are in {}", self.root.join("logs").display());
            for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
                if entry.file_name() != "logs" {
                    let _ = fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path()));
                }
            }
        } else {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}
