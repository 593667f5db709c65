//! One SQL statement on a Postgres target, on a connection of its own.
//!
//! The statement goes through the extended protocol, which takes exactly one: a check cannot end its read-only
//! transaction and go on. Parameters are bound as text, so a number is written `$1::int`. A read-only transaction
//! stops writes to tables, not functions with an effect of their own such as `pg_promote`.

mod relay;
mod value;

use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::{Map, Value, json};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, Row,
    postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgRow, PgSeverity, PgSslMode},
};

use super::{
    Call,
    address::{self, Said},
    inputs::Inputs,
    invalid, refused, trust,
};
use crate::domain::{
    action::{Failure, FailureClass, Outcome},
    step::ActionKind,
    target::{PostgresConnection, Tls},
};
use relay::Relay;

/// The most rows a result keeps; the others are counted.
const ROWS_MAX: usize = 100;
/// Where keeping rows stops before that.
const ROWS_BYTES_MAX: usize = 1024 * 1024;
/// How long saying good-bye may take.
const CLOSE_MAX: Duration = Duration::from_millis(500);

struct Ask<'a> {
    query: &'a str,
    params: Vec<Option<String>>,
}

impl<'a> Ask<'a> {
    fn read(with: &'a Value) -> Result<Self, Failure> {
        let inputs = Inputs::read(with, ActionKind::Postgres)?;
        let ask = Self {
            query: inputs.text("query")?,
            params: inputs.list("params")?,
        };
        if ask.query.contains('\0') || ask.params.iter().flatten().any(|param| param.contains('\0')) {
            return Err(invalid("with.query and with.params cannot hold NUL"));
        }
        Ok(ask)
    }
}

pub(super) fn describe(name: &str, database: &PostgresConnection, with: &Value) -> Result<String, Failure> {
    let ask = Ask::read(with)?;
    let PostgresConnection { host, port, user, .. } = database;
    let db = database.database.as_deref().unwrap_or(user);
    let mut text = format!(
        "SQL on {name} ({host}:{port}/{db} as {user}): {}",
        ask.query.trim()
    );
    if !ask.params.is_empty() {
        text.push_str(&format!(" with {}", json!(ask.params)));
    }
    Ok(text)
}

pub(super) async fn perform(call: &Call<'_>, database: &PostgresConnection) -> Result<Outcome, Failure> {
    let ask = Ask::read(&call.request.with)?;
    let (mut connection, _relay) = connect(call, database).await?;
    if call.envelope.read_only {
        connection
            .execute("begin read only")
            .await
            .map_err(|error| connect_failure(database, error))?;
    }
    call.sent.mark()?;
    let answer = run(&mut connection, &ask).await;
    // Nothing was written and the server ends the transaction with the connection; this is only courtesy.
    let _ = tokio::time::timeout(CLOSE_MAX, async {
        if call.envelope.read_only && answer.is_ok() {
            connection.execute("rollback").await?;
        }
        connection.close().await
    })
    .await;
    answer
}

/// Connects to an address that was checked, never to a name. A server that must prove its name is told the name and
/// reached through a [`Relay`], since the driver has one field for both.
async fn connect(
    call: &Call<'_>,
    database: &PostgresConnection,
) -> Result<(PgConnection, Option<Relay>), Failure> {
    let options = options(call, database)?;
    let failed = |error| connect_failure(database, error);
    let host = database.host.as_str();
    if host.starts_with('/') {
        let connection = PgConnection::connect_with(&options.socket(host)).await;
        return Ok((connection.map_err(failed)?, None));
    }
    let found = call.reach().find(host, database.port, Said::Configured).await?;
    if database.tls == Tls::VerifyFull {
        let shown = format!("{host}:{}", database.port);
        let stream = address::connect_to(call, &shown, &found).await?;
        let relay = Relay::open(stream, database.port).map_err(|error| {
            Failure::new(
                FailureClass::NotSent,
                format!("cannot connect to {shown}: {error}"),
            )
        })?;
        let name = database.trust.server_name.as_deref().unwrap_or(host);
        let options = options.host(name).socket(relay.folder());
        let connection = PgConnection::connect_with(&options).await;
        return Ok((connection.map_err(failed)?, Some(relay)));
    }
    let (last, others) = found
        .split_last()
        .ok_or_else(|| invalid("the name has no address"))?;
    for address in others {
        let options = options.clone().host(&address.ip().to_string());
        let attempt = PgConnection::connect_with(&options);
        match tokio::time::timeout(call.outside.bounds.connect.as_duration(), attempt).await {
            Ok(Ok(connection)) => return Ok((connection, None)),
            // Another address of the same server may be the one that works.
            Ok(Err(sqlx::Error::Io(_))) | Err(_) => {}
            Ok(Err(error)) => return Err(failed(error)),
        }
    }
    let options = options.host(&last.ip().to_string());
    let connection = PgConnection::connect_with(&options).await;
    Ok((connection.map_err(failed)?, None))
}

