//! The outside world that Muster works on, with nothing simulated: a Postgres primary and its streaming standby behind
//! HAProxy, watched by Prometheus, whose alerts Alertmanager posts; and a person at a browser.
//!
//! Everything runs on 127.0.0.1 on free ports in one temporary folder, as root or as a normal user, and ends with the
//! fleet. `.ci/install` installs the programs.
//!
//! ```text
//!  application ─> haproxy (checkout-db) ─> primary ──streams──> standby
//!  write probe ──────┘                        └─── exporters ──────┘
//!                                                     └─> prometheus ─> alertmanager ─> the webhook
//! ```
#![allow(dead_code, reason = "a journey uses the part of the world it needs")]

pub mod alertmanager;
pub mod browser;
pub mod exporter;
pub mod haproxy;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod scratch;
pub mod wait;

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use alertmanager::Alertmanager;
use browser::Browser;
use exporter::Exporter;
use haproxy::Haproxy;
use postgres::Postgres;
use prometheus::{PRIMARIES, PRIMARY_UP, Prometheus, STANDBY_UP, WRITES_WORK, Watched};
use scratch::Scratch;

// Fields are dropped in this order: whoever watches goes before what is watched.
pub struct Fleet {
    pub alertmanager: Option<Alertmanager>,
    pub prometheus: Prometheus,
    _exporters: [Exporter; 3],
    pub haproxy: Haproxy,
    pub standby: Postgres,
    pub primary: Postgres,
    alertmanager_port: u16,
    pub scratch: Scratch,
}

impl Fleet {
    /// Starts everything but Alertmanager, and returns when Prometheus sees that all is well.
    pub async fn start() -> Result<Fleet> {
        process::all_here(&[
            &process::SETPRIV,
            &postgres::POSTGRES,
            &haproxy::HAPROXY,
            &exporter::EXPORTER,
            &prometheus::PROMETHEUS,
            &alertmanager::ALERTMANAGER,
            &browser::CHROMIUM,
            &browser::CHROMEDRIVER,
        ])?;
        let scratch = Scratch::new()?;
        let primary = Postgres::primary(&scratch).await?;
        let standby = Postgres::standby(&scratch, &primary).await?;
        let haproxy = Haproxy::start(&scratch, primary.port, standby.port).await?;
        let exporters = [
            Exporter::node(&scratch, "primary", primary.port).await?,
            Exporter::node(&scratch, "standby", standby.port).await?,
            Exporter::writes(&scratch, haproxy.port).await?,
        ];
        let alertmanager_port = ports::free()?;
        let watched = Watched {
            primary: exporters[0].port,
            standby: exporters[1].port,
            writes: exporters[2].port,
            haproxy: haproxy.metrics_port,
            alertmanager: alertmanager_port,
        };
        let prometheus = Prometheus::start(&scratch, &watched).await?;
        let fleet = Fleet {
            alertmanager: None,
            prometheus,
            _exporters: exporters,
            haproxy,
            standby,
            primary,
            alertmanager_port,
            scratch,
        };
        fleet.healthy(Duration::from_secs(20)).await?;
        Ok(fleet)
    }

    /// Starts Alertmanager, which posts to `webhook` with the bearer token.
    pub async fn alert_to(&mut self, webhook: &str, token: &str) -> Result<()> {
        let port = self.alertmanager_port;
        self.alertmanager = Some(Alertmanager::start(&self.scratch, port, webhook, token).await?);
        Ok(())
    }

    /// Waits until both nodes answer, one of them takes writes, writes go through the proxy and no alert is up.
    pub async fn healthy(&self, within: Duration) -> Result<()> {
        wait::until("the fleet is healthy", within, async || {
            for (query, wanted) in [
                (PRIMARY_UP, 1.),
                (STANDBY_UP, 1.),
                (PRIMARIES, 1.),
                (WRITES_WORK, 1.),
            ] {
                self.prometheus.expect(query, wanted).await?;
            }
            let alert = self.prometheus.alert_state().await?;
            ensure!(alert == "inactive", "the alert is {alert}");
            Ok(())
        })
        .await
    }

    /// The disaster.
    pub fn kill_primary(&mut self) {
        self.primary.kill();
    }

    /// Ends everything and leaves no files. A fleet that is dropped instead, as by a failing test, keeps its logs.
    pub fn end(mut self) {
        self.scratch.ended_well();
    }

    pub async fn browser(&self) -> Result<Browser> {
        Browser::start(&self.scratch, "browser").await
    }
}

/// The client for all of the fleet's own HTTP, which never leaves loopback.
pub fn http() -> Result<reqwest::Client> {
    static CLIENT: LazyLock<Result<reqwest::Client, String>> = LazyLock::new(|| {
        let _ = rustls::crypto::ring::default_provider().install_default(); // reqwest wants one even for plain HTTP
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(0);
        client.build().map_err(|error| error.to_string())
    });
    CLIENT
        .clone()
        .map_err(|reason| anyhow!("no HTTP client: {reason}"))
}
