//! What a stand-in of a program does: it asks its twin what the program would write, and writes that.
//!
//! It runs as a process of its own, under the limits of a target's programs, so it does one thing after the other and
//! needs neither a runtime nor a setting.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use nix::sys::signal::{Signal, raise};
use serde::{Deserialize, Serialize};

/// The longest question.
pub(super) const ASK_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The most of its input that a program hands on.
const STDIN_BYTES_MAX: u64 = 1024 * 1024;
/// The longest answer.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long the twin may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// What is asked, on one line.
#[derive(Deserialize, Serialize)]
pub(super) struct Ask {
    pub(super) token: String,
    pub(super) program: String,
    pub(super) args: Vec<String>,
    pub(super) stdin: String,
}

/// What is answered.
#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Answer {
    pub(super) output: String,
    pub(super) errors: String,
    pub(super) exit: i32,
}

/// The client: `args` are the address and the token of a twin, the path of the program it stands for, and the arguments
/// that program was started with. Writes what the program would write and ends as it would end; when the twin breaks off
/// without an answer, it ends as if it had been killed.
pub fn run(args: &[String]) -> io::Result<ExitCode> {
    let args = args.strip_prefix(&["--".to_owned()][..]).unwrap_or(args);
    let [address, token, program, args @ ..] = args else {
        let why = "a stand-in of a program is started by a drill, with ADDRESS TOKEN PROGRAM [ARGUMENT]...";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    };
    let mut stdin = Vec::new();
    io::stdin().lock().take(STDIN_BYTES_MAX).read_to_end(&mut stdin)?;
    let ask = Ask {
        token: token.clone(),
        program: program.clone(),
        args: args.to_vec(),
        stdin: String::from_utf8_lossy(&stdin).into_owned(),
    };
    let Some(answer) = exchange(address, &ask)? else {
        raise(Signal::SIGKILL)?;
        return Ok(ExitCode::FAILURE);
    };
    io::stdout().write_all(answer.output.as_bytes())?;
    io::stdout().flush()?;
    io::stderr().write_all(answer.errors.as_bytes())?;
    Ok(ExitCode::from(u8::try_from(answer.exit).unwrap_or(u8::MAX)))
}

/// Asks the twin at this address, and waits for as long as it takes: whoever started the program ends it in time. `None`
/// when the twin breaks off.
pub(super) fn exchange(address: &str, ask: &Ask) -> io::Result<Option<Answer>> {
    let parsed = address.parse::<SocketAddr>().ok();
    let here = parsed
        .filter(|address| address.ip().is_loopback())
        .ok_or_else(|| {
            let why = format!("{address} is not an address on this machine's loopback, where twins are");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
    let mut stream = TcpStream::connect_timeout(&here, CONNECT_MAX).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("the twin at {address} is not there: {error}"),
        )
    })?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    let mut answer = Vec::new();
    // A twin that breaks off does so with or without a reset.
    let exchanged = stream
        .write_all(&line)
        .and_then(|()| stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer));
    match exchanged {
        Ok(1..) => Ok(Some(serde_json::from_slice(&answer)?)),
        Ok(0) | Err(_) => Ok(None),
    }
}
