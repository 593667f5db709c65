//! One allowed program on this machine, with a list of arguments.
//!
//! The targets file says which arguments a program takes, position by position; a step fills in what is left open. No
//! shell ever reads an argument.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::{timeout, timeout_at},
};

use super::{Call, answer, flow::Flow, inputs::Inputs, invalid, refused, sandbox};
use crate::domain::{
    action::{Failure, FailureClass, Outcome},
    program::{Program, Values},
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

struct Ask<'a> {
    program: &'a Program,
    args: Vec<String>,
    stdin: &'a str,
}

impl<'a> Ask<'a> {
    fn read(host: &'a CommandConnection, with: &'a Value) -> Result<Self, Failure> {
        let inputs = Inputs::read(with, ActionKind::Command)?;
        let told = |problem: String| invalid(format!("with.{problem}"));
        let named = inputs.text("program")?;
        let program = host
            .program(named)
            .map_err(|problem| told(format!("program: {problem}")))?;
        let args = match (inputs.value("params"), inputs.value("args")) {
            (Some(_), Some(_)) => {
                let why = "with.args is the whole list and with.params fills in what is open; a step has one of them";
                return Err(invalid(why));
            }
            (None, Some(_)) => {
                let args: Vec<String> = inputs
                    .list("args")?
                    .into_iter()
                    .enumerate()
                    .map(|(i, arg)| {
                        arg.filter(|arg| !arg.contains('\0'))
                            .ok_or_else(|| invalid(format!("with.args[{i}] must be a text without NUL")))
                    })
                    .collect::<Result<_, _>>()?;
                let known: Vec<Option<&str>> = args.iter().map(|arg| Some(arg.as_str())).collect();
                program.check_args(&known).map_err(told)?;
                args
            }
            _ => {
                let mut values = Values::new();
                for (name, value) in inputs.pairs("params")? {
                    values.entry(name).or_default().push(Some(value));
                }
                program.fill(&values).map_err(told)?
            }
        };
        Ok(Self {
            program,
            args,
            stdin: inputs.text_if_any("stdin")?.unwrap_or_default(),
        })
    }

    fn path(&self) -> &str {
        &self.program.path
    }
}

pub(super) fn describe(host: &CommandConnection, with: &Value) -> Result<String, Failure> {
    let ask = Ask::read(host, with)?;
    let mut text = ask.path().to_owned();
    for arg in &ask.args {
        let plain = |c: char| c.is_alphanumeric() || "-_./:=,@+%".contains(c);
        match !arg.is_empty() && arg.chars().all(plain) {
            true => text.push_str(&format!(" {arg}")),
            false => text.push_str(&format!(" {arg:?}")),
        }
    }
    if let Some(user) = &host.user {
        text.push_str(&format!(" as {user}"));
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
        Failure::new(class, format!("{} cannot be started: {error}", ask.path()))
    })?;
    let group = Group::of(&child);
    let mut stdout = Capture::new(Flow::new(call.redactor, call.listener, false));
    let mut stderr = Capture::new(Flow::new(call.redactor, call.listener, true));
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
    stdout.flow.end();
    stderr.flow.end();
    let stdout = stdout.text(call);
    let stderr = stderr.text(call);
    match ended {
        Ok(Ok(status)) => {
            group.gone();
            verdict(call, &ask, status, &stdout, &stderr)
        }
        Ok(Err(error)) => Err(call.failure(format!("{} cannot be waited for: {error}", ask.path()))),
        Err(_) => {
            if let Ok(Some(status)) = child.try_wait() {
                // It ended in time; only something it left behind held its outputs open.
                return verdict(call, &ask, status, &stdout, &stderr);
            }
            end(&mut child, group).await;
            let limit = call.limit.as_secs_f64();
            Err(Failure::new(
                FailureClass::Lost,
                format!("{} was stopped after {limit} s{}", ask.path(), said(&stderr)),
            ))
        }
    }
}

fn command(call: &Call<'_>, host: &CommandConnection, ask: &Ask<'_>) -> Result<Command, Failure> {
    let mut command = sandbox::command(host, ask.path(), &ask.args)?;
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
            format!("{} {}{}", ask.path(), ended(status), said(stderr)),
        ));
    };
    if code != 0 && !call.envelope.read_only {
        return Err(refused(format!(
            "{} ended with {code}{}",
            ask.path(),
            said(stderr)
        )));
    }
    Ok(Outcome {
        result: json!({"ok": code == 0, "exit_code": code, "stdout": stdout, "stderr": stderr}),
        summary: format!("{} ended with {code}", ask.path()),
    })
}

/// Which signal ended a program, in words when it is one of its limits.
fn ended(status: ExitStatus) -> String {
    const CPU: i32 = Signal::SIGXCPU as i32;
    const FILE: i32 = Signal::SIGXFSZ as i32;
    match status.signal() {
        Some(CPU) => "has used up its time on the processor".to_owned(),
        Some(FILE) => "wrote a longer file than its target allows".to_owned(),
        _ => format!("was ended from outside: {status}"),
    }
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
            // Until it has made its session it is not the first of a group. Otherwise the error says that nobody is left.
            if killpg(leader, signal).is_err() {
                let _ = kill(leader, signal);
            }
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

/// One output of a program: its start is kept for the result, all of it goes to whoever listens.
struct Capture<'a> {
    kept: Vec<u8>,
    dropped: usize,
    flow: Flow<'a>,
}

impl<'a> Capture<'a> {
    fn new(flow: Flow<'a>) -> Self {
        Self {
            kept: Vec::new(),
            dropped: 0,
            flow,
        }
    }

    async fn fill(&mut self, stream: &mut Option<impl AsyncRead + Unpin>) {
        let Some(stream) = stream else { return };
        let mut block = vec![0; 8192];
        while let Ok(length @ 1..) = stream.read(&mut block).await {
            let room = (OUTPUT_BYTES_MAX - self.kept.len()).min(length);
            self.kept.extend_from_slice(&block[..room]);
            self.dropped += length - room;
            self.flow.push(&block[..length]);
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
