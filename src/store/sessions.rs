//! Sessions: who is in, since when, from where and how; and what ends them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, operators};
use crate::domain::{
    digest::Digest,
    id::OperatorId,
    operator::Operator,
    sign_in::{Arrival, Way},
};

/// A session that is about to begin.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// The hash of its token.
    pub token: Digest,
    /// Whose it is.
    pub operator: OperatorId,
    /// How they came in.
    pub way: &'a Way,
    /// From where.
    pub from: &'a Arrival,
    /// When it is over, used or not.
    pub expires_at: DateTime<Utc>,
}

/// Begins a session, which carries the person's epoch of this moment.
pub async fn insert(
    conn: &mut PgConnection,
    session: &NewSession<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into sessions (token_hash, operator_id, auth_epoch, way, provider, address, user_agent, created_at,
                               last_seen_at, expires_at)
         select $1, id, auth_epoch, $3, $4, $5, $6, $7, $7, $8 from operators where id = $2",
        &session.token.0[..],
        session.operator.0,
        session.way.name(),
        session.way.provider(),
        session.from.address,
        session.from.user_agent,
        now,
        session.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A session that stands, by its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Whose it is.
    pub operator: Operator,
    /// Its number.
    pub id: i64,
    /// When it began.
    pub since: DateTime<Utc>,
    /// How they came in.
    pub way: Way,
}

/// The session of a token, if it is neither over nor left alone since `idle_since`. Its last-seen time moves at most once
/// a minute, so reading pages does not write.
pub async fn find(
    conn: &mut PgConnection,
    token: Digest,
    now: DateTime<Utc>,
    idle_since: DateTime<Utc>,
) -> Result<Option<Current>, StoreError> {
    sqlx::query!(
        r#"with live as (
             select s.token_hash, s.last_seen_at, s.id as session, s.created_at, s.way, s.provider, o.id,
                    o.name, o.role
             from sessions s join operators o on o.id = s.operator_id
             where s.token_hash = $1 and s.expires_at > $2 and s.last_seen_at > $3 and o.disabled_at is null
                   and s.auth_epoch = o.auth_epoch),
         seen as (
             update sessions s set last_seen_at = $2 from live
             where s.token_hash = live.token_hash and live.last_seen_at < $2::timestamptz - interval '1 minute')
         select session, created_at, way, provider, id, name, role, teams_of(id) as "teams!" from live"#,
        &token.0[..],
        now,
        idle_since,
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        Ok(Current {
            operator: operators::operator(row.id, row.name, &row.role, row.teams)?,
            id: row.session,
            since: row.created_at,
            way: Way::named(&row.way, row.provider)
                .ok_or_else(|| StoreError::corrupt("sessions", "way", &row.way))?,
        })
    })
    .transpose()
}

/// Whether a session still stands. Asked for an open page that nobody need be looking at, so it moves nothing.
pub async fn stands(
    conn: &mut PgConnection,
    token: Digest,
    now: DateTime<Utc>,
    idle_since: DateTime<Utc>,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from sessions s join operators o on o.id = s.operator_id
               where s.token_hash = $1 and s.expires_at > $2 and s.last_seen_at > $3
                     and o.disabled_at is null and s.auth_epoch = o.auth_epoch) as "stands!""#,
        &token.0[..],
        now,
        idle_since
    )
    .fetch_one(conn)
    .await?)
}

/// A session as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its number, by which it is ended.
    pub id: i64,
    /// How they came in.
    pub way: Way,
    /// From where; empty for one from before that was written down.
    pub from: Arrival,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to about a minute.
    pub last_seen_at: DateTime<Utc>,
}

/// The sessions of a person that stand, the last used first.
pub async fn list(
    conn: &mut PgConnection,
    operator: OperatorId,
    now: DateTime<Utc>,
    idle_since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Session>, StoreError> {
    sqlx::query!(
        "select s.id, s.way, s.provider, s.address, s.user_agent, s.created_at, s.last_seen_at
         from sessions s join operators o on o.id = s.operator_id
         where s.operator_id = $1 and s.expires_at > $2 and s.last_seen_at > $3 and s.auth_epoch = o.auth_epoch
         order by s.last_seen_at desc, s.id desc limit $4",
        operator.0,
        now,
        idle_since,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let way = Way::named(&row.way, row.provider)
            .ok_or_else(|| StoreError::corrupt("sessions", "way", &row.way))?;
        Ok(Session {
            id: row.id,
            way,
            from: Arrival {
                address: row.address,
                user_agent: row.user_agent,
            },
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
        })
    })
    .collect()
}

/// Ends a session by its token.
pub async fn delete(conn: &mut PgConnection, token: Digest) -> Result<(), StoreError> {
    sqlx::query!("delete from sessions where token_hash = $1", &token.0[..])
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends one session of a person; `false` when they have none of that number.
pub async fn revoke(conn: &mut PgConnection, operator: OperatorId, id: i64) -> Result<bool, StoreError> {
    let ended = sqlx::query!(
        "delete from sessions where id = $1 and operator_id = $2",
        id,
        operator.0
    )
    .execute(conn)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends all sessions of a person but one; returns how many.
pub async fn revoke_others(
    conn: &mut PgConnection,
    operator: OperatorId,
    kept: i64,
) -> Result<u64, StoreError> {
    let ended = sqlx::query!(
        "delete from sessions where operator_id = $1 and id <> $2",
        operator.0,
        kept
    )
    .execute(conn)
    .await?;
    Ok(ended.rows_affected())
}

/// Ends all sessions of a person: those that are there, and, by the epoch, one that begins in this moment. Returns how
/// many were there.
pub async fn end_all(conn: &mut PgConnection, operator: OperatorId) -> Result<u64, StoreError> {
    sqlx::query!(
        "update operators set auth_epoch = auth_epoch + 1 where id = $1",
        operator.0
    )
    .execute(&mut *conn)
    .await?;
    let ended = sqlx::query!("delete from sessions where operator_id = $1", operator.0)
        .execute(conn)
        .await?;
    Ok(ended.rows_affected())
}

/// Forgets sessions whose time is over.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("delete from sessions where expires_at < $1", now)
        .execute(conn)
        .await?;
    Ok(())
}
