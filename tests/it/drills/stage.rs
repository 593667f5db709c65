//! A Muster in a process of its own with scenarios and runbooks, beside real things that must not be touched: a listener
//! that counts who connects to it, a file, a program that leaves a mark.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use chrono::{DateTime, Utc};
use muster::{
    clock::Clock,
    domain::{
        id::{DrillId, IncidentId, RunId},
        operator::{Operator, Role, Via},
    },
    drill::{self, NewPlan},
    identity::password::Passwords,
    simulate::{Simulator, SimulatorParts},
    store::{
        drills::{self, Drill},
        operators, scenarios,
    },
};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};
use tokio::net::TcpListener;

use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{
        database::Database,
        muster::{Muster, Setup},
    },
};

/// Longer than anything here takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);
/// What stands in the real file.
pub const REAL_LINE: &str = "a line of the real file";

/// What is real.
pub struct Canary {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    folder: Scratch,
}

impl Canary {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(connection);
            }
        });
        let folder = Scratch::new();
        fs::write(folder.path().join("real.log"), format!("{REAL_LINE}\n")).unwrap();
        let canary = Self {
            port,
            connections,
            folder,
        };
        let program = canary.program();
        let script = format!("#!/bin/sh\necho touched >> {}\n", canary.mark().display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        canary
    }

    /// How often anybody connected to what is real.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn program(&self) -> PathBuf {
        self.folder.path().join("act")
    }

    fn mark(&self) -> PathBuf {
        self.folder.path().join("mark")
    }

    /// Whether the real program ran.
    pub fn is_marked(&self) -> bool {
        self.mark().exists()
    }

    /// Names in a text what only exists once the canary does.
    pub fn fill(&self, text: &str) -> String {
        let file = self.folder.path().join("real.log");
        text.replace("REAL_PORT", &self.port.to_string())
            .replace("REAL_FILE", &file.display().to_string())
            .replace("REAL_PROGRAM", &self.program().display().to_string())
    }
}

/// The program, its files, its database.
pub struct Stage {
    pub database: Database,
    pub canary: Canary,
    pub setup: Setup,
    pub muster: Muster,
    pub person: Operator,
    pub simulator: Simulator,
    _files: Scratch,
    began: DateTime<Utc>,
}

impl Stage {
    /// Runbooks by name, one scenario, and the targets of what is real.
    pub async fn new(runbooks: &[(&str, &str)], scenario: &str, targets: &str) -> Self {
        Self::with(runbooks, scenario, targets, &[]).await
    }

    /// The same with more settings.
    pub async fn with(
        runbooks: &[(&str, &str)],
        scenario: &str,
        targets: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let (database, canary, files) = (Database::new().await, Canary::new().await, Scratch::new());
        let folder = files.path().join("runbooks");
        fs::create_dir_all(folder.join("drills")).unwrap();
        for (name, source) in runbooks {
            fs::write(folder.join(format!("{name}.yaml")), canary.fill(source)).unwrap();
        }
        fs::write(folder.join("drills/scene.yaml"), canary.fill(scenario)).unwrap();
        fs::write(folder.join("targets.yaml"), canary.fill(targets)).unwrap();
        let mut setup = Setup::new(database.url(), files.path());
        setup.runbooks = folder;
        setup
            .env
            .push(("REAL_TOKEN".to_owned(), "a-real-secret".to_owned()));
        let more = settings.iter();
        setup
            .env
            .extend(more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let muster = setup.start(None);
        let person = person(&mut database.pools.web.acquire().await.unwrap()).await;
        let simulator = Simulator::new(SimulatorParts {
            pool: database.pools.web.clone(),
            clock: Clock::real(),
            folder: files.path().join("looked-at"),
            relay: PathBuf::from(env!("CARGO_BIN_EXE_muster")),
            is_compressed: false,
            outdoors: None,
        });
        Self {
            database,
            canary,
            setup,
            muster,
            person,
            simulator,
            _files: files,
            began: Clock::real().now(),
        }
    }

    pub async fn conn(&self) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
        self.database.pools.web.acquire().await.unwrap()
    }

    pub fn now(&self) -> DateTime<Utc> {
        Clock::real().now()
    }

