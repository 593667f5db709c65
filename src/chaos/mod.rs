//! Real faults on targets of a drill environment: looked at before, caused, and taken back.
//!
//! Taking a fault back needs nothing but its [`Order`], may be done any number of times by anybody on the same machine, and
//! ends well only when it was *seen* that nothing of the fault is left. So whoever finds a fault that may stand takes it
//! back: the Muster that caused it, one that was started afterwards, or the [`guard`] that outlives both. A fault that was
//! once taken back is not caused any more by whoever comes too late, and each program that breaks something waits behind
//! its latch until it is known.

mod disk;
pub mod guard;
mod known;
mod latch;
mod network;
mod process;
mod toolkit;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use tokio::{process::Command, time::Instant};

use crate::domain::fault::{Harm, Order};

/// Where the tools of the system are.
const TOOL_FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// What programs find others by.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a tool of the system may take.
const TOOL_MAX: Duration = Duration::from_secs(10);
/// The pause between two looks at something that takes a moment.
const LOOK: Duration = Duration::from_millis(20);
/// How long somebody waits for another who takes the same fault back.
const TURN_MAX: Duration = Duration::from_secs(120);
/// The file that is locked meanwhile.
const TURN: &str = "turn";
/// There once it was taken back, or was about to be.
const CALLED_OFF: &str = "called-off";
/// The most of what a program said that stands in a message.
const SAID_CHARS_MAX: usize = 300;

/// A fault that was not caused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Uncaused {
    /// Why not.
    pub why: String,
    /// Whether some of it may stand all the same; otherwise nothing was touched, and nothing is to be taken back.
    pub may_stand: bool,
}

/// What a fault acts on, so that no second one acts on it meanwhile: taking the second back would take the first back as
/// well. Files and folders are named by the path that they really have.
pub fn acts_on(order: &Order) -> String {
    order.harm.acts_on(|path| {
        let real = std::fs::canonicalize(path);
        real.map_or_else(|_| path.to_owned(), |real| real.display().to_string())
    })
}

/// Whether it could be caused here, as far as can be told without causing it.
pub async fn check(order: &Order) -> Result<(), String> {
    match &order.harm {
        Harm::Kill { process, restore } => process::check(process, restore.first()),
        Harm::Pause(process) => process::check_pause(process),
        Harm::FillDisk { folder, .. } => disk::check(folder, &order.folder),
        Harm::Network {
            namespace,
            device,
            packets,
        } => network::check(namespace, device, *packets).await,
        Harm::ChaosToolkit { program, experiment } => toolkit::check(program, experiment).await,
    }
}

/// Causes it, unless it was taken back before.
pub async fn cause(order: &Order) -> Result<(), Uncaused> {
    let untouched = |why| Uncaused {
        why,
        may_stand: false,
    };
    check(order).await.map_err(untouched)?;
    let folder = &order.folder;
    let _turn = turn(folder).await.map_err(untouched)?;
    if folder.join(CALLED_OFF).exists() {
        return Err(untouched("it was called off before it was caused".to_owned()));
    }
    let caused = match &order.harm {
        Harm::Kill { process, .. } => process::kill(process).await,
        Harm::Pause(process) => process::pause(process, folder).await,
        Harm::FillDisk {
            folder,
            leave_mib,
            most_mib,
        } => disk::fill(folder.clone(), *leave_mib, *most_mib).await,
        Harm::Network {
            namespace,
            device,
            packets,
        } => network::cause((namespace, device), *packets, folder).await,
        Harm::ChaosToolkit { program, experiment } => toolkit::cause(program, experiment, folder).await,
    };
    caused.map_err(|why| Uncaused { why, may_stand: true })
}

/// Takes it back, and sees that nothing of it is left. Who finds another one at it waits for them. Returns what else is to
/// be said of it, such as that what it acted on has gone.
pub async fn undo(order: &Order) -> Result<Option<String>, String> {
    let folder = &order.folder;
    let _turn = turn(folder).await?;
    let called_off = folder.join(CALLED_OFF);
    File::create(&called_off).map_err(|error| format!("{}: {error}", called_off.display()))?;
    match &order.harm {
        Harm::Kill { process, restore } => process::restore(process, restore, folder).await.map(|()| None),
        Harm::Pause(process) => process::go_on(process, folder).await,
        Harm::FillDisk { folder, .. } => disk::free(folder),
        Harm::Network {
            namespace,
            device,
            packets,
        } => network::undo((namespace, device), *packets, folder).await,
        Harm::ChaosToolkit { .. } => toolkit::undo(folder).await.map(|()| None),
    }
}

/// Takes turns: a guard and a Muster that was started again may both be at it, and what starts a process again must not
/// run twice. A turn ends with whoever has it.
async fn turn(folder: &Path) -> Result<Flock<File>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(told)?;
    let mut file = File::create(folder.join(TURN)).map_err(told)?;
    let end = Instant::now() + TURN_MAX;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(turn) => return Ok(turn),
            Err((_, error)) if Instant::now() >= end => {
                return Err(format!("somebody else has been at it for too long: {error}"));
            }
            Err((file, Errno::EWOULDBLOCK)) => file,
            Err((_, error)) => return Err(told(error.into())),
        };
        tokio::time::sleep(LOOK).await;
    }
}

fn tool(name: &str) -> Result<PathBuf, String> {
    let mut places = TOOL_FOLDERS.iter().map(|folder| PathBuf::from(folder).join(name));
    places
        .find(|path| path.exists())
        .ok_or_else(|| format!("{name} is not installed here"))
}

/// A program with nothing of Muster's: no variables, no input, a process group of its own.
fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// Runs a program to its end; what it said when that was not a good one.
async fn run(mut command: Command, limit: Duration) -> Result<(), String> {
    let name = command.as_std().get_program().display().to_string();
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output())
        .await
        .map_err(|_| format!("{name} did not end within {} s", limit.as_secs()))?
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(ended(
            &name,
            output.status,
            &[output.stderr, output.stdout].concat(),
        )),
    }
}

fn ended(name: &str, status: ExitStatus, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let said: Vec<&str> = said.split_whitespace().collect();
    let said: String = said.join(" ").chars().take(SAID_CHARS_MAX).collect();
    match said.is_empty() {
        true => format!("{name} ended badly: {status}"),
        false => format!("{name} ended badly: {said}"),
    }
}

/// What a program says goes to a file.
fn said_to(command: &mut Command, said: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", said.display());
    let file = File::create(said).map_err(told)?;
    command.stdout(file.try_clone().map_err(told)?).stderr(file);
    Ok(())
}
