//! Where the machine keeps its Postgres binaries, and which of them to take.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::EmbeddedError;

/// Names the folder that holds `initdb` and `postgres`; nothing else is looked at then.
pub const VARIABLE: &str = "MUSTER_POSTGRES_BIN";

/// Where distributions put binaries: a parent folder and what names a version's folder before and after the number.
const VERSIONED: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
];

/// The places to look at.
#[derive(Clone, Debug)]
pub struct Search {
    /// The one folder to take, if the operator named one.
    pub explicit: Option<PathBuf>,
    /// Folders of binaries, best first.
    pub folders: Vec<PathBuf>,
}

impl Search {
    /// What this machine offers: the highest version first, and what is on the `PATH` last.
    pub fn of_this_machine() -> Search {
        let explicit = std::env::var_os(VARIABLE)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from);
        let mut folders = versioned();
        folders.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        Search { explicit, folders }
    }

    /// The best binaries; with `major`, the best of the version that made an existing data folder.
    pub(super) fn find(&self, major: Option<u32>) -> Result<Binaries, EmbeddedError> {
        if let Some(folder) = &self.explicit {
            let found =
                Binaries::inspect(folder).ok_or_else(|| EmbeddedError::NotBinaries(folder.clone()))?;
            return match major {
                Some(major) if major != found.major => Err(EmbeddedError::OtherVersion {
                    data: major,
                    found: found.major,
                }),
                _ => Ok(found),
            };
        }
        let mut other = None;
        for found in self.folders.iter().filter_map(|folder| Binaries::inspect(folder)) {
            if major.is_none_or(|major| major == found.major) {
                return Ok(found);
            }
            other.get_or_insert(found.major);
        }
        match (major, other) {
            (Some(data), Some(found)) => Err(EmbeddedError::OtherVersion { data, found }),
            _ => Err(EmbeddedError::NoBinaries),
        }
    }
}

fn versioned() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, prefix) in VERSIONED {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let version = name
                .to_str()
                .and_then(|name| name.strip_prefix(prefix)?.parse::<f32>().ok());
            if let Some(version) = version {
                found.push((version, entry.path().join("bin")));
            }
        }
    }
    found.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// One installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// None unless the folder holds both programs and they run.
    fn inspect(folder: &Path) -> Option<Binaries> {
        if !folder.is_absolute() || !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Binaries {
            folder: folder.to_owned(),
            major,
        })
    }
}

/// From `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)` or `18beta1`: the major version.
fn major_of(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    number
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_server_says() {
        assert_eq!(
            major_of("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("mysqld Ver 8"), None);
    }

    #[test]
    fn without_binaries_the_message_names_every_way_out() {
        let search = Search {
            explicit: None,
            folders: vec![PathBuf::from("/nowhere/bin")],
        };
        let message = search.find(None).expect_err("there are none").to_string();
        for way in [
            "apt install postgresql",
            "dnf install",
            "brew install",
            "pacman -S",
            "DATABASE_URL",
            "docker compose",
        ] {
            assert!(message.contains(way), "{way} is missing: {message}");
        }
        assert!(message.contains(VARIABLE), "{message}");
    }

    #[test]
    fn a_named_folder_without_binaries_is_not_silently_passed_over() {
        let mut search = Search::of_this_machine();
        search.explicit = Some(PathBuf::from("/nowhere/bin"));
        let message = search.find(None).expect_err("not there").to_string();
        assert!(message.contains("/nowhere/bin"), "{message}");
    }
}
