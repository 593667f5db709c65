//! Targets: the named things steps act on. A runbook names them; only here do addresses and credentials appear,
//! and a credential is always a reference.

mod drill;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    digest::Digest,
    drill::is_twin,
    fault::Fault,
    network::Network,
    program::{Program, ProgramLimits},
    span::Span,
    step::ActionKind,
};

pub use drill::DRILL_ENVIRONMENT;

/// A place to read a secret from when it is needed: `env:NAME` or `file:/path`. Never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// An environment variable of the Muster process.
    Env(String),
    /// A file, read anew at each use, one final newline dropped.
    File(String),
}

impl TryFrom<String> for SecretRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.to_owned())),
            // The text may be a secret put here by mistake, so it is not repeated.
            _ => Err(
                "a credential is a reference, env:NAME or file:/absolute/path, never the secret itself"
                    .to_owned(),
            ),
        }
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        match reference {
            SecretRef::Env(name) => format!("env:{name}"),
            SecretRef::File(path) => format!("file:{path}"),
        }
    }
}

/// The longest any one action on a target may take when the target does not say.
pub const TIMEOUT_MAX: Span = Span::from_secs(60);

/// A named thing steps act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What runbooks call it.
    pub name: String,
    /// For people: prod, staging, demo.
    pub environment: Option<String>,
    /// Free labels for people and filters.
    pub labels: BTreeMap<String, String>,
    /// The longest any one action on it may take, whatever the step says.
    pub timeout_max: Span,
    /// Addresses that are not public and that its names may stand for. An address written as such names itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    /// The faults that game days may cause on it, by name; only of a drill environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, Fault>,
    /// How it is reached.
    pub connection: Connection,
}

/// How a target is reached, by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Connection {
    /// A web service; paths in steps are below `url`.
    Http(HttpConnection),
    /// A host and port that accepts connections, `host:port`.
    Tcp {
        /// `host:port`
        address: String,
    },
    /// A Postgres database.
    Postgres(PostgresConnection),
    /// A Prometheus server.
    Prometheus(HttpConnection),
    /// An Alertmanager, or the nodes of a cluster of them.
    Alertmanager(AlertmanagerConnection),
    /// HAProxy's runtime interface, `host:port` or `unix:/path`.
    Haproxy {
        /// `host:port` or `unix:/path`
        address: String,
    },
    /// A Loki server.
    Loki(HttpConnection),
    /// An Elasticsearch server.
    Elasticsearch(HttpConnection),
    /// A log file on Muster's own machine.
    File {
        /// Absolute path.
        path: String,
    },
    /// Programs on Muster's own machine that steps may run.
    Command(CommandConnection),
}

/// How a web service is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConnection {
    /// Scheme, host, port and a path prefix.
    pub url: url::Url,
    /// Sent as `Authorization: Bearer …`.
    #[serde(default)]
    pub bearer: Option<SecretRef>,
    /// Sent as `Authorization: Basic …`; the secret holds `user:password`.
    #[serde(default)]
    pub basic: Option<SecretRef>,
    /// Further headers whose values are secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretRef>,
    /// Whose certificates are believed, and which one is shown.
    #[serde(default, skip_serializing_if = "Trust::is_usual")]
    pub tls: Trust,
    /// How many redirects of one `GET` or `HEAD` are followed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redirects: u32,
    /// How much of an answer is read, in bytes; what the action says by itself when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_bytes_max: Option<u32>,
}

/// The most redirects a target may have followed.
pub const REDIRECTS_MAX: u32 = 5;

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What a TLS connection rests on besides the authorities of the machine. That a server proves its name is never given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// Certificates in PEM of the only authorities that are believed; those of the machine when absent.
    #[serde(default)]
    pub ca: Option<SecretRef>,
    /// Muster's own certificate in PEM, with those that lead to its authority.
    #[serde(default)]
    pub client_certificate: Option<SecretRef>,
    /// The key of that certificate, in PEM.
    #[serde(default)]
    pub client_key: Option<SecretRef>,
    /// The name the server must prove, when it is not the one that is connected to.
    #[serde(default)]
    pub server_name: Option<String>,
}

impl Trust {
    /// Whether it says nothing.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    fn certificates(&self) -> impl Iterator<Item = &SecretRef> {
        self.ca.iter().chain(&self.client_certificate)
    }
}

impl HttpConnection {
    /// A service without credentials.
    pub fn new(url: url::Url) -> Self {
        Self {
            url,
            bearer: None,
            basic: None,
            headers: BTreeMap::new(),
            tls: Trust::default(),
            redirects: 0,
            answer_bytes_max: None,
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let headers = self.bearer.iter().chain(&self.basic).chain(self.headers.values());
        headers.chain(&self.tls.client_key)
    }
}

/// How an Alertmanager is reached: every node of its cluster by itself, since each knows only what it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertmanagerConnection {
    /// The nodes, at least one; all of them with the same credentials.
    pub nodes: Vec<HttpConnection>,
}

/// How a Postgres database is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresConnection {
    /// Host name, address, or a folder with a socket.
    pub host: String,
    /// Port, 5432 when absent.
    #[serde(default = "postgres_port")]
    pub port: u16,
    /// Login.
    pub user: String,
    /// Database, the login's name when absent.
    #[serde(default)]
    pub database: Option<String>,
    /// Password, if one is needed.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// `disable`, `prefer` (when absent), `require` or `verify-full`.
    #[serde(default)]
    pub tls: Tls,
    /// Whose certificates are believed, and which one is shown.
    #[serde(default, skip_serializing_if = "Trust::is_usual")]
    pub trust: Trust,
}

