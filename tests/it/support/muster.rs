//! The real program in a process of its own, to be killed and started again.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::fleet::{ports, wait};

pub const TOKEN: &str = "the-token-of-the-test-source";

/// Where and how a Muster runs; it can be started many times.
pub struct Setup {
    pub database_url: String,
    pub runbooks: PathBuf,
    pub log: PathBuf,
    pub address: SocketAddr,
    pub env: Vec<(String, String)>,
}

impl Setup {
    pub fn new(database_url: String, folder: &Path) -> Self {
        let port = ports::free().unwrap();
        Self {
            database_url,
            runbooks: folder.to_owned(),
            log: folder.join("muster.log"),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            env: Vec::new(),
        }
    }

    /// Starts it, crashing at that commit of its engine if one is named.
    pub fn start(&self, crash_at: Option<&str>) -> Muster {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command
            .arg("serve")
            .env("DATABASE_URL", &self.database_url)
            .env("MUSTER_RUNBOOKS", &self.runbooks)
            .env("MUSTER_DATA", self.log.with_extension("data"))
            .env("MUSTER_LISTEN", self.address.to_string())
            .env("MUSTER_SOURCES", "test=env:MUSTER_TEST_TOKEN")
            .env("MUSTER_TEST_TOKEN", TOKEN)
            .env("MUSTER_LOG", "info,sqlx=warn")
            .env_remove("MUSTER_CRASH_AT")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if let Some(point) = crash_at {
            command.env("MUSTER_CRASH_AT", point);
        }
        Muster {
            child: command.spawn().unwrap(),
            address: self.address,
        }
    }

    /// What it has logged.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// A running Muster; killed when dropped.
pub struct Muster {
    child: Child,
    pub address: SocketAddr,
}

impl Muster {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Kills it the hard way.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it where it stands, or lets it go on.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Posts a body of the test's source; `None` when nobody answers.
    pub async fn post(&self, body: &Value) -> Option<u16> {
        let url = self.url("/api/v1/sources/test/alertmanager");
        let answer = client()
            .post(url)
            .bearer_auth(TOKEN)
            .json(body)
            .send()
            .await
            .ok()?;
        Some(answer.status().as_u16())
    }

    /// Waits until a body of the test's source is stored.
    pub async fn stores(&self, body: &Value) {
        wait::until("Muster stores the alert", Duration::from_secs(30), async || {
            anyhow::ensure!(self.post(body).await == Some(200));
            Ok(())
        })
        .await
        .unwrap();
    }
}

impl Drop for Muster {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn client() -> reqwest::Client {
    muster::actions::install_crypto();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}
