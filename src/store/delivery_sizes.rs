//! How many bytes of deliveries are kept, and how the oldest are forgotten: by their age, and when there are too many bytes.
//!
//! # Design notes
//!
//! The bytes are never counted. Each transaction that keeps bodies adds their size as a row of its own, in the statement
//! that keeps them, and forgetting adds a negative one; the sum of these rows is exact after every commit, and no
//! transaction waits for another's row. Upkeep folds them into one. The size of the table on the disk would not do: it
//! stays when rows go, so it would go on deleting.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;

/// Folds what was added into one row; returns how many bytes are kept. While two fold at once, each sees its own part:
/// too little, so that nothing is forgotten that may stay.
pub async fn fold(conn: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"with gone as (delete from delivery_sizes returning bytes)
           insert into delivery_sizes (bytes) select coalesce(sum(bytes), 0) from gone returning bytes"#
    )
    .fetch_one(conn)
    .await?)
}

/// Forgets at most `limit` deliveries that arrived before `before`; returns how many.
pub async fn prune(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"with gone as (
               delete from deliveries where id in
                   (select id from deliveries where received_at < $1 order by received_at, id limit $2)
               returning length(body) as bytes),
           sized as (insert into delivery_sizes (bytes) select -sum(bytes) from gone having sum(bytes) > 0)
           select count(*) as "n!" from gone"#,
        before,
        limit
    )
    .fetch_one(conn)
    .await?)
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Deliveries; some have no body.
    pub rows: i64,
    /// Bytes of their bodies.
    pub bytes: i64,
}

/// Forgets the oldest deliveries until at least `excess` bytes of bodies are gone, and no further; looks at `limit` of
/// them.
pub async fn forget(conn: &mut PgConnection, excess: i64, limit: i64) -> Result<Forgotten, StoreError> {
    Ok(sqlx::query_as!(
        Forgotten,
        r#"with oldest as (
               select id, received_at, length(body) as bytes from deliveries order by received_at, id limit $2),
           summed as (
               select id, sum(bytes) over (order by received_at, id) - bytes as before from oldest),
           gone as (
               delete from deliveries d using summed s where d.id = s.id and s.before < $1
               returning length(d.body) as bytes),
           sized as (insert into delivery_sizes (bytes) select -sum(bytes) from gone having sum(bytes) > 0)
           select count(*) as "rows!", coalesce(sum(bytes), 0)::bigint as "bytes!" from gone"#,
        excess,
        limit
    )
    .fetch_one(conn)
    .await?)
}
