//! The pause of all automation: a row that is there while it stands.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{id::OperatorId, pause::Pause};

/// The pause, while one stands.
pub async fn find(conn: &mut PgConnection) -> Result<Option<Pause>, StoreError> {
    Ok(sqlx::query!(
        "select p.paused_at, o.name, p.reason from pause p join operators o on o.id = p.paused_by"
    )
    .fetch_optional(conn)
    .await?
    .map(|row| Pause {
        at: row.paused_at,
        by: row.name,
        reason: row.reason,
    }))
}

/// Pauses; `false` when it is paused already.
pub async fn insert(
    conn: &mut PgConnection,
    by: OperatorId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    Ok(sqlx::query!(
        "insert into pause (paused_at, paused_by, reason) values ($1, $2, $3) on conflict (one_row) do nothing",
        now,
        by.0,
        reason
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}

/// Resumes; `false` when it is not paused.
pub async fn remove(conn: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query!("delete from pause")
        .execute(conn)
        .await?
        .rows_affected()
        == 1)
}
