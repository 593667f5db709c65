//! Targets that are there to be broken: those of the drill environment, as long as nothing else is behind them.

use super::{Connection, HttpConnection, Target, Targets};

/// The environment whose targets game days may break.
pub const DRILL_ENVIRONMENT: &str = "drill";

impl Target {
    /// Whether it is there to be broken.
    pub fn is_drill(&self) -> bool {
        self.environment.as_deref() == Some(DRILL_ENVIRONMENT)
    }

    /// Where actions on it go, as far as that is one place: host and port, socket or file.
    fn places(&self) -> Vec<String> {
        let web = |web: &HttpConnection| {
            let port = web.url.port_or_known_default().unwrap_or_default();
            format!("{}:{port}", web.url.host_str().unwrap_or_default())
        };
        match &self.connection {
            Connection::Http(one)
            | Connection::Prometheus(one)
            | Connection::Loki(one)
            | Connection::Elasticsearch(one) => vec![web(one)],
            Connection::Alertmanager(cluster) => cluster.nodes.iter().map(web).collect(),
            Connection::Tcp { address } | Connection::Haproxy { address } => vec![address.clone()],
            Connection::Postgres(database) => vec![format!("{}:{}", database.host, database.port)],
            Connection::File { path } => vec![path.clone()],
            Connection::Command(_) => Vec::new(),
        }
    }
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
