//! A program of the fleet: found on this machine, started so that it cannot outlive the test, watched and killed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use super::wait;

/// A program by the names it goes by, and the Debian package it comes in.
pub struct Program {
    pub names: &'static [&'static str],
    pub package: &'static str,
}

/// Lets a process die with its parent, and root become somebody else, without unsafe code in here.
pub const SETPRIV: Program = Program {
    names: &["setpriv"],
    package: "util-linux",
};

impl Program {
    /// The program's path; the error names the package to install.
    pub fn find(&self) -> Result<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps haproxy where a normal user's PATH does not look, and Postgres apart by version, of which the newest.
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders.extend(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from));
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                Some((
                    entry.file_name().to_str()?.parse().ok()?,
                    entry.path().join("bin"),
                ))
            })
            .collect();
        versions.sort();
        folders.extend(versions.into_iter().rev().map(|(_, bin)| bin));
        let mut files = self
            .names
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        files.find(|file| file.is_file()).ok_or_else(|| missing(&[self]))
    }
}

/// Succeeds when every one of these can be found; the error names all the packages to install.
pub fn all_here(programs: &[&Program]) -> Result<()> {
    let gone: Vec<&Program> = programs
        .iter()
        .copied()
        .filter(|program| program.find().is_err())
        .collect();
    if gone.is_empty() {
        Ok(())
    } else {
        Err(missing(&gone))
    }
}

fn missing(programs: &[&Program]) -> Error {
    let names: Vec<String> = programs
        .iter()
        .map(|program| program.names.join(" or "))
        .collect();
    let packages: Vec<&str> = programs.iter().map(|program| program.package).collect();
    anyhow!(
        "not installed: {}; run .ci/install as root, or apt-get install {}",
        names.join(", "),
        packages.join(" ")
    )
}

/// The command that runs `program` as `user` (none: as we are) and gets `signal` when this test program ends.
pub fn command(program: &Path, user: Option<&User>, signal: Signal) -> Result<Command> {
    let mut command = Command::new(SETPRIV.find()?);
    command
        .arg("--pdeathsig")
        .arg(signal.as_str().trim_start_matches("SIG"));
    if let Some(user) = user {
        command
            .arg("--reuid")
            .arg(user.uid.to_string())
            .arg("--regid")
            .arg(user.gid.to_string());
        command.arg("--clear-groups");
    }
    command.arg("--").arg(program).stdin(Stdio::null());
    Ok(command)
}

/// Runs a command to its end, away from the runtime's threads.
pub async fn run(what: &str, mut command: Command) -> Result<()> {
    let output = tokio::task::spawn_blocking(move || command.output()).await?;
    let output = output.with_context(|| format!("{what}: cannot start"))?;
    if !output.status.success() {
        bail!(
            "{what}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(())
}

/// A running program. Dropping it kills it and everything it started.
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts the command; what it prints goes to the end of `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Process> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .context("cannot open a log")?;
        command.stdout(out.try_clone()?).stderr(out);
        let child = spawn(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Process {
            name: name.to_owned(),
            log: log.to_owned(),
            child,
        })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until `look` succeeds; gives up at once, with the log's last lines, when the program ends.
    pub async fn ready<T>(
        &mut self,
        within: Duration,
        mut look: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let what = format!("{} is ready", self.name);
        let found = wait::until(&what, within, async || match self.ended() {
            Some(status) => Ok(Err(anyhow!("{} ended with {status}", self.name))),
            None => look().await.map(Ok),
        });
        found
            .await
            .and_then(|found| found)
            .with_context(|| self.last_words())
    }

    /// SIGKILL for the program and everything it started. They are gone when this returns.
    pub fn kill(&mut self) {
        if self.ended().is_some() {
            return;
        }
        let family = descendants(self.id());
        let _ = self.child.kill(); // first, so that it can start nothing in another's place
        for pid in &family {
            let _ = kill(Pid::from_raw(*pid as i32), Signal::SIGKILL);
        }
        let _ = self.child.wait();
        let deadline = Instant::now() + Duration::from_secs(5);
        while family.iter().any(|pid| is_alive(*pid)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks the program to end with `signal`, and kills it when it has not after `patience`.
    pub fn end(&mut self, signal: Signal, patience: Duration) {
        let deadline = Instant::now() + patience;
        let _ = kill(Pid::from_raw(self.id() as i32), signal);
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(15)..];
        format!("the last lines of {}:\n{}", self.name, last.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts every process from one thread that lives as long as the test program: the signal a process gets when its
/// parent dies is sent when the *thread* that started it ends, and a test's threads end early.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, answer) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts processes is gone");
    STARTER
        .send((command, reply))
        .map_err(|error| gone(error.to_string()))?;
    answer.recv().map_err(|error| gone(error.to_string()))?
}

/// Children, their children, and so on.
fn descendants(ancestor: u32) -> Vec<u32> {
    let everyone: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.1)))
        .collect();
    let mut family = vec![ancestor];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(
            everyone
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    family.split_off(1)
}

pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z")
}

/// State and parent of a process. The name before them may hold spaces and brackets.
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
