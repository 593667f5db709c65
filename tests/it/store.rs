//! Pools and migrations against a real server.

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use muster::store::embedded::Embedded;
use muster::store::migrate::{self, MigrateError};
use muster::store::pool::{self, PoolSize, PoolSizes, Pools};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgPool, SqlSafeStr};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::scratch::Scratch;

fn one_connection() -> PoolSize {
    PoolSize {
        max: 1,
        ..PoolSizes::default().web
    }
}

/// Sends `begin` and hangs up before the answer, as a handler does whose client is gone. On a busy machine the answer
/// can be there at the first look; then there was nothing to cut off, and it is tried again.
async fn cancel_a_begin(pool: &PgPool) {
    for _ in 0..1000 {
        let mut connection = pool.acquire().await.unwrap();
        let answer = {
            let mut begin = pin!(connection.begin());
            poll_fn(|context| {
                Poll::Ready(match begin.as_mut().poll(context) {
                    Poll::Pending => None,
                    Poll::Ready(answer) => Some(answer),
                })
            })
            .await
        };
        match answer {
            None => return,
            Some(transaction) => transaction.unwrap().rollback().await.unwrap(),
        }
    }
    panic!("no begin could be cut off");
}

/// Two statements see the same transaction number only inside one transaction.
async fn lent_inside_a_transaction(pool: &PgPool) -> bool {
    let mut connection = pool.acquire().await.unwrap();
    let mut numbers = [0_i64; 2];
    for number in &mut numbers {
        *number = sqlx::query_scalar("select txid_current()")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    }
    numbers[0] == numbers[1]
}

#[tokio::test]
async fn a_cancelled_begin_does_not_reach_the_next_borrower() {
    let scratch = Scratch::new();
    let embedded = Embedded::start(scratch.path()).await.unwrap();

    // The driver's fault. Once this fails, the driver has been mended, and half of the pool's doc is history.
    let plain = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(embedded.connect_options());
    cancel_a_begin(&plain).await;
    assert!(lent_inside_a_transaction(&plain).await);
    plain.close().await;

    let ours = pool::connect(embedded.connect_options(), "test", &one_connection());
    for _ in 0..20 {
        cancel_a_begin(&ours).await;
        assert!(!lent_inside_a_transaction(&ours).await);
    }
    ours.close().await;
    embedded.stop().await;
}

/// Passes bytes on until `silent`; then the connections that are open hear nothing more, and new ones work.
async fn line(folder: &Path, server: &Path, silent: CancellationToken) {
    let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).unwrap();
    let server = server.join(".s.PGSQL.5432");
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = UnixStream::connect(&server).await.unwrap();
        let silent = if silent.is_cancelled() {
            CancellationToken::new()
        } else {
            silent.clone()
        };
        tokio::spawn(async move {
            let passing = tokio::io::copy_bidirectional(&mut near, &mut far);
            if silent.run_until_cancelled(passing).await.is_none() {
                std::future::pending::<()>().await;
            }
        });
    }
}

#[tokio::test]
async fn a_connection_that_went_silent_gives_its_place_back() {
    let scratch = Scratch::new();
    let embedded = Embedded::start(scratch.path()).await.unwrap();
    let folder = scratch.path().join("line");
    std::fs::create_dir(&folder).unwrap();
    let options = embedded.connect_options();
    for lent in [true, false] {
        let silent = CancellationToken::new();
        let _ = std::fs::remove_file(folder.join(".s.PGSQL.5432"));
        let server = options.get_socket().unwrap().clone();
        let line = tokio::spawn({
            let (folder, silent) = (folder.clone(), silent.clone());
            async move { line(&folder, &server, silent).await }
        });
        while !folder.join(".s.PGSQL.5432").exists() {
            tokio::task::yield_now().await;
        }
        let pool = pool::connect(options.clone().socket(&folder), "test", &one_connection());
        let connection = pool.acquire().await.unwrap();
        // Silent while it is lent, or while it lies in the pool.
        let start = if lent {
            silent.cancel();
            let start = Instant::now();
            drop(connection);
            start
        } else {
            drop(connection);
            while pool.num_idle() == 0 {
                tokio::task::yield_now().await;
            }
            silent.cancel();
            Instant::now()
        };
        let answer: i32 = sqlx::query_scalar("select 1").fetch_one(&pool).await.unwrap();
        assert_eq!(answer, 1);
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "it took {:?}",
            start.elapsed()
        );
        line.abort();
    }
    embedded.stop().await;
}

