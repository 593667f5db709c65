//! When circuits were open: what remains of one once it is closed.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::breaker::BreakerState;

/// How long one is kept after it began.
pub const KEPT: TimeDelta = TimeDelta::days(30);

/// One time in which nothing was sent to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// Until when; `None` while it lasts.
    pub closed_at: Option<DateTime<Utc>>,
    /// How the target failed at last.
    pub reason: String,
}

/// Notes that a circuit has moved: one that opened begins, one that closed ends, and a try in between changes nothing.
pub(super) async fn note(
    conn: &mut PgConnection,
    target: &str,
    next: &BreakerState,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    match next {
        BreakerState::Open { since, reason, .. } | BreakerState::ByHand { since, reason } => {
            sqlx::query!(
                "insert into breaker_openings (target, opened_at, reason) values ($1, $2, $3)
                 on conflict (target, opened_at) do update set reason = excluded.reason",
                target,
                since,
                reason
            )
            .execute(conn)
            .await?;
        }
        BreakerState::Closed { failures: 0 } => {
            sqlx::query!(
                "update breaker_openings set closed_at = greatest(opened_at, $2)
                 where target = $1 and closed_at is null",
                target,
                now
            )
            .execute(conn)
            .await?;
        }
        BreakerState::Closed { .. } | BreakerState::HalfOpen { .. } => {}
    }
    Ok(())
}

/// Those of a target that lasted into the time since `since`, the newest first, at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    target: &str,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Opening>, StoreError> {
    Ok(sqlx::query_as!(
        Opening,
        "select opened_at, closed_at, reason from breaker_openings
         where target = $1 and (closed_at is null or closed_at >= $2) order by opened_at desc limit $3",
        target,
        since,
        limit
    )
    .fetch_all(conn)
    .await?)
}

/// Forgets at most `limit` that began before [`KEPT`] and are over; returns how many.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(sqlx::query!(
        "delete from breaker_openings where (target, opened_at) in
             (select target, opened_at from breaker_openings
              where opened_at < $1 and closed_at is not null order by opened_at limit $2)",
        now - KEPT,
        limit
    )
    .execute(conn)
    .await?
    .rows_affected())
}
