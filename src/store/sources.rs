//! Sources and their tokens.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{digest::Digest, id::SourceId, span::Span};

/// One configured sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its number.
    pub id: SourceId,
    /// Its name in the webhook's address.
    pub name: String,
    /// Set for a heartbeat source: silence for this long raises an incident.
    pub heartbeat_within: Option<Span>,
}

fn source(id: i64, name: String, heartbeat_within_ms: Option<i64>) -> Source {
    let heartbeat_within = heartbeat_within_ms.map(|ms| Span::from_millis(ms.unsigned_abs()));
    Source {
        id: SourceId(id),
        name,
        heartbeat_within,
    }
}

/// Makes the source or changes its heartbeat.
pub async fn upsert(
    conn: &mut PgConnection,
    name: &str,
    heartbeat_within: Option<Span>,
    now: DateTime<Utc>,
) -> Result<SourceId, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into sources (name, heartbeat_within_ms, created_at) values ($1, $2, $3)
         on conflict (name) do update set heartbeat_within_ms = excluded.heartbeat_within_ms returning id",
        name,
        heartbeat_within.map(|span| span.as_millis() as i64),
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(SourceId(id))
}

/// Lets a token open the source; a token it has already stays as it is.
pub async fn insert_token(
    conn: &mut PgConnection,
    source: SourceId,
    token: Digest,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into source_tokens (source_id, token_hash, created_at) values ($1, $2, $3)
         on conflict (token_hash) do nothing",
        source.0,
        &token.0[..],
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The source of that name that this token opens. The token is found by its hash, so the comparison tells nothing
/// about it by its timing.
pub async fn find_by_token(
    conn: &mut PgConnection,
    name: &str,
    token: Digest,
) -> Result<Option<Source>, StoreError> {
    Ok(sqlx::query!(
        "select s.id, s.name, s.heartbeat_within_ms from sources s
         join source_tokens t on t.source_id = s.id
         where s.name = $1 and t.token_hash = $2 and t.revoked_at is null",
        name,
        &token.0[..]
    )
    .fetch_optional(conn)
    .await?
    .map(|row| source(row.id, row.name, row.heartbeat_within_ms)))
}

/// The source of that name.
pub async fn find_by_name(conn: &mut PgConnection, name: &str) -> Result<Option<Source>, StoreError> {
    Ok(sqlx::query!(
        "select id, name, heartbeat_within_ms from sources where name = $1",
        name
    )
    .fetch_optional(conn)
    .await?
    .map(|row| source(row.id, row.name, row.heartbeat_within_ms)))
}
