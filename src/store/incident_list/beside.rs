//! What the list asks besides its rows: whom and what a search may name, and whether there is anything at all.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::wanted::Names;
use crate::{domain::id::IncidentId, store::StoreError};

/// People, and sources, whose names are known to a search.
pub const NAMES_MAX: i64 = 1000;
/// Deliveries whose alerts are counted at most.
const DELIVERIES_MAX: i64 = 10_000;

/// What a search may name: at most [`NAMES_MAX`] of each. The senders of drills are not among them.
pub async fn names(conn: &mut PgConnection) -> Result<Names, StoreError> {
    let rows = sqlx::query!(
        r#"(select true as "is_person!", id as "id!", name as "name!" from operators order by name limit $1)
           union all (select false, id, name from sources where drill_id is null order by name limit $1)"#,
        NAMES_MAX
    )
    .fetch_all(conn)
    .await?;
    let mut names = Names::default();
    for row in rows {
        let into = if row.is_person {
            &mut names.people
        } else {
            &mut names.sources
        };
        into.push((row.id, row.name));
    }
    Ok(names)
}

/// Whether there has been any real incident at all.
pub async fn any(conn: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar!(r#"select exists (select from incidents where drill_id is null) as "any!""#)
            .fetch_one(conn)
            .await?,
    )
}

/// The real incident that was over last, and when.
pub async fn last_over(conn: &mut PgConnection) -> Result<Option<(IncidentId, DateTime<Utc>)>, StoreError> {
    Ok(sqlx::query!(
        r#"select id, resolved_at as "resolved_at!" from incidents where resolved_at is not null and drill_id is null
           order by resolved_at desc limit 1"#
    )
    .fetch_optional(conn)
    .await?
    .map(|row| (IncidentId(row.id), row.resolved_at)))
}

/// Alerts in the deliveries of real senders applied since then, and whether there are more than were counted: whether intake is alive.
pub async fn alerts_since(conn: &mut PgConnection, since: DateTime<Utc>) -> Result<(i64, bool), StoreError> {
    let row = sqlx::query!(
        r#"select coalesce(sum(d.alerts), 0)::bigint as "alerts!", count(*) as "deliveries!"
           from (select alerts from deliveries where received_at > $1 and outcome = 'applied'
                   and (source_id is null or source_id not in (select id from sources where drill_id is not null))
                 order by received_at desc, id desc limit $2) d"#,
        since,
        DELIVERIES_MAX
    )
    .fetch_one(conn)
    .await?;
    Ok((row.alerts, row.deliveries == DELIVERIES_MAX))
}
