//! The catalogue: runbooks and targets as people write them, read strictly. Every fault has its line and column.
//!
//! YAML becomes a tree that remembers places; readers take known keys out of it and collect faults, so one reading
//! shows them all; what is left over is unknown. Only a file without a fault becomes a runbook.

pub mod folder;
pub mod runbook;
pub mod shelf;
pub mod targets;

mod inputs;
mod reader;
mod references;
mod step;
mod tree;

use std::fmt;

pub use runbook::parse_runbook;
pub use targets::parse_targets;

/// The longest file, in bytes.
pub const FILE_BYTES_MAX: usize = 256 << 10;

/// One thing wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// Field path, like `steps[3].with.target`; may be empty.
    pub path: String,
    /// What is wrong, and the way out.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests;
