//! A folder of runbooks and its targets file, read in one go. One bad file never hides the others.
//!
//! Reading blocks; callers on the async side wrap it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{
    FILE_BYTES_MAX, Fault, Parsed, document::Place, findings, parse_runbook, parse_targets, programs, request,
};
use crate::domain::{
    digest::Digest,
    step::{Act, Request, StepKind},
    target::Targets,
};

/// The most files of one folder that are read.
pub const FILES_MAX: usize = 500;
/// The file of a folder that holds targets and not a runbook.
pub const TARGETS_FILE: &str = "targets.yaml";

/// What one reading of a folder gave.
#[derive(Debug)]
pub struct Reading {
    /// Every file that is a runbook, by file name.
    pub runbooks: Vec<RunbookFile>,
    /// What is wrong, file by file.
    pub faults: Vec<Fault>,
    /// The targets; `None` when their file has a fault, so that what was known before stays in force.
    pub targets: Option<Targets>,
    /// Of the names and contents of all files: equal as long as nothing has changed.
    pub digest: Digest,
}

/// One file that is a runbook.
#[derive(Debug)]
pub struct RunbookFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its text.
    pub source: String,
    /// What it says. Its warnings name the file, and targets that are not there.
    pub parsed: Parsed,
}

/// One file as found, or why it cannot be read.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) text: Result<String, String>,
}

/// Reads the runbooks `folder/*.yaml` and the targets: `targets_file`, or else `targets.yaml` in the folder if there
/// is one.
pub fn read(folder: &Path, targets_file: Option<&Path>) -> Reading {
    let found = find(folder, targets_file);
    let digest = digest_of(&found);
    let targets_path = targets_path(folder, targets_file);
    let mut reading = Reading {
        runbooks: Vec::new(),
        faults: found.faults,
        targets: Some(Targets::default()),
        digest,
    };
    for file in found.files {
        let name = file.path.display().to_string();
        let source = match file.text {
            Ok(source) => source,
            Err(problem) => {
                if file.path == targets_path {
                    reading.targets = None;
                }
                reading.faults.push(whole_file(&name, problem));
                continue;
            }
        };
        if file.path == targets_path {
            reading.targets = parse_targets(&source)
                .map_err(|faults| reading.faults.extend(in_file(faults, &name)))
                .ok();
            continue;
        }
        match parse_runbook(&source) {
            Ok(parsed) => reading.add(file.path, source, parsed),
            Err(faults) => reading.faults.extend(in_file(faults, &name)),
        }
    }
    reading.name_missing_targets();
    reading
}

/// What [`Reading::digest`] would be now, without understanding the files: a cheap way to see a change.
pub fn digest(folder: &Path, targets_file: Option<&Path>) -> Digest {
    digest_of(&find(folder, targets_file))
}

impl Reading {
    fn add(&mut self, path: PathBuf, source: String, mut parsed: Parsed) {
        let name = path.display().to_string();
        let slug = &parsed.runbook.slug;
        let first = self
            .runbooks
            .iter()
            .find(|file| file.parsed.runbook.slug == *slug);
        if let Some(first) = first {
            let message = format!("\"{slug}\" is the runbook of {} already", first.path.display());
            let mut fault = place_in(&source, |path| path.key("runbook"), message);
            fault.file = Some(name);
            self.faults.push(fault);
            return;
        }
        parsed.warnings = in_file(parsed.warnings, &name).collect();
        self.runbooks.push(RunbookFile { path, source, parsed });
    }

    /// A target named outright must be there, take the action and, for a program, its arguments; what a template stands in
    /// is only known in a run.
    fn name_missing_targets(&mut self) {
        let Some(targets) = &self.targets else { return };
        for file in &mut self.runbooks {
            let mut problems = Vec::new();
            let runbook = &file.parsed.runbook;
            for (list, steps) in [("steps", &runbook.steps), ("finally", &runbook.finally)] {
                for (i, step) in steps.iter().enumerate() {
                    let StepKind::Act(act) = &step.kind else { continue };
                    for (request, below) in requests(act) {
                        let Some(name) = request::literal_target(request) else {
                            continue;
                        };
                        let problem = match targets.find(name, request.action) {
                            Ok(target) => programs::misfit(request, target),
                            Err(problem) => Some(("target", problem)),
                        };
                        problems.extend(problem.map(|(key, problem)| (list, i, below, key, problem)));
                    }
                }
            }
            let name = file.path.display().to_string();
            for (list, step, below, key, problem) in problems {
                let way = |top: findings::Path| {
                    let step = top.key(list).index(step);
                    let act = below.iter().fold(step, |path, key| path.key(key));
                    act.key("with").key(key)
                };
                let warning = place_in(&file.source, way, problem);
                file.parsed.warnings.push(warning.in_file(&name));
            }
            file.parsed
                .warnings
                .sort_by_key(|warning| (warning.line, warning.column));
        }
    }
}

