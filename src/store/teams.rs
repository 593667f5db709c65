//! Teams: named groups of people that runbooks and gates refer to.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::OperatorId;

/// Teams that are listed.
const LISTED_MAX: i64 = 500;

/// A team and who is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// Its name.
    pub name: String,
    /// Names of the enabled people in it.
    pub members: Vec<String>,
}

/// All teams, by name.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Team>, StoreError> {
    Ok(sqlx::query_as!(
        Team,
        r#"select t.name, array(select o.name from team_members m join operators o on o.id = m.operator_id
                                where m.team_id = t.id and o.disabled_at is null order by o.name) as "members!"
           from teams t order by t.name limit $1"#,
        LISTED_MAX
    )
    .fetch_all(conn)
    .await?)
}

/// Makes a team; `false` when there is one of that name.
pub async fn insert(conn: &mut PgConnection, name: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let made = sqlx::query!(
        "insert into teams (name, created_at) values ($1, $2) on conflict (name) do nothing",
        name,
        now
    )
    .execute(conn)
    .await?;
    Ok(made.rows_affected() == 1)
}

/// Takes a team away, with who was in it; `false` when there is none of that name.
pub async fn delete(conn: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    let gone = sqlx::query!("delete from teams where name = $1", name)
        .execute(conn)
        .await?;
    Ok(gone.rows_affected() == 1)
}

/// Makes a person a member of exactly these teams; those that do not exist are left out.
pub async fn set_of(conn: &mut PgConnection, person: OperatorId, names: &[String]) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from team_members where operator_id = $1
         and team_id not in (select id from teams where name = any($2))",
        person.0,
        names
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into team_members (team_id, operator_id) select id, $1 from teams where name = any($2)
         on conflict do nothing",
        person.0,
        names
    )
    .execute(conn)
    .await?;
    Ok(())
}
