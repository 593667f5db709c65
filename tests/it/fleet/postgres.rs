//! Postgres: a primary that streams to a standby, each with its log in a file.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, PgConnection};

use super::process::{self, Process, Program};
use super::scratch::Scratch;
use super::{ports, wait};

/// The database of the application whose primary dies.
pub const DATABASE: &str = "checkout";

/// The login Muster's targets use: it may look, and promote. Everything it asks is in the server's log.
pub const MUSTER: Login = Login {
    user: "muster",
    password: "muster-pass-7d41",
};
/// The application, which is what the write probe behaves as.
pub const APPLICATION: Login = Login {
    user: "checkout",
    password: "checkout-pass-91c0",
};
/// What watches each node.
pub const MONITOR: Login = Login {
    user: "monitor",
    password: "monitor-pass-33ab",
};
const SUPERUSER: Login = Login {
    user: "postgres",
    password: "super-pass-c2f8",
};
const REPLICATION: Login = Login {
    user: "replication",
    password: "replication-pass-5e",
};

const LOGINS: &str = "
    create role muster login password 'muster-pass-7d41' in role pg_monitor;
    alter role muster set log_statement = 'all';
    create role checkout login password 'checkout-pass-91c0';
    create role monitor login password 'monitor-pass-33ab' in role pg_monitor;
    create role replication login replication password 'replication-pass-5e';
";

/// What `grant` says about a function holds in the database it was said in.
const TABLES: &str = "
    grant execute on function pg_promote(boolean, integer) to muster;
    set role checkout;
    create table orders (id bigint generated always as identity primary key, item text not null);
    insert into orders (item) values ('a kettle'), ('two cups');
    create table write_probe (id int primary key, written_at timestamptz not null);
";

/// Fast, on loopback only, with nothing left outside of its folder but what `forget_shared_memory` removes.
const SETTINGS: &str = "
    listen_addresses = '127.0.0.1'
    unix_socket_directories = ''
    dynamic_shared_memory_type = mmap
    shared_buffers = 16MB
    max_connections = 60
    fsync = off
    hot_standby_feedback = on
    wal_receiver_status_interval = 1s
    wal_retrieve_retry_interval = 500ms
    log_destination = stderr
    log_line_prefix = '%m [%p] %q%u@%d '
    log_checkpoints = on
";

const ACCESS: &str = "
    host all,replication all 127.0.0.1/32 scram-sha-256
";

pub const POSTGRES: Program = Program {
    names: &["postgres"],
    package: "postgresql",
};

pub struct Login {
    pub user: &'static str,
    pub password: &'static str,
}

/// One node. Dropping it ends it.
pub struct Postgres {
    pub port: u16,
    /// What the server says, as text, one entry a line or more.
    pub log: PathBuf,
    data: PathBuf,
    process: Process,
}

impl Postgres {
    /// A new cluster with the application's database in it.
    pub async fn primary(scratch: &Scratch) -> Result<Postgres> {
        let home = Home::new(scratch, "primary")?;
        let password = home.folder.join("superuser");
        fs::write(&password, SUPERUSER.password)?;
        let mut initdb = home.command("initdb", Signal::SIGKILL)?;
        initdb
            .arg("--pgdata")
            .arg(&home.data)
            .arg("--pwfile")
            .arg(&password);
        initdb.args([
            "--username",
            SUPERUSER.user,
            "--auth",
            "scram-sha-256",
            "--no-sync",
        ]);
        initdb.args(["--encoding", "UTF8", "--locale", "C", "--wal-segsize", "1"]);
        process::run("initdb", initdb).await?;
        append(&home.data.join("postgresql.conf"), SETTINGS)?;
        fs::write(home.data.join("pg_hba.conf"), ACCESS)?;

        let node = home.start().await?;
        let mut system = node.connect(&SUPERUSER, "postgres").await?;
        sqlx::raw_sql(LOGINS).execute(&mut system).await?;
        sqlx::raw_sql("create database checkout owner checkout")
            .execute(&mut system)
            .await?;
        let mut database = node.connect(&SUPERUSER, DATABASE).await?;
        sqlx::raw_sql(TABLES).execute(&mut database).await?;
        Ok(node)
    }