fn options(call: &Call<'_>, database: &PostgresConnection) -> Result<PgConnectOptions, Failure> {
    // The server stops when we stop listening, and a write does not go on for nobody.
    let statement_timeout = call.limit.as_millis().clamp(1, i32::MAX as u128);
    let password = match &database.password {
        Some(reference) => call.vault.get(reference)?.reveal(),
        // Not the one in Muster's own environment, which is not for this server.
        None => "",
    };
    let options = PgConnectOptions::new_without_pgpass()
        .port(database.port)
        .username(&database.user)
        .password(password)
        .database(database.database.as_deref().unwrap_or(&database.user))
        .application_name("muster")
        .options([("statement_timeout", statement_timeout)])
        .disable_statement_logging()
        .ssl_mode(match database.tls {
            Tls::Disable => PgSslMode::Disable,
            Tls::Prefer => PgSslMode::Prefer,
            Tls::Require => PgSslMode::Require,
            Tls::VerifyFull => PgSslMode::VerifyFull,
        });
    trust::of_database(call, &database.trust, options)
}

async fn run(connection: &mut PgConnection, ask: &Ask<'_>) -> Result<Outcome, Failure> {
    // A named statement: looking up a type the driver does not know would end an unnamed one.
    let mut query = sqlx::query(AssertSqlSafe(ask.query)).persistent(true);
    for param in &ask.params {
        query = query.bind(param.as_deref());
    }
    let mut rows = Vec::new();
    let (mut found, mut affected, mut bytes) = (0_u64, 0_u64, 0);
    // All rows are taken off the wire even when no more are kept: to stop listening would undo a write.
    let mut stream = connection.fetch_many(query);
    while let Some(next) = stream.try_next().await.map_err(query_failure)? {
        match next {
            Either::Left(done) => affected += done.rows_affected(),
            Either::Right(row) => {
                found += 1;
                if rows.len() < ROWS_MAX && bytes < ROWS_BYTES_MAX {
                    let row = object(&row);
                    bytes += row.to_string().len();
                    rows.push(row);
                }
            }
        }
    }
    let row_count = found.max(affected);
    let summary = match (rows.as_slice(), row_count) {
        ([Value::Object(row)], 1) => one_row(row),
        (_, 1) => "1 row".to_owned(),
        (_, n) => format!("{n} rows"),
    };
    let mut result = json!({"ok": true, "rows": rows, "row_count": row_count});
    if found > rows.len() as u64 {
        result["truncated"] = Value::Bool(true);
    }
    Ok(Outcome { result, summary })
}

/// The longest value a summary shows.
const TOLD_CHARS_MAX: usize = 60;

/// A single row as a person reads it: `standby = true, lag = 0`.
fn one_row(row: &serde_json::Map<String, Value>) -> String {
    let pairs = row.iter().take(6).map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!(
            "{name} = {}",
            text.chars().take(TOLD_CHARS_MAX).collect::<String>()
        )
    });
    pairs.collect::<Vec<_>>().join(", ")
}

/// A row as an object. A name that comes twice gets a number, so that no value hides another.
fn object(row: &PgRow) -> Value {
    let mut object = Map::new();
    for (i, column) in row.columns().iter().enumerate() {
        let mut name = column.name().to_owned();
        let mut nth = 1;
        while object.contains_key(&name) {
            nth += 1;
            name = format!("{}_{nth}", column.name());
        }
        let value = row.try_get_raw(i).map_or(Value::Null, value::read);
        object.insert(name, value);
    }
    Value::Object(object)
}

fn told(error: &PgDatabaseError) -> String {
    let detail = error
        .detail()
        .map(|text| format!(" ({text})"))
        .unwrap_or_default();
    format!("SQLSTATE {}: {}{detail}", error.code(), error.message())
}

/// Nothing of the statement has been sent yet.
fn connect_failure(database: &PostgresConnection, error: sqlx::Error) -> Failure {
    let place = format!("{}:{}", database.host, database.port);
    if let sqlx::Error::Database(inner) = &error
        && let Some(inner) = inner.try_downcast_ref::<PgDatabaseError>()
    {
        let message = format!("{place} refuses the login: {}", told(inner));
        return match inner.code() {
            // Starting, stopping or full: later it may accept.
            code if code.starts_with("57P") || code.starts_with("53") || code.starts_with("08") => {
                Failure::new(FailureClass::NotSent, message)
            }
            _ => refused(message),
        };
    }
    if let sqlx::Error::Configuration(_) = &error {
        return invalid(format!("cannot connect to {place}: {}", super::cause(&error)));
    }
    Failure::new(
        FailureClass::NotSent,
        format!("cannot connect to {place}: {}", super::cause(&error)),
    )
}

fn query_failure(error: sqlx::Error) -> Failure {
    if let sqlx::Error::Database(inner) = &error
        && let Some(inner) = inner.try_downcast_ref::<PgDatabaseError>()
    {
        let fatal = matches!(inner.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        // A cancelled wait may be for something that goes on: a promotion, a commit on its way to a standby.
        // A message that breaks the protocol (08P01: too few parameters) is not carried out.
        let code = inner.code();
        let unknown = fatal
            || matches!(code, "57014" | "40003")
            || code.starts_with("57P")
            || code.starts_with("08") && code != "08P01";
        return match unknown {
            true => Failure::new(FailureClass::Lost, told(inner)),
            false => refused(told(inner)),
        };
    }
    if let sqlx::Error::Encode(_) = &error {
        return invalid(format!("with.params cannot be sent: {}", super::cause(&error)));
    }
    Failure::new(
        FailureClass::Lost,
        format!("the connection broke before an answer: {}", super::cause(&error)),
    )
}
