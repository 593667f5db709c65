//! The main job under load: how fast alerts are taken in and how soon the first step of a runbook acts on one.
//!
//! Everything is the real program: a private Postgres in a temporary folder, the server on loopback, the engine, and
//! an HTTP target in this process that a step asks. The database's own commit rate, its rate for the same rows without
//! Muster, and what a real Alertmanager takes into memory are measured in the same run, since absolute figures say more
//! about a machine than about Muster. Sender, Muster and database share the machine.

use std::{
    cell::Cell,
    net::SocketAddr,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use axum::{Router, extract, routing::put};
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::{TryStreamExt, stream::FuturesUnordered};
use hdrhistogram::Histogram;
use muster::{
    app::App,
    clock::Clock,
    config::{Database, DeclaredSource, Serve},
    domain::target::SecretRef,
    store::deliveries,
};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::{net::TcpListener, sync::mpsc};

/// Connections of the sender, and of the busier of the two commit rates.
const CONNECTIONS: usize = 32;
/// Groups, and so incidents, that the alerts of one measurement fall into.
const GROUPS: u64 = 5;
/// Alerts that are sent again and again.
const REPEATED: u64 = 500;
/// Alerts in a big body.
const BIG: u64 = 100;
const TOKEN: &str = "the-token-of-the-benchmark";

const COMMITS: Limit = Limit::new(20_000, 3);
const BODIES: Limit = Limit::new(20_000, 5);
const FIRST_STEPS: Limit = Limit::new(200, 25);
/// Before a body is sent again, and for the rest of a run to end before the next alert.
const PAUSE: Duration = Duration::from_millis(50);
const GIVE_UP: Duration = Duration::from_secs(5);
const HIT_MAX: Duration = Duration::from_secs(5);

const RUNBOOK: &str = r#"
runbook: first-step
title: Ask the target
match: ['alertname="FirstStep"']
start: automatic
inputs:
  instance: { from: labels.instance, required: true }
steps:
  - id: ask
    # A preflight asks every check once more, so what is timed is a call.
    call: http
    with: { target: bench, method: PUT, path: "/{{ inputs.instance }}" }
    effect: idempotent
"#;

/// What ends a measurement, whichever comes first.
#[derive(Clone, Copy)]
struct Limit {
    count: u64,
    time: Duration,
}

impl Limit {
    const fn new(count: u64, seconds: u64) -> Self {
        Self {
            count,
            time: Duration::from_secs(seconds),
        }
    }
}

/// What a measurement gave.
struct Figures {
    /// Microseconds.
    latencies: Histogram<u64>,
    time: Duration,
}

impl Figures {
    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    fn millis(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Tests that build every target also run it, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("muster-bench-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    let measured = run(&folder).await;
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    measured
}

async fn run(folder: &Path) -> anyhow::Result<()> {
    let (target, hits) = start_target().await?;
    let app = App::start(configure(folder, target)?, Clock::real(), None).await?;
    app.ready().await;
    let measured = measure(&app, folder, hits).await;
    app.stop().await;
    measured
}

async fn measure(app: &App, folder: &Path, hits: mpsc::UnboundedReceiver<Hit>) -> anyhow::Result<()> {
    // Every alert of the last measurement starts a run.
    sqlx::query("update sources set storm_starts = 10000")
        .execute(&app.pools.web)
        .await?;
    let sender = Sender::new(app)?;
    let alone = commits(app, 1).await?;
    let together = commits(app, CONNECTIONS).await?;
    let fresh = sender
        .load(async |n| sender.post("Fresh", n % GROUPS, n..n + 1).await)
        .await?;
    let known = REPEATED.min(fresh.latencies.len());
    let again = sender
        .load(async |n| {
            let n = n % known;
            sender.post("Fresh", n % GROUPS, n..n + 1).await
        })
        .await?;
    let big = sender
        .load(async |n| sender.post("Big", n % GROUPS, n * BIG..(n + 1) * BIG).await)
        .await?;
    let steps = sender.first_steps(hits).await?;
    sender.check_stored(app).await?;
    // As many deliveries in a commit as can wait for one.
    let (bodies, big_bodies) = (CONNECTIONS as u64, CONNECTIONS as u64 / 4);
    let bare = rows(app, "Fresh", 1, bodies).await?;
    let bare_big = rows(app, "Big", BIG, big_bodies).await?;
    report([&alone, &together], [&fresh, &again, &big], &steps);
    println!("\nThe database alone, for the same rows: copied from table to table, a commit each");
    heading("to commits");
    row(
        &format!("{bodies} bodies of one alert"),
        &bare,
        bodies,
        together.rate(),
    );
    row(
        &format!("{big_bodies} bodies of {BIG} alerts"),
        &bare_big,
        big_bodies * BIG,
        together.rate(),
    );
    match Alertmanager::start(folder).await? {
        Some(memory) => {
            let url = format!("{}/api/v2/alerts", memory.url);
            let fresh = sender
                .load(async |n| sender.push(&url, "Fresh", n..n + 1).await)
                .await?;
            let big = sender
                .load(async |n| sender.push(&url, "Big", n * BIG..(n + 1) * BIG).await)
                .await?;
            println!("\nAlertmanager's own POST /api/v2/alerts, into memory, by the same sender");
            heading("to commits");
            row("new alerts, one a body", &fresh, 1, together.rate());
            row(&format!("new alerts, {BIG} a body"), &big, BIG, together.rate());
        }
        None => println!("\nNo Alertmanager is installed here to compare with."),
    }
    println!(
        "\nBodies sent again because the intake was full: {}",
        sender.put_off.get()
    );
    Ok(())
}

/// A folder with the benchmark's runbook, its target and the sender's token, and a Muster on a free port over it.
fn configure(folder: &Path, target: SocketAddr) -> anyhow::Result<Serve> {
    let (runbooks, token) = (folder.join("runbooks"), folder.join("token"));
    std::fs::create_dir(&runbooks)?;
    std::fs::write(runbooks.join("first-step.yaml"), RUNBOOK)?;
    std::fs::write(
        runbooks.join("targets.yaml"),
        format!("targets:\n  - name: bench\n    http: {{ url: \"http://{target}/\" }}\n"),
    )?;
    std::fs::write(&token, TOKEN)?;
    let mut config = Serve::over(Database {
        database_url: None,
        data: folder.join("data"),
    });
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.runbooks = runbooks;
    config.targets = None;
    config.sources = vec![DeclaredSource {
        heartbeat: None,
        name: "bench".to_owned(),
        token: SecretRef::File(token.display().to_string()),
    }];
    Ok(config)
}

/// What reached the target: the path without its slash, and when.
type Hit = (String, Instant);

/// A web service that says what reaches it.
async fn start_target() -> anyhow::Result<(SocketAddr, mpsc::UnboundedReceiver<Hit>)> {
    let (said, hits) = mpsc::unbounded_channel();
    let note = async move |extract::Path(path): extract::Path<String>| {
        // An error means that the benchmark is over.
        let _ = said.send((path, Instant::now()));
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/{path}", put(note));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, hits))
}

/// Lets workers take numbers from 0 and carry each out, one after another, until the limit.
async fn load<W>(workers: Vec<W>, limit: Limit) -> anyhow::Result<Figures>
where
    W: AsyncFnMut(u64) -> anyhow::Result<()>,
{
    let next = Cell::new(0);
    let began = Instant::now();
    let work = async |mut worker: W| {
        let mut latencies = Histogram::<u64>::new(3)?;
        loop {
            let n = next.get();
            if n >= limit.count || began.elapsed() >= limit.time {
                return anyhow::Ok(latencies);
            }
            next.set(n + 1);
            let sent = Instant::now();
            worker(n).await?;
            latencies.record(sent.elapsed().as_micros() as u64)?;
        }
    };
    let mut working: FuturesUnordered<_> = workers.into_iter().map(work).collect();
    let mut latencies = Histogram::new(3)?;
    while let Some(part) = working.try_next().await? {
        latencies.add(part)?;
    }
    Ok(Figures {
        latencies,
        time: began.elapsed(),
    })
}

/// One-row inserts into Muster's own database, each a commit: what nothing that stores can exceed.
async fn commits(app: &App, connections: usize) -> anyhow::Result<Figures> {
    let options = app.pools.web.connect_options();
    let mut workers = Vec::new();
    for _ in 0..connections {
        let mut conn = PgConnection::connect_with(&options).await?;
        conn.execute("create table if not exists bench_commits (n bigint not null)")
            .await?;
        workers.push(async move |n: u64| {
            sqlx::query("insert into bench_commits values ($1)")
                .bind(n as i64)
                .execute(&mut conn)
                .await?;
            Ok(())
        });
    }
    load(workers, COMMITS).await
}

/// The rows of deliveries of `each` alerts of that name once more, by the database alone: copied from table to table,
/// `bodies` deliveries in a transaction, with no sender, no spool, no question asked and no foreign key. Whatever keeps
/// these rows with these indexes cannot be faster.
async fn rows(app: &App, name: &str, each: u64, bodies: u64) -> anyhow::Result<Figures> {
    let mut conn = PgConnection::connect_with(&app.pools.web.connect_options()).await?;
    for sql in [
        "drop table if exists bench_deliveries, bench_alerts, bench_episodes",
        "create table bench_deliveries (like deliveries including all excluding identity)",
        "create table bench_alerts (like alerts including all excluding identity)",
        "create table bench_episodes (like episodes including all excluding identity)",
    ] {
        conn.execute(sql).await?;
    }
    let alerts: Vec<i64> =
        sqlx::query_scalar("select id from alerts where labels ->> 'alertname' = $1 order by id")
            .bind(name)
            .fetch_all(&mut conn)
            .await?;
    let deliveries: Vec<i64> = sqlx::query_scalar("select id from deliveries where alerts = $1 order by id")
        .bind(each as i32)
        .fetch_all(&mut conn)
        .await?;
    let (bodies, per_commit) = (bodies as usize, (each * bodies) as usize);
    let commits = (alerts.len() / per_commit).min(deliveries.len() / bodies);
    let copy = async move |n: u64| {
        let n = n as usize;
        let (deliveries, alerts) = (&deliveries[n * bodies..], &alerts[n * per_commit..]);
        let mut tx = conn.begin().await?;
        for (ids, sql) in [
            (&deliveries[..bodies], "insert into bench_deliveries select * from deliveries where id = any($1)"),
            (&alerts[..per_commit], "insert into bench_alerts select * from alerts where id = any($1)"),
            (
                &alerts[..per_commit],
                "insert into bench_episodes select e.* from alerts a join episodes e on e.id = a.latest_episode_id
                 where a.id = any($1)",
            ),
        ] {
            sqlx::query(sql).bind(ids).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    };
    let limit = Limit {
        count: commits as u64,
        ..BODIES
    };
    load(vec![copy], limit).await
}

/// A real Alertmanager, for what it takes into memory on the same machine.
struct Alertmanager {
    url: String,
    _process: tokio::process::Child,
}

impl Alertmanager {
    /// Starts one; `None` when none is installed.
    async fn start(folder: &Path) -> anyhow::Result<Option<Self>> {
        let config = folder.join("alertmanager.yml");
        std::fs::write(
            &config,
            "route: { receiver: none }\nreceivers: [{ name: none }]\n",
        )?;
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        for program in ["alertmanager", "prometheus-alertmanager"] {
            let started = tokio::process::Command::new(program)
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.path={}",
                    folder.join("alertmanager").display()
                ))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--cluster.listen-address=")
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .kill_on_drop(true)
                .spawn();
            let Ok(process) = started else { continue };
            let began = Instant::now();
            while reqwest::get(format!("{url}/-/ready")).await.is_err() {
                ensure!(began.elapsed() < GIVE_UP, "Alertmanager did not start");
                tokio::time::sleep(PAUSE).await;
            }
            return Ok(Some(Self {
                url,
                _process: process,
            }));
        }
        Ok(None)
    }
}

/// An Alertmanager, as far as the intake can tell.
struct Sender {
    client: reqwest::Client,
    url: String,
    began: DateTime<Utc>,
    alerts_sent: Cell<u64>,
    /// Answers that asked to come again.
    put_off: Cell<u64>,
}

impl Sender {
    fn new(app: &App) -> anyhow::Result<Self> {
        muster::actions::install_crypto();
        Ok(Self {
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()?,
            url: format!("{}/api/v1/sources/bench/alertmanager", app.url()),
            began: Clock::real().now(),
            alerts_sent: Cell::default(),
            put_off: Cell::default(),
        })
    }

    async fn load<W>(&self, send: W) -> anyhow::Result<Figures>
    where
        W: AsyncFn(u64) -> anyhow::Result<()>,
    {
        let workers = (0..CONNECTIONS).map(|_| async |n| send(n).await).collect();
        load(workers, BODIES).await
    }

    /// Sends the firing alerts of these numbers in one body.
    async fn post(&self, name: &str, group: u64, numbers: Range<u64>) -> anyhow::Result<()> {
        let count = numbers.end - numbers.start;
        let body = self.body(name, group, numbers);
        let began = Instant::now();
        loop {
            let request = self.client.post(&self.url).bearer_auth(TOKEN).json(&body);
            let answer = request.send().await?;
            let status = answer.status();
            let text = answer.text().await?;
            if status.is_success() {
                self.alerts_sent.set(self.alerts_sent.get() + count);
                return Ok(());
            }
            // A full intake says so, and a sender comes again; the wait is part of the latency.
            let may_come_again =
                status == reqwest::StatusCode::SERVICE_UNAVAILABLE && began.elapsed() < GIVE_UP;
            ensure!(may_come_again, "the intake answered {status}: {text}");
            self.put_off.set(self.put_off.get() + 1);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn body(&self, name: &str, group: u64, numbers: Range<u64>) -> Value {
        let began = self.began.to_rfc3339_opts(SecondsFormat::Millis, true);
        let common = json!({"alertname": name, "group": group.to_string(), "severity": "warning"});
        let alerts: Vec<Value> = numbers
            .map(|n| {
                let mut labels = common.clone();
                labels["instance"] = format!("host-{n}").into();
                json!({
                    "status": "firing", "labels": labels, "startsAt": began, "endsAt": "0001-01-01T00:00:00Z",
                    "annotations": {"summary": format!("{name} on host-{n}")},
                    "generatorURL": "http://prometheus.example/graph?g0.expr=up",
                })
            })
            .collect();
        json!({
            "version": "4", "receiver": "muster", "status": "firing", "truncatedAlerts": 0,
            "groupKey": format!("{{}}:{{alertname={name:?}, group=\"{group}\"}}"),
            "groupLabels": {"alertname": name, "group": group.to_string()}, "commonLabels": common,
            "commonAnnotations": {}, "externalURL": "http://alertmanager.example", "alerts": alerts,
        })
    }

    /// Sends the same alerts as Prometheus would.
    async fn push(&self, url: &str, name: &str, numbers: Range<u64>) -> anyhow::Result<()> {
        let alerts = self.body(name, 0, numbers)["alerts"].take();
        let answer = self.client.post(url).json(&alerts).send().await?;
        let status = answer.status();
        ensure!(
            status.is_success(),
            "Alertmanager answered {status}: {}",
            answer.text().await?
        );
        answer.text().await?;
        Ok(())
    }

    /// One alert at a time, each in a group of its own, from before it is sent until the step's request arrives.
    async fn first_steps(&self, mut hits: mpsc::UnboundedReceiver<Hit>) -> anyhow::Result<Figures> {
        let mut latencies = Histogram::new(3)?;
        let began = Instant::now();
        for n in 0..FIRST_STEPS.count {
            if began.elapsed() >= FIRST_STEPS.time {
                break;
            }
            let sent = Instant::now();
            self.post("FirstStep", n, n..n + 1).await?;
            let hit = tokio::time::timeout(HIT_MAX, hits.recv()).await;
            let (path, at) = hit
                .context("no step was carried out")?
                .context("the target is gone")?;
            ensure!(
                path == format!("host-{n}"),
                "the step for host-{n} asked for {path}"
            );
            latencies.record(at.duration_since(sent).as_micros() as u64)?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Figures {
            latencies,
            time: began.elapsed(),
        })
    }

    /// Every alert that was answered for is in the database.
    async fn check_stored(&self, app: &App) -> anyhow::Result<()> {
        let mut conn = app.pools.web.acquire().await?;
        let stored = deliveries::count_alerts_since(&mut conn, self.began).await?;
        let sent = self.alerts_sent.get() as i64;
        ensure!(stored == sent, "{sent} alerts were sent, {stored} are stored");
        Ok(())
    }
}

/// `each` is how many a body or commit holds; the last column is the rate over the commit rate `unit`.
fn row(what: &str, figures: &Figures, each: u64, unit: f64) {
    let (count, rate) = (figures.latencies.len() * each, figures.rate() * each as f64);
    let (p50, p99, ratio) = (figures.millis(0.5), figures.millis(0.99), rate / unit);
    println!("{what:<32}{count:>8}{rate:>10.0}{p50:>9.2}{p99:>9.2}{ratio:>12.2}");
}

fn heading(last: &str) {
    println!(
        "\n{:<32}{:>8}{:>10}{:>9}{:>9}{last:>12}",
        "", "count", "a second", "p50 ms", "p99 ms"
    );
}

fn report(floor: [&Figures; 2], intake: [&Figures; 3], steps: &Figures) {
    let ([alone, together], [fresh, again, big]) = (floor, intake);
    let unit = together.rate();
    println!(
        "{CONNECTIONS} connections, {GROUPS} groups; times are of one commit or one body, sent to committed"
    );
    heading("to commits");
    row("commits, 1 connection", alone, 1, unit);
    row(&format!("commits, {CONNECTIONS} connections"), together, 1, unit);
    row("new alerts, one a body", fresh, 1, unit);
    row("known alerts again, one a body", again, 1, unit);
    row(&format!("new alerts, {BIG} a body"), big, BIG, unit);

    println!(
        "\nOne alert at a time, sent to the first step's request; the ratio is to the p50 of a lone commit"
    );
    heading("to a commit");
    let (count, p50, p99) = (steps.latencies.len(), steps.millis(0.5), steps.millis(0.99));
    let ratio = p50 / alone.millis(0.5);
    println!(
        "{:<32}{count:>8}{:>10}{p50:>9.2}{p99:>9.2}{ratio:>12.1}",
        "alert to first step", ""
    );
}
