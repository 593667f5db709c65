//! Alertmanager: posts what Prometheus raises to one webhook.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::process::{self, Process, Program};
use super::prometheus::get;
use super::scratch::Scratch;

pub const ALERTMANAGER: Program = Program {
    names: &["prometheus-alertmanager", "alertmanager"],
    package: "prometheus-alertmanager",
};

pub struct Alertmanager {
    pub port: u16,
    _process: Process,
}

impl Alertmanager {
    /// Posts to `webhook` with `Authorization: Bearer token`, and again every 10 s while nothing changes.
    pub async fn start(scratch: &Scratch, port: u16, webhook: &str, token: &str) -> Result<Alertmanager> {
        Self::start_as(scratch, "alertmanager", port, webhook, token, "10s", 0).await
    }

    /// The same under another name, so that several can run, with its own pause between repeats and its own bound of
    /// alerts in one body, 0 for none.
    pub async fn start_as(
        scratch: &Scratch,
        name: &str,
        port: u16,
        webhook: &str,
        token: &str,
        repeat: &str,
        max_alerts: u32,
    ) -> Result<Alertmanager> {
        let folder = scratch.folder(name)?;
        let config = folder.join("alertmanager.yml");
        fs::write(folder.join("token"), token)?;
        fs::write(
            &config,
            format!(
                "
route:
  receiver: muster
  group_by: [alertname, cluster]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: {repeat}
receivers:
  - name: muster
    webhook_configs:
      - url: '{webhook}'
        send_resolved: true
        max_alerts: {max_alerts}
        http_config:
          authorization: {{ type: Bearer, credentials_file: token }}
"
            ),
        )?;
        let mut command = process::command(&ALERTMANAGER.find()?, None, Signal::SIGKILL)?;
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--web.external-url=http://127.0.0.1:{port}/"))
            .arg("--cluster.listen-address=") // alone
            .arg("--log.level=debug")
            .current_dir(&folder);
        let mut process = Process::start(name, command, &scratch.log(name))?;
        process
            .ready(Duration::from_secs(20), async || {
                get(port, "/-/ready", &[]).await.map(drop)
            })
            .await?;
        Ok(Alertmanager {
            port,
            _process: process,
        })
    }
}