/// Every request of an acting step with the keys that lead to it.
pub(super) fn requests(act: &Act) -> impl Iterator<Item = (&Request, &'static [&'static str])> {
    fn of<'a>(
        act: &'a Act,
        at: [&'static [&'static str]; 2],
    ) -> impl Iterator<Item = (&'a Request, &'static [&'static str])> {
        let probe = act.verify.as_ref().map(|probe| &probe.request);
        [Some(&act.request), probe]
            .into_iter()
            .zip(at)
            .filter_map(|(request, at)| Some((request?, at)))
    }
    let undo = act.undo.as_deref().into_iter();
    of(act, [&[], &["verify"]]).chain(undo.flat_map(|undo| of(undo, [&["undo"], &["undo", "verify"]])))
}

pub(super) fn place_in(
    source: &str,
    way: impl FnOnce(findings::Path) -> findings::Path,
    message: String,
) -> Fault {
    let path = way(findings::Path::default());
    let place = super::document::read(source)
        .map(|root| findings::Findings::new(&root).place_of(&path))
        .unwrap_or(Place { line: 1, column: 1 });
    Fault::at(place, path.to_string(), message)
}

pub(super) fn in_file(faults: Vec<Fault>, name: &str) -> impl Iterator<Item = Fault> {
    faults.into_iter().map(move |fault| fault.in_file(name))
}

pub(super) fn whole_file(name: &str, problem: String) -> Fault {
    Fault::at(Place { line: 1, column: 1 }, String::new(), problem).in_file(name)
}

fn targets_path(folder: &Path, targets_file: Option<&Path>) -> PathBuf {
    targets_file.map_or_else(|| folder.join(TARGETS_FILE), Path::to_owned)
}

pub(super) struct Files {
    pub(super) files: Vec<Found>,
    pub(super) faults: Vec<Fault>,
}

pub(super) fn find(folder: &Path, targets_file: Option<&Path>) -> Files {
    let mut files = Vec::new();
    let mut faults = Vec::new();
    let shown = folder.display().to_string();
    let (mut paths, home) = match list(folder) {
        Ok(listed) => listed,
        Err(error) => {
            faults.push(whole_file(&shown, format!("cannot read the folder: {error}")));
            (Vec::new(), folder.to_owned())
        }
    };
    paths.sort();
    if let Some(first) = paths.get(FILES_MAX) {
        let message = format!(
            "more than {FILES_MAX} files; {} and what follows is not read",
            first.display()
        );
        faults.push(whole_file(&shown, message));
        paths.truncate(FILES_MAX);
    }
    for path in paths {
        // With a targets file elsewhere, one that lies here is still no runbook.
        if targets_file.is_some() && path.file_name().is_some_and(|name| name == TARGETS_FILE) {
            continue;
        }
        let text = inside(&path, &home).and_then(|()| text(&path));
        files.push(Found { path, text });
    }
    if let Some(path) = targets_file {
        files.retain(|file| file.path != path);
        files.push(Found {
            path: path.to_owned(),
            text: text(path),
        });
    }
    Files { files, faults }
}

fn list(folder: &Path) -> std::io::Result<(Vec<PathBuf>, PathBuf)> {
    let home = folder.canonicalize()?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml && !is_hidden && !path.is_dir() {
            paths.push(path);
        }
    }
    Ok((paths, home))
}

/// A link may lead around inside the folder, as mounted configuration does, but not out of it.
fn inside(path: &Path, home: &Path) -> Result<(), String> {
    let real = path
        .canonicalize()
        .map_err(|error| format!("cannot read the file: {error}"))?;
    match real.starts_with(home) {
        true => Ok(()),
        false => Err("the link leads out of the folder".to_owned()),
    }
}

fn text(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot read the file: {error}");
    // Asked before opening: to open a pipe is to wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("not a plain file".to_owned());
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("the file is longer than {} KiB", FILE_BYTES_MAX / 1024));
    }
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())
}

fn digest_of(files: &Files) -> Digest {
    let mut all: BTreeMap<&Path, &Result<String, String>> = BTreeMap::new();
    for file in &files.files {
        all.insert(&file.path, &file.text);
    }
    let mut hasher = Sha256::new();
    for (path, text) in all {
        let (mark, text) = match text {
            Ok(text) => (0u8, text),
            Err(problem) => (1u8, problem),
        };
        let name = path.as_os_str().as_encoded_bytes();
        for part in [name, text.as_bytes()] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update([mark]);
    }
    Digest(hasher.finalize().into())
}
