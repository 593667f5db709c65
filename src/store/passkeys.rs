//! Passkeys: what authenticators signed up with, and what they are asked to sign.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::OperatorId;

/// A passkey as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// Its number, by which it is removed.
    pub id: i64,
    /// What its owner calls it.
    pub name: String,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it last signed its owner in.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// The passkeys of a person, the oldest first.
pub async fn list(conn: &mut PgConnection, operator: OperatorId) -> Result<Vec<Passkey>, StoreError> {
    let rows = sqlx::query!(
        "select id, name, created_at, last_used_at from passkeys where operator_id = $1 order by id",
        operator.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Passkey {
            id: row.id,
            name: row.name,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        })
        .collect())
}

/// The credential ids of a person's passkeys, so that an authenticator does not make a second one beside its own.
pub async fn list_credentials(
    conn: &mut PgConnection,
    operator: OperatorId,
) -> Result<Vec<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select credential_id from passkeys where operator_id = $1 order by id",
        operator.0
    )
    .fetch_all(conn)
    .await?)
}

/// What authenticators keep instead of the person's name; `made` becomes it when there is none yet.
pub async fn handle(
    conn: &mut PgConnection,
    operator: OperatorId,
    made: &[u8],
) -> Result<Vec<u8>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"update operators set passkey_handle = coalesce(passkey_handle, $2) where id = $1
           returning passkey_handle as "handle!""#,
        operator.0,
        made
    )
    .fetch_one(conn)
    .await?)
}

/// A passkey that was just made.
#[derive(Clone, Debug)]
pub struct NewPasskey<'a> {
    /// Whose it is.
    pub operator: OperatorId,
    /// What its authenticator calls it.
    pub credential_id: &'a [u8],
    /// What its owner calls it.
    pub name: &'a str,
    /// The public key and what else never changes.
    pub static_state: &'a [u8],
    /// The counter and what else does.
    pub dynamic_state: &'a [u8],
}

/// Adds a passkey; `false` when somebody has the same one.
pub async fn insert(
    conn: &mut PgConnection,
    passkey: &NewPasskey<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let added = sqlx::query!(
        "insert into passkeys (operator_id, credential_id, name, static_state, dynamic_state, created_at)
         values ($1, $2, $3, $4, $5, $6) on conflict (credential_id) do nothing",
        passkey.operator.0,
        passkey.credential_id,
        passkey.name,
        passkey.static_state,
        passkey.dynamic_state,
        now
    )
    .execute(conn)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// A passkey as it is checked.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub operator: OperatorId,
    /// What it is called.
    pub name: String,
    /// The public key and what else never changes.
    pub static_state: Vec<u8>,
    /// The counter and what else does.
    pub dynamic_state: Vec<u8>,
}

/// The passkey of a credential id and a handle that belong together, locked, so that its counter is compared by one
/// sign-in at a time. Its owner must be enabled.
pub async fn find_locked(
    conn: &mut PgConnection,
    credential_id: &[u8],
    handle: &[u8],
) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query!(
        "select p.id, p.operator_id, p.name, p.static_state, p.dynamic_state
         from passkeys p join operators o on o.id = p.operator_id
         where p.credential_id = $1 and o.passkey_handle = $2 and o.disabled_at is null for update of p",
        credential_id,
        handle
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Kept {
        id: row.id,
        operator: OperatorId(row.operator_id),
        name: row.name,
        static_state: row.static_state,
        dynamic_state: row.dynamic_state,
    }))
}

/// Writes down that a passkey signed its owner in.
pub async fn used(
    conn: &mut PgConnection,
    id: i64,
    dynamic_state: &[u8],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update passkeys set dynamic_state = $2, last_used_at = $3 where id = $1",
        id,
        dynamic_state,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a passkey of a person; returns its name, `None` when they have none of that number.
pub async fn delete(
    conn: &mut PgConnection,
    operator: OperatorId,
    id: i64,
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "delete from passkeys where id = $1 and operator_id = $2 returning name",
        id,
        operator.0
    )
    .fetch_optional(conn)
    .await?)
}

/// Keeps what an authenticator is asked to sign.
pub async fn insert_challenge(
    conn: &mut PgConnection,
    challenge: &[u8],
    operator: Option<OperatorId>,
    state: &[u8],
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into passkey_challenges (challenge, operator_id, state, expires_at) values ($1, $2, $3, $4)",
        challenge,
        operator.map(|operator| operator.0),
        state,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a challenge of that person, or of a sign-in, away and returns its state; `None` when there is no such
/// challenge, it was taken before, or it is too old.
pub async fn take_challenge(
    conn: &mut PgConnection,
    challenge: &[u8],
    operator: Option<OperatorId>,
    now: DateTime<Utc>,
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(sqlx::query_scalar!(
        "delete from passkey_challenges
         where challenge = $1 and operator_id is not distinct from $2 and expires_at > $3 returning state",
        challenge,
        operator.map(|operator| operator.0),
        now
    )
    .fetch_optional(conn)
    .await?)
}

/// How many challenges wait to be signed.
pub async fn count_challenges(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from passkey_challenges where expires_at > $1"#,
        now
    )
    .fetch_one(conn)
    .await?)
}

/// Forgets challenges that are too old.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("delete from passkey_challenges where expires_at < $1", now)
        .execute(conn)
        .await?;
    Ok(())
}
