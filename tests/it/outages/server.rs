//! A real Postgres that may be stopped, killed, starved and replaced by its standby.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::{
    sys::signal::Signal,
    unistd::{Uid, User},
};
use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use crate::fleet::{
    ports,
    postgres::POSTGRES,
    process::{self, Process},
    wait,
};

pub const LONG: Duration = Duration::from_secs(30);
const SETTINGS: &str = "
    listen_addresses = '127.0.0.1'
    unix_socket_directories = ''
    dynamic_shared_memory_type = mmap
    shared_buffers = 16MB
    max_connections = 100
    max_wal_size = 32MB
    min_wal_size = 2MB
    wal_receiver_status_interval = 1s
    wal_retrieve_retry_interval = 200ms
    log_destination = stderr
";
const ACCESS: &str = "
    host all,replication all 127.0.0.1/32 trust
";

pub struct Server {
    pub port: u16,
    pub data: PathBuf,
    log: PathBuf,
    user: Option<User>,
    process: Option<Process>,
}

impl Server {
    /// A new one with an empty database `muster`, its data in this folder.
    pub async fn new(data: &Path, log: &Path) -> Server {
        let server = Server::home(data, log);
        let mut initdb = server.program("initdb", Signal::SIGKILL);
        initdb.arg("--pgdata").arg(data);
        initdb.args(["--username", "postgres", "--auth", "trust", "--no-sync"]);
        initdb.args(["--encoding", "UTF8", "--locale", "C", "--wal-segsize", "1"]);
        process::run("initdb", initdb).await.unwrap();
        let file = data.join("postgresql.conf");
        let settings = fs::read_to_string(&file).unwrap() + SETTINGS;
        fs::write(file, settings).unwrap();
        fs::write(data.join("pg_hba.conf"), ACCESS).unwrap();
        let mut server = server;
        server.start().await;
        let mut conn = server.connect_to("postgres").await.unwrap();
        sqlx::raw_sql("create database muster")
            .execute(&mut conn)
            .await
            .unwrap();
        server
    }

    /// A standby that follows `self`, as far as it is let.
    pub async fn standby(&self, data: &Path, log: &Path) -> Server {
        let mut standby = Server::home(data, log);
        let mut copy = standby.program("pg_basebackup", Signal::SIGKILL);
        copy.arg("--pgdata").arg(data).arg("--dbname");
        copy.arg(format!("host=127.0.0.1 port={} user=postgres", self.port));
        copy.args([
            "--write-recovery-conf",
            "--wal-method",
            "stream",
            "--checkpoint",
            "fast",
            "--no-sync",
        ]);
        process::run("pg_basebackup", copy).await.unwrap();
        standby.start().await;
        standby
    }

    fn home(data: &Path, log: &Path) -> Server {
        let mut user = None;
        fs::create_dir_all(data).unwrap();
        fs::set_permissions(data, fs::Permissions::from_mode(0o700)).unwrap();
        if Uid::effective().is_root() {
            let found = User::from_name("postgres")
                .unwrap()
                .expect("there is a user postgres");
            chown(data, Some(found.uid.as_raw()), Some(found.gid.as_raw())).unwrap();
            user = Some(found);
        }
        Server {
            port: ports::free().unwrap(),
            data: data.to_owned(),
            log: log.to_owned(),
            user,
            process: None,
        }
    }

    fn program(&self, name: &str, signal: Signal) -> Command {
        let server = fs::canonicalize(POSTGRES.find().unwrap()).unwrap();
        let mut command = process::command(&server.with_file_name(name), self.user.as_ref(), signal).unwrap();
        command.current_dir("/").env("LC_ALL", "C").env_remove("PGDATA");
        command
    }

    pub async fn start(&mut self) {
        let mut command = self.program("postgres", Signal::SIGQUIT);
        command
            .arg("-D")
            .arg(&self.data)
            .arg("-p")
            .arg(self.port.to_string());
        self.process = Some(Process::start("postgres", command, &self.log).unwrap());
        self.answers().await;
    }

    pub async fn answers(&mut self) {
        wait::until("postgres answers", LONG, async || {
            self.connect_to("postgres").await?.ping().await?;
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Ends it: `SIGINT` is a fast stop, `SIGQUIT` an immediate one, `SIGKILL` a crash of all of it.
    pub fn end(&mut self, signal: Signal) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let segment = self.shared_memory();
        match signal {
            Signal::SIGKILL => process.kill(),
            signal => process.end(signal, LONG),
        }
        if let Some(id) = segment {
            let _ = Command::new("ipcrm").args(["-m", &id]).output();
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
    }

    fn shared_memory(&self) -> Option<String> {
        let pid_file = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        Some(pid_file.lines().nth(6)?.split_whitespace().nth(1)?.to_owned())
    }

    pub async fn connect_to(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .ssl_mode(PgSslMode::Disable)
            .username("postgres")
            .database(database);
        PgConnection::connect_with(&options).await
    }

    /// A connection past the proxy.
    pub async fn connect(&self) -> PgConnection {
        wait::until("the database lets the checker in", LONG, async || {
            Ok(self.connect_to("muster").await?)
        })
        .await
        .unwrap()
    }

    pub async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql)
            .execute(&mut self.connect().await)
            .await
            .unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Signal::SIGQUIT);
    }
}
