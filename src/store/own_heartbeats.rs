//! The sign of life that Muster itself sends: what each process found when it last did.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::ReplicaId;

/// Writes that this process lives, which shows that the database takes writes from it; `false` when its worker has not
/// kept its lease, so that it does no work.
pub async fn write(
    conn: &mut PgConnection,
    replica: ReplicaId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into own_heartbeats as h (replica_id, written_at)
         select id, $2 from replicas where id = $1 and lease_until > clock_timestamp()
         on conflict (replica_id) do update set written_at = excluded.written_at",
        replica.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps how the last one went: sent, or why not.
pub async fn note(
    conn: &mut PgConnection,
    replica: ReplicaId,
    problem: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update own_heartbeats set sent_at = case when $2::text is null then $3 else sent_at end,
             failed_at = case when $2::text is null then failed_at else $3 end, problem = coalesce($2, '')
         where replica_id = $1",
        replica.0,
        problem,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How the newest sign of life of a process went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnHeartbeat {
    /// Which process.
    pub replica: ReplicaId,
    /// When one was last sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// When one last failed.
    pub failed_at: Option<DateTime<Utc>>,
    /// Why the last one failed; empty when it did not.
    pub problem: String,
}

/// Those of the processes that live, at most `limit`.
pub async fn list(conn: &mut PgConnection, limit: i64) -> Result<Vec<OwnHeartbeat>, StoreError> {
    Ok(sqlx::query!(
        "select h.replica_id, h.sent_at, h.failed_at, h.problem from own_heartbeats h
         join replicas p on p.id = h.replica_id where p.lease_until > clock_timestamp()
         order by h.replica_id limit $1",
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| OwnHeartbeat {
        replica: ReplicaId(row.replica_id),
        sent_at: row.sent_at,
        failed_at: row.failed_at,
        problem: row.problem,
    })
    .collect())
}
