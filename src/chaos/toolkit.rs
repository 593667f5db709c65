//! An experiment of Chaos Toolkit. It is run beside the drill with its rollbacks whatever happens; taking it back is to let
//! it come to its end and to read in its journal that they were done.

use std::{fs, io, path::Path, time::Duration};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;
use tokio::time::Instant;

use super::{LOOK, command, ended, latch::Latch, run, said_to};

/// How long the toolkit may take to read an experiment.
const VALIDATE_MAX: Duration = Duration::from_secs(30);
/// How long it is watched at its start: one that cannot begin ends soon.
const BEGIN: Duration = Duration::from_secs(2);
/// How long its rollbacks may take.
const ROLLBACK_MAX: Duration = Duration::from_secs(60);
const JOURNAL: &str = "journal.json";
const SAID: &str = "chaos.log";
/// The latch that it waits behind until its number is kept.
const CHAOS: &str = "chaos";
/// There once it was asked to end.
const ASKED: &str = "chaos.asked";

pub(super) async fn check(program: &str, experiment: &str) -> Result<(), String> {
    for file in [program, experiment] {
        if !Path::new(file).is_file() {
            return Err(format!("there is no file {file}"));
        }
    }
    let folder = std::env::temp_dir();
    let mut validate = command(program);
    validate.env("HOME", &folder).current_dir(&folder).args([
        "--no-version-check",
        "--no-log-file",
        "validate",
        experiment,
    ]);
    run(validate, VALIDATE_MAX).await
}

pub(super) async fn cause(program: &str, experiment: &str, folder: &Path) -> Result<(), String> {
    let latch = Latch::new(folder, CHAOS);
    let mut experimenting = latch.command(program);
    experimenting
        .env("HOME", folder)
        .current_dir(folder)
        .args([
            "--no-version-check",
            "--no-log-file",
            "run",
            "--rollback-strategy",
            "always",
        ])
        .arg("--journal-path")
        .arg(folder.join(JOURNAL))
        .arg(experiment);
    said_to(&mut experimenting, &folder.join(SAID))?;
    let opened = latch.open(experimenting, "").await;
    let mut child = opened.map_err(|why| format!("{program}: {why}"))?;
    let end = Instant::now() + BEGIN;
    while Instant::now() < end {
        let status = child.try_wait().map_err(|error| error.to_string())?;
        if let Some(status) = status {
            return match folder.join(JOURNAL).exists() {
                true => Ok(()),
                false => Err(ended(
                    "chaos",
                    status,
                    &fs::read(folder.join(SAID)).unwrap_or_default(),
                )),
            };
        }
        tokio::time::sleep(LOOK).await;
    }
    // It is waited for, so that its number is free when it has ended.
    tokio::spawn(async move { child.wait().await });
    Ok(())
}

pub(super) async fn undo(folder: &Path) -> Result<(), String> {
    let Some(known) = Latch::new(folder, CHAOS).begun().await? else {
        return Ok(());
    };
    if known.look().is_some() {
        ask_once(known.pid, folder)
            .map_err(|error| format!("the experiment cannot be asked to end: {error}"))?;
    }
    let end = Instant::now() + ROLLBACK_MAX;
    while known.look().is_some() {
        if Instant::now() >= end {
            let within = ROLLBACK_MAX.as_secs();
            return Err(format!(
                "the experiment did not come to its end within {within} s"
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
    rolled_back(folder)
}

/// Asks it to end. Only once, whoever does it: a second signal would cut its rollbacks short.
fn ask_once(pid: Pid, folder: &Path) -> io::Result<()> {
    match fs::File::create_new(folder.join(ASKED)) {
        Ok(_) => Ok(signal::kill(pid, Signal::SIGTERM)?),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn rolled_back(folder: &Path) -> Result<(), String> {
    let path = folder.join(JOURNAL);
    let text = fs::read_to_string(&path).map_err(|error| {
        format!(
            "nobody can know whether it rolled back: its journal {}: {error}",
            path.display()
        )
    })?;
    let journal: Value =
        serde_json::from_str(&text).map_err(|error| format!("the journal of the experiment: {error}"))?;
    let planned = journal["experiment"]["rollbacks"].as_array().map_or(0, Vec::len);
    let rollbacks = journal["rollbacks"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let failed = rollbacks.iter().find(|one| one["status"] != "succeeded");
    match failed {
        Some(failed) => Err(format!(
            "the rollback {} of the experiment did not succeed; {} says why",
            failed["activity"]["name"],
            path.display()
        )),
        None if rollbacks.len() < planned => Err(format!(
            "{} of {planned} rollbacks of the experiment were done; {} says why",
            rollbacks.len(),
            path.display()
        )),
        None => Ok(()),
    }
}
