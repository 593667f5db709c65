//! What is kept of incidents that come and go: when they came back, and those that flap.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{flap::TIMES_MAX, id::IncidentId};

/// Incidents of a group that are looked at, the newest first: one that is closed each time flaps as well.
const BEFORE_MAX: i64 = 16;

/// When each of these incidents, and those before it with the same key, opened and came back, in any order.
pub async fn histories(
    conn: &mut PgConnection,
    ids: &[IncidentId],
) -> Result<HashMap<IncidentId, Vec<DateTime<Utc>>>, StoreError> {
    let numbers: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let mut histories: HashMap<IncidentId, Vec<DateTime<Utc>>> =
        ids.iter().map(|id| (*id, Vec::new())).collect();
    let rows = sqlx::query!(
        r#"select i.id, before.opened_at, before.came_back
           from incidents i
           cross join lateral (
               select b.opened_at, b.came_back from incidents b
               where b.correlation_key = i.correlation_key and b.id <= i.id order by b.id desc limit $2) before
           where i.id = any($1)"#,
        &numbers,
        BEFORE_MAX
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let times = histories.entry(IncidentId(row.id)).or_default();
        times.push(row.opened_at);
        times.extend(row.came_back);
    }
    Ok(histories)
}

/// An incident came back by a timer's word. From `flapping_since` on it flaps, until `calm_due`.
pub async fn come_back(
    conn: &mut PgConnection,
    id: IncidentId,
    flapping_since: Option<DateTime<Utc>>,
    calm_due: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update incidents set came_back = (array_prepend($2, came_back))[1:$5], flapping_since = $3, calm_due = $4
         where id = $1",
        id.0,
        now,
        flapping_since,
        calm_due,
        TIMES_MAX as i32
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Incidents that flap as soon as they open: their group does.
pub async fn begin(
    conn: &mut PgConnection,
    ids: &[IncidentId],
    calm_due: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update incidents set flapping_since = $2, calm_due = $3 where id = any($1)",
        &ids,
        now,
        calm_due
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Since when an incident flaps.
pub async fn flapping_since(
    conn: &mut PgConnection,
    id: IncidentId,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let since = sqlx::query_scalar!("select flapping_since from incidents where id = $1", id.0)
        .fetch_optional(conn)
        .await?;
    Ok(since.flatten())
}

/// Takes incidents that have not come back for long enough, at most `limit`: they flap no longer, and what they did
/// before counts no more. Returns each with how often it came back while it flapped.
pub async fn calm_down(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(IncidentId, usize)>, StoreError> {
    Ok(sqlx::query!(
        r#"with calm as (
               select id, (select count(*) from unnest(came_back) as t (at) where t.at >= flapping_since) as times
               from incidents where calm_due <= $1 order by calm_due limit $2 for no key update skip locked)
           update incidents i set flapping_since = null, calm_due = null, came_back = '{}'
           from calm where i.id = calm.id returning i.id, calm.times as "times!""#,
        now,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| (IncidentId(row.id), row.times.unsigned_abs() as usize))
    .collect())
}
