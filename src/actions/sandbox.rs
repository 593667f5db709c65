//! How a program is started: in a session of its own, under limits of the kernel, with nothing of Muster's but what it is
//! given.
//!
//! All of that must hold before the program's first instruction, and between fork and exec only unsafe code can act. So the
//! small tools of util-linux do it, which every Linux with glibc brings: each sets one thing and becomes the next, the last
//! becomes the program, and the process number stays the same. `setsid` makes the session, `prlimit` the limits, `setpriv`
//! the user and *no new privileges*; the one line of shell, whose text is always the same, sets the mask of new files and
//! closes what this process itself may have inherited, as far as a shell can: 3 to 9. Programs can still read whatever their user may: name a `user` that
//! may not read Muster's folder.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::unistd::{Uid, User};
use tokio::process::Command;

use super::invalid;
use crate::domain::{
    action::Failure,
    program::{PROCESSES_OF_A_USER, ProgramLimits},
    target::CommandConnection,
};

/// Where programs find others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where util-linux is.
const TOOLS: [&str; 2] = ["/usr/bin", "/bin"];
/// Arguments reach the shell as its own parameters, which it passes on and never reads.
const SCRIPT: &str = r#"umask 077; exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; exec "$@""#;
const MIB: u64 = 1024 * 1024;

/// The program, ready to be started. Its variables are still to be set.
pub(super) fn command(host: &CommandConnection, program: &str, args: &[String]) -> Result<Command, Failure> {
    check(program)?;
    let user = host.user.as_deref().map(user).transpose()?;
    let mut command = Command::new(tool("setsid")?);
    command
        .arg(tool("prlimit")?)
        .args(limits(&host.limits, user.is_some()));
    command.args(["/bin/sh", "-c", SCRIPT, "muster"]);
    command
        .arg(tool("setpriv")?)
        .args(["--no-new-privs", "--pdeathsig", "KILL"]);
    if let Some(user) = &user {
        let ids = [format!("--reuid={}", user.uid), format!("--regid={}", user.gid)];
        command.args(ids).arg("--init-groups");
    }
    command
        .arg("--")
        .arg(program)
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .current_dir(host.dir.as_deref().unwrap_or("/"));
    Ok(command)
}

/// What would only be found out after the start, when it looks like a program that failed.
fn check(program: &str) -> Result<(), Failure> {
    let cannot = |why: &str| invalid(format!("{program} cannot be started: {why}"));
    let about = std::fs::metadata(program).map_err(|error| cannot(&error.to_string()))?;
    match about.is_file() && about.permissions().mode() & 0o111 != 0 {
        true => Ok(()),
        false => Err(cannot("it is not an executable file")),
    }
}

fn tool(name: &str) -> Result<PathBuf, Failure> {
    TOOLS
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
        .ok_or_else(|| {
            invalid(format!(
                "programs cannot be started here: {name} of util-linux is not installed"
            ))
        })
}

fn user(name: &str) -> Result<User, Failure> {
    let unknown = || {
        invalid(format!(
            "this machine has no user {name}, who the target's programs run as"
        ))
    };
    let user = User::from_name(name).ok().flatten().ok_or_else(unknown)?;
    let own = Uid::effective();
    match own.is_root() || own == user.uid {
        true => Ok(user),
        false => Err(invalid(format!(
            "only a Muster that runs as root can run programs as {name}"
        ))),
    }
}

fn limits(limits: &ProgramLimits, has_user: bool) -> Vec<String> {
    let cpu = limits.cpu.as_millis().div_ceil(1000);
    let mut all = vec![
        "--core=0".to_owned(),
        // The signal that says why comes with the first, the one nobody can catch with the second.
        format!("--cpu={cpu}:{}", cpu + 1),
        format!("--as={}", u64::from(limits.memory_mib) * MIB),
        format!("--nofile={}", limits.open_files),
        format!("--fsize={}", u64::from(limits.file_mib) * MIB),
    ];
    let processes = limits.processes.or(has_user.then_some(PROCESSES_OF_A_USER));
    all.extend(processes.map(|count| format!("--nproc={count}")));
    all
}
