//! API tokens: what programs show to act for a person. The database holds only their hashes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, operators};
use crate::domain::{
    digest::Digest,
    id::OperatorId,
    operator::{Operator, Via},
};

/// Live tokens of a person at most.
pub const LIVE_MAX: i64 = 50;

/// A token to be kept.
#[derive(Clone, Debug)]
pub struct NewApiToken<'a> {
    /// Whose it is.
    pub operator: OperatorId,
    /// What it is for.
    pub name: &'a str,
    /// How it begins.
    pub prefix: &'a str,
    /// Its hash.
    pub hash: Digest,
    /// Names of the permissions it carries.
    pub scopes: &'a [String],
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// A live token, as far as anybody may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// Names of the permissions it carries.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was shown last, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Keeps a token; `None` when a live one of that name is there, or too many are.
pub async fn insert(
    conn: &mut PgConnection,
    token: &NewApiToken<'_>,
    now: DateTime<Utc>,
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        "insert into api_tokens (operator_id, name, prefix, token_hash, scopes, created_at, expires_at)
         select $1, $2, $3, $4, $5, $6, $7
         where (select count(*) from api_tokens where operator_id = $1 and revoked_at is null) < $8
         on conflict (operator_id, name) where revoked_at is null do nothing returning id",
        token.operator.0,
        token.name,
        token.prefix,
        &token.hash.0[..],
        token.scopes,
        now,
        token.expires_at,
        LIVE_MAX
    )
    .fetch_optional(conn)
    .await?)
}

/// The enabled person for whom a good token acts. Its last-used time moves at most once a minute.
pub async fn find_operator(
    conn: &mut PgConnection,
    hash: Digest,
    now: DateTime<Utc>,
) -> Result<Option<Operator>, StoreError> {
    let row = sqlx::query!(
        "with good as (
             select id, operator_id, name, scopes, last_used_at from api_tokens
             where token_hash = $1 and revoked_at is null and expires_at > $2),
         used as (
             update api_tokens t set last_used_at = $2 from good
             where t.id = good.id
                   and (good.last_used_at is null or good.last_used_at < $2::timestamptz - interval '1 minute'))
         select id, operator_id, name, scopes from good",
        &hash.0[..],
        now
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let via = Via::Token {
        id: row.id,
        name: row.name,
        scopes: row.scopes,
    };
    let owner = operators::find(conn, OperatorId(row.operator_id)).await?;
    Ok(owner.map(|owner| Operator { via, ..owner }))
}

/// Live tokens of a person, the newest first; those that ended are among them until they are taken away.
pub async fn list(conn: &mut PgConnection, operator: OperatorId) -> Result<Vec<ApiToken>, StoreError> {
    Ok(sqlx::query_as!(
        ApiToken,
        "select id, name, prefix, scopes, created_at, expires_at, last_used_at from api_tokens
         where operator_id = $1 and revoked_at is null order by id desc limit $2",
        operator.0,
        LIVE_MAX
    )
    .fetch_all(conn)
    .await?)
}

/// Takes a live token of a person away; its name, or `None` when they have no such one.
pub async fn revoke(
    conn: &mut PgConnection,
    operator: OperatorId,
    id: i64,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "update api_tokens set revoked_at = $3 where operator_id = $1 and id = $2 and revoked_at is null
         returning name",
        operator.0,
        id,
        now
    )
    .fetch_optional(conn)
    .await?)
}
