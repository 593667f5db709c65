//! Targets that are there to be broken: those of the drill environment, as long as nothing else is behind them.

use std::net::IpAddr;

use super::{Connection, HttpConnection, Target, Targets};
use crate::domain::program::{Argument, Program};

/// The environment whose targets game days may break.
pub const DRILL_ENVIRONMENT: &str = "drill";

impl Target {
    /// Whether it is there to be broken.
    pub fn is_drill(&self) -> bool {
        self.environment.as_deref() == Some(DRILL_ENVIRONMENT)
    }

    /// Where actions on it go: host and port, socket, file, or programs with what they are always called with.
    fn places(&self) -> Vec<String> {
        let web = |web: &HttpConnection| {
            let port = web.url.port_or_known_default().unwrap_or_default();
            format!("{}:{port}", plain(web.url.host_str().unwrap_or_default()))
        };
        match &self.connection {
            Connection::Http(one)
            | Connection::Prometheus(one)
            | Connection::Loki(one)
            | Connection::Elasticsearch(one) => vec![web(one)],
            Connection::Alertmanager(cluster) => cluster.nodes.iter().map(web).collect(),
            Connection::Tcp { address } | Connection::Haproxy { address } => vec![place(address)],
            Connection::Postgres(database) => vec![format!("{}:{}", plain(&database.host), database.port)],
            Connection::File { path } => vec![path.clone()],
            Connection::Command(command) => command.programs.iter().map(called).collect(),
        }
    }
}

/// A host and a port in one spelling.
fn place(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((host, port)) => format!("{}:{port}", plain(host)),
        None => address.to_owned(),
    }
}

/// A host in one spelling: this machine has many names for itself.
fn plain(host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match is_here {
        true => "localhost".to_owned(),
        false => host,
    }
}

/// A program with what it is always called with.
fn called(program: &Program) -> String {
    let fixed = program.args.iter().filter_map(|argument| match argument {
        Argument::Literal(text) => Some(text.as_str()),
        Argument::Parameter(_) => None,
    });
    let words: Vec<&str> = std::iter::once(program.path.as_str()).chain(fixed).collect();
    words.join(" ")
}

impl Targets {
    /// The target of that name, if game days may be played on it; or why not. What is reached by the address of a target
    /// outside of the drill environment is that target, whatever it is called.
    pub fn find_drill(&self, name: &str) -> Result<&Target, String> {
        let target = self
            .0
            .get(name)
            .ok_or_else(|| format!("there is no target {name}; add it to the targets file"))?;
        if !target.is_drill() {
            return Err(format!(
                "target {name} is not of the environment {DRILL_ENVIRONMENT}, and a game day touches nothing else"
            ));
        }
        let places = target.places();
        let twin = self
            .0
            .values()
            .find(|other| !other.is_drill() && other.places().iter().any(|place| places.contains(place)));
        match twin {
            None => Ok(target),
            Some(real) => Err(format!(
                "target {name} has the address of {}, which is not of the environment {DRILL_ENVIRONMENT}",
                real.name
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_place_however_it_is_spelt() {
        for (one, other) in [
            ("localhost:5432", "127.0.0.1:5432"),
            ("[::1]:80", "LocalHost.:80"),
            ("DB.example.:5432", "db.example:5432"),
        ] {
            assert_eq!(place(one), place(other));
        }
        for (one, other) in [("10.0.0.1:80", "127.0.0.1:80"), ("db:80", "db:81")] {
            assert_ne!(place(one), place(other));
        }
    }
}
