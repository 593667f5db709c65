//! A process that is killed or stands still. It is found by its pid file, and is only touched when its name fits and it
//! is no younger than the file: the number of a process that has gone is given to another.

use std::{
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

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
/// Ticks of the kernel's clock in a second, as Linux counts them for everybody.
const TICKS: u64 = 100;
/// How much younger than its pid file a process may seem: both clocks are cut to a second or less.
const YOUNGER: Duration = Duration::from_secs(2);
/// Which process was made to stand still: its number, and when it had started.
const PAUSED: &str = "paused";
/// What the program said that starts it again.
const SAID: &str = "restore.log";

/// A process as the kernel lists it.
struct Found {
    pid: Pid,
    name: String,
    stands_still: bool,
    /// When it started, in ticks since the machine did: with the number, what tells it from all others.
    started: u64,
}

/// The process, if it runs.
fn find(process: &Process) -> Option<Found> {
    let text = fs::read_to_string(&process.pid_file).ok()?;
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    let found = look_at(number)?;
    let written = fs::metadata(&process.pid_file).ok()?.modified().ok()?;
    let written = written.duration_since(UNIX_EPOCH).ok()? + YOUNGER;
    let began = Duration::from_millis(machine_started()? * 1000 + found.started * 1000 / TICKS);
    (found.name == process.name && began <= written).then_some(found)
}

/// The process of that number, if it runs.
fn look_at(number: i32) -> Option<Found> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name may itself hold brackets and blanks.
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_whitespace();
    let state = fields.next()?;
    // Eighteen fields stand between the state and the start: see proc(5).
    let started = fields.nth(18)?.parse().ok()?;
    let is_gone = matches!(state, "Z" | "X");
    (number > 1 && !is_gone).then_some(Found {
        pid: Pid::from_raw(number),
        name: name.to_owned(),
        stands_still: matches!(state, "T" | "t"),
        started,
    })
}

/// When the machine started, in seconds since 1970.
fn machine_started() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
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

pub(super) async fn pause(process: &Process, folder: &Path) -> Result<(), String> {
    let found = need(process)?;
    // Its pid file may name another one, or nobody, when it is to go on.
    fs::write(folder.join(PAUSED), format!("{} {}", found.pid, found.started))
        .map_err(|error| format!("it cannot be kept which process stands still: {error}"))?;
    send(found.pid, Signal::SIGSTOP)?;
    until(SIGNAL_MAX, || find(process).is_some_and(|now| now.stands_still))
        .await
        .map_err(|()| format!("{} was stopped and goes on", process.name))
}

/// Lets the one go on that was made to stand still. One that has gone does not stand still.
pub(super) async fn go_on(process: &Process, folder: &Path) -> Result<(), String> {
    let path = folder.join(PAUSED);
    let kept = match fs::read_to_string(&path) {
        Ok(kept) => kept,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let numbers = kept.split_once(' ').and_then(|(pid, started)| {
        let pid: i32 = pid.parse().ok()?;
        Some((pid, started.parse::<u64>().ok()?))
    });
    let (pid, started) = numbers.ok_or_else(|| format!("{} names no process", path.display()))?;
    let stands_still = || look_at(pid).is_some_and(|now| now.started == started && now.stands_still);
    if !stands_still() {
        return Ok(());
    }
    send(Pid::from_raw(pid), Signal::SIGCONT)?;
    until(SIGNAL_MAX, || !stands_still())
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
