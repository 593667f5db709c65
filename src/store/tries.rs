//! Tries at guessing, and who has to wait. Counted before anything is checked, so that many at once gain nothing.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::digest::Digest;

/// A key that was quiet for so long begins anew.
pub const FORGET: TimeDelta = TimeDelta::hours(1);

/// How tries of one key are slowed down: after `free` of them the wait is 2, 4, 8 … seconds up to `wait_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Tries that cost nothing.
    pub free: i32,
    /// The longest wait.
    pub wait_max: TimeDelta,
}

/// Counts a try and says until when the next has to wait; `Err` with that time when this one has to wait itself, which
/// counts nothing.
pub async fn take(
    conn: &mut PgConnection,
    key: Digest,
    pace: Pace,
    now: DateTime<Utc>,
) -> Result<Result<DateTime<Utc>, DateTime<Utc>>, StoreError> {
    let wait_max_s = pace.wait_max.num_seconds() as f64;
    let taken = sqlx::query_scalar!(
        "insert into tries as t (key, count, last_at, wait_until) values ($1, 1, $4, $4)
         on conflict (key) do update set
             count = case when t.last_at < $5 then 1 else t.count + 1 end,
             last_at = $4,
             wait_until = $4::timestamptz + make_interval(secs =>
                 case when t.last_at < $5 or t.count + 1 <= $2 then 0
                      else least($3, 2.0::float8 ^ least(t.count + 1 - $2, 30)) end)
         where t.wait_until <= $4
         returning wait_until",
        &key.0[..],
        pace.free,
        wait_max_s,
        now,
        now - FORGET,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(until) = taken {
        return Ok(Ok(until));
    }
    let until = sqlx::query_scalar!("select wait_until from tries where key = $1", &key.0[..])
        .fetch_optional(conn)
        .await?;
    Ok(Err(until.unwrap_or(now)))
}

/// Forgets the tries of a key that got it right.
pub async fn forget(conn: &mut PgConnection, key: Digest) -> Result<(), StoreError> {
    sqlx::query!("delete from tries where key = $1", &key.0[..])
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a key its last try back: it was a right one, of somebody among many.
pub async fn give_back(conn: &mut PgConnection, key: Digest) -> Result<(), StoreError> {
    sqlx::query!(
        "update tries set count = greatest(count - 1, 0), wait_until = last_at where key = $1",
        &key.0[..]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets keys that begin anew anyway.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("delete from tries where last_at < $1", now - FORGET)
        .execute(conn)
        .await?;
    Ok(())
}
