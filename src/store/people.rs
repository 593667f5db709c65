//! People as an admin sees them, enabled or not, and what is changed about them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{id::OperatorId, operator::Role};

/// People that are listed.
pub const LISTED_MAX: i64 = 1000;
/// The rule of the database that somebody can always let people in.
const LAST_ADMIN: &str = "operators_last_admin";

/// A person.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their number.
    pub id: OperatorId,
    /// What they sign in with.
    pub name: String,
    /// Their role.
    pub role: Role,
    /// Their teams.
    pub teams: Vec<String>,
    /// Since when they are here.
    pub created_at: DateTime<Utc>,
    /// Since when they cannot sign in.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When one of their sessions was last used, to the minute.
    pub seen_at: Option<DateTime<Utc>>,
    /// Their open sessions.
    pub sessions: i64,
    /// Their live API tokens.
    pub tokens: i64,
    /// Whether they ever chose a password or added a passkey, or a provider vouches for them.
    pub has_way_in: bool,
}

struct Row {
    id: i64,
    name: String,
    role: String,
    teams: Vec<String>,
    created_at: DateTime<Utc>,
    disabled_at: Option<DateTime<Utc>>,
    seen_at: Option<DateTime<Utc>>,
    sessions: i64,
    tokens: i64,
    has_way_in: bool,
}

impl TryFrom<Row> for Person {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: OperatorId(row.id),
            name: row.name,
            role: Role::named(&row.role)
                .ok_or_else(|| StoreError::corrupt("operators", "role", &row.role))?,
            teams: row.teams,
            created_at: row.created_at,
            disabled_at: row.disabled_at,
            seen_at: row.seen_at,
            sessions: row.sessions,
            tokens: row.tokens,
            has_way_in: row.has_way_in,
        })
    }
}

/// Everybody, or the one of that number: the enabled by name, then the disabled.
pub async fn list(
    conn: &mut PgConnection,
    only: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<Vec<Person>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select o.id, o.name, o.role, teams_of(o.id) as "teams!", o.created_at, o.disabled_at,
                  s.seen_at, s.sessions as "sessions!",
                  (select count(*) from api_tokens t where t.operator_id = o.id and t.revoked_at is null
                          and t.expires_at > $2) as "tokens!",
                  (o.password_hash is not null
                   or exists (select from passkeys p where p.operator_id = o.id)
                   or exists (select from identities i where i.operator_id = o.id)) as "has_way_in!"
           from operators o cross join lateral (
               select max(last_seen_at) as seen_at, count(*) as sessions from sessions s
               where s.operator_id = o.id and s.expires_at > $2 and s.auth_epoch = o.auth_epoch) s
           where $1::bigint is null or o.id = $1
           order by (o.disabled_at is not null), o.name limit $3"#,
        only.map(|id| id.0),
        now,
        LISTED_MAX
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Person::try_from)
    .collect()
}

/// What became of a change to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is done.
    Done,
    /// It is so already, or there is no such person.
    Nothing,
    /// Nobody could let people in any more.
    LastAdmin,
}

fn changed(result: Result<sqlx::postgres::PgQueryResult, sqlx::Error>) -> Result<Changed, StoreError> {
    match result {
        Ok(done) if done.rows_affected() == 1 => Ok(Changed::Done),
        Ok(_) => Ok(Changed::Nothing),
        Err(error) if is_last_admin(&error) => Ok(Changed::LastAdmin),
        Err(error) => Err(error.into()),
    }
}

fn is_last_admin(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    database.and_then(|error| error.constraint()) == Some(LAST_ADMIN)
}

/// Gives an enabled person another role.
pub async fn set_role(
    conn: &mut PgConnection,
    person: OperatorId,
    role: Role,
) -> Result<Changed, StoreError> {
    changed(
        sqlx::query!(
            "update operators set role = $2 where id = $1 and role <> $2 and disabled_at is null",
            person.0,
            role.name()
        )
        .execute(conn)
        .await,
    )
}

/// Lets a person in no more.
pub async fn disable(
    conn: &mut PgConnection,
    person: OperatorId,
    now: DateTime<Utc>,
) -> Result<Changed, StoreError> {
    changed(
        sqlx::query!(
            "update operators set disabled_at = $2 where id = $1 and disabled_at is null",
            person.0,
            now
        )
        .execute(conn)
        .await,
    )
}

/// Lets a person in again.
pub async fn enable(conn: &mut PgConnection, person: OperatorId) -> Result<Changed, StoreError> {
    changed(
        sqlx::query!(
            "update operators set disabled_at = null where id = $1 and disabled_at is not null",
            person.0
        )
        .execute(conn)
        .await,
    )
}

/// Adds a person who has no way in yet; `None` when the name is taken.
pub async fn insert(
    conn: &mut PgConnection,
    name: &str,
    role: Role,
    now: DateTime<Utc>,
) -> Result<Option<OperatorId>, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into operators (name, role, created_at) values ($1, $2, $3)
         on conflict (name) do nothing returning id",
        name,
        role.name(),
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(OperatorId))
}