    /// Plans and begins a drill of the scenario, as soon as the program has published it.
    pub async fn begin(&self) -> DrillId {
        let (version, depth) = wait::until("the scenario is published", SOON, async || {
            let found = scenarios::list_current(&mut *self.conn().await, None, 10).await?;
            found
                .first()
                .map(|version| (version.id, version.scenario.depths()[0]))
                .ok_or_else(|| anyhow::anyhow!("there is none yet: {}", last_lines(&self.setup.logged())))
        })
        .await
        .unwrap();
        let plan = NewPlan {
            version,
            depth,
            seed: 7,
            trainer: None,
            players: &[],
            planned_for: None,
        };
        let mut tx = self.database.pools.web.begin().await.unwrap();
        let id = drill::plan(&mut tx, &plan, self.now()).await.unwrap();
        drill::start(&mut tx, id, None, self.now()).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    pub async fn drill(&self, id: DrillId) -> Drill {
        drills::find(&mut *self.conn().await, id).await.unwrap().unwrap()
    }

    /// The scorecard as it is now.
    pub async fn score(&self, id: DrillId) -> drill::Card {
        drill::score(&mut *self.conn().await, &self.simulator, id)
            .await
            .unwrap()
    }

    /// Ends a drill by hand.
    pub async fn end(&self, id: DrillId) {
        let mut tx = self.database.pools.web.begin().await.unwrap();
        let why = muster::domain::drill::EndKind::Stopped;
        drill::end(&mut tx, id, why, "", None, self.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The real sender reports an alert with these labels.
    pub async fn alert(&self, labels: Value) {
        self.alert_with(labels, json!({})).await;
    }

    /// The same with annotations.
    pub async fn alert_with(&self, labels: Value, annotations: Value) {
        let group = format!("{{}}:{{{labels}}}");
        let body = json!({"receiver": "r", "groupKey": group, "alerts": [{
            "status": "firing", "labels": labels, "annotations": annotations, "startsAt": self.began,
        }]});
        self.muster.stores(&body).await;
    }

    /// The incident of a drill, or the newest real one, once there is one.
    pub async fn incident(&self, drill: Option<DrillId>) -> IncidentId {
        let sql = "select id from incidents where drill_id is not distinct from $1 order by id desc limit 1";
        let id: i64 = wait::until("there is an incident", SOON, async || {
            let found = sqlx::query_scalar(sql).bind(drill.map(|drill| drill.0));
            let found = found.fetch_optional(&mut *self.conn().await).await?;
            found.ok_or_else(|| anyhow::anyhow!("there is none: {}", last_lines(&self.setup.logged())))
        })
        .await
        .unwrap();
        IncidentId(id)
    }

    /// The first run of an incident, once it has one.
    pub async fn run(&self, incident: IncidentId) -> RunId {
        let id: i64 = wait::until("there is a run", SOON, async || {
            let found = sqlx::query_scalar("select id from runs where incident_id = $1 order by id limit 1");
            let found = found
                .bind(incident.0)
                .fetch_optional(&mut *self.conn().await)
                .await?;
            found.ok_or_else(|| anyhow::anyhow!("none was started: {}", last_lines(&self.setup.logged())))
        })
        .await
        .unwrap();
        RunId(id)
    }

    /// Waits until a run is over; returns how it ended.
    pub async fn over(&self, run: RunId) -> String {
        wait::until("the run is over", SOON, async || {
            let found: Option<String> = sqlx::query_scalar("select result from runs where id = $1")
                .bind(run.0)
                .fetch_one(&mut *self.conn().await)
                .await?;
            found.ok_or_else(|| anyhow::anyhow!("it goes on: {}", last_lines(&self.setup.logged())))
        })
        .await
        .unwrap()
    }

    /// Waits until a query finds that many.
    pub async fn counts(&self, sql: &'static str, wanted: i64) {
        wait::until(sql, SOON, async || {
            let found = self.database.count(sql).await;
            ensure!(
                found == wanted,
                "it is {found}: {}",
                last_lines(&self.setup.logged())
            );
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Every attempt of a run: step, kind of action, what was sent, how it stands, what came back.
    pub async fn attempts(&self, run: RunId) -> Vec<Sent> {
        let sql =
            "select step, request ->> 'action' as action, command, state, coalesce(summary, '') as summary,
                          coalesce(result::text, '') as result
                   from attempts where run_id = $1 order by started_at, step, attempt";
        let rows = sqlx::query(sql)
            .bind(run.0)
            .fetch_all(&mut *self.conn().await)
            .await
            .unwrap();
        rows.iter()
            .map(|row| Sent {
                step: row.get("step"),
                action: row.get("action"),
                command: row.get("command"),
                state: row.get("state"),
                back: row.get::<String, _>("summary") + &row.get::<String, _>("result"),
            })
            .collect()
    }

    /// What a timeline says, one body a line.
    pub async fn story(&self, incident: IncidentId) -> String {
        let sql = "select string_agg(body::text, E'\\n' order by seq) from events where incident_id = $1";
        let told: Option<String> = sqlx::query_scalar(sql)
            .bind(incident.0)
            .fetch_one(&mut *self.conn().await)
            .await
            .unwrap();
        told.unwrap_or_default()
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Sent {
    pub step: String,
    pub action: String,
    pub command: String,
    pub state: String,
    pub back: String,
}

async fn person(conn: &mut PgConnection) -> Operator {
    let hash = Passwords::default()
        .hash("correct horse battery".to_owned())
        .await
        .unwrap();
    let id = operators::insert(conn, "ana", &hash, Role::Admin, Clock::real().now())
        .await
        .unwrap()
        .unwrap();
    Operator {
        teams: Vec::new(),
        via: Via::Session,
        id,
        name: "ana".to_owned(),
        role: Role::Admin,
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(4).collect();
    lines.join("\n")
}
