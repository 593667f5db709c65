//! Publications: each time a version became the one in use, who did it and what they said; and what the folder says.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    StoreError,
    runbooks::{self, Version},
};
use crate::domain::{
    digest::Digest,
    id::{OperatorId, ProposalId, VersionId},
};

/// A version that is to be the one in use.
#[derive(Clone, Copy, Debug)]
pub struct NewPublication<'a> {
    /// Of which runbook, whose row is locked.
    pub runbook_id: i64,
    /// Which version.
    pub version: VersionId,
    /// Who publishes it; nobody, for the folder and the terminal.
    pub by: Option<OperatorId>,
    /// Where it comes from.
    pub origin: &'a str,
    /// What they say with it.
    pub note: &'a str,
    /// The proposal that was approved.
    pub proposal: Option<ProposalId>,
}

/// Makes a version the one in use and keeps who did; `false` when it was already, and then nothing is kept.
pub async fn insert(
    conn: &mut PgConnection,
    new: &NewPublication<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let moved = sqlx::query!(
        "update runbooks set current_version_id = $2 where id = $1 and current_version_id is distinct from $2",
        new.runbook_id,
        new.version.0
    )
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "insert into publications (runbook_id, version_id, published_by, origin, note, proposal_id, published_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        new.runbook_id,
        new.version.0,
        new.by.map(|id| id.0),
        new.origin,
        new.note,
        new.proposal.map(|id| id.0),
        now
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// The version that was published last of a runbook: the one in use, or the one that was when its file went away.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The version.
    pub version: Version,
    /// Its source as written.
    pub source: String,
    /// Whether matching uses it.
    pub is_current: bool,
}

/// What stands of a runbook; `None` when nothing of it was ever published.
pub async fn find_standing(conn: &mut PgConnection, runbook_id: i64) -> Result<Option<Standing>, StoreError> {
    sqlx::query!(
        r#"select v.id, v.runbook_id, v.number, v.digest, v.definition, v.created_at, v.source,
                  (b.current_version_id is not distinct from v.id) as "is_current!"
           from publications p join runbook_versions v on v.id = p.version_id join runbooks b on b.id = p.runbook_id
           where p.runbook_id = $1 order by p.id desc limit 1"#,
        runbook_id
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        let version = runbooks::version(
            row.id,
            row.runbook_id,
            row.number,
            &row.digest,
            row.definition,
            row.created_at,
        )?;
        Ok(Standing {
            version,
            source: row.source,
            is_current: row.is_current,
        })
    })
    .transpose()
}

/// The person whose rights a version has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Their number.
    pub id: OperatorId,
    /// What they are called.
    pub name: String,
}

/// Who published a version last; `None` for the folder and the terminal.
pub async fn find_publisher(
    conn: &mut PgConnection,
    version: VersionId,
) -> Result<Option<Publisher>, StoreError> {
    let found = sqlx::query!(
        r#"select o.id as "id?", o.name as "name?" from publications p left join operators o on o.id = p.published_by
           where p.version_id = $1 order by p.id desc limit 1"#,
        version.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.and_then(|row| {
        Some(Publisher {
            id: OperatorId(row.id?),
            name: row.name?,
        })
    }))
}

/// Keeps what the file of a locked runbook says; `false` when it said so before, so that it says nothing new.
pub async fn note_file(conn: &mut PgConnection, runbook_id: i64, digest: Digest) -> Result<bool, StoreError> {
    let noted = sqlx::query!(
        "update runbooks set folder_digest = $2 where id = $1 and folder_digest is distinct from $2",
        runbook_id,
        &digest.0[..]
    )
    .execute(conn)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// Whether a runbook has a file in the folder.
pub async fn has_file(conn: &mut PgConnection, slug: &str) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"select folder_digest is not null as "has_file!" from runbooks where slug = $1"#,
        slug
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.unwrap_or_default())
}

/// Takes runbooks whose file went away out of matching, unless another version than the file's is in use; their versions
/// stay for ever.
pub async fn retire_all_but(conn: &mut PgConnection, slugs: &[String]) -> Result<u64, StoreError> {
    Ok(sqlx::query!(
        "update runbooks b set folder_digest = null,
                current_version_id = case when v.digest = b.folder_digest then null else b.current_version_id end
         from runbooks o left join runbook_versions v on v.id = o.current_version_id
         where o.id = b.id and b.folder_digest is not null and b.slug <> all($1)",
        slugs
    )
    .execute(conn)
    .await?
    .rows_affected())
}
