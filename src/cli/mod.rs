//! Commands for the terminal that need no running Muster, one file each. Each returns the exit code: 0 when all is well,
//! 1 when something has to be put right.

pub mod test;

/// Answers the person at the terminal.
#[expect(clippy::print_stdout, reason = "a command answers the person at the terminal")]
pub fn say(text: &str) {
    println!("{text}");
}

/// Complains to the person at the terminal.
#[expect(
    clippy::print_stderr,
    reason = "a command complains to the person at the terminal"
)]
pub fn complain(text: &str) {
    eprintln!("{text}");
}
