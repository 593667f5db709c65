//! A private Postgres of our own, from the machine's binaries, for whoever has no database to offer.
//!
//! It lives in the data folder: `pg` holds the cluster, `pg-run` its socket, `postgres.log` what it says, `lock` who
//! uses it. It listens on no port. Whoever can enter `pg-run` is let in without a password, and only the server's
//! user and root can (the folder has mode 0700). If the path of the data folder is too long for a socket, the
//! socket's folder is a short one, `muster-<hash>`, under the system's temporary folder, just as closed.
//!
//! Nothing is traded for speed: every commit is flushed to the disk. The server survives `kill -9` of itself (it is
//! started again) and stops when Muster dies in any way (on Linux; elsewhere the next start stops it first).

pub mod binaries;
mod home;
mod keeper;
mod orphan;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use binaries::Search;
use keeper::Order;

/// Part of the socket's name; no TCP port is opened.
const SOCKET_PORT: u16 = 5432;
const USER: &str = "postgres";
const DATABASE: &str = "muster";

/// After a crash the server first replays its log, which can take a while.
const READY_MAX: Duration = Duration::from_secs(300);
const READY_EVERY: Duration = Duration::from_millis(20);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const SAY_WAITING_EVERY: Duration = Duration::from_secs(10);

/// Why the private server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// This machine has no Postgres.
    #[error(
        "no PostgreSQL found on this machine; do one of these:
  - install it: apt install postgresql (Debian, Ubuntu), dnf install postgresql-server (Fedora),
    brew install postgresql@17 (macOS), pacman -S postgresql (Arch); if it is in an unusual place, set {} to the
    folder that holds initdb and postgres
  - set DATABASE_URL to a database that you have
  - run everything in containers: docker compose up",
        binaries::VARIABLE
    )]
    NoBinaries,
    /// The folder that the operator named holds no Postgres.
    #[error("{} names {}, expected a folder that holds working initdb and postgres", binaries::VARIABLE, .0.display())]
    NotBinaries(PathBuf),
    /// The cluster was made by a version that is not installed.
    #[error(
        "the data folder was made by PostgreSQL {data}, but only {found} is installed; install {data} beside it, or \
         move the data with pg_dump and an empty data folder"
    )]
    OtherVersion {
        /// The version of the cluster.
        data: u32,
        /// The best version there is.
        found: u32,
    },
    /// Another process works on the same folder.
    #[error("{} is used by another instance (process {holder}); stop it or choose another data folder", .data.display())]
    InUse {
        /// The data folder.
        data: PathBuf,
        /// Its process number.
        holder: String,
    },
    /// The server must not run as root, and its user cannot get to the data or the binaries.
    #[error(
        "{} is closed to the user \"{user}\", whom the database server runs as; choose a data folder outside of it \
         (such as /var/lib/muster) or open it with chmod o+x", .closed.display()
    )]
    ClosedParent {
        /// The folder that stops it.
        closed: PathBuf,
        /// Who cannot pass.
        user: String,
    },
    /// The folder belongs to a number without an account.
    #[error("{} belongs to user number {uid}, which has no account here; PostgreSQL needs one", .folder.display())]
    NoAccount {
        /// The folder.
        folder: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Root has nobody to run the server as.
    #[error("PostgreSQL does not run as root; create a user \"postgres\" or run Muster as a normal user")]
    NobodyToRunAs,
    /// Somebody else made a folder by the name of ours.
    #[error("{} belongs to somebody else; remove it", .0.display())]
    Squatted(PathBuf),
    /// An earlier server cannot be stopped.
    #[error(
        "processes of an earlier database server (process {0}) still work on the data folder; end them first"
    )]
    Orphan(i32),
    /// The cluster could not be made.
    #[error("initdb failed: {said}")]
    Initdb {
        /// What it printed.
        said: String,
    },
    /// The server ended before it answered.
    #[error("the database server ended ({how}); the last lines of its log:\n{log}")]
    Ended {
        /// Exit code or signal.
        how: String,
        /// The end of its log.
        log: String,
    },
    /// The server never answered.
    #[error("the database server did not answer within {} s; see postgres.log in the data folder", READY_MAX.as_secs())]
    Silent(#[source] sqlx::Error),
    /// The server answers, but the database could not be made.
    #[error("cannot create the database \"{DATABASE}\"")]
    Database(#[source] sqlx::Error),
    /// A file or folder refuses.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The thread that keeps the server could not be started, or it died.
    #[error("the thread that keeps the database server is gone")]
    Keeper,
}

impl EmbeddedError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
        let path = path.to_owned();
        move |source| EmbeddedError::Io { what, path, source }
    }
}

