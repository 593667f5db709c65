//! HAProxy in front of the two nodes: backend `checkout-db` with the servers `primary` and `standby`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::{self, Process, Program};
use super::scratch::Scratch;
use super::{ports, postgres};

pub const BACKEND: &str = "checkout-db";

pub const HAPROXY: Program = Program {
    names: &["haproxy"],
    package: "haproxy",
};

pub struct Haproxy {
    /// Where the application connects to.
    pub port: u16,
    /// Where the runtime API answers, level admin.
    pub admin_port: u16,
    /// The same API on a Unix socket.
    pub admin_socket: PathBuf,
    /// `/metrics` for Prometheus.
    pub metrics_port: u16,
    _process: Process,
}

impl Haproxy {
    /// Sends everything to the primary. The standby is in maintenance until somebody sets it ready.
    pub async fn start(scratch: &Scratch, primary_port: u16, standby_port: u16) -> Result<Haproxy> {
        let (port, admin_port, metrics_port) = (ports::free()?, ports::free()?, ports::free()?);
        let folder = scratch.folder("haproxy")?;
        let admin_socket = folder.join("admin.sock");
        let config = folder.join("haproxy.cfg");
        fs::write(
            &config,
            format!(
                "global
    log stdout format raw daemon
    stats socket ipv4@127.0.0.1:{admin_port} level admin
    stats socket {socket} mode 600 level admin

defaults
    mode tcp
    log global
    timeout connect 1s
    timeout check 1s
    timeout client 1h
    timeout server 1h
    retries 0

frontend checkout
    bind 127.0.0.1:{port}
    default_backend {BACKEND}

backend {BACKEND}
    option pgsql-check user {user}
    default-server check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
    server primary 127.0.0.1:{primary_port}
    server standby 127.0.0.1:{standby_port} disabled

frontend metrics
    mode http
    bind 127.0.0.1:{metrics_port}
    timeout client 5s
    no log
    http-request use-service prometheus-exporter if {{ path /metrics }}
",
                socket = admin_socket.display(),
                user = postgres::MONITOR.user,
            ),
        )?;
        let mut command = process::command(&HAPROXY.find()?, None, Signal::SIGKILL)?;
        command.arg("-db").arg("-f").arg(&config).current_dir(&folder);
        let process = Process::start("haproxy", command, &scratch.log("haproxy"))?;
        let mut haproxy = Haproxy {
            port,
            admin_port,
            admin_socket,
            metrics_port,
            _process: process,
        };
        let admin = haproxy.admin_port;
        haproxy
            ._process
            .ready(Duration::from_secs(10), async || {
                match status(admin, "primary").await?.as_str() {
                    "UP" => Ok(()),
                    other => bail!("the server `primary` is {other}"),
                }
            })
            .await?;
        Ok(haproxy)
    }

    /// `127.0.0.1:port` of the runtime API.
    pub fn admin_address(&self) -> String {
        format!("127.0.0.1:{}", self.admin_port)
    }

    /// One command of the runtime API, and its answer.
    pub async fn ask(&self, command: &str) -> Result<String> {
        ask(self.admin_port, command).await
    }

    /// `UP`, `DOWN`, `MAINT`, and so on, as `show stat` says.
    pub async fn status(&self, server: &str) -> Result<String> {
        status(self.admin_port, server).await
    }

    /// Sets a server `ready`, `drain` or `maint`.
    pub async fn set_state(&self, server: &str, state: &str) -> Result<()> {
        let answer = self
            .ask(&format!("set server {BACKEND}/{server} state {state}"))
            .await?;
        match answer.trim() {
            "" => Ok(()),
            refusal => bail!("haproxy: {refusal}"),
        }
    }
}

async fn ask(admin_port: u16, command: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", admin_port)).await?;
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn status(admin_port: u16, server: &str) -> Result<String> {
    let table = ask(admin_port, "show stat").await?;
    let mut lines = table.lines();
    let head = lines.next().context("`show stat` is empty")?;
    let column = head
        .split(',')
        .position(|name| name == "status")
        .context("`show stat` has no status")?;
    let row = lines.find(|line| line.starts_with(&format!("{BACKEND},{server},")));
    let status = row.and_then(|row| row.split(',').nth(column));
    Ok(status
        .with_context(|| format!("haproxy knows no server {server}"))?
        .to_owned())
}
