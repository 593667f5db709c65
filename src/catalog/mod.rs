//! The catalog: runbooks and targets as people write them, read from YAML into the types the engine runs.
//!
//! Everything here is a pure function of texts, but for `folder`, which reads a folder of files, `publish` and `review`,
//! which make a text the version in use once others have looked at it, and `shelf`, which publishes what was read and keeps matching
//! and the engine up with it.

mod access;
mod act;
mod bound;
mod document;
mod faults;
mod fields;
mod findings;
mod gate;
mod inputs;
mod order;
mod passing;
mod programs;
mod reach;
mod request;
mod runbook;
mod scope;
mod step;
mod validate;

pub mod fixture;
pub mod folder;
pub mod publish;
pub mod review;
pub mod scenario;
pub mod shelf;
pub mod targets;
pub mod write;

use crate::domain::{names, nearest, runbook::Runbook, target::Targets};

pub use document::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX};
pub use findings::Fault;
pub use inputs::{InputKey, Shape, input_keys};

/// A runbook without faults, and what its author should still look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The runbook.
    pub runbook: Runbook,
    /// Legal, but probably not what was meant.
    pub warnings: Vec<Fault>,
}

/// Reads one runbook. Every fault that can be told from the others is reported, in the order of the file.
pub fn parse_runbook(source: &str) -> Result<Parsed, Vec<Fault>> {
    let root = document::read(source).map_err(|fault| vec![fault])?;
    let mut findings = findings::Findings::new(&root);
    let runbook = runbook::read(&root, &mut findings);
    validate::check(&runbook, &mut findings);
    findings
        .finish(runbook)
        .map(|(runbook, warnings)| Parsed { runbook, warnings })
}

/// Reads a targets file.
pub fn parse_targets(source: &str) -> Result<Targets, Vec<Fault>> {
    targets::parse(source)
}

#[cfg(test)]
mod tests;
