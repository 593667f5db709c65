//! What became of an act on many incidents, kept for the page that tells it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::id::{IncidentId, OperatorId};

/// The outcome of one such act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkAct {
    /// `acknowledge`, `note`, `assign`, `merge` or `resolve`.
    pub act: String,
    /// Whom they were given to, or the key of the incident they went into; empty for other acts.
    pub whom: String,
    /// To how many it was done.
    pub done: i32,
    /// To which it was not done.
    pub failed: Vec<Failed>,
}

/// An incident it was not done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Which.
    pub incident: IncidentId,
    /// Why not, as a sentence.
    pub why: String,
}

/// Keeps an outcome, and forgets those older than a day. What is kept under a name already stays as it is.
pub async fn put(
    conn: &mut PgConnection,
    op: Uuid,
    by: OperatorId,
    outcome: &BulkAct,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let failed = serde_json::to_value(&outcome.failed)
        .map_err(|error| StoreError::corrupt("bulk_acts", "failed", error))?;
    sqlx::query!(
        "delete from bulk_acts where at < $1::timestamptz - interval '1 day'",
        now
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into bulk_acts (op, operator_id, act, at, done, failed, whom) values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (op) do nothing",
        op,
        by.0,
        outcome.act,
        now,
        outcome.done,
        failed,
        outcome.whom
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The outcome of an act of this person's.
pub async fn find(conn: &mut PgConnection, op: Uuid, by: OperatorId) -> Result<Option<BulkAct>, StoreError> {
    sqlx::query!(
        "select act, whom, done, failed from bulk_acts where op = $1 and operator_id = $2",
        op,
        by.0
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        Ok(BulkAct {
            act: row.act,
            whom: row.whom,
            done: row.done,
            failed: serde_json::from_value(row.failed)
                .map_err(|error| StoreError::corrupt("bulk_acts", "failed", error))?,
        })
    })
    .transpose()
}
