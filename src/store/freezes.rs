//! Freezes by label.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    freeze::{Freeze, NewFreeze, line},
    id::{FreezeId, OperatorId},
    matcher::Matcher,
};

/// Freezes that are on or planned at once: all of them are read at every automatic start.
pub const FREEZES_MAX: i64 = 100;

struct Row {
    id: i64,
    title: String,
    matchers: String,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    reason: String,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Freeze {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: FreezeId(row.id),
            title: row.title,
            matchers: Matcher::parse_list(&row.matchers)
                .map_err(|error| StoreError::corrupt("freezes", "matchers", error))?,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at,
        })
    }
}

/// Freezes that are on or planned, the soonest to end first. Never more than [`FREEZES_MAX`].
pub async fn list(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<Freeze>, StoreError> {
    sqlx::query_as!(
        Row,
        "select f.id, f.title, f.matchers, f.starts_at, f.ends_at, f.reason, o.name as created_by, f.created_at
         from freezes f join operators o on o.id = f.created_by
         where f.ended_at is null and f.ends_at > $1 order by f.ends_at, f.id limit $2",
        now,
        FREEZES_MAX
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Freeze::try_from)
    .collect()
}

/// Keeps a freeze; `None` when there are [`FREEZES_MAX`] already. Holds off others that make one until the caller's
/// transaction ends, so that the count is right.
pub async fn insert(
    conn: &mut PgConnection,
    freeze: &NewFreeze,
    reason: &str,
    by: OperatorId,
    now: DateTime<Utc>,
) -> Result<Option<FreezeId>, StoreError> {
    sqlx::query!("lock table freezes in share row exclusive mode")
        .execute(&mut *conn)
        .await?;
    let id = sqlx::query_scalar!(
        "insert into freezes (title, matchers, starts_at, ends_at, reason, created_at, created_by)
         select $1, $2, $3, $4, $5, $6, $7
         where (select count(*) from freezes where ended_at is null and ends_at > $6) < $8
         returning id",
        freeze.title,
        line(&freeze.matchers),
        freeze.starts_at,
        freeze.ends_at,
        reason,
        now,
        by.0,
        FREEZES_MAX
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(FreezeId))
}

/// Ends a freeze before its time; returns its title, or `None` when it is over or there is none.
pub async fn end(
    conn: &mut PgConnection,
    id: FreezeId,
    by: OperatorId,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "update freezes set ended_at = $3, ended_by = $2
         where id = $1 and ended_at is null and ends_at > $3 returning title",
        id.0,
        by.0,
        now
    )
    .fetch_optional(conn)
    .await?)
}

/// Whether there was ever a freeze of that number.
pub async fn exists(conn: &mut PgConnection, id: FreezeId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from freezes where id = $1) as "exists!""#,
        id.0
    )
    .fetch_one(conn)
    .await?)
}
