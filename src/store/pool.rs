//! Connection pools: the one place that builds them.
//!
//! Two faults of the driver (sqlx 0.9.0) are held off here, so nobody else may build a pool:
//!
//! - A `begin` whose future is dropped, which happens whenever a client hangs up, leaves the server inside a
//!   transaction that the next borrower would silently join. Before a connection is lent out it is taken out of any
//!   transaction.
//! - A connection that went silent (no reset, no answer) is tested without a deadline when it is returned or lent,
//!   and so occupies its place in the pool for good. Both tests have a deadline here.
//!
//! Each kind of work has a pool of its own: a page that is slow cannot take the last connection from the intake.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection, Executor, PgPool};

/// How long a lent or returned connection may take to answer before it is thrown away.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// How long a transaction may sit idle before the server ends it: nobody waits for the outside world inside one.
const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(10);

/// The bounds of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Connections at most.
    pub max: u32,
    /// How long a caller waits for a connection, connecting included.
    pub acquire_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// How long one statement may wait for a lock.
    pub lock_timeout: Duration,
}

/// The bounds of every pool; twenty-five connections a replica unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSizes {
    /// Pages and API.
    pub web: PoolSize,
    /// Webhooks.
    pub intake: PoolSize,
    /// Runs and steps.
    pub engine: PoolSize,
    /// Timers, exports, clean-up.
    pub background: PoolSize,
}

impl PoolSize {
    /// One connection for the lease of a replica: whatever else the engine does, its renewal waits for nobody. An answer
    /// that takes longer than this comes too late to be one.
    pub const LEASE: Self = Self {
        max: 1,
        acquire_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_secs(2),
        lock_timeout: Duration::from_secs(2),
    };
}

impl Default for PoolSizes {
    fn default() -> PoolSizes {
        let size = |max, acquire_s, statement_s| PoolSize {
            max,
            acquire_timeout: Duration::from_secs(acquire_s),
            statement_timeout: Duration::from_secs(statement_s),
            lock_timeout: Duration::from_secs(2),
        };
        PoolSizes {
            web: size(6, 3, 5),
            intake: size(8, 2, 5),
            engine: size(8, 5, 10),
            background: size(2, 10, 60),
        }
    }
}

/// One pool for each kind of work; clones share the pools.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Pages and API.
    pub web: PgPool,
    /// Webhooks.
    pub intake: PgPool,
    /// Runs and steps.
    pub engine: PgPool,
    /// Timers, exports, clean-up.
    pub background: PgPool,
}

impl Pools {
    /// Builds the pools without connecting: Muster starts, and answers, while Postgres is away.
    pub fn new(options: &PgConnectOptions, sizes: &PoolSizes) -> Pools {
        Pools {
            web: connect(options.clone(), "muster web", &sizes.web),
            intake: connect(options.clone(), "muster intake", &sizes.intake),
            engine: connect(options.clone(), "muster engine", &sizes.engine),
            background: connect(options.clone(), "muster background", &sizes.background),
        }
    }

    /// Waits for lent connections to come back, then closes all.
    pub async fn close(&self) {
        tokio::join!(
            self.web.close(),
            self.intake.close(),
            self.engine.close(),
            self.background.close()
        );
    }
}

/// Builds one pool, which connects when it is first used; `name` is what `pg_stat_activity` shows.
pub fn connect(options: PgConnectOptions, name: &str, size: &PoolSize) -> PgPool {
    let session = Session {
        statement_ms: millis(size.statement_timeout),
        lock_ms: millis(size.lock_timeout),
    };
    PgPoolOptions::new()
        .max_connections(size.max)
        .acquire_timeout(size.acquire_timeout)
        // `leave_transaction` is such a test, and has a deadline.
        .test_before_acquire(false)
        .after_connect(move |connection, _| prepare(connection, session.clone()))
        .before_acquire(|connection, _| Box::pin(in_time(leave_transaction(connection))))
        .after_release(|connection, _| Box::pin(in_time(connection.ping())))
        .connect_lazy_with(options.application_name(name))
}

#[derive(Clone)]
struct Session {
    statement_ms: String,
    lock_ms: String,
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Sets the session's bounds and refuses a server that cannot be written to.
fn prepare(connection: &mut PgConnection, session: Session) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    Box::pin(async move {
        let read_only: bool = sqlx::query_scalar(
            "select pg_is_in_recovery(),
                    set_config('statement_timeout', $1, false),
                    set_config('lock_timeout', $2, false),
                    set_config('idle_in_transaction_session_timeout', $3, false)",
        )
        .bind(session.statement_ms)
        .bind(session.lock_ms)
        .bind(millis(IDLE_IN_TRANSACTION_MAX))
        .fetch_one(connection)
        .await?;
        if read_only {
            return Err(sqlx::Error::Configuration(
                "this server is a standby, expected the primary".into(),
            ));
        }
        Ok(())
    })
}

/// Ends a transaction that an earlier borrower left open.
///
/// The leading `begin` is there for the usual case, that none is open: a lone `rollback` would make the server send
/// a warning on every single use. So its warning means that a transaction *was* left open, and is worth reading. In
/// a failed transaction `begin` is an error; the connection is then thrown away, which serves as well.
async fn leave_transaction(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute("begin; rollback").await.map(drop)
}

/// An error makes the pool close the connection without a good-bye, which would wait for an answer as well.
async fn in_time(answer: impl Future<Output = Result<(), sqlx::Error>>) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(ANSWER_MAX, answer).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("the server did not answer within {} ms", ANSWER_MAX.as_millis()),
        ))),
    }
}
