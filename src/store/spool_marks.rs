//! How far the spool of a process start has been applied.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// A place in a spool: everything before it is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The last batch that is wholly applied; 0 before the first.
    pub seq: i64,
    /// Deliveries of the batch after it that are applied.
    pub part: i32,
}

/// The mark of a spool, locked.
pub async fn lock(conn: &mut PgConnection, epoch: Uuid) -> Result<Mark, StoreError> {
    Ok(sqlx::query_as!(
        Mark,
        "select seq, part from spool_marks where epoch = $1 for update",
        epoch
    )
    .fetch_optional(conn)
    .await?
    .unwrap_or_default())
}

/// Moves the mark of a spool.
pub async fn set(
    conn: &mut PgConnection,
    epoch: Uuid,
    mark: Mark,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into spool_marks (epoch, seq, part, moved_at) values ($1, $2, $3, $4)
         on conflict (epoch) do update set seq = excluded.seq, part = excluded.part, moved_at = excluded.moved_at",
        epoch,
        mark.seq,
        mark.part,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
