//! What the world says to a question, as the twins of each kind speak.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    domain::{
        scenario::Pattern,
        simulation::{Change, Found, Manner, Simulation, WorldFault},
        step::ActionKind,
    },
    twins::{Asked, Reply},
};

/// The smallest question to a database.
const KNOCK: &str = "select 1";

/// What it says, and what being asked changes.
pub(super) struct Said {
    pub reply: Reply,
    pub changes: Vec<Change>,
    /// Whether a night is played again on which nobody asked this.
    pub is_unrecorded: bool,
}

impl Said {
    fn only(reply: Reply) -> Self {
        Self {
            reply,
            changes: Vec::new(),
            is_unrecorded: false,
        }
    }
}

/// Asks the world. Nothing is applied yet.
pub(super) fn say(world: &Simulation, target: &str, asked: &Asked) -> Result<Said, WorldFault> {
    let kind = world.scenario().twins.get(target).map(|twin| twin.target.kind());
    match asked {
        Asked::Servers { backend } => {
            let servers = world.servers(target, backend)?;
            Ok(Said::only(Reply::Servers(
                servers
                    .into_iter()
                    .map(|server| (server.name, server.up, server.admin))
                    .collect(),
            )))
        }
        Asked::SetServer {
            backend,
            server,
            state,
        } => Ok(match world.set_server(target, backend, server, state) {
            None => Said::only(Reply::Refused(format!("No such server {backend}/{server}."))),
            Some(change) => Said {
                reply: Reply::Done,
                changes: vec![change],
                is_unrecorded: false,
            },
        }),
        asked => {
            let method = match asked {
                Asked::Web { method, .. } => Some(method.as_str()),
                _ => None,
            };
            let found = world.ask(target, method, &words(asked))?;
            let night = world.scenario().reenacts;
            let is_unrecorded = found.manner == Manner::Unheard && night.is_some();
            let reply = match &found.manner {
                Manner::Lost => Reply::Lost,
                Manner::Refuses(text) => Reply::Refused(text.clone()),
                Manner::Unheard => match night {
                    Some(incident) => {
                        let asked = words(asked);
                        Reply::Refused(format!("not recorded in INC-{incident}: {asked}"))
                    }
                    None => unheard(kind, asked),
                },
                Manner::Arrives => spoken(kind, &found),
            };
            Ok(Said {
                reply,
                changes: found.changes,
                is_unrecorded,
            })
        }
    }
}

/// A question as patterns of scenarios see it, and as the log keeps it.
pub(super) fn words(asked: &Asked) -> String {
    match asked {
        Asked::Query { text, .. } => text.clone(),
        Asked::Web { path, .. } => path.clone(),
        Asked::Servers { backend } => format!("servers of {backend}"),
        Asked::SetServer {
            backend,
            server,
            state,
        } => format!("{backend}/{server} {state}"),
        Asked::Program { program, args, .. } => {
            let words: Vec<&str> = [program.as_str()]
                .into_iter()
                .chain(args.iter().map(String::as_str))
                .collect();
            words.join(" ")
        }
        Asked::Lines => String::new(),
    }
}

fn spoken(kind: Option<ActionKind>, found: &Found) -> Reply {
    let says = &found.says;
    match kind {
        Some(ActionKind::Postgres) => Reply::Rows(rows(says)),
        Some(ActionKind::Prometheus) => Reply::Samples(samples(says)),
        Some(ActionKind::Loki | ActionKind::Elasticsearch | ActionKind::File) => Reply::Lines(lines(says)),
        Some(ActionKind::Command) => {
            let output = says.as_str().map_or_else(|| says.to_string(), str::to_owned);
            let exit = found.status.unwrap_or(0);
            Reply::Program {
                output: if says.is_null() { String::new() } else { output },
                errors: String::new(),
                exit: i32::try_from(exit).unwrap_or(1),
            }
        }
        Some(ActionKind::Http | ActionKind::Alertmanager) => Reply::Web {
            status: found
                .status
                .and_then(|status| u16::try_from(status).ok())
                .unwrap_or(200),
            body: says.clone(),
        },
        Some(ActionKind::Tcp | ActionKind::Haproxy) | None => Reply::Done,
    }
}

/// A question that nobody foresaw: what a target says to something it does not know.
fn unheard(kind: Option<ActionKind>, asked: &Asked) -> Reply {
    match kind {
        // What every database answers: it is how one is asked whether it is there.
        Some(ActionKind::Postgres) if Pattern::new(KNOCK).fits(&words(asked)) => {
            Reply::Rows(vec![vec![("?column?".to_owned(), Value::from(1))]])
        }
        Some(ActionKind::Prometheus) => Reply::Samples(Vec::new()),
        Some(ActionKind::Loki | ActionKind::Elasticsearch | ActionKind::File) => Reply::Lines(Vec::new()),
        Some(ActionKind::Http | ActionKind::Alertmanager) => Reply::Web {
            status: 404,
            body: Value::from("the scenario has no answer to this"),
        },
        _ => Reply::Refused(format!("the scenario has no answer to {}", words(asked))),
    }
}

fn rows(says: &Value) -> Vec<Vec<(String, Value)>> {
    let row = |row: &Value| {
        let columns = row.as_object().into_iter().flatten();
        columns
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    says.as_array().into_iter().flatten().map(row).collect()
}

fn samples(says: &Value) -> Vec<(BTreeMap<String, String>, f64)> {
    match says {
        Value::Array(samples) => samples
            .iter()
            .filter_map(|sample| {
                let labels = sample["labels"].as_object().into_iter().flatten();
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let labels = labels.map(|(name, value)| (name.clone(), text(value))).collect();
                Some((labels, number(&sample["value"])?))
            })
            .collect(),
        value => number(value)
            .map(|value| (BTreeMap::new(), value))
            .into_iter()
            .collect(),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(holds) => Some(f64::from(u8::from(*holds))),
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

/// The newest line was written just now, the ones before it a second apart each.
fn lines(says: &Value) -> Vec<(f64, String)> {
    let texts: Vec<String> = says
        .as_array()
        .into_iter()
        .flatten()
        .map(|line| line.as_str().map_or_else(|| line.to_string(), str::to_owned))
        .filter(|line| !line.trim().is_empty())
        .collect();
    let count = texts.len();
    texts
        .into_iter()
        .enumerate()
        .map(|(place, line)| ((count - place) as f64, line))
        .collect()
}
