//! Prometheus: scrapes the fleet every second or two and raises `PostgresPrimaryDown` when writes fail.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::ports;
use super::process::{self, Process, Program};
use super::scratch::Scratch;
use super::wait;

pub const ALERT: &str = "PostgresPrimaryDown";

/// 1 while a write through the proxy is accepted, else 0. It always has a value.
pub const WRITES_WORK: &str = r#"cluster:postgres_writes:ok{cluster="checkout"}"#;
/// 1 while the node that was made as the primary answers, else 0.
pub const PRIMARY_UP: &str = r#"pg_up{cluster="checkout",role="primary"}"#;
/// The same for the node that was made as the standby.
pub const STANDBY_UP: &str = r#"pg_up{cluster="checkout",role="standby"}"#;
/// How many nodes answer and take writes: 1, and 0 between a primary's death and a promotion.
pub const PRIMARIES: &str = r#"cluster:postgres_primaries:count{cluster="checkout"}"#;

/// `up` has a value as long as the target is configured, so that the sums below are 0 and not absent when a probe, or
/// its exporter, fails.
const RULES: &str = r#"
groups:
  - name: checkout
    rules:
      - record: cluster:postgres_writes:ok
        expr: |
          max by (cluster) (postgres_write_probe_accepted == 1)
            or max by (cluster) (up{job="postgres-writes"} * 0)
      - record: cluster:postgres_primaries:count
        expr: |
          count by (cluster) (pg_up == 1 and on (node) postgres_node_is_replica == 0)
            or max by (cluster) (up{job="postgres"} * 0)
      - alert: PostgresPrimaryDown
        expr: cluster:postgres_writes:ok == 0
        for: 2s
        labels:
          severity: critical
          env: prod
        annotations:
          summary: 'Postgres of {{ $labels.cluster }} takes no writes'
          description: >-
            The write probe through the proxy of {{ $labels.cluster }} has failed for more than 2 s.
            {{ with query (printf "cluster:postgres_primaries:count{cluster=%q}" $labels.cluster) -}}
            Nodes that take writes: {{ . | first | value }}.{{ end }}
"#;

pub const PROMETHEUS: Program = Program {
    names: &["prometheus"],
    package: "prometheus",
};

/// What Prometheus scrapes and whom it tells, by their ports.
pub struct Watched {
    pub primary: u16,
    pub standby: u16,
    pub writes: u16,
    pub haproxy: u16,
    pub alertmanager: u16,
}

pub struct Prometheus {
    pub port: u16,
    _process: Process,
}

impl Prometheus {
    pub async fn start(scratch: &Scratch, watched: &Watched) -> Result<Prometheus> {
        let port = ports::free()?;
        let folder = scratch.folder("prometheus")?;
        let config = folder.join("prometheus.yml");
        fs::write(folder.join("rules.yml"), RULES)?;
        fs::write(
            &config,
            format!(
                "
global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs: [targets: ['127.0.0.1:{alertmanager}']]
scrape_configs:
  - job_name: postgres
    # The exporter waits 1 s before it says that a node is gone.
    scrape_interval: 2s
    scrape_timeout: 2s
    static_configs:
      - targets: ['127.0.0.1:{primary}']
        labels: {{ cluster: checkout, role: primary, node: checkout-primary }}
      - targets: ['127.0.0.1:{standby}']
        labels: {{ cluster: checkout, role: standby, node: checkout-standby }}
  - job_name: postgres-writes
    static_configs:
      - targets: ['127.0.0.1:{writes}']
        labels: {{ cluster: checkout }}
    # Its pg_up is that of whatever the proxy leads to: not to be mistaken for a node's.
    metric_relabel_configs:
      - {{ source_labels: [__name__], regex: 'postgres_write_probe_.*', action: keep }}
  - job_name: haproxy
    static_configs:
      - targets: ['127.0.0.1:{haproxy}']
        labels: {{ cluster: checkout }}
",
                primary = watched.primary,
                standby = watched.standby,
                writes = watched.writes,
                haproxy = watched.haproxy,
                alertmanager = watched.alertmanager,
            ),
        )?;
        let mut command = process::command(&PROMETHEUS.find()?, None, Signal::SIGKILL)?;
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--web.external-url=http://127.0.0.1:{port}/"))
            .current_dir(&folder);
        let mut process = Process::start("prometheus", command, &scratch.log("prometheus"))?;
        process
            .ready(Duration::from_secs(20), async || {
                get(port, "/-/ready", &[]).await.map(drop)
            })
            .await?;
        Ok(Prometheus {
            port,
            _process: process,
        })
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The value of an expression with exactly one series, now.
    pub async fn value(&self, query: &str) -> Result<f64> {
        let answer: Value = get(self.port, "/api/v1/query", &[("query", query)])
            .await?
            .json()
            .await?;
        let result = answer["data"]["result"].as_array().context("no result")?;
        ensure!(result.len() == 1, "{query} has {} series", result.len());
        let value = result[0]["value"][1].as_str().context("no value")?;
        value.parse().with_context(|| format!("{value} is not a number"))
    }

    /// Succeeds when the expression has this value.
    pub async fn expect(&self, query: &str, wanted: f64) -> Result<()> {
        let value = self.value(query).await?;
        ensure!(value == wanted, "{query} is {value}, not {wanted}");
        Ok(())
    }

    /// Waits until the expression has this value. What one scrape shows another may show two seconds later.
    pub async fn becomes(&self, query: &str, wanted: f64) -> Result<()> {
        let within = Duration::from_secs(15);
        wait::until("Prometheus sees it", within, async || {
            self.expect(query, wanted).await
        })
        .await
    }

    /// `inactive`, `pending` or `firing`.
    pub async fn alert_state(&self) -> Result<String> {
        let answer: Value = get(self.port, "/api/v1/rules", &[("type", "alert")])
            .await?
            .json()
            .await?;
        let rules = answer["data"]["groups"].as_array().into_iter().flatten();
        let mut rules = rules.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let rule = rules
            .find(|rule| rule["name"] == ALERT)
            .context("the rule is not loaded")?;
        Ok(rule["state"]
            .as_str()
            .context("the rule has no state")?
            .to_owned())
    }
}

/// A page of something on loopback, answered with success.
pub async fn get(port: u16, path: &str, query: &[(&str, &str)]) -> Result<reqwest::Response> {
    let request = super::http()?
        .get(format!("http://127.0.0.1:{port}{path}"))
        .query(query);
    Ok(request.send().await?.error_for_status()?)
}
