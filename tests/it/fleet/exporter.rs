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

const EXPORTER: Program = Program {
    names: &["prometheus-postgres-exporter", "postgres_exporter"],
    package: "prometheus-postgres-exporter",
};

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
    /// `pg_up`, `pg_replication_is_replica` and the rest for one node.
    pub async fn node(scratch: &Scratch, name: &str, postgres_port: u16) -> Result<Exporter> {
        Exporter::start(scratch, name, postgres_port, &MONITOR, &["--disable-settings-metrics"]).await
    }

    /// `postgres_write_probe_accepted`, by a write through the proxy at every scrape.
    pub async fn writes(scratch: &Scratch, proxy_port: u16) -> Result<Exporter> {
        let queries = scratch.folder("writes")?.join("queries.yaml");
        fs::write(&queries, WRITE_PROBE)?;
        let queries = format!("--extend.query-path={}", queries.display());
        let only = ["--disable-default-metrics", "--disable-settings-metrics", "--no-collector.database"];
        let flags = [&only[..], &["--no-collector.bgwriter", &queries]].concat();
        Exporter::start(scratch, "writes", proxy_port, &APPLICATION, &flags).await
    }

    async fn start(
        scratch: &Scratch,
        name: &str,
        postgres_port: u16,
        login: &Login,
        flags: &[&str],
    ) -> Result<Exporter> {
        let port = ports::free()?;
        let name = format!("exporter-{name}");
        let mut command = process::command(&EXPORTER.find()?, None, Signal::SIGKILL)?;
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).args(flags);
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
                ensure!(text.lines().any(|line| line == "pg_up 1"), "it does not reach Postgres");
                Ok(())
            })
            .await?;
        Ok(Exporter { port, _process: process })
    }
}