    /// A standby that follows `primary` by streaming.
    pub async fn standby(scratch: &Scratch, primary: &Postgres) -> Result<Postgres> {
        let home = Home::new(scratch, "standby")?;
        let mut copy = home.command("pg_basebackup", Signal::SIGKILL)?;
        copy.arg("--pgdata").arg(&home.data).arg("--dbname").arg(format!(
            "host=127.0.0.1 port={} user={} password={} application_name=standby",
            primary.port, REPLICATION.user, REPLICATION.password
        ));
        copy.args([
            "--write-recovery-conf",
            "--wal-method",
            "stream",
            "--checkpoint",
            "fast",
            "--no-sync",
        ]);
        process::run("pg_basebackup", copy).await?;

        let node = home.start().await?;
        wait::until("the standby streams", Duration::from_secs(20), async || {
            let mut connection = primary.connect(&SUPERUSER, "postgres").await?;
            let streaming = "select count(*) from pg_stat_replication where state = 'streaming'";
            let count: i64 = sqlx::query_scalar(streaming).fetch_one(&mut connection).await?;
            ensure!(count == 1, "{count} standbys are streaming");
            Ok(())
        })
        .await?;
        Ok(node)
    }

    /// The file with the number of its postmaster.
    pub fn pid_file(&self) -> PathBuf {
        self.data.join("postmaster.pid")
    }

    /// The program that starts it again on its port, with its arguments, as whoever repairs it would.
    pub fn starting_words(&self) -> Result<Vec<String>> {
        let server = fs::canonicalize(POSTGRES.find()?)?;
        let mut words: Vec<String> = Vec::new();
        if Uid::effective().is_root() {
            let setpriv = process::SETPRIV.find()?.display().to_string();
            let options = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"];
            words.push(setpriv);
            words.extend(options.map(str::to_owned));
        }
        words.push(server.with_file_name("pg_ctl").display().to_string());
        let (data, log, port) = (&self.data, self.data.join("again.log"), self.port);
        words.extend(["--pgdata".to_owned(), data.display().to_string()]);
        words.extend(["--log".to_owned(), log.display().to_string()]);
        words.extend(["--options".to_owned(), format!("-p {port}")]);
        words.extend(["--wait", "start"].map(str::to_owned));
        Ok(words)
    }

    /// The number of the server that runs on its data now, whoever started it.
    pub fn postmaster(&self) -> Option<u32> {
        let pid_file = fs::read_to_string(self.pid_file()).ok()?;
        let pid = pid_file.lines().next()?.trim().parse().ok()?;
        process::is_alive(pid).then_some(pid)
    }

    pub fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// SIGKILL for the postmaster and all its children: nothing is written, sent or said any more.
    pub fn kill(&mut self) {
        let shared_memory = self.shared_memory();
        self.process.kill();
        forget_shared_memory(shared_memory);
    }

    pub async fn is_in_recovery(&self) -> Result<bool> {
        let mut connection = self.connect(&MUSTER, DATABASE).await?;
        Ok(sqlx::query_scalar("select pg_is_in_recovery()")
            .fetch_one(&mut connection)
            .await?)
    }

    /// What Muster's runbook does, by hand.
    pub async fn promote(&self) -> Result<()> {
        let mut connection = self.connect(&MUSTER, DATABASE).await?;
        let promote = "select pg_promote(true, 30)";
        let done: bool = sqlx::query_scalar(promote).fetch_one(&mut connection).await?;
        ensure!(done, "the standby was not promoted within 30 s");
        Ok(())
    }

    /// Stops the process that replays, so that a promotion is asked for and then hangs until the answer is dropped.
    /// The node goes on answering as a standby.
    pub async fn hold_promotion(&self) -> Result<HeldPromotion> {
        let mut connection = self.connect(&SUPERUSER, "postgres").await?;
        let startup = "select pid from pg_stat_activity where backend_type = 'startup'";
        let pid: i32 = sqlx::query_scalar(startup).fetch_one(&mut connection).await?;
        kill(Pid::from_raw(pid), Signal::SIGSTOP)?;
        Ok(HeldPromotion {
            startup: Pid::from_raw(pid),
        })
    }

    /// How many statements of the login `muster` held `text`, successful or not. The log keeps every one.
    pub fn times_asked(&self, text: &str) -> Result<usize> {
        let log = fs::read_to_string(&self.log)?;
        let asked = |line: &&str| {
            line.contains(" muster@") && line.contains("LOG:  ") && line.contains(text) // not the ERROR about it
        };
        Ok(log.lines().filter(asked).count())
    }