#[tokio::test]
async fn every_session_has_its_bounds_and_its_name() {
    let scratch = Scratch::new();
    let embedded = Embedded::start(scratch.path()).await.unwrap();
    let pools = Pools::new(&embedded.connect_options(), &PoolSizes::default());
    for (pool, name, statement) in [
        (&pools.web, "muster web", "5s"),
        (&pools.intake, "muster intake", "5s"),
        (&pools.engine, "muster engine", "10s"),
        (&pools.background, "muster background", "1min"),
    ] {
        let found: Vec<String> = sqlx::query_scalar(
            "select current_setting(name) from unnest(array['application_name', 'statement_timeout', 'lock_timeout',
                'idle_in_transaction_session_timeout']) with ordinality as wanted (name, place) order by place",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        assert_eq!(found, [name, statement, "2s", "10s"]);
    }
    pools.close().await;
    embedded.stop().await;
}

#[tokio::test]
async fn a_standby_is_refused() {
    let scratch = Scratch::new();
    Embedded::start(scratch.path()).await.unwrap().stop().await;
    std::fs::write(scratch.path().join("pg/standby.signal"), "").unwrap();
    let standby = Embedded::start(scratch.path()).await.unwrap();
    let size = PoolSize {
        acquire_timeout: Duration::from_millis(300),
        ..one_connection()
    };
    let pool = pool::connect(standby.connect_options(), "test", &size);
    pool.acquire().await.expect_err("nothing can be written there");
    let refused = migrate::run(&standby.connect_options()).await.unwrap_err();
    assert!(matches!(refused, MigrateError::Standby), "{refused}");
    // The same server, once promoted, is taken: it was that and nothing else.
    standby
        .connect_options()
        .connect()
        .await
        .unwrap()
        .execute("select pg_promote(true, 10)")
        .await
        .unwrap();
    pool.acquire().await.unwrap();
    standby.stop().await;
}

fn migrations(statements: &[&'static str]) -> Migrator {
    let migration = |(version, sql): (usize, &&'static str)| {
        let version = i64::try_from(version).unwrap() + 1;
        Migration::new(
            version,
            "test".into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(statements.iter().enumerate().map(migration).collect())
}

#[tokio::test]
async fn replicas_that_start_together_migrate_once() {
    let scratch = Scratch::new();
    let embedded = Embedded::start(scratch.path()).await.unwrap();
    let options = embedded.connect_options();
    let replicas: Vec<_> = (0..8)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move {
                // Slow enough for the others to arrive meanwhile.
                let migrations = migrations(&[
                    "create table once (n int); select pg_sleep(0.2)",
                    "insert into once values (1)",
                ]);
                migrate::apply(migrations, &options, Duration::from_secs(30)).await
            })
        })
        .collect();
    for replica in replicas {
        replica.await.unwrap().unwrap();
    }
    let mut connection = options.connect().await.unwrap();
    let rows: i64 = sqlx::query_scalar("select count(*) from once")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(rows, 1);

    // A replica of an older release goes on with the newer schema.
    migrate::apply(
        migrations(&["create table once (n int); select pg_sleep(0.2)"]),
        &options,
        Duration::from_secs(30),
    )
    .await
    .unwrap();
    connection.close().await.unwrap();
    embedded.stop().await;
}

#[tokio::test]
async fn waiting_for_another_migration_ends_with_a_clear_message() {
    let scratch = Scratch::new();
    let embedded = Embedded::start(scratch.path()).await.unwrap();
    let mut other = embedded.connect_options().connect().await.unwrap();
    other
        .execute("select pg_advisory_lock(x'6d7573746572'::bigint)")
        .await
        .unwrap();
    let busy = migrate::apply(migrations(&[]), &embedded.connect_options(), Duration::ZERO)
        .await
        .unwrap_err();
    assert!(
        busy.to_string().contains("another process has been migrating"),
        "{busy}"
    );
    other.close().await.unwrap();
    migrate::run(&embedded.connect_options()).await.unwrap();
    embedded.stop().await;
}
