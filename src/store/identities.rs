//! Who a provider's subject is here.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{digest::Digest, id::OperatorId, operator::Role};

/// The person behind a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Their number.
    pub operator: OperatorId,
    /// What they may do here until now.
    pub role: Role,
    /// Whether they were disabled.
    pub is_disabled: bool,
}

/// Finds the person behind a subject of an issuer, locked, so that two sign-ins do not make two people.
pub async fn find(conn: &mut PgConnection, issuer: &str, subject: &str) -> Result<Option<Known>, StoreError> {
    sqlx::query!(
        r#"select o.id, o.role, o.disabled_at is not null as "is_disabled!"
           from identities i join operators o on o.id = i.operator_id
           where i.issuer = $1 and i.subject = $2 for update of i"#,
        issuer,
        subject
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        Ok(Known {
            operator: OperatorId(row.id),
            role: Role::named(&row.role)
                .ok_or_else(|| StoreError::corrupt("operators", "role", &row.role))?,
            is_disabled: row.is_disabled,
        })
    })
    .transpose()
}

/// Makes a person who only the provider vouches for; `None` when the name is taken.
pub async fn insert_person(
    conn: &mut PgConnection,
    name: &str,
    role: Role,
    now: DateTime<Utc>,
) -> Result<Option<OperatorId>, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into operators (name, role, created_at) values ($1, $2, $3) on conflict (name) do nothing returning id",
        name,
        role.name(),
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(OperatorId))
}

/// Says who a subject is from now on.
pub async fn insert(
    conn: &mut PgConnection,
    issuer: &str,
    subject: &str,
    operator: OperatorId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into identities (issuer, subject, operator_id, created_at, last_used_at) values ($1, $2, $3, $4, $4)",
        issuer,
        subject,
        operator.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down that a subject signed in.
pub async fn used(
    conn: &mut PgConnection,
    issuer: &str,
    subject: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update identities set last_used_at = $3 where issuer = $1 and subject = $2",
        issuer,
        subject,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives a person the role their provider says, unless they are the last admin; `false` then.
pub async fn set_role(conn: &mut PgConnection, operator: OperatorId, role: Role) -> Result<bool, StoreError> {
    let set = sqlx::query!(
        "update operators set role = $2
         where id = $1 and (role <> 'admin' or exists (
             select from operators o where o.role = 'admin' and o.disabled_at is null and o.id <> $1))",
        operator.0,
        role.name()
    )
    .execute(conn)
    .await?;
    Ok(set.rows_affected() == 1)
}

/// The issuers that vouch for a person.
pub async fn list_issuers(conn: &mut PgConnection, operator: OperatorId) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select issuer from identities where operator_id = $1 order by issuer",
        operator.0
    )
    .fetch_all(conn)
    .await?)
}

/// Takes a way back from a provider; `false` when it was taken before.
pub async fn take_return(
    conn: &mut PgConnection,
    state: Digest,
    expires_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let taken = sqlx::query!(
        "insert into taken_returns (state_hash, expires_at) values ($1, $2) on conflict (state_hash) do nothing",
        &state.0[..],
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Forgets ways back that are too old to be taken.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("delete from taken_returns where expires_at < $1", now)
        .execute(conn)
        .await?;
    Ok(())
}
