//! Views of the list that people keep: a name for a query, for themselves or for everybody, and what their list opens
//! with.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::OperatorId;

/// Views one person keeps.
pub const OWN_MAX: i64 = 30;
/// Views shown to one person.
pub const SHOWN_MAX: i64 = 60;

/// A view as one person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its number.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// What it asks.
    pub query: String,
    /// Whether everybody sees it.
    pub shared: bool,
    /// Whether it is this person's own.
    pub mine: bool,
    /// Who made it.
    pub by: String,
    /// Whether this person's list opens with it.
    pub is_default: bool,
}

/// The views of a person and those that others share: their own first, by name, at most [`SHOWN_MAX`].
pub async fn list(conn: &mut PgConnection, me: OperatorId) -> Result<Vec<View>, StoreError> {
    Ok(sqlx::query_as!(
        View,
        r#"select v.id, v.name, v.query, v.shared, v.operator_id = $1 as "mine!", o.name as by,
                  d.view_id is not null as "is_default!"
           from saved_views v join operators o on o.id = v.operator_id
           left join default_views d on d.operator_id = $1 and d.view_id = v.id
           where v.operator_id = $1 or v.shared
           order by v.operator_id <> $1, v.name, v.id limit $2"#,
        me.0,
        SHOWN_MAX
    )
    .fetch_all(conn)
    .await?)
}

/// Keeps a view of a person, in the place of one of theirs with that name; `None` when they have [`OWN_MAX`].
pub async fn put(
    conn: &mut PgConnection,
    me: OperatorId,
    name: &str,
    query: &str,
    shared: bool,
    now: DateTime<Utc>,
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        "insert into saved_views (operator_id, name, query, shared, created_at)
         select $1, $2, $3, $4, $5
         where (select count(*) from saved_views where operator_id = $1 and name <> $2) < $6
         on conflict (operator_id, name) do update set query = excluded.query, shared = excluded.shared
         returning id",
        me.0,
        name,
        query,
        shared,
        now,
        OWN_MAX
    )
    .fetch_optional(conn)
    .await?)
}

/// Removes a view of a person's own; nobody's list opens with it any more.
pub async fn remove(conn: &mut PgConnection, me: OperatorId, id: i64) -> Result<bool, StoreError> {
    let removed = sqlx::query!(
        "delete from saved_views where id = $1 and operator_id = $2",
        id,
        me.0
    )
    .execute(conn)
    .await?;
    Ok(removed.rows_affected() == 1)
}

/// Lets a person's list open with a view that they see; `false` when there is none.
pub async fn set_default(conn: &mut PgConnection, me: OperatorId, id: i64) -> Result<bool, StoreError> {
    let set = sqlx::query!(
        "insert into default_views (operator_id, view_id)
         select $1, id from saved_views where id = $2 and (operator_id = $1 or shared)
         on conflict (operator_id) do update set view_id = excluded.view_id",
        me.0,
        id
    )
    .execute(conn)
    .await?;
    Ok(set.rows_affected() == 1)
}

/// Lets a person's list open with what is open.
pub async fn clear_default(conn: &mut PgConnection, me: OperatorId) -> Result<(), StoreError> {
    sqlx::query!("delete from default_views where operator_id = $1", me.0)
        .execute(conn)
        .await?;
    Ok(())
}
