//! Tokens of sources. The database holds only their hashes, and at most two live ones a source, so that one can be
//! exchanged for another while both open it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{digest::Digest, id::SourceId};

/// Live tokens of a source at most; the database holds it by their slots.
pub const LIVE_MAX: i64 = 2;
/// Live tokens that are listed: more than two are from before there was a limit.
const LISTED_MAX: i64 = 50;
/// What a token is for that was declared where Muster is started.
const DECLARED: &str = "declared at start";

/// A token to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// Its hash.
    pub hash: Digest,
    /// What it is for.
    pub name: &'a str,
    /// How it begins, when that may be known.
    pub prefix: &'a str,
}

/// A live token, as far as anybody may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// How it begins; empty when that is not known.
    pub prefix: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last opened its source, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Lets one more token open the source; `None` when two do already. Who comes second at the same moment waits for the
/// first.
pub async fn insert(
    conn: &mut PgConnection,
    source: SourceId,
    token: NewToken<'_>,
    now: DateTime<Utc>,
) -> Result<Option<i64>, StoreError> {
    // A statement sees what was committed before it began, so the count needs one of its own after the lock.
    sqlx::query_scalar!("select id from sources where id = $1 for no key update", source.0)
        .fetch_optional(&mut *conn)
        .await?;
    Ok(sqlx::query_scalar!(
        "insert into source_tokens (source_id, token_hash, slot, name, prefix, created_at)
         select $1, $2, free.slot, $3, $4, $5
         from (select n::smallint as slot from generate_series(1, 2) n
               where not exists (select 1 from source_tokens t
                                 where t.source_id = $1 and t.slot = n and t.revoked_at is null)
               order by n limit 1) free
         where (select count(*) from source_tokens t where t.source_id = $1 and t.revoked_at is null) < $6
         on conflict do nothing returning id",
        source.0,
        &token.hash.0[..],
        token.name,
        token.prefix,
        now,
        LIVE_MAX
    )
    .fetch_optional(conn)
    .await?)
}

/// Lets a token open the source that was declared where Muster is started; one that is known already stays as it is,
/// revoked or not. `false` when two others open the source, so this one does not.
pub async fn insert_declared(
    conn: &mut PgConnection,
    source: SourceId,
    hash: Digest,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let token = NewToken {
        hash,
        name: DECLARED,
        prefix: "",
    };
    if insert(&mut *conn, source, token, now).await?.is_some() {
        return Ok(true);
    }
    Ok(sqlx::query_scalar!(
        r#"select exists (select 1 from source_tokens where token_hash = $1) as "known!""#,
        &hash.0[..]
    )
    .fetch_one(conn)
    .await?)
}

/// Live tokens of a source, the oldest first.
pub async fn list(conn: &mut PgConnection, source: SourceId) -> Result<Vec<Token>, StoreError> {
    Ok(sqlx::query_as!(
        Token,
        "select id, name, prefix, created_at, last_used_at from source_tokens
         where source_id = $1 and revoked_at is null order by id limit $2",
        source.0,
        LISTED_MAX
    )
    .fetch_all(conn)
    .await?)
}

/// Takes a live token away; `None` when the source has no such one.
pub async fn revoke(
    conn: &mut PgConnection,
    source: SourceId,
    id: i64,
    now: DateTime<Utc>,
) -> Result<Option<Token>, StoreError> {
    Ok(sqlx::query_as!(
        Token,
        "update source_tokens set revoked_at = $3 where source_id = $1 and id = $2 and revoked_at is null
         returning id, name, prefix, created_at, last_used_at",
        source.0,
        id,
        now
    )
    .fetch_optional(conn)
    .await?)
}

/// Whether the source ever had that token.
pub async fn exists(conn: &mut PgConnection, source: SourceId, id: i64) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select 1 from source_tokens where source_id = $1 and id = $2) as "known!""#,
        source.0,
        id
    )
    .fetch_one(conn)
    .await?)
}

/// Notes when tokens were used: at most one write a token and minute, in one statement. What another replica is just
/// noting is passed over, so two never wait for each other.
pub async fn note_used(conn: &mut PgConnection, used: &[(Digest, DateTime<Utc>)]) -> Result<(), StoreError> {
    let hashes: Vec<Vec<u8>> = used.iter().map(|(hash, _)| hash.0.to_vec()).collect();
    let times: Vec<DateTime<Utc>> = used.iter().map(|(_, at)| *at).collect();
    sqlx::query!(
        "with used as (select hash, max(at) as at from unnest($1::bytea[], $2::timestamptz[]) u(hash, at) group by hash),
              due as (select t.id, used.at from source_tokens t join used on used.hash = t.token_hash
                      where t.last_used_at is null or t.last_used_at <= used.at - interval '1 minute'
                      order by t.id for no key update of t skip locked)
         update source_tokens t set last_used_at = due.at from due where t.id = due.id",
        &hashes,
        &times
    )
    .execute(conn)
    .await?;
    Ok(())
}
