//! `muster runbook lint`: what is wrong with a folder of runbooks, its targets, its fixtures and its scenarios.

use std::{path::Path, process::ExitCode};

use super::{complain, say};
use crate::catalog::{fixture, folder, scenario};

/// Names every fault and warning with its place.
pub fn run(path: &Path) -> ExitCode {
    let reading = folder::read(path, None);
    let fixtures = fixture::read(path, &reading);
    let scenarios = scenario::folder::read(path, &reading);
    let faults: Vec<_> = [&reading.faults, &fixtures.faults, &scenarios.faults]
        .into_iter()
        .flatten()
        .collect();
    for fault in &faults {
        complain(&fault.to_string());
    }
    let warnings: Vec<_> = reading
        .runbooks
        .iter()
        .flat_map(|file| &file.parsed.warnings)
        .chain(scenarios.warnings())
        .collect();
    for warning in &warnings {
        complain(&format!("warning: {warning}"));
    }
    let targets = reading.targets.as_ref().map_or(0, |targets| targets.0.len());
    say(&format!(
        "{} runbooks, {targets} targets, {} faults, {} warnings, {} fixtures, {} scenarios",
        reading.runbooks.len(),
        faults.len(),
        warnings.len(),
        fixtures.files.len(),
        scenarios.files.len()
    ));
    match faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
