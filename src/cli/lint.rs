//! `muster runbook lint`: what is wrong with a folder of runbooks, its targets and its fixtures.

use std::{path::Path, process::ExitCode};

use super::{complain, say};
use crate::catalog::{fixture, folder};

/// Names every fault and warning with its place.
pub fn run(path: &Path) -> ExitCode {
    let reading = folder::read(path, None);
    let fixtures = fixture::read(path, &reading);
    for fault in reading.faults.iter().chain(&fixtures.faults) {
        complain(&fault.to_string());
    }
    let warnings: Vec<_> = reading
        .runbooks
        .iter()
        .flat_map(|file| &file.parsed.warnings)
        .collect();
    for warning in &warnings {
        complain(&format!("warning: {warning}"));
    }
    let targets = reading.targets.as_ref().map_or(0, |targets| targets.0.len());
    say(&format!(
        "{} runbooks, {targets} targets, {} fixtures, {} faults, {} warnings",
        reading.runbooks.len(),
        fixtures.files.len(),
        reading.faults.len() + fixtures.faults.len(),
        warnings.len()
    ));
    match reading.faults.is_empty() && fixtures.faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
