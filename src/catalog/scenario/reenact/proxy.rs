//! The proxies of a night: their servers, how these were, and what was done to them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    clock::{Moment, NightClock, holds},
    gaps::Gaps,
    twins::Witness,
};
use crate::domain::{
    night::{Answered, Asking},
    step::ActionKind,
};

/// How a server is that nothing tells otherwise.
const READY: &str = "ready";
const MAINT: &str = "maint";

/// One proxy.
pub(super) struct Proxy {
    /// The service of the world that keeps its state.
    pub service: String,
    /// By backend and name.
    servers: BTreeMap<(String, String), Server>,
}

struct Server {
    variable: String,
    /// `ready`, `drain` or `maint`, when the night began.
    admin: String,
    /// Whether it ran, by the time of the answer.
    ran: Vec<(chrono::DateTime<chrono::Utc>, bool)>,
}

/// The proxies among those that were asked.
pub(super) fn proxies(witnesses: &BTreeMap<String, Witness<'_>>) -> BTreeMap<String, Proxy> {
    let proxies = witnesses
        .iter()
        .filter(|(_, witness)| witness.kind == ActionKind::Haproxy);
    proxies
        .enumerate()
        .map(|(number, (name, witness))| (name.clone(), Proxy::of(number + 1, &witness.asked)))
        .collect()
}

impl Proxy {
    fn of(number: usize, asked: &[&Asking]) -> Self {
        let mut proxy = Self {
            service: format!("proxy_{number}"),
            servers: BTreeMap::new(),
        };
        for asking in asked {
            let changes = changes(asking);
            let Answered::Result(result) = &asking.answer else {
                for (server, word) in changes {
                    proxy.server(&backend(asking), &server, opposite(&word));
                }
                continue;
            };
            for (name, state) in result["servers"].as_object().into_iter().flatten() {
                let now = state["admin"].as_str().unwrap_or(READY);
                // The first time it is seen after it was changed, it was otherwise before.
                let admin = match changes.iter().any(|(server, _)| server == name) {
                    true => opposite(now),
                    false => now,
                };
                let server = proxy.server(&backend(asking), name, admin);
                server
                    .ran
                    .push((asking.answered_at, state["operational"] == "running"));
            }
        }
        proxy
    }

    fn server(&mut self, backend: &str, name: &str, admin: &str) -> &mut Server {
        let number = self.servers.len() + 1;
        let key = (backend.to_owned(), name.to_owned());
        self.servers.entry(key).or_insert_with(|| Server {
            variable: format!("s_{number}"),
            admin: admin.to_owned(),
            ran: Vec::new(),
        })
    }

    /// The state of its service.
    pub fn state(&self) -> Value {
        let variables = self.servers.values();
        let state: Map<String, Value> = variables
            .map(|server| (server.variable.clone(), json!(server.admin)))
            .collect();
        json!({"state": state})
    }

    /// The condition under which what was asked is done; `None` when it is so from the beginning.
    pub fn done(&self, asking: &Asking) -> Option<String> {
        let backend = backend(asking);
        let mut is_done = true;
        let mut parts = Vec::new();
        for (name, word) in changes(asking) {
            let server = self.servers.get(&(backend.clone(), name))?;
            is_done &= server.admin == word;
            parts.push(format!("{}.{} == '{word}'", self.service, server.variable));
        }
        (!is_done && !parts.is_empty()).then(|| parts.join(" and "))
    }

    /// Its backends as a twin has them.
    pub fn backends(&self, clock: &NightClock, gaps: &mut Gaps) -> Value {
        let mut backends: Map<String, Value> = Map::new();
        for ((backend, name), server) in &self.servers {
            let seen: Vec<(Moment, bool)> = server
                .ran
                .iter()
                .map(|(at, ran)| (clock.moment(*at), *ran))
                .collect();
            let written = json!({
                "up": holds(&seen, &format!("server {backend}/{name}"), gaps).unwrap_or_else(|| "t >= 0".to_owned()),
                "admin": format!("{}.{}", self.service, server.variable),
            });
            let servers = backends.entry(backend.clone()).or_insert_with(|| json!({}));
            servers[name.as_str()] = written;
        }
        if backends.is_empty() {
            backends.insert(
                "not-recorded".to_owned(),
                json!({"not-recorded": {"up": "t < 0", "admin": "night.unasked"}}),
            );
        }
        Value::Object(backends)
    }
}

fn backend(asking: &Asking) -> String {
    let text = asking.request.with.get("backend").and_then(Value::as_str);
    text.unwrap_or("not-recorded").to_owned()
}

/// Which servers were to become what.
fn changes(asking: &Asking) -> Vec<(String, String)> {
    let mut changes = Vec::new();
    for (key, word) in [("enable", READY), ("disable", MAINT), ("drain", "drain")] {
        let names = match asking.request.with.get(key) {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        changes.extend(names.into_iter().map(|name| (name, word.to_owned())));
    }
    changes
}

fn opposite(word: &str) -> &'static str {
    match word {
        READY => MAINT,
        _ => READY,
    }
}
