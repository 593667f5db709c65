//! A process that is killed or stands still. It is found by its pid file, and is only touched when its name fits: the
//! number of a process that has gone is given to another.

use std::{fs, path::Path, time::Duration};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tokio::time::Instant;

use super::{LOOK, command, ended, start};
use crate::domain::fault::Process;

/// How long a signal may take to be seen.
const SIGNAL_MAX: Duration = Duration::from_secs(5);
/// How long a process may take to be there again.
const RESTORE_MAX: Duration = Duration::from_secs(30);
/// What the program said that starts it again.
const SAID: &str = "restore.log";

/// A process as the kernel lists it.
struct Found {
    pid: Pid,
    stands_still: bool,
}

/// The process, if it runs.
fn find(process: &Process) -> Option<Found> {
    let text = fs::read_to_string(&process.pid_file).ok()?;
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name may itself hold brackets and blanks.
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let state = tail.split_whitespace().next()?;
    let is_gone = matches!(state, "Z" | "X");
    (number > 1 && name == process.name && !is_gone).then_some(Found {
        pid: Pid::from_raw(number),
        stands_still: matches!(state, "T" | "t"),
    })
}

fn need(process: &Process) -> Result<Found, String> {
    find(process).ok_or_else(|| {
        format!(
            "{} names no running process called {}",
            process.pid_file, process.name
        )
    })
}

pub(super) fn check(process: &Process, restore: Option<&String>) -> Result<(), String> {
    need(process)?;
    match restore.filter(|program| !Path::new(program).is_file()) {
        Some(program) => Err(format!("there is no program {program} to start it again with")),
        None => Ok(()),
    }
}

pub(super) async fn kill(process: &Process) -> Result<(), String> {
    let found = need(process)?;
    send(found.pid, Signal::SIGKILL)?;
    until(SIGNAL_MAX, || {
        find(process).is_none_or(|now| now.pid != found.pid)
    })
    .await
    .map_err(|()| format!("{} was killed and is still there", process.name))
}

pub(super) async fn pause(process: &Process) -> Result<(), String> {
    send(need(process)?.pid, Signal::SIGSTOP)?;
    until(SIGNAL_MAX, || find(process).is_some_and(|now| now.stands_still))
        .await
        .map_err(|()| format!("{} was stopped and goes on", process.name))
}

/// Lets it go on. One that has gone does not stand still.
pub(super) async fn go_on(process: &Process) -> Result<(), String> {
    match find(process) {
        Some(found) if found.stands_still => send(found.pid, Signal::SIGCONT)?,
        _ => return Ok(()),
    }
    until(SIGNAL_MAX, || find(process).is_none_or(|now| !now.stands_still))
        .await
        .map_err(|()| format!("{} was let go on and stands still", process.name))
}

/// Starts it again, unless it runs.
pub(super) async fn restore(process: &Process, restore: &[String], folder: &Path) -> Result<(), String> {
    if find(process).is_some() {
        return Ok(());
    }
    let [program, args @ ..] = restore else {
        return Err("nothing is said that starts it again".to_owned());
    };
    fs::create_dir_all(folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    let said = folder.join(SAID);
    let mut restoring = command(program);
    restoring.args(args);
    let mut child = start(restoring, &said)?;
    let end = Instant::now() + RESTORE_MAX;
    loop {
        // A program that stays is the process itself, or looks after it.
        let status = child.try_wait().map_err(|error| error.to_string())?;
        if let Some(status) = status.filter(|status| !status.success()) {
            return Err(ended(program, status, &fs::read(&said).unwrap_or_default()));
        }
        if find(process).is_some() {
            return Ok(());
        }
        if Instant::now() >= end {
            let within = RESTORE_MAX.as_secs();
            return Err(format!(
                "{program} did not bring {} back within {within} s",
                process.name
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn send(pid: Pid, signal: Signal) -> Result<(), String> {
    signal::kill(pid, signal).map_err(|error| format!("{signal} cannot be sent to {pid}: {error}"))
}

async fn until(limit: Duration, is_so: impl Fn() -> bool) -> Result<(), ()> {
    let end = Instant::now() + limit;
    while !is_so() {
        if Instant::now() >= end {
            return Err(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
