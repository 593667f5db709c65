//! Named crash points, in debug builds only: a test sets `MUSTER_CRASH_AT` and the process kills itself with SIGKILL
//! at that commit of the engine, so recovery is proved on the real program.
//!
//! `before:7` and `after:7` count the engine's commits from 1; `before:outcome/promote` names one. `spool/renamed:3` is a
//! place outside of the engine, at its third pass. A release build holds none of this.

/// Which side of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Whatever was done outside is done; nothing of it is stored.
    Before,
    /// It is stored; nothing after it has happened.
    After,
}

/// Counts commits; clones count together.
#[derive(Clone, Debug, Default)]
pub struct CrashPoints {
    #[cfg(debug_assertions)]
    commits: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl CrashPoints {
    /// Whether this build holds any.
    pub const ARE_BUILT_IN: bool = cfg!(debug_assertions);

    /// Kills the process when this is the commit that was asked for; `names` say what is written in it.
    #[cfg(debug_assertions)]
    pub fn pass(&self, side: Side, names: &[String]) {
        use std::sync::atomic::Ordering;

        let number = match side {
            Side::Before => self.commits.fetch_add(1, Ordering::SeqCst) + 1,
            Side::After => self.commits.load(Ordering::SeqCst),
        };
        let Ok(wanted) = std::env::var("MUSTER_CRASH_AT") else {
            return;
        };
        let side = match side {
            Side::Before => "before",
            Side::After => "after",
        };
        let is_wanted = |name: &String| wanted == format!("{side}:{name}");
        if wanted == format!("{side}:{number}") || names.iter().any(is_wanted) {
            crash(&format!("{side}:{number} ({})", names.join(", ")));
        }
    }

    /// Does nothing in a release build.
    #[cfg(not(debug_assertions))]
    pub fn pass(&self, _side: Side, _names: &[String]) {}
}

/// Kills the process when this pass of a named place was asked for.
#[cfg(debug_assertions)]
pub fn place(name: &str, pass: i64) {
    if std::env::var("MUSTER_CRASH_AT").is_ok_and(|wanted| wanted == format!("{name}:{pass}")) {
        crash(&format!("{name}:{pass}"));
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn place(_name: &str, _pass: i64) {}

#[cfg(debug_assertions)]
fn crash(at: &str) {
    eprintln!("crash point {at}");
    let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
}
