//! People, and the codes that work once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::{
    digest::Digest,
    id::OperatorId,
    operator::{Operator, Role, Via},
};

/// A person as their row has them.
pub(super) fn operator(
    id: i64,
    name: String,
    role: &str,
    teams: Vec<String>,
) -> Result<Operator, StoreError> {
    let role = Role::named(role).ok_or_else(|| StoreError::corrupt("operators", "role", role))?;
    Ok(Operator {
        id: OperatorId(id),
        name,
        role,
        teams,
        via: Via::Session,
    })
}

/// Whether nobody can sign in yet.
pub async fn none_exists(conn: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar!(r#"select not exists (select from operators) as "none!""#)
            .fetch_one(conn)
            .await?,
    )
}

/// Adds a person; `None` when the name is taken.
pub async fn insert(
    conn: &mut PgConnection,
    name: &str,
    password_hash: &str,
    role: Role,
    now: DateTime<Utc>,
) -> Result<Option<OperatorId>, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into operators (name, password_hash, role, created_at) values ($1, $2, $3, $4)
         on conflict (name) do nothing returning id",
        name,
        password_hash,
        role.name(),
        now,
    )
    .fetch_optional(conn)
    .await?;
    Ok(id.map(OperatorId))
}

/// The enabled person of that name, with their password hash if they ever chose a password.
pub async fn find_by_name(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<(Operator, Option<String>)>, StoreError> {
    sqlx::query!(
        r#"select id, name, role, teams_of(id) as "teams!", password_hash
           from operators where name = $1 and disabled_at is null"#,
        name
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        Ok((
            operator(row.id, row.name, &row.role, row.teams)?,
            row.password_hash,
        ))
    })
    .transpose()
}

/// Everybody, by name. Bounded by the number of people a team has.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Operator>, StoreError> {
    sqlx::query!(
        r#"select id, name, role, teams_of(id) as "teams!"
           from operators where disabled_at is null order by name limit 1000"#
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| operator(row.id, row.name, &row.role, row.teams))
    .collect()
}

/// Forgets codes and operation ids whose time is over.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("delete from one_time_codes where expires_at < $1", now)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "delete from operations where at < $1::timestamptz - interval '7 days'",
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the set-up code of a first run the only good one.
pub async fn replace_setup_code(
    conn: &mut PgConnection,
    code: Digest,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!("delete from one_time_codes where operator_id is null and used_at is null")
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "insert into one_time_codes (code_hash, expires_at) values ($1, $2) on conflict do nothing",
        &code.0[..],
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The password hash of a person, if they ever chose a password.
pub async fn find_password(conn: &mut PgConnection, id: OperatorId) -> Result<Option<String>, StoreError> {
    Ok(
        sqlx::query_scalar!("select password_hash from operators where id = $1", id.0)
            .fetch_optional(conn)
            .await?
            .flatten(),
    )
}

/// Gives a person this password hash; with `before`, only if it is still that one.
pub async fn set_password(
    conn: &mut PgConnection,
    id: OperatorId,
    hash: &str,
    before: Option<&str>,
) -> Result<bool, StoreError> {
    let set = sqlx::query!(
        "update operators set password_hash = $2 where id = $1 and ($3::text is null or password_hash = $3)",
        id.0,
        hash,
        before
    )
    .execute(conn)
    .await?;
    Ok(set.rows_affected() == 1)
}

/// Makes a link by which one person chooses a password, once; those made before it open nothing any more.
pub async fn replace_invitation(
    conn: &mut PgConnection,
    code: Digest,
    operator: OperatorId,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from one_time_codes where operator_id = $1 and used_at is null and chooses_password",
        operator.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into one_time_codes (code_hash, operator_id, expires_at, chooses_password) values ($1, $2, $3, true)",
        &code.0[..],
        operator.0,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes a link that signs one person in, once.
pub async fn insert_sign_in_code(
    conn: &mut PgConnection,
    code: Digest,
    operator: OperatorId,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into one_time_codes (code_hash, operator_id, expires_at) values ($1, $2, $3)",
        &code.0[..],
        operator.0,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Uses a code up. `None`: there is no such good code. `Some(None)`: it was the set-up code. `Some(Some(id))`: it
/// signs that person in.
pub async fn use_code(
    conn: &mut PgConnection,
    code: Digest,
    now: DateTime<Utc>,
) -> Result<Option<Option<OperatorId>>, StoreError> {
    let row = sqlx::query!(
        "update one_time_codes set used_at = $2
         where code_hash = $1 and used_at is null and expires_at > $2 returning operator_id",
        &code.0[..],
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| row.operator_id.map(OperatorId)))
}

/// Takes a form's operation id; `false` when it was taken before, so the act has been done already.
pub async fn take_operation(
    conn: &mut PgConnection,
    id: Uuid,
    operator: OperatorId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let taken = sqlx::query!(
        "insert into operations (id, operator_id, at) values ($1, $2, $3) on conflict (id) do nothing",
        id,
        operator.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// What this installation is called in idempotency keys.
pub async fn installation(conn: &mut PgConnection) -> Result<Uuid, StoreError> {
    Ok(sqlx::query_scalar!("select id from installation")
        .fetch_one(conn)
        .await?)
}

/// The enabled person of that number.
pub async fn find(conn: &mut PgConnection, id: OperatorId) -> Result<Option<Operator>, StoreError> {
    sqlx::query!(
        r#"select id, name, role, teams_of(id) as "teams!" from operators where id = $1 and disabled_at is null"#,
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(|row| operator(row.id, row.name, &row.role, row.teams))
    .transpose()
}

/// The roles of these people, enabled or not.
pub async fn roles(
    conn: &mut PgConnection,
    ids: &[OperatorId],
) -> Result<BTreeMap<OperatorId, Role>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query!("select id, role from operators where id = any($1)", &ids)
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(|row| {
            let role =
                Role::named(&row.role).ok_or_else(|| StoreError::corrupt("operators", "role", &row.role))?;
            Ok((OperatorId(row.id), role))
        })
        .collect()
}

/// The enabled person of that number as they are now, and so until the transaction ends: whoever would change their role,
/// their teams or disable them waits.
pub async fn hold(conn: &mut PgConnection, id: OperatorId) -> Result<Option<Operator>, StoreError> {
    // The lock first and the look after it: one statement would still see the teams from before it waited.
    sqlx::query!("select id from operators where id = $1 for share", id.0)
        .fetch_optional(&mut *conn)
        .await?;
    find(conn, id).await
}

/// What a person is called, enabled or not.
pub async fn find_name(conn: &mut PgConnection, id: OperatorId) -> Result<Option<String>, StoreError> {
    Ok(
        sqlx::query_scalar!("select name from operators where id = $1", id.0)
            .fetch_optional(conn)
            .await?,
    )
}

/// The person a good link is for, and whether it lets them choose a password; without using it up.
pub async fn find_by_code(
    conn: &mut PgConnection,
    code: Digest,
    now: DateTime<Utc>,
) -> Result<Option<(Operator, bool)>, StoreError> {
    sqlx::query!(
        r#"select o.id, o.name, o.role, teams_of(o.id) as "teams!", c.chooses_password
           from one_time_codes c join operators o on o.id = c.operator_id
           where c.code_hash = $1 and c.used_at is null and c.expires_at > $2 and o.disabled_at is null"#,
        &code.0[..],
        now
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        Ok((
            operator(row.id, row.name, &row.role, row.teams)?,
            row.chooses_password,
        ))
    })
    .transpose()
}
