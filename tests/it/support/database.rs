//! One private Postgres for the whole test program; each test gets a database of its own, copied from a migrated one.

use std::path::PathBuf;

use muster::store::{
    embedded::Embedded,
    migrate,
    pool::{PoolSizes, Pools},
};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::sync::{Mutex, OnceCell};

const TEMPLATE: &str = "it_template";

static SERVER: OnceCell<PgConnectOptions> = OnceCell::const_new();
/// A template can be copied by one at a time.
static COPYING: Mutex<()> = Mutex::const_new(());

/// A database of one test.
pub struct Database {
    pub options: PgConnectOptions,
    pub pools: Pools,
}

async fn server() -> &'static PgConnectOptions {
    SERVER
        .get_or_init(|| async {
            let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("it-postgres");
            let embedded = Embedded::start(&folder).await.unwrap();
            let options = embedded.connect_options();
            // The server ends with this process.
            std::mem::forget(embedded);
            let mut conn = PgConnection::connect_with(&options).await.unwrap();
            let left: Vec<String> =
                sqlx::query_scalar("select datname from pg_database where datname like 'it\\_%'")
                    .fetch_all(&mut conn)
                    .await
                    .unwrap();
            for name in left {
                conn.execute(sqlx::AssertSqlSafe(format!("drop database {name}")))
                    .await
                    .unwrap();
            }
            conn.execute(sqlx::AssertSqlSafe(format!("create database {TEMPLATE}")))
                .await
                .unwrap();
            migrate::run(&options.clone().database(TEMPLATE)).await.unwrap();
            options
        })
        .await
}

impl Database {
    /// A new database with the schema in it.
    pub async fn new() -> Self {
        let server = server().await;
        let name = format!("it_{}", uuid::Uuid::now_v7().simple());
        {
            let _turn = COPYING.lock().await;
            let mut conn = PgConnection::connect_with(server).await.unwrap();
            let copy = format!("create database {name} template {TEMPLATE}");
            conn.execute(sqlx::AssertSqlSafe(copy)).await.unwrap();
        }
        Self::over(server.clone().database(&name))
    }

    /// A new database on a server of its own, for a test that takes most of a server's connections. The server ends
    /// with what is returned beside it.
    pub async fn alone(name: &str) -> (Self, Embedded) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-postgres"));
        let embedded = Embedded::start(&folder).await.unwrap();
        let server = embedded.connect_options();
        let mut conn = PgConnection::connect_with(&server).await.unwrap();
        for statement in ["drop database if exists", "create database"] {
            let statement = format!("{statement} {name}");
            conn.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        }
        let options = server.database(name);
        migrate::run(&options).await.unwrap();
        (Self::over(options), embedded)
    }

    fn over(options: PgConnectOptions) -> Self {
        Self {
            pools: Pools::new(&options, &PoolSizes::default()),
            options,
        }
    }

    /// The address of this database, for a Muster in a process of its own.
    pub fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }

    /// One number.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pools.web).await.unwrap()
    }
}
