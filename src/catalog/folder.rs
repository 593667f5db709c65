//! Reading the runbooks folder and the targets file. One bad file never hides the others.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use super::{FILE_BYTES_MAX, Fault, parse_runbook, parse_targets, runbook::Parsed};
use crate::domain::{digest::Digest, target::Targets};

/// Runbooks in one folder.
const FILES_MAX: usize = 500;

/// A fault and the file it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// The file.
    pub file: PathBuf,
    /// What is wrong and where; without a place when the file cannot be read at all.
    pub fault: Result<Fault, String>,
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Ok(fault) => write!(f, "{}:{fault}", self.file.display()),
            Err(problem) => write!(f, "{}: {problem}", self.file.display()),
        }
    }
}

/// A runbook and the file it is in.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRunbook {
    /// The file.
    pub file: PathBuf,
    /// Its text.
    pub source: String,
    /// What it says.
    pub parsed: Parsed,
}

/// The folder as it was read once.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Runbooks without a fault, by slug.
    pub runbooks: BTreeMap<String, FileRunbook>,
    /// The targets; `None` when the file has a fault, so that those of the last good reading stay.
    pub targets: Option<Targets>,
    /// What is wrong, file by file.
    pub faults: Vec<FileFault>,
    /// Names and contents of everything that was read: another digest, another content.
    pub digest: Digest,
}

/// Reads every `.yaml` and `.yml` of a folder but the targets file, and that.
pub fn read(folder: &Path, targets_file: &Path) -> Reading {
    let mut reading = Reading {
        runbooks: BTreeMap::new(),
        targets: None,
        faults: Vec::new(),
        digest: Digest::ZERO,
    };
    let mut content = Vec::new();
    for file in list(folder, targets_file, &mut reading.faults) {
        let Some(source) = load(&file, &mut reading.faults) else {
            continue;
        };
        content.push((file.display().to_string(), source.clone()));
        match parse_runbook(&source) {
            Ok(parsed) => add(&mut reading, FileRunbook { file, source, parsed }),
            Err(faults) => reading.faults.extend(in_file(&file, faults)),
        }
    }
    match targets_file.exists() {
        false => reading.targets = Some(Targets::default()),
        true => {
            if let Some(source) = load(targets_file, &mut reading.faults) {
                content.push((targets_file.display().to_string(), source.clone()));
                match parse_targets(&source) {
                    Ok(targets) => reading.targets = Some(targets),
                    Err(faults) => reading.faults.extend(in_file(targets_file, faults)),
                }
            }
        }
    }
    check_targets(&mut reading);
    reading.digest = Digest::of_json(&serde_json::json!(content));
    reading
}

fn list(folder: &Path, targets_file: &Path, faults: &mut Vec<FileFault>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let problem = format!("the folder cannot be read: {error}; name another with --runbooks");
            faults.push(FileFault {
                file: folder.to_owned(),
                fault: Err(problem),
            });
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending == "yaml" || ending == "yml")
        })
        .filter(|path| path.is_file() && !is_same(path, targets_file) && !path.ends_with("targets.yaml"))
        .collect();
    files.sort();
    if files.len() > FILES_MAX {
        let problem = format!("holds {} runbooks; the first {FILES_MAX} are read", files.len());
        faults.push(FileFault {
            file: folder.to_owned(),
            fault: Err(problem),
        });
        files.truncate(FILES_MAX);
    }
    files
}

fn is_same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn load(file: &Path, faults: &mut Vec<FileFault>) -> Option<String> {
    let text = || -> io::Result<String> {
        if std::fs::metadata(file)?.len() > FILE_BYTES_MAX as u64 {
            return Err(io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes")));
        }
        std::fs::read_to_string(file)
    };
    text()
        .map_err(|error| {
            faults.push(FileFault {
                file: file.to_owned(),
                fault: Err(error.to_string()),
            })
        })
        .ok()
}

fn in_file(file: &Path, faults: Vec<Fault>) -> impl Iterator<Item = FileFault> {
    faults.into_iter().map(move |fault| FileFault {
        file: file.to_owned(),
        fault: Ok(fault),
    })
}

fn add(reading: &mut Reading, runbook: FileRunbook) {
    let slug = runbook.parsed.runbook.slug.clone();
    match reading.runbooks.get(&slug) {
        Some(first) => reading.faults.push(FileFault {
            fault: Err(format!(
                "the runbook {slug} is in {} already",
                first.file.display()
            )),
            file: runbook.file,
        }),
        None => _ = reading.runbooks.insert(slug, runbook),
    }
}

/// A runbook that names a target nobody knows is kept, since other steps may work, and named as a fault.
fn check_targets(reading: &mut Reading) {
    let Some(targets) = &reading.targets else { return };
    for runbook in reading.runbooks.values() {
        for named in runbook
            .parsed
            .targets
            .iter()
            .filter(|named| !targets.0.contains_key(&named.name))
        {
            let fault = Fault {
                line: named.line,
                column: named.column,
                path: named.path.clone(),
                message: format!(
                    "there is no target \"{}\"; add it to the targets file",
                    named.name
                ),
            };
            reading.faults.push(FileFault {
                file: runbook.file.clone(),
                fault: Ok(fault),
            });
        }
    }
}
