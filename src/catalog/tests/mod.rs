//! Whole documents through the whole reader: what is refused, with which words, and at which line and column.

mod any;
mod bounds;
mod flow;
mod folder;
mod head;
mod items;
mod round_trip;
mod steps;
mod targets;

use super::*;
use round_trip::tree;

/// Every fault of a runbook, as people see it.
fn faults(source: &str) -> Vec<String> {
    match parse_runbook(source) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

/// Every warning of a runbook without faults.
fn warnings(source: &str) -> Vec<String> {
    match parse_runbook(source) {
        Ok(parsed) => parsed.warnings.iter().map(ToString::to_string).collect(),
        Err(faults) => panic!("{source}\n{faults:#?}"),
    }
}

/// A runbook whose first step begins in line 4.
fn with_steps(steps: &str) -> String {
    format!("runbook: x\ntitle: X\nsteps:\n{steps}")
}

/// A runbook with one harmless step and these lines from line 4 on.
fn with_head(head: &str) -> String {
    format!("runbook: x\ntitle: X\nsteps: [{{ id: pause, wait: 1s }}]\n{head}")
}
