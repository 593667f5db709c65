//! One allowed program on this machine, with a list of arguments.
//!
//! There is never a shell, so nothing in an argument is special to one. What is special to the program itself is the
//! author's to guard: an argument that came from a label and starts with `-` may be read as an option, so put `--` or
//! a fixed argument before it where the program has such a thing.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::{timeout, timeout_at},
};

use super::{Call, answer, inputs::Inputs, invalid, refused};
use crate::domain::{
    action::{Failure, FailureClass, Outcome},
    step::ActionKind,
    target::CommandConnection,
};

/// What is kept of each of the two outputs; the rest is read and dropped, so the program never blocks on it.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// How long a program may take to end when asked to, before it is made to.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long outputs are read on after the program ended, while something it left behind holds them open.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// The longest the ending can take after the deadline.
pub(super) const ENDING_MAX: Duration = Duration::from_secs(6);
/// Where programs find others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct Ask<'a> {
    program: &'a str,
    args: Vec<String>,
    stdin: &'a str,
}

impl<'a> Ask<'a> {
    fn read(host: &CommandConnection, with: &'a Value) -> Result<Self, Failure> {
        let inputs = Inputs::read(with, ActionKind::Command)?;
        let program = inputs.text("program")?;
        if !program.starts_with('/') {
            return Err(invalid("with.program must be an absolute path"));
        }
        if !host.programs.iter().any(|allowed| allowed == program) {
            return Err(invalid(format!(
                "with.program {program} is not among the target's programs"
            )));
        }
        let args = inputs
            .list("args")?
            .into_iter()
            .enumerate()
            .map(|(i, arg)| {
                arg.filter(|arg| !arg.contains('\0'))
                    .ok_or_else(|| invalid(format!("with.args[{i}] must be a text without NUL")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            program,
            args,
            stdin: inputs.text_if_any("stdin")?.unwrap_or_default(),
        })
    }
}

pub(super) fn describe(host: &CommandConnection, with: &Value) -> Result<String, Failure> {
    let ask = Ask::read(host, with)?;
    let mut text = ask.program.to_owned();
    for arg in &ask.args {
        let plain = |c: char| c.is_alphanumeric() || "-_./:=,@+%".contains(c);
        match !arg.is_empty() && arg.chars().all(plain) {
            true => text.push_str(&format!(" {arg}")),
            false => text.push_str(&format!(" {arg:?}")),
        }
    }
    if !ask.stdin.is_empty() {
        text.push_str(&format!(" with input {:?}", ask.stdin));
    }
    Ok(text)
}

pub(super) async fn perform(call: &Call<'_>, host: &CommandConnection) -> Result<Outcome, Failure> {
    let ask = Ask::read(host, &call.request.with)?;
    let mut command = command(call, host, &ask)?;
    call.sent.mark()?;
    let mut child = command.spawn().map_err(|error| {
        let class = match error.kind() {
            // The machine is out of something; later it may not be.
            io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => FailureClass::NotSent,
            _ => FailureClass::Invalid,
        };
        Failure::new(class, format!("{} cannot be started: {error}", ask.program))
    })?;
    let group = Group::of(&child);
    let mut stdout = Capture::default();
    let mut stderr = Capture::default();
    let (mut input, mut out, mut err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ended = {
        let streams = async {
            let feed = async {
                if let Some(mut input) = input.take() {
                    // A program need not read its input.
                    let _ = input.write_all(ask.stdin.as_bytes()).await;
                }
            };
            tokio::join!(feed, stdout.fill(&mut out), stderr.fill(&mut err));
        };
        let work = async {
            tokio::pin!(streams);
            let status = tokio::select! {
                status = child.wait() => status,
                () = &mut streams => return child.wait().await,
            };
            if timeout(DRAIN_GRACE, streams).await.is_err() {
                group.signal(Signal::SIGKILL);
            }
            status
        };
        timeout_at(call.deadline, work).await
    };
    let stdout = stdout.text(call);
    let stderr = stderr.text(call);
    match ended {
        Ok(Ok(status)) => {
            group.gone();
            verdict(call, &ask, status, &stdout, &stderr)
        }
        Ok(Err(error)) => Err(call.failure(format!("{} cannot be waited for: {error}", ask.program))),
        Err(_) => {
            if let Ok(Some(status)) = child.try_wait() {
                // It ended in time; only something it left behind held its outputs open.
                return verdict(call, &ask, status, &stdout, &stderr);
            }
            end(&mut child, group).await;
            let limit = call.limit.as_secs_f64();
            Err(Failure::new(
                FailureClass::Lost,
                format!("{} was stopped after {limit} s{}", ask.program, said(&stderr)),
            ))
        }
    }
}

fn command(call: &Call<'_>, host: &CommandConnection, ask: &Ask<'_>) -> Result<Command, Failure> {
    let mut command = Command::new(ask.program);
    command
        .args(&ask.args)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .current_dir(host.dir.as_deref().unwrap_or("/"));
    for (name, reference) in &host.env {
        let value = call.vault.get(reference)?.reveal();
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(invalid(format!(
                "the target's variable {name} cannot be given to a program"
            )));
        }
        command.env(name, value);
    }
    command
        .env("MUSTER_IDEMPOTENCY_KEY", &call.envelope.key)
        .env("MUSTER_FENCE", call.envelope.fence.to_string());
    Ok(command)
}

/// A check reports how its program ended; a call that ended badly was refused.
fn verdict(
    call: &Call<'_>,
    ask: &Ask<'_>,
    status: ExitStatus,
    stdout: &str,
    stderr: &str,
) -> Result<Outcome, Failure> {
    let Some(code) = status.code() else {
        return Err(Failure::new(
            FailureClass::Lost,
            format!("{} was ended from outside: {status}{}", ask.program, said(stderr)),
        ));
    };
    if code != 0 && !call.envelope.read_only {
        return Err(refused(format!(
            "{} ended with {code}{}",
            ask.program,
            said(stderr)
        )));
    }
    Ok(Outcome {
        result: json!({"ok": code == 0, "exit_code": code, "stdout": stdout, "stderr": stderr}),
        summary: format!("{} ended with {code}", ask.program),
    })
}

/// The end of what a program said on its error output, for a message.
fn said(stderr: &str) -> String {
    let text = stderr.trim();
    let start = text.ceil_char_boundary(text.len().saturating_sub(500));
    match text.is_empty() {
        true => String::new(),
        false => format!(": {}", &text[start..]),
    }
}

/// Asks the whole group to end, then makes it.
async fn end(child: &mut Child, group: Group) {
    group.signal(Signal::SIGTERM);
    let _ = timeout(TERM_GRACE, child.wait()).await;
    // Others of the group may still be there when its first has gone.
    group.signal(Signal::SIGKILL);
    let _ = timeout(TERM_GRACE, child.wait()).await;
    group.gone();
}

/// The process group of one program. Dropped before its end is known, it is killed. What a program that ended well
/// left running, with outputs of its own, it meant to leave.
struct Group {
    leader: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        Self {
            leader: child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // The error says that nobody is left.
            let _ = killpg(leader, signal);
        }
    }

    /// Its end is known; the number may soon be another's.
    fn gone(mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// One output of a program, its start kept.
#[derive(Default)]
struct Capture {
    kept: Vec<u8>,
    dropped: usize,
}

impl Capture {
    async fn fill(&mut self, stream: &mut Option<impl AsyncRead + Unpin>) {
        let Some(stream) = stream else { return };
        let mut block = vec![0; 8192];
        while let Ok(length @ 1..) = stream.read(&mut block).await {
            let room = (OUTPUT_BYTES_MAX - self.kept.len()).min(length);
            self.kept.extend_from_slice(&block[..room]);
            self.dropped += length - room;
        }
    }

    /// What was kept, redacted, with a marker when something was dropped.
    fn text(&self, call: &Call<'_>) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        match self.dropped {
            0 => call.redactor.text(&text),
            more => {
                let text = call.redactor.cut_text(&text);
                format!("{}… [{more} bytes cut]", answer::cut(&text, OUTPUT_BYTES_MAX))
            }
        }
    }
}
