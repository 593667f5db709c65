//! How the database and what works on it are, for the page System: each function is one small question, so that each can
//! be given a time of its own.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;

/// The database as it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// `15.4`
    pub version: String,
    /// Its clock.
    pub now: DateTime<Utc>,
    /// Bytes it takes up.
    pub bytes: i64,
}

/// Asks the database how it is.
pub async fn database(conn: &mut PgConnection) -> Result<Database, StoreError> {
    Ok(sqlx::query_as!(
        Database,
        r#"select split_part(current_setting('server_version'), ' ', 1) as "version!", clock_timestamp() as "now!",
                  pg_database_size(current_database()) as "bytes!""#
    )
    .fetch_one(conn)
    .await?)
}

/// Processes that live, and since when the oldest of them does.
pub async fn replicas(conn: &mut PgConnection) -> Result<(i64, Option<DateTime<Utc>>), StoreError> {
    let row = sqlx::query!(
        r#"select count(*) as "n!", min(started_at) as oldest from replicas where lease_until > clock_timestamp()"#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.n, row.oldest))
}

/// The timer that is due longest: of a decision that nobody took, or of a heartbeat that was not heard.
pub async fn oldest_timer(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select least(
             (select min(decide_by) from approvals where state = 'pending'),
             (select min(h.due) from heartbeats h join sources s on s.id = h.source_id
              where h.incident_id is null and s.disabled_at is null))"
    )
    .fetch_one(conn)
    .await?)
}

/// When the newest delivery that is kept arrived; what a drill reports is none.
pub async fn last_delivery(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select received_at from deliveries
             where source_id is null or source_id not in (select id from sources where drill_id is not null)
             order by id desc limit 1"
    )
    .fetch_optional(conn)
    .await?)
}