    /// `postgres://user:password@127.0.0.1:port/checkout`
    pub fn url(&self, login: &Login) -> String {
        url(self.port, login)
    }

    pub async fn connect(&self, login: &Login, database: &str) -> Result<PgConnection> {
        connect(self.port, login, database).await
    }

    /// The System V segment that guards the data folder; Postgres removes it, unless it is killed.
    fn shared_memory(&self) -> Option<String> {
        let pid_file = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        Some(pid_file.lines().nth(6)?.split_whitespace().nth(1)?.to_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let shared_memory = self.shared_memory().filter(|_| self.is_running());
        self.process.end(Signal::SIGQUIT, Duration::from_secs(5)); // "immediate": no checkpoint
        // Somebody may have started it again.
        if let Some(pid) = self.postmaster() {
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGQUIT);
            let end = std::time::Instant::now() + Duration::from_secs(5);
            while self.postmaster().is_some() && std::time::Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if self.data.join("postmaster.pid").exists() {
            forget_shared_memory(shared_memory);
        }
    }
}

/// Lets the promotion go on when dropped.
pub struct HeldPromotion {
    startup: Pid,
}

impl Drop for HeldPromotion {
    fn drop(&mut self) {
        let _ = kill(self.startup, Signal::SIGCONT);
    }
}

pub fn url(port: u16, login: &Login) -> String {
    format!(
        "postgres://{}:{}@127.0.0.1:{port}/{DATABASE}",
        login.user, login.password
    )
}

/// Connects to whatever speaks Postgres on a port: a node, or the proxy in front of them.
pub async fn connect(port: u16, login: &Login, database: &str) -> Result<PgConnection> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .ssl_mode(PgSslMode::Disable)
        .username(login.user)
        .password(login.password)
        .database(database);
    PgConnection::connect_with(&options)
        .await
        .with_context(|| format!("cannot connect to port {port}"))
}

/// Where a node lives, before it runs.
struct Home {
    name: &'static str,
    folder: PathBuf,
    data: PathBuf,
    log: PathBuf,
    /// Postgres refuses to run as root.
    user: Option<User>,
}

impl Home {
    fn new(scratch: &Scratch, name: &'static str) -> Result<Home> {
        let folder = scratch.folder(name)?;
        let mut user = None;
        if Uid::effective().is_root() {
            let found = User::from_name("postgres")?;
            let found =
                found.context("there is no user `postgres` to run Postgres as: is the package there?")?;
            chown(&folder, Some(found.uid.as_raw()), Some(found.gid.as_raw()))?;
            user = Some(found);
        }
        Ok(Home {
            name,
            data: folder.join("data"),
            folder,
            log: scratch.log(name),
            user,
        })
    }

    /// One of Postgres' programs, all from the same version as the server.
    fn command(&self, program: &str, signal: Signal) -> Result<Command> {
        // The path in PATH may be a link to the server alone.
        let server = fs::canonicalize(POSTGRES.find()?)?;
        let mut command = process::command(&server.with_file_name(program), self.user.as_ref(), signal)?;
        command
            .current_dir(&self.folder)
            .env("LC_ALL", "C")
            .env_remove("PGDATA");
        Ok(command)
    }

    async fn start(self) -> Result<Postgres> {
        let port = ports::free()?;
        let mut command = self.command("postgres", Signal::SIGQUIT)?;
        command.arg("-D").arg(&self.data).arg("-p").arg(port.to_string());
        let process = Process::start(&format!("postgres ({})", self.name), command, &self.log)?;
        let mut node = Postgres {
            port,
            log: self.log,
            data: self.data,
            process,
        };
        node.process
            .ready(Duration::from_secs(30), async || {
                connect(port, &SUPERUSER, "postgres").await.map(drop)
            })
            .await?;
        Ok(node)
    }
}

fn forget_shared_memory(id: Option<String>) {
    if let Some(id) = id {
        let _ = Command::new("ipcrm").args(["-m", &id]).output();
    }
}

fn append(file: &Path, text: &str) -> Result<()> {
    let before = fs::read_to_string(file)?;
    Ok(fs::write(file, before + text)?)
}
