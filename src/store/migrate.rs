//! Brings the schema up to date at start, whichever replica comes first.
//!
//! The migrations are part of the binary. Replicas that start together take turns by an advisory lock that is tried
//! again and again: a *blocking* lock would hold a snapshot open, on which `create index concurrently` inside a
//! migration waits for ever. The lock belongs to a session, so this needs a direct connection: behind a pooler in
//! transaction mode it protects nothing.
//!
//! Migrations only ever add (expand, deploy, contract), so a replica of the release before keeps working on a newer
//! schema: versions it does not know are reported and accepted.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::time::Instant;

/// How long a replica waits for another one that is migrating.
const WAIT_MAX: Duration = Duration::from_secs(30);
const TRY_EVERY: Duration = Duration::from_millis(100);

/// "muster" in ASCII: no other program that shares the database takes this lock by chance.
const LOCK: i64 = 0x6d75_7374_6572;

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// Another replica did not finish in time.
    #[error("another process has been migrating this database for over {} s; see pg_stat_activity", .waited.as_secs())]
    Busy {
        /// How long this one waited.
        waited: Duration,
    },
    /// The address leads to a server that cannot be written to.
    #[error("this server is a standby, expected the primary")]
    Standby,
    /// A migration failed, or one that was already applied has been edited since.
    #[error("a migration failed")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database could not be reached or answered with an error.
    #[error("the database cannot be used for migrating")]
    Database(#[from] sqlx::Error),
}

/// The migrations this binary carries, in order.
pub fn migrations() -> Migrator {
    sqlx::migrate!()
}

/// Applies what is missing, on one connection of its own; several callers at once are fine.
pub async fn run(options: &PgConnectOptions) -> Result<(), MigrateError> {
    apply(migrations(), options, WAIT_MAX).await
}

/// [`run`] with the migrations and the patience of the caller.
pub async fn apply(
    mut migrations: Migrator,
    options: &PgConnectOptions,
    wait_max: Duration,
) -> Result<(), MigrateError> {
    migrations.set_locking(false).set_ignore_missing(true);
    let mut connection = options
        .clone()
        .application_name("muster migrate")
        .connect()
        .await?;
    let standby: bool = sqlx::query_scalar("select pg_is_in_recovery()")
        .fetch_one(&mut connection)
        .await?;
    if standby {
        return Err(MigrateError::Standby);
    }
    // A migration queueing for a table lock makes everybody else queue behind it: rather fail and be tried again.
    connection
        .execute("set lock_timeout = '10s'; set statement_timeout = 0")
        .await?;
    lock(&mut connection, wait_max).await?;
    // Not `run`, whose future cannot be sent to another thread.
    migrations.run_direct(None, &mut connection, false).await?;
    report_unknown(&migrations, &mut connection).await?;
    // Closing the session gives the lock back, also on every way out above.
    connection.close().await?;
    Ok(())
}

async fn lock(connection: &mut PgConnection, wait_max: Duration) -> Result<(), MigrateError> {
    let start = Instant::now();
    loop {
        let locked: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *connection)
            .await?;
        if locked {
            return Ok(());
        }
        if start.elapsed() >= wait_max {
            return Err(MigrateError::Busy { waited: wait_max });
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

async fn report_unknown(migrations: &Migrator, connection: &mut PgConnection) -> Result<(), MigrateError> {
    let applied: Vec<i64> = sqlx::query_scalar("select version from _sqlx_migrations order by version")
        .fetch_all(connection)
        .await?;
    let unknown: Vec<i64> = applied
        .into_iter()
        .filter(|version| !migrations.version_exists(*version))
        .collect();
    if !unknown.is_empty() {
        tracing::warn!(
            ?unknown,
            "the schema is newer than this release; going on, as it can only have grown"
        );
    }
    Ok(())
}