fn postgres_port() -> u16 {
    5432
}

/// How strictly a Postgres connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Never.
    Disable,
    /// When the server offers it.
    #[default]
    Prefer,
    /// Always.
    Require,
    /// Always, and the server must prove its name.
    VerifyFull,
}

/// Programs that steps may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConnection {
    /// What steps may run, and how; a step names one of them.
    pub programs: Vec<Program>,
    /// Working folder.
    #[serde(default)]
    pub dir: Option<String>,
    /// Variables given to the program besides PATH; values are secrets.
    #[serde(default)]
    pub env: BTreeMap<String, SecretRef>,
    /// Who they run as, when that is not Muster's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What each of them may use up.
    #[serde(default)]
    pub limits: ProgramLimits,
}

impl CommandConnection {
    /// These programs, with nothing said about the rest.
    pub fn new(programs: Vec<Program>) -> Self {
        Self {
            programs,
            dir: None,
            env: BTreeMap::new(),
            user: None,
            limits: ProgramLimits::default(),
        }
    }

    /// The program of that name or path, or why there is none.
    pub fn program(&self, named: &str) -> Result<&Program, String> {
        let by_name = |program: &&Program| program.name.as_deref() == Some(named);
        if let Some(program) = self.programs.iter().find(by_name) {
            return Ok(program);
        }
        let by_path: Vec<&Program> = self
            .programs
            .iter()
            .filter(|program| program.path == named)
            .collect();
        match by_path.as_slice() {
            [program] => Ok(program),
            [] => Err(format!("{named} is not among the target's programs")),
            many => {
                let names: Vec<&str> = many
                    .iter()
                    .filter_map(|program| program.name.as_deref())
                    .collect();
                Err(format!(
                    "{named} is there more than once; name one of {}",
                    names.join(", ")
                ))
            }
        }
    }
}

impl Target {
    /// One that is reached in this way, with nothing said about the rest.
    pub fn new(name: impl Into<String>, connection: Connection) -> Self {
        Self {
            name: name.into(),
            environment: None,
            labels: BTreeMap::new(),
            timeout_max: TIMEOUT_MAX,
            networks: Vec::new(),
            faults: BTreeMap::new(),
            connection,
        }
    }

    /// Which actions it takes.
    pub fn kind(&self) -> ActionKind {
        match self.connection {
            Connection::Http(_) => ActionKind::Http,
            Connection::Tcp { .. } => ActionKind::Tcp,
            Connection::Postgres(_) => ActionKind::Postgres,
            Connection::Prometheus(_) => ActionKind::Prometheus,
            Connection::Alertmanager(_) => ActionKind::Alertmanager,
            Connection::Haproxy { .. } => ActionKind::Haproxy,
            Connection::Loki(_) => ActionKind::Loki,
            Connection::Elasticsearch(_) => ActionKind::Elasticsearch,
            Connection::File { .. } => ActionKind::File,
            Connection::Command(_) => ActionKind::Command,
        }
    }

    /// What an approval is bound to: any change of address, login or limits changes it. Secrets are not part of
    /// it, so rotating one voids nothing.
    pub fn digest(&self) -> Digest {
        Digest::of_json(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Every credential an action on it may use.
    pub fn secrets(&self) -> Vec<&SecretRef> {
        match &self.connection {
            Connection::Http(web)
            | Connection::Prometheus(web)
            | Connection::Loki(web)
            | Connection::Elasticsearch(web) => web.secrets().collect(),
            Connection::Alertmanager(cluster) => {
                cluster.nodes.iter().flat_map(HttpConnection::secrets).collect()
            }
            Connection::Postgres(database) => database
                .password
                .iter()
                .chain(&database.trust.client_key)
                .collect(),
            Connection::Command(command) => command.env.values().collect(),
            Connection::Tcp { .. } | Connection::Haproxy { .. } | Connection::File { .. } => Vec::new(),
        }
    }

    /// What else it reads from a reference: certificates, which are no secrets.
    pub fn certificates(&self) -> Vec<&SecretRef> {
        match &self.connection {
            Connection::Http(web)
            | Connection::Prometheus(web)
            | Connection::Loki(web)
            | Connection::Elasticsearch(web) => web.tls.certificates().collect(),
            Connection::Alertmanager(cluster) => {
                let nodes = cluster.nodes.iter();
                nodes.flat_map(|node| node.tls.certificates()).collect()
            }
            Connection::Postgres(database) => database.trust.certificates().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether an action of this kind can be aimed at it. A TCP check fits anything with one host and port.
    pub fn takes(&self, action: ActionKind) -> bool {
        self.kind() == action
    }
}

/// All targets of one reading of the file, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(pub BTreeMap<String, Target>);

impl Targets {
    /// The target of that name that takes this action, or why there is none.
    pub fn find(&self, name: &str, action: ActionKind) -> Result<&Target, String> {
        let target = self.0.get(name).ok_or_else(|| match self.0.values().next() {
            None => format!("there is no target {name}: no targets are configured"),
            Some(twin) if is_twin(&twin.name) => format!(
                "{name} has no twin in this drill, and nothing of a drill leaves it; give it one in the scenario"
            ),
            Some(_) => format!("there is no target {name}; add it to the targets file"),
        })?;
        match target.takes(action) {
            true => Ok(target),
            false => Err(format!(
                "target {name} is of kind {}, not {}",
                target.kind().name(),
                action.name()
            )),
        }
    }
}
