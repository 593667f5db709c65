//! postgres_exporter: one for each node, and one that writes through the proxy as the application does.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::ports;
use super::postgres::{APPLICATION, DATABASE, Login, MONITOR};
use super::process::{self, Process, Program};
use super::prometheus::get;
use super::scratch::Scratch;

pub const EXPORTER: Program = Program {
    names: &["prometheus-postgres-exporter", "postgres_exporter"],
    package: "prometheus-postgres-exporter",
};

/// Which part a node plays now. (Some versions of the exporter have this of their own, under another name.)
const NODE: &str = "
postgres_node:
  query: select pg_is_in_recovery()::int as is_replica
  metrics:
    - is_replica: { usage: GAUGE, description: The node follows another and takes no writes }
";

/// A write, and which server took it. The metrics are there only when the write was accepted.
const WRITE_PROBE: &str = "
postgres_write_probe:
  query: >-
    insert into write_probe (id, written_at) values (1, clock_timestamp())
    on conflict (id) do update set written_at = excluded.written_at
    returning 1 as accepted, inet_server_port() as server_port
  metrics:
    - accepted: { usage: GAUGE, description: The write was accepted }
    - server_port: { usage: GAUGE, description: Port of the server that accepted it }
";

pub struct Exporter {
    pub port: u16,
    _process: Process,
}

impl Exporter {
    /// `pg_up`, `postgres_node_is_replica` and the exporter's own metrics for one node.
    pub async fn node(scratch: &Scratch, name: &str, postgres_port: u16) -> Result<Exporter> {
        Exporter::start(scratch, name, postgres_port, &MONITOR, NODE, &[]).await
    }

    /// `postgres_write_probe_accepted`, by a write through the proxy at every scrape, and little else.
    pub async fn writes(scratch: &Scratch, proxy_port: u16) -> Result<Exporter> {
        let less = [
            "--disable-default-metrics",
            "--no-collector.database",
            "--no-collector.bgwriter",
        ];
        Exporter::start(scratch, "writes", proxy_port, &APPLICATION, WRITE_PROBE, &less).await
    }

    async fn start(
        scratch: &Scratch,
        name: &str,
        postgres_port: u16,
        login: &Login,
        queries: &str,
        flags: &[&str],
    ) -> Result<Exporter> {
        let port = ports::free()?;
        let name = format!("exporter-{name}");
        let file = scratch.folder(&name)?.join("queries.yaml");
        fs::write(&file, queries)?;
        let mut command = process::command(&EXPORTER.find()?, None, Signal::SIGKILL)?;
        command
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(flags);
        command
            .arg(format!("--extend.query-path={}", file.display()))
            .arg("--disable-settings-metrics");
        command.env(
            "DATA_SOURCE_NAME",
            format!(
                "host=127.0.0.1 port={postgres_port} dbname={DATABASE} user={} password={} sslmode=disable \
                 connect_timeout=1 application_name={name}",
                login.user, login.password
            ),
        );
        let mut process = Process::start(&name, command, &scratch.log(&name))?;
        process
            .ready(Duration::from_secs(10), async || {
                let text = get(port, "/metrics", &[]).await?.text().await?;
                ensure!(
                    text.lines().any(|line| line == "pg_up 1"),
                    "it does not reach Postgres"
                );
                Ok(())
            })
            .await?;
        Ok(Exporter {
            port,
            _process: process,
        })
    }
}
