//! What was accepted is stored once, whatever happens to the database, the process and single deliveries in between.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use muster::{
    receive::{ReceiverParts, spool::folder::SpoolLimits},
    web::hooks::{HookLimits, Hooks},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::{
    fleet::wait,
    scratch::Scratch,
    support::{
        intake::{self, Answer, Intake, TOKEN, parts},
        muster::{Setup, client},
    },
};

const LONG: Duration = Duration::from_secs(30);

/// An intake with a disk, and a way to take its database away.
struct Bench {
    intake: Intake,
    scratch: Scratch,
}

impl Bench {
    async fn new() -> Self {
        let intake = Intake::new().await;
        intake.source("prom", None).await;
        Self {
            intake,
            scratch: Scratch::new(),
        }
    }

    fn spool(&self) -> std::path::PathBuf {
        self.scratch.path().join("spool")
    }

    /// A process start.
    fn start(&self, limits: SpoolLimits) -> Router {
        let parts = ReceiverParts {
            spool: Some(self.spool()),
            spool_limits: limits,
            ..parts(
                self.intake.database.pools.intake.clone(),
                self.intake.clock.clone(),
            )
        };
        Hooks::new(parts, HookLimits::default()).router()
    }

    /// The end of a process: nothing of it runs on, and its part of the spool is free.
    async fn ends(&self, hooks: Router) {
        drop(hooks);
        wait::until("the lanes end", LONG, async || {
            for part in fs::read_dir(self.spool())? {
                fs::File::open(part?.path())?.try_lock()?;
            }
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn admin(&self) -> PgConnection {
        let options = self.intake.database.pools.web.connect_options();
        let options = (*options).clone().database("postgres");
        PgConnection::connect_with(&options).await.unwrap()
    }

    fn name(&self) -> String {
        let options = self.intake.database.pools.web.connect_options();
        options.get_database().unwrap().to_owned()
    }

    /// Nobody gets in any more, and whoever is in is thrown out.
    async fn takes_the_database_away(&self) {
        let mut admin = self.admin().await;
        let name = self.name();
        let shut = format!("alter database \"{name}\" with allow_connections false");
        sqlx::raw_sql(sqlx::AssertSqlSafe(shut))
            .execute(&mut admin)
            .await
            .unwrap();
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(name)
            .execute(&mut admin)
            .await
            .unwrap();
    }

    async fn gives_the_database_back(&self) {
        let open = format!("alter database \"{}\" with allow_connections true", self.name());
        sqlx::raw_sql(sqlx::AssertSqlSafe(open))
            .execute(&mut self.admin().await)
            .await
            .unwrap();
    }

    /// Waits until so many deliveries are stored, then looks that there are no more and that the disk is clean.
    async fn has_stored(&self, count: i64) {
        wait::until("all of it is stored", LONG, async || {
            let stored = self.stored().await?;
            anyhow::ensure!(stored == count, "{stored} of {count}");
            let left = batches(&self.spool());
            anyhow::ensure!(left.is_empty(), "{left:?} are left");
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn stored(&self) -> anyhow::Result<i64> {
        let pool = &self.intake.database.pools.background;
        Ok(
            sqlx::query_scalar("select count(*) from deliveries where outcome = 'applied'")
                .fetch_one(pool)
                .await?,
        )
    }
}

/// The batch files of all parts.
fn batches(spool: &Path) -> BTreeSet<std::path::PathBuf> {
    let Ok(parts) = fs::read_dir(spool) else {
        return BTreeSet::new();
    };
    parts
        .flat_map(|part| fs::read_dir(part.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "spool"))
        .collect()
}

fn alert(name: &str) -> Value {
    json!({"receiver": "r", "groupKey": format!("g-{name}"), "alerts": [{
        "status": "firing", "labels": {"alertname": name}, "startsAt": "2026-11-21T02:59:00Z",
    }]})
}

async fn post(hooks: &Router, body: &Value) -> Answer {
    let request = Request::post("/api/v1/sources/prom/alertmanager")
        .header("authorization", format!("Bearer {TOKEN}-prom"))
        .body(Body::from(body.to_string()))
        .unwrap();
    intake::send(hooks, request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_while_the_database_is_away_is_accepted_and_stored_in_order_once() {
    let bench = Bench::new().await;
    let hooks = bench.start(SpoolLimits::default());
    let first = post(&hooks, &alert("before")).await;
    assert_eq!(
        (first.status, &first.body["status"]),
        (StatusCode::OK, &json!("stored"))
    );

    bench.takes_the_database_away().await;
    let names: Vec<String> = (0..40).map(|n| format!("away-{n}")).collect();
    let bodies: Vec<Value> = names.iter().map(|name| alert(name)).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| post(&hooks, body))).await;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
        assert_eq!(answer.body["status"], "spooled");
    }
    assert!(!batches(&bench.spool()).is_empty());

    bench.gives_the_database_back().await;
    bench.has_stored(41).await;
    let incidents = bench
        .intake
        .database
        .count("select count(*) from incidents")
        .await;
    assert_eq!(incidents, 41);
    let disordered = "select count(*) from (select received_at < lag(received_at) over (order by id) as back
                      from deliveries) as d where back";
    assert_eq!(bench.intake.database.count(disordered).await, 0);
    let last = post(&hooks, &alert("after")).await;
    assert_eq!(
        (last.status, &last.body["status"]),
        (StatusCode::OK, &json!("stored"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_leaves_behind_the_next_one_stores() {
    let bench = Bench::new().await;
    let runbooks = bench.scratch.path().join("runbooks");
    fs::create_dir(&runbooks).unwrap();
    let mut setup = Setup::new(bench.intake.database.url(), &runbooks);
    setup
        .env
        .push(("MUSTER_SPOOL".to_owned(), bench.spool().display().to_string()));
    let mut muster = setup.start(None);
    muster.stores(&alert("first")).await;
    bench.takes_the_database_away().await;
    assert_eq!(
        muster.post(&alert("second")).await,
        Some(202),
        "{}",
        setup.logged()
    );
    // A balancer must not take it out: it still accepts.
    let ready = client().get(muster.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let said: Value = ready.json().await.unwrap();
    assert_eq!(
        said["waiting_batches"].as_u64(),
        Some(0),
        "the lane has it: {said}"
    );
    assert!(
        said["why"].as_str().unwrap().contains("the database is away"),
        "{said}"
    );
    muster.kill();
    assert_eq!(batches(&bench.spool()).len(), 1);
    bench.gives_the_database_back().await;

    let muster = setup.start(None);
    bench.has_stored(2).await;
    muster.stores(&alert("third")).await;
    bench.has_stored(3).await;
    assert_eq!(
        bench
            .intake
            .database
            .count("select count(*) from incidents")
            .await,
        3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_applied_and_not_removed_is_not_applied_again() {
    let bench = Bench::new().await;
    bench.takes_the_database_away().await;
    let hooks = bench.start(SpoolLimits::default());
    // Nobody is known while the database has never answered.
    assert_eq!(
        post(&hooks, &alert("early")).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    bench.gives_the_database_back().await;
    assert_eq!(post(&hooks, &alert("first")).await.status, StatusCode::OK);
    bench.takes_the_database_away().await;
    assert_eq!(post(&hooks, &alert("second")).await.status, StatusCode::ACCEPTED);
    let left = batches(&bench.spool());
    let file = left.first().unwrap().clone();
    let content = fs::read(&file).unwrap();
    bench.gives_the_database_back().await;
    bench.has_stored(2).await;
    bench.ends(hooks).await;

    // As if it had been killed after the commit and before the file was removed.
    fs::write(&file, content).unwrap();
    let hooks = bench.start(SpoolLimits::default());
    assert_eq!(post(&hooks, &alert("third")).await.status, StatusCode::OK);
    bench.has_stored(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_cannot_be_applied_keeps_no_other_out_and_is_kept_itself() {
    let bench = Bench::new().await;
    let hooks = bench.start(SpoolLimits::default());
    sqlx::raw_sql(
        "create function no_poison() returns trigger language plpgsql as $$
         begin if new.title = 'poison' then raise exception 'not this one'; end if; return new; end $$;
         create trigger no_poison before insert on alerts for each row execute function no_poison()",
    )
    .execute(&bench.intake.database.pools.background)
    .await
    .unwrap();
    // While the first waits for the database, the others gather into one group.
    bench.takes_the_database_away().await;
    let names = ["a", "poison", "b", "c"];
    let bodies: Vec<Value> = names.iter().map(|name| alert(name)).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| post(&hooks, body))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::ACCEPTED));
    bench.gives_the_database_back().await;
    bench.has_stored(3).await;
    let reason: String = sqlx::query_scalar("select reason from deliveries where outcome = 'rejected'")
        .fetch_one(&bench.intake.database.pools.background)
        .await
        .unwrap();
    assert!(reason.contains("not this one"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_put_aside_and_a_full_disk_is_no_fault_while_the_database_is_there() {
    let bench = Bench::new().await;
    let full = SpoolLimits {
        bytes_max: 0,
        ..SpoolLimits::default()
    };
    let hooks = bench.start(full);
    let direct = post(&hooks, &alert("direct")).await;
    assert_eq!(
        (direct.status, &direct.body["status"]),
        (StatusCode::OK, &json!("stored"))
    );
    bench.takes_the_database_away().await;
    let refused = post(&hooks, &alert("refused")).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers.contains_key("retry-after"));
    bench.gives_the_database_back().await;
    bench.ends(hooks).await;

    let part = bench.spool().join("0");
    let name = "019aa000000070008000000000000000-0000000000000001.spool";
    fs::write(part.join(name), b"not what was written").unwrap();
    let hooks = bench.start(SpoolLimits::default());
    assert_eq!(post(&hooks, &alert("later")).await.status, StatusCode::OK);
    bench.has_stored(2).await;
    let aside = part.join(name).with_extension("damaged");
    assert!(
        aside.exists(),
        "{:?}",
        fs::read_dir(&part).unwrap().collect::<Vec<_>>()
    );
}
