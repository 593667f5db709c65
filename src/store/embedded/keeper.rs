//! The thread that owns the server process: prepares the folder, starts it, starts it again, stops it.
//!
//! It is a thread of its own for its whole life because Linux ties "stop when your parent dies" to the *thread* that
//! started the child: a server started from a pool of threads would stop when that pool lets a thread go.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

use super::binaries::{Binaries, Search};
use super::home::Home;
use super::{EmbeddedError, SOCKET_PORT, ServerState, orphan};

/// What ties a program to the thread that starts it, on Linux.
const TIES: [&str; 2] = ["/usr/bin/setpriv", "/bin/setpriv"];
/// How often to look whether the server is still there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A fast stop ends all sessions and writes a checkpoint.
const FAST_STOP_MAX: Duration = Duration::from_secs(30);
/// An immediate stop just ends; the next start replays the log.
const IMMEDIATE_STOP_MAX: Duration = Duration::from_secs(5);
/// Between two tries to bring a server back that ended by itself, doubled from the first to the second.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A server that ran this long starts over with the shortest wait.
const STEADY_AFTER: Duration = Duration::from_secs(60);

/// The server's settings. Durability is not negotiable; the rest suits one small machine.
const SETTINGS: [&str; 11] = [
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "max_connections=100",
    "shared_buffers=128MB",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
    "log_line_prefix=%m [%p] ",
    "lc_messages=C",
    "unix_socket_permissions=0700",
];

/// What the owner asks of the thread; when the owner is gone, that means `Stop`.
pub(super) enum Order {
    /// The server has answered: from now on bring it back whenever it ends by itself.
    Guard,
    /// Stop the server and end.
    Stop,
}

/// The thread's body.
pub(super) fn run(
    data: &Path,
    search: &Search,
    orders: &Receiver<Order>,
    state: &watch::Sender<ServerState>,
    launched: oneshot::Sender<Result<std::path::PathBuf, EmbeddedError>>,
) {
    let started = prepare(data, search).and_then(|(home, binaries)| {
        let child = launch(&home, &binaries)?;
        Ok((home, binaries, child))
    });
    match started {
        Ok((home, binaries, child)) => {
            state.send_replace(ServerState::Running { pid: child.id() });
            // If nobody waits any more, the first look at the orders finds that out and stops.
            let _ = launched.send(Ok(home.sockets.clone()));
            let clean = keep(&home, &binaries, child, orders, state);
            if !home.sockets.starts_with(&home.data) {
                let _ = std::fs::remove_dir(&home.sockets);
            }
            // Give the folder back before saying so.
            drop(home);
            state.send_replace(ServerState::Stopped { clean });
        }
        Err(error) => {
            state.send_replace(ServerState::Stopped { clean: true });
            let _ = launched.send(Err(error));
        }
    }
}

fn prepare(data: &Path, search: &Search) -> Result<(Home, Binaries), EmbeddedError> {
    let home = Home::take(data)?;
    let binaries = search.find(home.version()?)?;
    check_way(&home, &binaries)?;
    orphan::clear(&home.pgdata)?;
    if home.version()?.is_none() {
        create_cluster(&home, &binaries)?;
    }
    home.private_folder(&home.sockets)?;
    Ok((home, binaries))
}

/// Root's own folders are often closed to everybody else; the server's message about that would explain little.
fn check_way(home: &Home, binaries: &Binaries) -> Result<(), EmbeddedError> {
    let Some(user) = &home.user else { return Ok(()) };
    let probe = program(home, &binaries.folder.join("postgres"))
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    match probe {
        Ok(status) if status.success() => Ok(()),
        _ => {
            let closed = home.closed_parent().unwrap_or_else(|| binaries.folder.clone());
            Err(EmbeddedError::ClosedParent {
                closed,
                user: user.name.clone(),
            })
        }
    }
}

