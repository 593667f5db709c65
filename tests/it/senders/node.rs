//! A real Alertmanager, alone or one of a cluster that gossips on loopback, with times so short that a test can wait.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Result, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use muster::clock::Clock;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    fleet::{
        alertmanager::ALERTMANAGER,
        ports,
        process::{self, Process},
        prometheus::get,
        scratch::Scratch,
    },
    support::muster::{TOKEN, client},
};

pub struct Node {
    pub port: u16,
    cluster_port: u16,
    folder: PathBuf,
    pub process: Process,
}

/// What it sends where, and how it groups.
fn config(to: SocketAddr, group_by: &str) -> String {
    format!(
        "
route:
  receiver: muster
  group_by: [{group_by}]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 1h
receivers:
  - name: muster
    webhook_configs:
      - url: 'http://{to}/api/v1/sources/test/alertmanager'
        send_resolved: true
        http_config:
          authorization: {{ type: Bearer, credentials: {TOKEN} }}
"
    )
}

impl Node {
    /// Starts one; with others it is of their cluster, and waits a second for each node before it.
    pub async fn start(scratch: &Scratch, name: &str, to: SocketAddr, others: &[&Node]) -> Result<Self> {
        let folder = scratch.folder(name)?;
        let (port, cluster_port) = (ports::free()?, gossip_port()?);
        fs::write(folder.join("alertmanager.yml"), config(to, "alertname"))?;
        let mut command = process::command(&ALERTMANAGER.find()?, None, Signal::SIGKILL)?;
        command
            .arg("--config.file=alertmanager.yml")
            .arg("--storage.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--web.external-url=http://127.0.0.1:{port}/"))
            .arg(format!("--cluster.listen-address=127.0.0.1:{cluster_port}"))
            .args(["--cluster.peer-timeout=1s", "--cluster.gossip-interval=50ms"])
            .args(["--cluster.pushpull-interval=1s", "--cluster.settle-timeout=500ms"])
            .args(
                others
                    .iter()
                    .map(|node| format!("--cluster.peer=127.0.0.1:{}", node.cluster_port)),
            )
            .current_dir(&folder);
        let mut process = Process::start(name, command, &scratch.log(name))?;
        process
            .ready(Duration::from_secs(20), async || {
                get(port, "/-/ready", &[]).await.map(drop)
            })
            .await?;
        Ok(Self {
            port,
            cluster_port,
            folder,
            process,
        })
    }

    /// How many nodes it knows, itself included.
    pub async fn knows(&self, nodes: usize) -> Result<()> {
        let status: Value = get(self.port, "/api/v2/status", &[]).await?.json().await?;
        let peers = status["cluster"]["peers"].as_array().map_or(0, Vec::len);
        ensure!(
            peers == nodes && status["cluster"]["status"] == "ready",
            "{status}"
        );
        Ok(())
    }

    /// Takes another grouping into use, as by an edit of its file.
    pub async fn regroup(&self, to: SocketAddr, group_by: &str) -> Result<()> {
        fs::write(self.folder.join("alertmanager.yml"), config(to, group_by))?;
        self.send(reqwest::Method::POST, "/-/reload", &Value::Null)
            .await?;
        Ok(())
    }

    /// One number of its own metrics, summed over labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = get(self.port, "/metrics", &[]).await?.text().await?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        Ok(lines
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum())
    }

    /// Silences an instance; returns the silence.
    pub async fn silence(&self, instance: &str) -> Result<String> {
        let now = Clock::real().now();
        let silence = json!({
            "matchers": [{"name": "instance", "value": instance, "isRegex": false, "isEqual": true}],
            "startsAt": now, "endsAt": now + TimeDelta::hours(1), "createdBy": "a test", "comment": "work",
        });
        let answer = self
            .send(reqwest::Method::POST, "/api/v2/silences", &silence)
            .await?;
        Ok(answer["silenceID"].as_str().unwrap_or_default().to_owned())
    }

    pub async fn expire(&self, silence: &str) -> Result<()> {
        let path = format!("/api/v2/silence/{silence}");
        self.send(reqwest::Method::DELETE, &path, &Value::Null).await?;
        Ok(())
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: &Value) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = client()
            .request(method, url)
            .json(body)
            .send()
            .await?
            .error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?).unwrap_or_default())
    }
}

/// Where a node may listen for gossip, by TCP and UDP: the ports that are given out to others are held for UDP.
fn gossip_port() -> Result<u16> {
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = free.local_addr()?.port();
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    Ok(port)
}

/// An alert as its senders tell it, to every node that lives.
pub struct Told {
    name: &'static str,
    instance: &'static str,
    start: DateTime<Utc>,
}

impl Told {
    /// It fires.
    pub async fn fires(nodes: &[Node], name: &'static str, instance: &'static str) -> Self {
        let start = Clock::real().now();
        let told = Self {
            name,
            instance,
            start,
        };
        told.tell(nodes, start + TimeDelta::minutes(10)).await;
        told
    }

    /// It is over.
    pub async fn ends(&self, nodes: &[Node]) {
        self.tell(nodes, Clock::real().now()).await;
    }

    async fn tell(&self, nodes: &[Node], ends_at: DateTime<Utc>) {
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let body = json!([{
            "labels": {"alertname": self.name, "instance": self.instance, "severity": "critical"},
            "startsAt": text(self.start), "endsAt": text(ends_at),
        }]);
        for node in nodes {
            // One that was killed hears nothing.
            let _ = node.send(reqwest::Method::POST, "/api/v2/alerts", &body).await;
        }
    }
}
