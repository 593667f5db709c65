//! HAProxy's runtime interface: which servers take traffic, and changing that.
//!
//! The servers are listed first, so a name that is not there stops the action before anything has changed, and again
//! at the end, so the answer is what is and not what was asked for.

use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
};

use super::{Call, address, inputs::Inputs, invalid, refused};
use crate::domain::{
    action::{Failure, FailureClass, Outcome},
    step::ActionKind,
};

/// The longest answer; a backend of thousands of servers fits.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Copy)]
struct State {
    input: &'static str,
    /// As HAProxy calls it, both in the command and in our answer.
    word: &'static str,
}

/// In this order: capacity is added before it is taken away.
const STATES: [State; 3] = [
    State {
        input: "enable",
        word: "ready",
    },
    State {
        input: "drain",
        word: "drain",
    },
    State {
        input: "disable",
        word: "maint",
    },
];

struct Ask {
    backend: String,
    /// Server and the state it shall have.
    changes: Vec<(String, State)>,
}

impl Ask {
    fn read(with: &Value) -> Result<Self, Failure> {
        let inputs = Inputs::read(with, ActionKind::Haproxy)?;
        let backend = inputs.text("backend")?.to_owned();
        name("backend", &backend)?;
        let mut changes: Vec<(String, State)> = Vec::new();
        for state in STATES {
            for server in inputs.names(state.input)? {
                name(state.input, &server)?;
                if changes.iter().any(|(other, _)| *other == server) {
                    return Err(invalid(format!(
                        "with.{} names {server}, which is named twice",
                        state.input
                    )));
                }
                changes.push((server, state));
            }
        }
        Ok(Self { backend, changes })
    }

    fn commands(&self) -> Vec<String> {
        self.changes
            .iter()
            .map(|(server, state)| format!("set server {}/{server} state {}", self.backend, state.word))
            .collect()
    }
}

/// HAProxy itself allows these characters in names, and none of them separates commands.
fn name(input: &str, text: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    match !text.is_empty() && text.len() <= 255 && text.chars().all(plain) {
        true => Ok(()),
        false => Err(invalid(format!(
            "with.{input} must be a name of letters, digits and - _ . :"
        ))),
    }
}

pub(super) fn describe(with: &Value) -> Result<String, Failure> {
    let ask = Ask::read(with)?;
    Ok(match ask.commands().as_slice() {
        [] => format!("haproxy show servers state {}", ask.backend),
        commands => format!("haproxy {}", commands.join("; ")),
    })
}

pub(super) async fn perform(call: &Call<'_>, address: &str) -> Result<Outcome, Failure> {
    let ask = Ask::read(&call.request.with)?;
    if call.envelope.read_only && !ask.changes.is_empty() {
        return Err(invalid(
            "enable, disable and drain change things; a check only shows",
        ));
    }
    let show = format!("show servers state {}", ask.backend);
    let before = say(call, address, &show)
        .await
        .and_then(|answer| parse(&ask.backend, &answer));
    // Looking changes nothing, so a look that fails before a change leaves nothing in doubt.
    let before = before.map_err(|failure| match failure.class {
        FailureClass::Lost if !ask.changes.is_empty() => Failure::new(FailureClass::NotSent, failure.message),
        _ => failure,
    })?;
    if let Some((server, _)) = ask
        .changes
        .iter()
        .find(|(server, _)| !before.contains_key(server))
    {
        return Err(refused(format!(
            "there is no server {server} in backend {}",
            ask.backend
        )));
    }
    if ask.changes.is_empty() {
        return Ok(outcome(&ask, before));
    }
    for (done, command) in ask.commands().iter().enumerate() {
        let answer = say(call, address, command).await;
        let refusal = match answer {
            Ok(answer) if answer.trim().is_empty() => continue,
            Ok(answer) => refused(format!("{command}: {}", answer.trim())),
            Err(failure) => failure,
        };
        return Err(match done {
            0 => refusal,
            done => Failure::new(
                FailureClass::Lost,
                format!("after {done} of {} changes: {refusal}", ask.changes.len()),
            ),
        });
    }
    let after = say(call, address, &show)
        .await
        .and_then(|answer| parse(&ask.backend, &answer));
    match after {
        Ok(after) => Ok(outcome(&ask, after)),
        Err(failure) => Err(Failure::new(
            FailureClass::Lost,
            format!("every change was accepted, but the state cannot be read: {failure}"),
        )),
    }
}

/// One command on a connection of its own, as the interface has it: the answer ends with the connection.
async fn say(call: &Call<'_>, address: &str, command: &str) -> Result<String, Failure> {
    match address.strip_prefix("unix:") {
        Some(path) => {
            let stream = UnixStream::connect(path).await.map_err(|error| {
                Failure::new(
                    FailureClass::NotSent,
                    format!("cannot connect to {path}: {error}"),
                )
            })?;
            exchange(call, stream, command).await
        }
        None => {
            let stream = address::connect(call, address).await?;
            exchange(call, stream, command).await
        }
    }
}

