//! One open twin: the socket it listens at, the connections it has, and the end of both.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Asked, Oracle, Reply, alertmanager, command, haproxy, logs, postgres,
    reach::{ANYWHERE, Way},
    web,
};
use crate::domain::target::Connection;

/// The most connections a twin has at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// The longest one of them may last: longer than any action waits.
const CONNECTION_MAX: Duration = Duration::from_secs(60 * 60);
/// How long to wait when a connection cannot be accepted, as when too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What stands behind the socket.
pub(super) enum Kind {
    Web(web::Kind),
    Tcp,
    Postgres,
    Haproxy,
    Command(command::Token),
}

/// A twin as its connections see it.
pub(super) struct Desk {
    pub(super) name: String,
    pub(super) oracle: Arc<dyn Oracle>,
    pub(super) kind: Kind,
}

impl Desk {
    pub(super) async fn ask(&self, asked: Asked) -> Reply {
        self.oracle.ask(&self.name, asked).await
    }

    /// What is told when the oracle says something that has no place in what the twin speaks.
    pub(super) fn unfit(&self) -> String {
        format!("the twin of {} was told something it cannot say", self.name)
    }

    async fn serve(&self, stream: TcpStream) {
        // How a connection ends is seen on the other end.
        let _ = match &self.kind {
            Kind::Web(kind) => web::serve(self, kind, stream).await,
            // To be accepted is all.
            Kind::Tcp => Ok(()),
            Kind::Postgres => postgres::serve(self, stream).await,
            Kind::Haproxy => haproxy::serve(self, stream).await,
            Kind::Command(token) => command::serve(self, token, stream).await,
        };
    }
}

/// Waits until the other side has gone.
pub(super) async fn until_gone(stream: &mut (impl AsyncRead + Unpin)) {
    let mut block = [0; 1024];
    while let Ok(1..) = stream.read(&mut block).await {}
}

/// One open twin. Dropping it closes its socket, ends its connections and removes its files.
pub struct Post {
    way: Way,
    name: String,
    oracle: Arc<dyn Oracle>,
    /// The log file it is.
    log: Option<PathBuf>,
    /// What it put into the folder.
    written: Vec<PathBuf>,
    _listening: Option<AbortOnDropHandle<()>>,
}

impl Post {
    /// The same kind of connection, to the twin: without credentials, without TLS.
    pub fn connection(&self, like: &Connection) -> Connection {
        self.way.like(like)
    }

    /// Writes the file anew, if the twin is one: call it before each read. A log that refuses or is lost is not there; one
    /// that is silent stays as it was.
    pub async fn refresh(&self) -> io::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        match self.oracle.ask(&self.name, Asked::Lines).await {
            Reply::Lines(lines) => logs::write(log, &lines).await,
            Reply::Done => logs::write(log, &[]).await,
            Reply::Silence => Ok(()),
            _ => match tokio::fs::remove_file(log).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        for path in self.log.iter().chain(&self.written) {
            // What is not there need not be removed.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens the twin of a target: `name` is what the oracle hears, `connection` the target's own. What must be files is put
/// into `folder`; `relay` is the program Muster, which the stand-ins of programs call.
pub async fn open(
    name: &str,
    connection: &Connection,
    oracle: Arc<dyn Oracle>,
    folder: &Path,
    relay: &Path,
) -> io::Result<Post> {
    let kind = match connection {
        Connection::Http(_) => Kind::Web(web::Kind::Http),
        Connection::Prometheus(_) => Kind::Web(web::Kind::Prometheus),
        Connection::Loki(_) => Kind::Web(web::Kind::Loki),
        Connection::Elasticsearch(_) => Kind::Web(web::Kind::Elasticsearch),
        Connection::Alertmanager(_) => {
            Kind::Web(web::Kind::Alertmanager(alertmanager::Memory::new(oracle.now())))
        }
        Connection::Tcp { .. } => Kind::Tcp,
        Connection::Postgres(_) => Kind::Postgres,
        Connection::Haproxy { .. } => Kind::Haproxy,
        Connection::Command(_) => Kind::Command(command::Token::new()),
        Connection::File { .. } => {
            let log = folder.join(format!("{}.log", uuid::Uuid::new_v4().simple()));
            let path = log.to_str().ok_or_else(|| command::unspeakable(&log))?.to_owned();
            return Ok(Post {
                // Whoever comes by a socket finds none.
                way: Way::to(SocketAddr::from(ANYWHERE))?.with_file(path),
                name: name.to_owned(),
                oracle,
                log: Some(log),
                written: Vec::new(),
                _listening: None,
            });
        }
    };
    let listener = TcpListener::bind(ANYWHERE).await?;
    let address = listener.local_addr()?;
    let (mut way, mut written) = (Way::to(address)?, Vec::new());
    if let (Kind::Command(token), Connection::Command(host)) = (&kind, connection) {
        let scripts = command::Scripts {
            folder,
            relay,
            address,
            token,
        };
        let programs = scripts.write(&host.programs, &mut written).await?;
        way = way.with_programs(programs);
    }
    let desk = Desk {
        name: name.to_owned(),
        oracle: Arc::clone(&oracle),
        kind,
    };
    Ok(Post {
        way,
        name: name.to_owned(),
        oracle,
        log: None,
        written,
        _listening: Some(AbortOnDropHandle::new(tokio::spawn(listen(
            listener,
            Arc::new(desk),
        )))),
    })
}

/// Accepts connections for ever. Dropped, it drops them all.
async fn listen(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    // Answers are written at once, so nothing is gained by waiting for more; it works without, too.
                    let _ = stream.set_nodelay(true);
                    let desk = Arc::clone(&desk);
                    connections.spawn(async move { timeout(CONNECTION_MAX, desk.serve(stream)).await });
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
