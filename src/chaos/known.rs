//! A process as the kernel lists it, told from all others by its number and by when it started: numbers are given out
//! again. It is kept in a file, so that whoever comes after a crash finds the same one, or knows that it has gone.

use std::{fs, io, path::Path};

use nix::unistd::Pid;

/// What the kernel says of a process.
pub(super) struct Listed {
    pub pid: Pid,
    pub name: String,
    pub stands_still: bool,
    /// When it started, in ticks since the machine did.
    pub started: u64,
}

/// The process of that number, if it runs.
pub(super) fn look_at(number: i32) -> Option<Listed> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name may itself hold brackets and blanks.
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_whitespace();
    let state = fields.next()?;
    // Eighteen fields stand between the state and the start: see proc(5).
    let started = fields.nth(18)?.parse().ok()?;
    let is_gone = matches!(state, "Z" | "X");
    (number > 1 && !is_gone).then_some(Listed {
        pid: Pid::from_raw(number),
        name: name.to_owned(),
        stands_still: matches!(state, "T" | "t"),
        started,
    })
}

/// One process and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub pid: Pid,
    started: u64,
}

impl Known {
    pub(super) fn of(found: &Listed) -> Self {
        Self {
            pid: found.pid,
            started: found.started,
        }
    }

    /// How it is now, if it still runs.
    pub(super) fn look(&self) -> Option<Listed> {
        look_at(self.pid.as_raw()).filter(|now| now.started == self.started)
    }

    /// Writes it down, whole or not at all.
    pub(super) fn keep(&self, path: &Path) -> Result<(), String> {
        let half = path.with_extension("half");
        fs::write(&half, format!("{} {}", self.pid, self.started))
            .and_then(|()| fs::rename(&half, path))
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// The one that was written down, if one was.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        let kept = match fs::read_to_string(path) {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let known = kept.split_once(' ').and_then(|(pid, started)| {
            Some(Self {
                pid: Pid::from_raw(pid.parse().ok()?),
                started: started.parse().ok()?,
            })
        });
        match known {
            Some(known) => Ok(Some(known)),
            None => Err(format!("{} names no process", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_given_out_again_is_another_process() {
        let own = look_at(std::process::id() as i32).unwrap();
        let known = Known::of(&own);
        assert!(known.look().is_some());
        let other = Known {
            started: known.started + 1,
            ..known
        };
        assert!(other.look().is_none());
    }

    #[test]
    fn what_is_kept_is_read_back_and_nonsense_is_told() {
        let path = std::env::temp_dir().join(format!("muster-known-{}", std::process::id()));
        assert_eq!(Known::read(&path).unwrap(), None);
        let known = Known {
            pid: Pid::from_raw(4711),
            started: 12,
        };
        known.keep(&path).unwrap();
        assert_eq!(Known::read(&path).unwrap(), Some(known));
        fs::write(&path, "4711").unwrap();
        assert!(Known::read(&path).unwrap_err().ends_with("names no process"));
        fs::remove_file(&path).unwrap();
    }
}
