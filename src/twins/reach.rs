//! How a twin is reached: the connection of its target, led to loopback, and with nothing of the target's secrets.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::TcpSocket;
use url::Url;

use crate::domain::{
    program::Program,
    target::{
        AlertmanagerConnection, CommandConnection, Connection, HttpConnection, PostgresConnection, Tls, Trust,
    },
};

/// Any free port of loopback, the only address a twin has.
pub(super) const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
/// Nothing is ever below it.
const NOWHERE: &str = "/dev/null";

/// Where to go instead of the target.
pub(super) struct Way {
    address: SocketAddr,
    url: Url,
    /// For a log file.
    file: String,
    /// For programs.
    programs: Vec<Program>,
}

impl Way {
    /// To a socket; a file and programs are nowhere.
    pub(super) fn to(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            address,
            url: Url::parse(&format!("http://{address}/")).map_err(io::Error::other)?,
            file: format!("{NOWHERE}/log"),
            programs: Vec::new(),
        })
    }

    pub(super) fn with_file(self, file: String) -> Self {
        Self { file, ..self }
    }

    pub(super) fn with_programs(self, programs: Vec<Program>) -> Self {
        Self { programs, ..self }
    }

    /// The same kind of connection, this way.
    pub(super) fn like(&self, like: &Connection) -> Connection {
        let address = || self.address.to_string();
        match like {
            Connection::Http(web) => Connection::Http(self.web(web)),
            Connection::Prometheus(web) => Connection::Prometheus(self.web(web)),
            Connection::Loki(web) => Connection::Loki(self.web(web)),
            Connection::Elasticsearch(web) => Connection::Elasticsearch(self.web(web)),
            // One node stands for all: they share what they know.
            Connection::Alertmanager(cluster) => Connection::Alertmanager(AlertmanagerConnection {
                nodes: cluster.nodes.iter().take(1).map(|node| self.web(node)).collect(),
            }),
            Connection::Tcp { .. } => Connection::Tcp { address: address() },
            Connection::Haproxy { .. } => Connection::Haproxy { address: address() },
            Connection::Postgres(database) => Connection::Postgres(PostgresConnection {
                host: self.address.ip().to_string(),
                port: self.address.port(),
                user: database.user.clone(),
                database: database.database.clone(),
                password: None,
                tls: Tls::Disable,
                trust: Trust::default(),
            }),
            Connection::File { .. } => Connection::File {
                path: self.file.clone(),
            },
            // Neither folder, variables nor user: they are the target's. The limits are the usual ones, under which the
            // relay can start.
            Connection::Command(host) => {
                let mut programs = self.programs.clone();
                if programs.is_empty() {
                    programs = stand_ins(&host.programs, |n, _| format!("{NOWHERE}/{n}"));
                }
                Connection::Command(CommandConnection::new(programs))
            }
        }
    }

    fn web(&self, like: &HttpConnection) -> HttpConnection {
        let mut url = self.url.clone();
        url.set_path(like.url.path());
        HttpConnection {
            answer_bytes_max: like.answer_bytes_max,
            ..HttpConnection::new(url)
        }
    }
}

/// These programs at other paths, found by whatever a step may call them: a name, or the path of the target when only one
/// program has it.
pub(super) fn stand_ins(programs: &[Program], path: impl Fn(usize, &Program) -> String) -> Vec<Program> {
    let called = |name: &str, n: usize, program: &Program| Program {
        name: Some(name.to_owned()),
        path: path(n, program),
        args: program.args.clone(),
    };
    let is_alone =
        |program: &Program| programs.iter().filter(|other| other.path == program.path).count() == 1;
    let all = || programs.iter().enumerate();
    let by_name = all().filter_map(|(n, program)| Some(called(program.name.as_deref()?, n, program)));
    let by_path = all()
        .filter(|(_, program)| is_alone(program))
        .map(|(n, program)| called(&program.path, n, program));
    by_name.chain(by_path).collect()
}

/// A loopback address where nothing listens and nothing can begin to while this is kept: connecting is refused.
pub struct Closed {
    way: Way,
    /// Bound, and never listening.
    _held: TcpSocket,
}

impl Closed {
    /// Takes an address and closes it.
    pub fn open() -> io::Result<Self> {
        let held = TcpSocket::new_v4()?;
        held.bind(ANYWHERE.into())?;
        Ok(Self {
            way: Way::to(held.local_addr()?)?,
            _held: held,
        })
    }

    /// The same kind of connection, to nobody. A file is not there and programs cannot be started.
    pub fn connection(&self, like: &Connection) -> Connection {
        self.way.like(like)
    }
}
