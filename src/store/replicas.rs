//! Replicas: one row a process start, alive while its lease is renewed. Leases run by the database's clock.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{id::ReplicaId, span::Span};

/// How long a lease lasts without renewal.
pub const LEASE: Span = Span::from_secs(10);

/// Registers this process start.
pub async fn insert(conn: &mut PgConnection) -> Result<ReplicaId, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into replicas (started_at, lease_until, last_seen_at)
         select t.now, t.now + make_interval(secs => $1), t.now from (select clock_timestamp() as now) t
         returning id",
        LEASE.as_millis() as f64 / 1000.0
    )
    .fetch_one(conn)
    .await?;
    Ok(ReplicaId(id))
}

/// Renews the lease; `false` when it has ended, so this process must stop acting and register anew.
pub async fn renew(conn: &mut PgConnection, replica: ReplicaId) -> Result<bool, StoreError> {
    Ok(sqlx::query!(
        "update replicas set lease_until = clock_timestamp() + make_interval(secs => $2),
             last_seen_at = clock_timestamp()
         where id = $1 and lease_until > clock_timestamp()",
        replica.0,
        LEASE.as_millis() as f64 / 1000.0
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}

/// Ends the lease at once: a clean stop need not be waited for.
pub async fn end(conn: &mut PgConnection, replica: ReplicaId) -> Result<(), StoreError> {
    sqlx::query!(
        "update replicas set lease_until = 'epoch', stopped_at = clock_timestamp() where id = $1",
        replica.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets starts that nothing was heard of for long and that own nothing.
pub async fn prune(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from replicas p where greatest(lease_until, last_seen_at, stopped_at) < now() - interval '1 day'
         and not exists (select from run_queue q where q.owner = p.id)"
    )
    .execute(conn)
    .await?;
    Ok(())
}