async fn exchange(
    call: &Call<'_>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    command: &str,
) -> Result<String, Failure> {
    if call.envelope.read_only || command.starts_with("set ") {
        call.sent.mark()?;
    }
    let lost = |error: std::io::Error| Failure::new(FailureClass::Lost, format!("{command}: {error}"));
    stream
        .write_all(format!("{command}\n").as_bytes())
        .await
        .map_err(lost)?;
    let mut answer = Vec::new();
    let mut limited = stream.take(ANSWER_BYTES_MAX as u64 + 1);
    limited.read_to_end(&mut answer).await.map_err(lost)?;
    match answer.len() > ANSWER_BYTES_MAX {
        true => Err(Failure::new(
            FailureClass::Lost,
            format!("{command}: the answer does not end"),
        )),
        // Even a command without anything to say is answered by an empty line.
        false if answer.is_empty() => Err(Failure::new(
            FailureClass::Lost,
            format!("{command}: the connection closed without an answer"),
        )),
        false => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Reads `show servers state`: a format number, a line of column names, a line a server.
fn parse(backend: &str, answer: &str) -> Result<Map<String, Value>, Failure> {
    let unexpected = || refused(format!("show servers state {backend}: {}", answer.trim()));
    let mut lines = answer.lines().filter(|line| !line.trim().is_empty());
    if lines.next().map(str::trim) != Some("1") {
        return Err(unexpected());
    }
    let columns: Vec<&str> = lines
        .next()
        .and_then(|line| line.strip_prefix("# "))
        .ok_or_else(unexpected)?
        .split(' ')
        .collect();
    let mut servers = Map::new();
    for line in lines {
        let cells: Vec<&str> = line.split(' ').collect();
        let cell = |name: &str| {
            let column = columns.iter().position(|column| *column == name)?;
            cells.get(column).copied()
        };
        let number = |name: &str| cell(name).and_then(|text| text.parse::<u32>().ok());
        let (Some(server), Some(operational), Some(admin)) = (
            cell("srv_name"),
            number("srv_op_state"),
            number("srv_admin_state"),
        ) else {
            return Err(unexpected());
        };
        let address = match (cell("srv_addr").unwrap_or("-"), number("srv_port")) {
            (ip, Some(port)) => format!("{ip}:{port}"),
            (ip, None) => ip.to_owned(),
        };
        servers.insert(
            server.to_owned(),
            json!({"operational": operational_word(operational), "admin": admin_word(admin), "address": address}),
        );
    }
    Ok(servers)
}

fn operational_word(state: u32) -> &'static str {
    match state {
        0 => "stopped",
        1 => "starting",
        2 => "running",
        3 => "stopping",
        _ => "unknown",
    }
}

/// The administrative state is a set of bits: 0x08 and 0x10 drain, 0x04 only remembers that the configuration said
/// `disabled`, all others are kinds of maintenance.
fn admin_word(bits: u32) -> &'static str {
    match bits & !0x04 {
        0 => "ready",
        bits if bits & !0x18 == 0 => "drain",
        _ => "maint",
    }
}

fn outcome(ask: &Ask, servers: Map<String, Value>) -> Outcome {
    let done = ask
        .changes
        .iter()
        .all(|(server, state)| servers.get(server).is_some_and(|now| now["admin"] == state.word));
    let shown: Vec<String> = servers
        .iter()
        .map(|(name, state)| {
            let word = |key: &str| state[key].as_str().unwrap_or_default().to_owned();
            format!("{name} {}, {}", word("admin"), word("operational"))
        })
        .collect();
    Outcome {
        summary: format!("{}: {}", ask.backend, shown.join("; ")),
        result: json!({"ok": done, "servers": servers}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_carry_a_second_command() {
        for bad in [
            "",
            "a b",
            "a;show info",
            "a\nshow info",
            "a/b",
            "a\0",
            "ü",
            "a\\;b",
            "a<<",
        ] {
            assert!(Ask::read(&json!({"backend": bad})).is_err(), "{bad:?}");
            assert!(
                Ask::read(&json!({"backend": "b", "enable": [bad]})).is_err(),
                "{bad:?}"
            );
        }
        let ask = json!({"backend": "checkout-db", "disable": ["primary", "old.1"], "enable": "standby"});
        assert_eq!(
            describe(&ask).unwrap(),
            "haproxy set server checkout-db/standby state ready; set server checkout-db/primary state maint; \
             set server checkout-db/old.1 state maint"
        );
        assert!(describe(&json!({"backend": "b", "enable": "x", "drain": "x"})).is_err());
    }

    #[test]
    fn administrative_bits_have_words() {
        for (bits, word) in [
            (0, "ready"),
            (1, "maint"),
            (5, "maint"),
            (4, "ready"),
            (8, "drain"),
            (16, "drain"),
            (9, "maint"),
        ] {
            assert_eq!(admin_word(bits), word);
        }
    }
}
