//! Commands for the terminal that need no running Muster, one file each. Those on runbooks return the exit code: 0 when
//! all is well, 1 when something has to be put right.

pub mod audit;
pub mod drill_lint;
pub mod lint;
pub mod plan;
pub mod source;
pub mod test;

use std::io::Write;

/// Answers the person at the terminal.
pub fn say(text: &str) {
    // Nobody is left to be told that a pipe has closed.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Complains to the person at the terminal.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
