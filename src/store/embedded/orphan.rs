//! A server that an earlier Muster left running, or files that say so wrongly.
//!
//! The server normally stops with us, even when we are killed. This is for the moment in which it is still busy
//! stopping, and for systems that cannot tie a child to its parent.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::EmbeddedError;

const STOP_MAX: Duration = Duration::from_secs(30);
const QUIT_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Makes sure that no server works on `pgdata`. The caller holds the data folder's lock.
pub(super) fn clear(pgdata: &Path) -> Result<(), EmbeddedError> {
    let file = pgdata.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else {
        return Ok(());
    };
    let Some(pid) = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok())
        .map(Pid::from_raw)
    else {
        return Ok(());
    };
    if !alive(pid) {
        // The server itself takes care of such a file, and of processes the dead one may have left behind.
        return Ok(());
    }
    if works_on(pid, pgdata) {
        tracing::warn!(%pid, "a database server of an earlier run is still there; stopping it");
        return stop(pid, pgdata);
    }
    // The number belongs to another program by now, as is usual after a restart of a container. The server would
    // refuse to start; but its own safeguard against survivors of the dead one is in this file, so honour that.
    if memory_in_use(&text) {
        return Err(EmbeddedError::Orphan(pid.as_raw()));
    }
    tracing::info!(%pid, "removing a left-over postmaster.pid, whose number another program has now");
    fs::remove_file(&file).map_err(EmbeddedError::io("remove", &file))
}

fn stop(pid: Pid, pgdata: &Path) -> Result<(), EmbeddedError> {
    for (signal, patience) in [(Signal::SIGINT, STOP_MAX), (Signal::SIGQUIT, QUIT_MAX)] {
        if !matches!(kill(pid, signal), Ok(()) | Err(Errno::ESRCH)) {
            return Err(EmbeddedError::Orphan(pid.as_raw()));
        }
        let start = Instant::now();
        while start.elapsed() < patience {
            if !works_on(pid, pgdata) {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Err(EmbeddedError::Orphan(pid.as_raw()))
}

/// A process of another user counts as alive.
fn alive(pid: Pid) -> bool {
    !matches!(kill(pid, None), Err(Errno::ESRCH))
}

/// Whether the process is a server that was started on this folder; a dead one that nobody collected is not.
fn works_on(pid: Pid, pgdata: &Path) -> bool {
    command_line(pid).is_some_and(|arguments| {
        arguments
            .windows(2)
            .any(|pair| pair[0] == "-D" && Path::new(&pair[1]) == pgdata)
    })
}

#[cfg(target_os = "linux")]
fn command_line(pid: Pid) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(
        bytes
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect(),
    )
}

#[cfg(not(target_os = "linux"))]
fn command_line(pid: Pid) -> Option<Vec<String>> {
    let output = std::process::Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    Some(
        String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    )
}

/// Whether any process still holds the shared memory whose key and number are on line 7 of the file.
fn memory_in_use(postmaster_pid: &str) -> bool {
    let Some(line) = postmaster_pid.lines().nth(6) else {
        return false;
    };
    let Some((key, id)) = line.trim().split_once(char::is_whitespace) else {
        return false;
    };
    let Ok(table) = fs::read_to_string("/proc/sysvipc/shm") else {
        return false;
    };
    // The columns are: key, shmid, perms, size, cpid, lpid, nattch, …
    table.lines().any(|row| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        columns.first() == Some(&key) && columns.get(1) == Some(&id.trim()) && columns.get(6) != Some(&"0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_another_program_has_by_now_does_not_stand_in_the_way() {
        let folder = std::env::temp_dir().join(format!("muster-orphan-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("postmaster.pid");
        fs::write(&file, format!("{}\n{}\n", std::process::id(), folder.display())).expect("a file");
        clear(&folder).expect("this test is not a database server");
        assert!(!file.exists());
        fs::remove_dir_all(&folder).expect("the folder goes");
    }
}