/// What the server is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Not launched yet.
    Starting,
    /// The process is there; it may still be replaying its log.
    Running {
        /// Its number.
        pid: u32,
    },
    /// It ended by itself and is about to be started again.
    Down {
        /// Exit code or signal.
        how: String,
    },
    /// It was stopped, and the data folder is free.
    Stopped {
        /// Whether it ended in good order; if not, the next start replays its log.
        clean: bool,
    },
}

/// A running private server. Dropping it asks for a stop as well, but does not wait for it.
#[derive(Debug)]
pub struct Embedded {
    options: PgConnectOptions,
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<ServerState>,
}

impl Embedded {
    /// Starts the server of a data folder, which is made if it does not exist, and waits until it answers.
    pub async fn start(data_dir: &Path) -> Result<Embedded, EmbeddedError> {
        Embedded::start_with(data_dir, Search::of_this_machine()).await
    }

    /// [`Embedded::start`] with the binaries of the caller's choice.
    pub async fn start_with(data_dir: &Path, search: Search) -> Result<Embedded, EmbeddedError> {
        let (orders, inbox) = mpsc::channel();
        let (report, state) = watch::channel(ServerState::Starting);
        let (launched, answer) = oneshot::channel();
        let data = data_dir.to_owned();
        std::thread::Builder::new()
            .name("postgres-keeper".to_owned())
            .spawn(move || keeper::run(&data, &search, &inbox, &report, launched))
            .map_err(|_| EmbeddedError::Keeper)?;
        let sockets = answer.await.map_err(|_| EmbeddedError::Keeper)??;
        // The environment's PG… variables are meant for other servers.
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&sockets)
            .port(SOCKET_PORT)
            .username(USER)
            .ssl_mode(PgSslMode::Disable)
            .database(DATABASE);
        let embedded = Embedded {
            options,
            orders,
            state,
        };
        embedded.ready(&data_dir.join("postgres.log")).await?;
        Ok(embedded)
    }

    /// How to connect to the database `muster` of this server.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Follows what the server is doing.
    pub fn state(&self) -> watch::Receiver<ServerState> {
        self.state.clone()
    }

    /// Stops the server and waits until it has; close the pools before. Bounded: a server that does not stop is
    /// ended the hard way, which loses nothing that was committed.
    pub async fn stop(mut self) {
        let _ = self.orders.send(Order::Stop);
        // An error means that the thread died, and the server with it.
        let _ = self
            .state
            .wait_for(|state| matches!(state, ServerState::Stopped { .. }))
            .await;
    }

    /// Ready is what can be connected to; no file or log line says so reliably.
    async fn ready(&self, log: &Path) -> Result<(), EmbeddedError> {
        let start = Instant::now();
        let mut said = start;
        let maintenance = self.options.clone().database("postgres");
        loop {
            let refused = match tokio::time::timeout(CONNECT_MAX, maintenance.connect()).await {
                Ok(Ok(mut connection)) => {
                    create_database(&mut connection)
                        .await
                        .map_err(EmbeddedError::Database)?;
                    let _ = connection.close().await;
                    return self.orders.send(Order::Guard).map_err(|_| EmbeddedError::Keeper);
                }
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::PoolTimedOut,
            };
            let ended = match &*self.state.borrow() {
                ServerState::Down { how } => Some(how.clone()),
                ServerState::Stopped { .. } => Some("before it was ready".to_owned()),
                ServerState::Starting | ServerState::Running { .. } => None,
            };
            if let Some(how) = ended {
                return Err(EmbeddedError::Ended {
                    how,
                    log: home::tail(log),
                });
            }
            if start.elapsed() > READY_MAX {
                return Err(EmbeddedError::Silent(refused));
            }
            if said.elapsed() > SAY_WAITING_EVERY {
                said = Instant::now();
                tracing::info!(error = %refused, "still waiting for the database server, which may be recovering");
            }
            tokio::time::sleep(READY_EVERY).await;
        }
    }
}

async fn create_database(connection: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(DATABASE)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        connection.execute("create database muster").await?;
    }
    Ok(())
}
