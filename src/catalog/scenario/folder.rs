//! The folder of scenarios beside a folder of runbooks. One bad file never hides the others.

use std::path::{Path, PathBuf};

use super::{
    super::{
        Fault,
        folder::{self, Reading},
    },
    Parsed, parse_with,
};
use crate::domain::{digest::Digest, runbook::Runbook};

/// The folder below the runbooks that holds what trains them.
pub const DRILLS_FOLDER: &str = "drills";

/// What one reading of the scenarios gave.
#[derive(Debug, Default)]
pub struct Scenarios {
    /// Every file that is a scenario, by file name.
    pub files: Vec<ScenarioFile>,
    /// What is wrong, file by file.
    pub faults: Vec<Fault>,
}

/// One file that is a scenario.
#[derive(Debug)]
pub struct ScenarioFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its text.
    pub source: String,
    /// What it says. Its warnings name the file.
    pub parsed: Parsed,
}

/// Of the names and contents of all scenarios of a folder of runbooks: equal as long as nothing has changed.
pub fn digest(runbooks_folder: &Path) -> Digest {
    let home = runbooks_folder.join(DRILLS_FOLDER);
    match home.is_dir() {
        true => folder::digest(&home, None),
        false => Digest::ZERO,
    }
}

/// Reads the scenarios of a folder of runbooks; there may be none.
pub fn read(runbooks_folder: &Path, reading: &Reading) -> Scenarios {
    let mut scenarios = Scenarios::default();
    let home = runbooks_folder.join(DRILLS_FOLDER);
    if !home.is_dir() {
        return scenarios;
    }
    let runbooks: Vec<&Runbook> = reading.runbooks.iter().map(|file| &file.parsed.runbook).collect();
    let found = folder::find(&home, None);
    scenarios.faults.extend(found.faults);
    for file in found.files {
        let name = file.path.display().to_string();
        let source = match file.text {
            Ok(source) => source,
            Err(problem) => {
                scenarios.faults.push(folder::whole_file(&name, problem));
                continue;
            }
        };
        match parse_with(&source, &runbooks, reading.targets.as_ref()) {
            Ok(parsed) => scenarios.add(file.path, source, parsed),
            Err(faults) => scenarios.faults.extend(folder::in_file(faults, &name)),
        }
    }
    scenarios
}

impl Scenarios {
    /// What their authors should still look at, file by file.
    pub fn warnings(&self) -> impl Iterator<Item = &Fault> {
        self.files.iter().flat_map(|file| &file.parsed.warnings)
    }

    fn add(&mut self, path: PathBuf, source: String, mut parsed: Parsed) {
        let name = path.display().to_string();
        let slug = &parsed.scenario.slug;
        let first = self.files.iter().find(|file| file.parsed.scenario.slug == *slug);
        if let Some(first) = first {
            let message = format!("\"{slug}\" is the scenario of {} already", first.path.display());
            let fault = folder::place_in(&source, |path| path.key("scenario"), message);
            self.faults.push(fault.in_file(&name));
            return;
        }
        parsed.warnings = folder::in_file(parsed.warnings, &name).collect();
        self.files.push(ScenarioFile { path, source, parsed });
    }
}
