//! `muster drill lint`: what is wrong with the scenarios of a folder of runbooks.

use std::{path::Path, process::ExitCode};

use super::{complain, say};
use crate::catalog::{folder, scenario};

/// Names every fault and warning of the scenarios with its place. A runbook that has faults itself is not there for them.
pub fn run(path: &Path) -> ExitCode {
    let reading = folder::read(path, None);
    let scenarios = scenario::folder::read(path, &reading);
    for fault in &scenarios.faults {
        complain(&fault.to_string());
    }
    let warnings: Vec<_> = scenarios.warnings().collect();
    for warning in &warnings {
        complain(&format!("warning: {warning}"));
    }
    let broken = reading.faults.len();
    if broken > 0 {
        complain(&format!(
            "warning: the runbooks beside them have {broken} faults; muster runbook lint names them"
        ));
    }
    say(&format!(
        "{} scenarios, {} faults, {} warnings",
        scenarios.files.len(),
        scenarios.faults.len(),
        warnings.len()
    ));
    match scenarios.faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