/// A killed `initdb` leaves a folder that looks finished, so it works beside the place and is moved there last.
fn create_cluster(home: &Home, binaries: &Binaries) -> Result<(), EmbeddedError> {
    let draft = home.data.join("pg.new");
    if draft.exists() {
        std::fs::remove_dir_all(&draft).map_err(EmbeddedError::io("remove", &draft))?;
    }
    home.private_folder(&draft)?;
    let locale = if cfg!(target_os = "linux") {
        "--locale=C.UTF-8"
    } else {
        "--locale=C"
    };
    let output = program(home, &binaries.folder.join("initdb"))
        .arg("-D")
        .arg(&draft)
        .args(["-U", super::USER, "-A", "trust", "-E", "UTF8", locale])
        .output()
        .map_err(EmbeddedError::io("run", &binaries.folder.join("initdb")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(EmbeddedError::Initdb { said });
    }
    std::fs::rename(&draft, &home.pgdata).map_err(EmbeddedError::io("move into place", &draft))?;
    let folder = std::fs::File::open(&home.data).and_then(|folder| folder.sync_all());
    folder.map_err(EmbeddedError::io("save", &home.data))
}

fn launch(home: &Home, binaries: &Binaries) -> Result<Child, EmbeddedError> {
    let log = home.open_log()?;
    let path = binaries.folder.join("postgres");
    let failed = || EmbeddedError::io("start", &path);
    let mut command = program(home, &path);
    command.arg("-D").arg(&home.pgdata).arg("-k").arg(&home.sockets);
    command.args(["-h", "", "-p", &SOCKET_PORT.to_string()]);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command.stdout(log.try_clone().map_err(failed())?).stderr(log);
    command.spawn().map_err(failed())
}

/// A Postgres program as the right user, in a clean environment, that ends when this thread does. The last is the work of
/// `setpriv`, which every Linux with glibc has: it asks the kernel for it and becomes the program, under the same number.
/// Where it is missing, or if we die in the moment before it asks, a server is left behind that the next start ends.
fn program(home: &Home, path: &Path) -> Command {
    let tie = TIES.into_iter().map(Path::new).find(|path| path.exists());
    let mut command = match tie {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "INT", "--"]).arg(path);
            command
        }
        None => Command::new(path),
    };
    command
        .env_clear()
        .env("LC_ALL", if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" });
    if let Some(search_path) = std::env::var_os("PATH") {
        command.env("PATH", search_path);
    }
    // A group of its own: Ctrl-C in a terminal must not stop the database before we have drained.
    command
        .current_dir(&home.data)
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(user) = &home.user {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Watches the server until it is to stop, or ended before it was ever ready. True if it ended in good order.
fn keep(
    home: &Home,
    binaries: &Binaries,
    first: Child,
    orders: &Receiver<Order>,
    state: &watch::Sender<ServerState>,
) -> bool {
    let mut server = Some(first);
    let mut guarded = false;
    let mut pause = AGAIN_AFTER.0;
    let mut since = Instant::now();
    loop {
        match orders.recv_timeout(LOOK_EVERY) {
            Ok(Order::Guard) => guarded = true,
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return server.is_none_or(stop),
            Err(RecvTimeoutError::Timeout) => {}
        }
        match server.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => {
                server = None;
                let how = describe(status);
                state.send_replace(ServerState::Down { how: how.clone() });
                if !guarded {
                    return false;
                }
                pause = if since.elapsed() > STEADY_AFTER {
                    AGAIN_AFTER.0
                } else {
                    pause
                };
                since = Instant::now();
                tracing::error!(how, again_in = ?pause, "the database server ended by itself; starting it again");
            }
            Some(Ok(None)) => {}
            Some(Err(error)) => tracing::error!(%error, "cannot see whether the database server is running"),
            None if since.elapsed() >= pause => {
                pause = (pause * 2).min(AGAIN_AFTER.1);
                since = Instant::now();
                match orphan::clear(&home.pgdata).and_then(|()| launch(home, binaries)) {
                    Ok(child) => {
                        state.send_replace(ServerState::Running { pid: child.id() });
                        server = Some(child);
                    }
                    Err(error) => tracing::error!(%error, "the database server cannot be started again"),
                }
            }
            None => {}
        }
    }
}

/// Ends the server, the friendliest way first. True if it ended in good order.
fn stop(mut server: Child) -> bool {
    let ways = [
        (Signal::SIGINT, FAST_STOP_MAX),
        (Signal::SIGQUIT, IMMEDIATE_STOP_MAX),
    ];
    for (signal, patience) in ways {
        // Not collected yet, so the number is still this child's.
        let _ = kill(Pid::from_raw(server.id().cast_signed()), signal);
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Ok(Some(status)) = server.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        tracing::warn!(%signal, ?patience, "the database server did not stop in time");
    }
    let _ = server.kill();
    let _ = server.wait();
    false
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "unknown".to_owned(),
    }
}
