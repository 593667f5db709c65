//! What a step's program writes: seen while it writes it, without secrets, bounded, and still there when its worker died.

mod pane;
mod worker;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::ensure;
use axum::http::StatusCode;
use muster::{
    actions::{Bounds, Outside},
    catalog::{parse_runbook, parse_targets},
    domain::{id::RunId, operator::Role},
    execute::{
        engine::{Engine, EngineLimits},
        worker as engine_worker,
    },
    store::{operators, runbooks},
};
use serde_json::json;
use tokio::{runtime::Runtime, sync::watch};

use crate::{fleet::wait, scratch::Scratch, support::site::Site};

const LONG: Duration = Duration::from_secs(60);
/// The step that every run here has.
pub const STEP: &str = "press";

/// The pages, an engine, and a target that is a shell.
pub struct Press {
    pub site: Site,
    pub folder: Scratch,
    /// Somebody who may only read.
    pub reader: String,
    starter: String,
    limits: EngineLimits,
    /// Workers live in a runtime of their own, so that they can die.
    worker: Mutex<Option<Runtime>>,
}

impl Press {
    pub async fn new(output_bytes: usize) -> Self {
        let site = Site::new().await;
        let alert = json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
            "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z",
        }]});
        let (status, answer) = site.intake.post("prom", alert.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let (_, starter) = site.person("ben", Role::Admin).await;
        let (_, reader) = site.person("vic", Role::Viewer).await;
        let limits = EngineLimits {
            output_bytes,
            ..EngineLimits::default()
        };
        let press = Self {
            folder: Scratch::new(),
            site,
            reader,
            starter,
            limits,
            worker: Mutex::default(),
        };
        std::fs::write(press.folder.path().join("token"), "hunter22-of-the-press").unwrap();
        press.start_worker().await;
        press
    }

    /// Starts a worker; one that was there dies.
    pub async fn start_worker(&self) {
        self.kill_worker();
        let source = format!(
            "targets:\n  - name: tools\n    timeout_max: 10m\n    command:\n      env: {{ TOKEN: 'file:{}/token' }}\n      \
             programs: [{{ path: /bin/sh, args: [-c, {{ name: script, pattern: '(?s).*' }}] }}]\n",
            self.folder.path().display()
        );
        let targets = parse_targets(&source).unwrap_or_else(|faults| panic!("{faults:?}"));
        let targets = watch::channel(Arc::new(targets)).1;
        // A pool belongs to the runtime that made it.
        let runtime = Runtime::new().unwrap();
        let pool = self.site.intake.database.pools.engine.clone();
        let (site, limits) = (&self.site, self.limits);
        let installation = operators::installation(&mut *site.conn().await).await.unwrap();
        let lease = engine_worker::register(&mut *site.conn().await).await.unwrap();
        let (standing, clock, wake) = (
            site.state.standing.clone(),
            site.clock().clone(),
            site.state.wake.clone(),
        );
        let outside = Arc::new(Outside::new(Bounds::default()));
        runtime.spawn(async move {
            let engine = Engine::new(
                pool,
                outside,
                standing,
                clock,
                wake,
                targets,
                installation,
                limits,
                lease,
            );
            engine_worker::run(Arc::new(engine)).await;
        });
        *self.worker.lock().unwrap() = Some(runtime);
    }

    /// The worker is gone from one moment to the next.
    pub fn kill_worker(&self) {
        if let Some(runtime) = self.worker.lock().unwrap().take() {
            runtime.shutdown_background();
        }
    }

    /// Starts a run whose only step carries this out.
    pub async fn print(&self, script: &str) -> RunId {
        // In a file of its own: the page shows what is sent, and a test looks there for what comes back.
        let file = self.folder.path().join("script");
        std::fs::write(&file, script).unwrap();
        let script = format!("\". {}\"", file.display());
        let source = format!(
            "runbook: press\ntitle: Press\nsteps:\n  - id: {STEP}\n    call: command\n    timeout: 10m\n    \
             with: {{ target: tools, program: /bin/sh, params: {{ script: {script} }} }}\n"
        );
        let runbook = parse_runbook(&source).unwrap_or_else(|faults| panic!("{faults:?}"));
        let now = self.site.clock().now();
        runbooks::publish(
            &mut *self.site.conn().await,
            &runbook.runbook,
            &source,
            "a test",
            now,
        )
        .await
        .unwrap();
        let body = json!({"runbook": "press", "op": uuid::Uuid::new_v4()}).to_string();
        let made = self
            .site
            .post_json("/api/v1/incidents/1/runs", &self.starter, &body)
            .await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        RunId(made.json()["run"].as_i64().unwrap())
    }

    /// The page of the step, once all of that is on it.
    pub async fn page(&self, run: RunId, query: &str, wanted: &[&str]) -> String {
        let path = step(run, query);
        wait::until("the page says so", LONG, async || {
            let page = self.site.get(&path, &self.reader).await;
            for words in wanted {
                ensure!(page.text.contains(words), "no {words:?} on\n{}", page.text);
            }
            Ok(page.text)
        })
        .await
        .unwrap()
    }

    /// All that is kept of what the step wrote.
    pub async fn file(&self, run: RunId) -> String {
        self.site.get(&step(run, "/output"), &self.reader).await.text
    }

    /// Lets scripts that wait for this file go on.
    pub fn let_go(&self, name: &str) {
        std::fs::write(self.folder.path().join(name), "").unwrap();
    }

    /// A script's way to wait for that.
    pub fn waiting(&self, name: &str) -> String {
        let file = self.folder.path().join(name);
        format!("while [ ! -e {} ]; do sleep 0.05; done", file.display())
    }
}

impl Drop for Press {
    fn drop(&mut self) {
        self.kill_worker();
    }
}

/// The path of the step's page.
pub fn step(run: RunId, behind: &str) -> String {
    format!("/runs/{run}/steps/{STEP}{behind}")
}
