//! Two real Prometheus servers that watch the same thing push straight to Muster, without an Alertmanager between.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use axum::{Router, extract::State, routing::get as getting};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{FIRES, OVER, World};
use crate::{
    fleet::{
        ports,
        process::{self, Process},
        prometheus::{PROMETHEUS, get},
        scratch::Scratch,
        wait,
    },
    support::muster::TOKEN,
};

/// Alerts of one batch and a few more.
const HOSTS: i64 = 70;

/// What they watch: hosts that are all well, or all down.
async fn watched() -> (SocketAddr, Arc<AtomicBool>) {
    let are_down = Arc::new(AtomicBool::new(false));
    let page = |State(are_down): State<Arc<AtomicBool>>| async move {
        let value = u8::from(are_down.load(Ordering::SeqCst));
        (0..HOSTS)
            .map(|host| format!("down{{host=\"h{host}\"}} {value}\n"))
            .collect::<String>()
    };
    let router = Router::new()
        .route("/metrics", getting(page))
        .with_state(are_down.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, are_down)
}

const RULES: &str = "
groups:
  - name: hosts
    rules:
      - { alert: HostDown, expr: 'max by (host) (down) == 1', labels: { severity: critical } }
";

async fn prometheus(scratch: &Scratch, name: &str, watched: SocketAddr, to: SocketAddr) -> Result<Process> {
    let folder = scratch.folder(name)?;
    let port = ports::free()?;
    fs::write(folder.join("rules.yml"), RULES)?;
    fs::write(
        folder.join("prometheus.yml"),
        format!(
            "
global:
  scrape_interval: 1s
  evaluation_interval: 1s
  external_labels: {{ replica: {name} }}
rule_files: [rules.yml]
alerting:
  alert_relabel_configs: [{{ action: labeldrop, regex: replica }}]
  alertmanagers:
    - static_configs: [targets: ['{to}']]
      path_prefix: /api/v1/sources/test/prometheus
      api_version: v2
      authorization: {{ credentials: {TOKEN} }}
scrape_configs:
  - job_name: hosts
    static_configs: [targets: ['{watched}']]
"
        ),
    )?;
    let mut command = process::command(&PROMETHEUS.find()?, None, Signal::SIGKILL)?;
    command
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--rules.alert.resend-delay=1s")
        .current_dir(&folder);
    let mut process = Process::start(name, command, &scratch.log(name))?;
    process
        .ready(Duration::from_secs(30), async || {
            get(port, "/-/ready", &[]).await.map(drop)
        })
        .await?;
    Ok(process)
}

/// The starts that were named for one host's alert.
fn starts(world: &World) -> Vec<String> {
    let of_one = |body: &Value| -> Option<String> {
        let alert = body
            .as_array()?
            .iter()
            .find(|alert| alert["labels"]["host"] == "h0")?;
        alert["startsAt"].as_str().map(ToOwned::to_owned)
    };
    let mut starts: Vec<String> = world
        .relay
        .seen(|_| true)
        .iter()
        .filter_map(|seen| of_one(&seen.body))
        .collect();
    starts.sort();
    starts.dedup();
    starts
}

#[tokio::test]
async fn a_pair_of_prometheus_servers_is_one_sender() -> Result<()> {
    let world = World::new().await?;
    let (watched, are_down) = watched().await;
    let first = prometheus(&world.scratch, "first", watched, world.relay.address).await?;
    are_down.store(true, Ordering::SeqCst);
    let all = |wanted: super::Standing| (wanted.0, wanted.1 * HOSTS, wanted.2 * HOSTS, wanted.3);
    world.comes_to("HostDown", all(FIRES)).await?;

    // The second begins to see it later, and so has a start of its own; both take turns.
    let second = prometheus(&world.scratch, "second", watched, world.relay.address).await?;
    let named = async |count: usize| {
        wait::until("starts are named", super::SOON, async || {
            let named = starts(&world);
            ensure!(named.len() >= count, "only {named:?}");
            Ok(())
        })
        .await
    };
    named(2).await?;
    // The first is restarted: its alerts have a new start though they never stopped.
    drop(first);
    let _first = prometheus(&world.scratch, "first", watched, world.relay.address).await?;
    named(3).await?;
    ensure!(
        world.standing("HostDown").await? == all(FIRES),
        "one alert a host"
    );
    let batches = world
        .relay
        .seen(|seen| seen.body.as_array().is_some_and(|batch| batch.len() == 64));
    ensure!(!batches.is_empty(), "they come in batches of 64");

    are_down.store(false, Ordering::SeqCst);
    world.comes_to("HostDown", all(OVER)).await?;
    // They repeat it: still over.
    let so_far = world.relay.seen(|_| true).len();
    world.sees("they repeat it", so_far + 8, |_| true).await?;
    ensure!(world.standing("HostDown").await? == all(OVER), "still over");
    let wrong = world.relay.seen(|seen| seen.status != Some(200)).len();
    ensure!(wrong == 0, "{wrong} were not answered 200");
    drop(second);
    world.end();
    Ok(())
}
