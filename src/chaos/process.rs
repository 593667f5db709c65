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

use super::{
    LOOK, ended,
    known::{Known, Listed, look_at},
    latch::Latch,
    said_to,
};
use crate::domain::fault::Process;

/// How long a signal may take to be seen.
const SIGNAL_MAX: Duration = Duration::from_secs(5);
/// How long a process may take to be there again.
const RESTORE_MAX: Duration = Duration::from_secs(30);
/// Ticks of the kernel's clock in a second, as Linux counts them for everybody.
const TICKS: u64 = 100;
/// How much younger than its pid file a process may seem: both clocks are cut to a second or less.
const YOUNGER: Duration = Duration::from_secs(2);
/// Which process was made to stand still.
const PAUSED: &str = "paused";
/// The program that starts it again, and what it said.
const RESTORE: &str = "restore";
const SAID: &str = "restore.log";

/// The process, if it runs.
fn find(process: &Process) -> Option<Listed> {
    let text = fs::read_to_string(&process.pid_file).ok()?;
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    let found = look_at(number)?;
    let written = fs::metadata(&process.pid_file).ok()?.modified().ok()?;
    let written = written.duration_since(UNIX_EPOCH).ok()? + YOUNGER;
    let began = Duration::from_millis(machine_started()? * 1000 + found.started * 1000 / TICKS);
    (found.name == process.name && began <= written).then_some(found)
}

/// When the machine started, in seconds since 1970.
fn machine_started() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

fn need(process: &Process) -> Result<Listed, String> {
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

/// One that stands still already was stopped by somebody else, who wants it so.
pub(super) fn check_pause(process: &Process) -> Result<(), String> {
    match need(process)?.stands_still {
        true => Err(format!(
            "{} of {} stands still already",
            process.name, process.pid_file
        )),
        false => Ok(()),
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
    Known::of(&found).keep(&folder.join(PAUSED))?;
    send(found.pid, Signal::SIGSTOP)?;
    until(SIGNAL_MAX, || find(process).is_some_and(|now| now.stands_still))
        .await
        .map_err(|()| format!("{} was stopped and goes on", process.name))
}

/// Lets the one go on that was made to stand still. One that has gone does not stand still, which is said.
pub(super) async fn go_on(process: &Process, folder: &Path) -> Result<Option<String>, String> {
    let Some(paused) = Known::read(&folder.join(PAUSED))? else {
        return Ok(None);
    };
    let stands_still = || paused.look().is_some_and(|now| now.stands_still);
    if stands_still() {
        send(paused.pid, Signal::SIGCONT)?;
        until(SIGNAL_MAX, || !stands_still())
            .await
            .map_err(|()| format!("{} was let go on and stands still", process.name))?;
    }
    let is_gone = paused.look().is_none();
    Ok(is_gone.then(|| format!("the process {} that stood still has gone", process.name)))
}

/// Starts it again, unless it runs. A program that was told to and is still at it is not told twice.
pub(super) async fn restore(process: &Process, restore: &[String], folder: &Path) -> Result<(), String> {
    if find(process).is_some() {
        return Ok(());
    }
    let [program, args @ ..] = restore else {
        return Err("nothing is said that starts it again".to_owned());
    };
    let latch = Latch::new(folder, RESTORE);
    let at_it = latch.begun().await?.filter(|known| known.look().is_some());
    let said = folder.join(SAID);
    let mut child = match at_it {
        Some(_) => None,
        None => {
            let mut restoring = latch.command(program);
            restoring.args(args);
            said_to(&mut restoring, &said)?;
            let opened = latch.open(restoring, "").await;
            Some(opened.map_err(|why| format!("{program}: {why}"))?)
        }
    };
    let end = Instant::now() + RESTORE_MAX;
    loop {
        // A program that stays is the process itself, or looks after it.
        let status = match &mut child {
            Some(child) => child.try_wait().map_err(|error| error.to_string())?,
            None => None,
        };
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
