//! Runbooks and their immutable versions.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{StoreError, publications};
use crate::domain::{digest::Digest, id::VersionId, runbook::Runbook};

/// One version, parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// Its row.
    pub id: VersionId,
    /// The runbook's row.
    pub runbook_id: i64,
    /// Its number within the runbook, from 1.
    pub number: i32,
    /// SHA-256 of its source.
    pub digest: Digest,
    /// What it says.
    pub runbook: Runbook,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
}

/// The row of a runbook, made if there is none yet, and locked: whoever publishes does so one after the other, so that
/// replicas that read the same change at once number it once.
pub async fn lock(conn: &mut PgConnection, slug: &str) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        "insert into runbooks (slug) values ($1) on conflict (slug) do update set slug = excluded.slug returning id",
        slug
    )
    .fetch_one(conn)
    .await?)
}

/// Publishes a source as the folder does, whoever should have looked at it: the same content is the version it was before,
/// new content is the next one. Makes it the current version and returns it.
pub async fn publish(
    conn: &mut PgConnection,
    runbook: &Runbook,
    source: &str,
    origin: &str,
    now: DateTime<Utc>,
) -> Result<Version, StoreError> {
    let id = lock(conn, &runbook.slug).await?;
    let version = add_version(conn, id, runbook, source, origin, now).await?;
    publications::note_file(conn, id, version.digest).await?;
    let new = publications::NewPublication {
        runbook_id: id,
        version: version.id,
        by: None,
        origin,
        note: "",
        proposal: None,
    };
    publications::insert(conn, &new, now).await?;
    Ok(version)
}

/// Keeps a source as a version of a locked runbook, unless it is kept already.
pub async fn add_version(
    conn: &mut PgConnection,
    runbook_id: i64,
    runbook: &Runbook,
    source: &str,
    origin: &str,
    now: DateTime<Utc>,
) -> Result<Version, StoreError> {
    let digest = Digest::of_bytes(source.as_bytes());
    let definition = serde_json::to_value(runbook)
        .map_err(|error| StoreError::corrupt("runbook_versions", "definition", error))?;
    let row = sqlx::query!(
        r#"with made as (
               insert into runbook_versions (runbook_id, number, digest, source, definition, origin, created_at)
               select $1, coalesce((select max(number) from runbook_versions where runbook_id = $1), 0) + 1,
                      $2, $3, $4, $5, $6
               where not exists (select from runbook_versions where runbook_id = $1 and digest = $2)
               returning id, number, created_at)
           select id as "id!", number as "number!", created_at as "created_at!" from made
           union all
           select id, number, created_at from runbook_versions where runbook_id = $1 and digest = $2"#,
        runbook_id,
        &digest.0[..],
        source,
        definition,
        origin,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(Version {
        id: VersionId(row.id),
        runbook_id,
        number: row.number,
        digest,
        runbook: runbook.clone(),
        created_at: row.created_at,
    })
}

/// The versions that matching uses, in the order of [`list_current`]: a cheap way to see that something was published.
pub async fn list_current_ids(conn: &mut PgConnection) -> Result<Vec<VersionId>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"select current_version_id as "version!" from runbooks where current_version_id is not null
           order by slug limit 500"#
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(VersionId).collect())
}

/// A version as its row has it.
pub(super) fn version(
    id: i64,
    runbook_id: i64,
    number: i32,
    digest: &[u8],
    definition: Value,
    created_at: DateTime<Utc>,
) -> Result<Version, StoreError> {
    Ok(Version {
        id: VersionId(id),
        runbook_id,
        number,
        digest: Digest::from_slice(digest)
            .ok_or_else(|| StoreError::corrupt("runbook_versions", "digest", "not 32 bytes"))?,
        runbook: serde_json::from_value(definition)
            .map_err(|error| StoreError::corrupt("runbook_versions", "definition", error))?,
        created_at,
    })
}

/// One version.
pub async fn find_version(conn: &mut PgConnection, id: VersionId) -> Result<Option<Version>, StoreError> {
    sqlx::query!(
        "select id, runbook_id, number, digest, definition, created_at from runbook_versions where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        version(
            row.id,
            row.runbook_id,
            row.number,
            &row.digest,
            row.definition,
            row.created_at,
        )
    })
    .transpose()
}

/// The source of a version, as written.
pub async fn find_source(conn: &mut PgConnection, id: VersionId) -> Result<Option<String>, StoreError> {
    Ok(
        sqlx::query_scalar!("select source from runbook_versions where id = $1", id.0)
            .fetch_optional(conn)
            .await?,
    )
}

/// The current versions, by slug; a folder holds a bounded number of runbooks.
pub async fn list_current(conn: &mut PgConnection) -> Result<Vec<Version>, StoreError> {
    sqlx::query!(
        "select v.id, v.runbook_id, v.number, v.digest, v.definition, v.created_at
         from runbooks b join runbook_versions v on v.id = b.current_version_id order by b.slug limit 500"
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        version(
            row.id,
            row.runbook_id,
            row.number,
            &row.digest,
            row.definition,
            row.created_at,
        )
    })
    .collect()
}

/// The newest version of a runbook, with its source as written.
pub async fn find_newest(
    conn: &mut PgConnection,
    slug: &str,
) -> Result<Option<(Version, String)>, StoreError> {
    sqlx::query!(
        "select v.id, v.runbook_id, v.number, v.digest, v.definition, v.created_at, v.source
         from runbooks b join runbook_versions v on v.runbook_id = b.id
         where b.slug = $1 order by (v.id = b.current_version_id) desc nulls last, v.number desc limit 1",
        slug
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        let version = version(
            row.id,
            row.runbook_id,
            row.number,
            &row.digest,
            row.definition,
            row.created_at,
        )?;
        Ok((version, row.source))
    })
    .transpose()
}

/// What people see of a version in a list.
#[derive(Clone, Debug, serde::Serialize)]
pub struct VersionLine {
    /// Its number.
    pub number: i32,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
    /// Where it came from.
    pub origin: String,
    /// Whether matching uses it.
    pub current: bool,
    /// Who published it last; nobody, for the folder and the terminal.
    pub by: Option<String>,
    /// What they said with it.
    pub note: String,
    /// When they did.
    pub published_at: DateTime<Utc>,
}

/// The newest versions of a runbook.
pub async fn list_versions(conn: &mut PgConnection, runbook_id: i64) -> Result<Vec<VersionLine>, StoreError> {
    Ok(sqlx::query_as!(
        VersionLine,
        r#"select v.number, v.created_at, coalesce(p.origin, v.origin) as "origin!",
                  (b.current_version_id is not distinct from v.id) as "current!", o.name as "by?",
                  coalesce(p.note, '') as "note!", coalesce(p.published_at, v.created_at) as "published_at!"
           from runbook_versions v join runbooks b on b.id = v.runbook_id
           left join lateral (select * from publications p where p.version_id = v.id order by p.id desc limit 1) p on true
           left join operators o on o.id = p.published_by
           where v.runbook_id = $1 order by v.number desc limit 50"#,
        runbook_id
    )
    .fetch_all(conn)
    .await?)
}

/// One version of a runbook by its number, with its source as written.
pub async fn find_numbered(
    conn: &mut PgConnection,
    slug: &str,
    number: i32,
) -> Result<Option<(Version, String)>, StoreError> {
    sqlx::query!(
        "select v.id, v.runbook_id, v.number, v.digest, v.definition, v.created_at, v.source
         from runbooks b join runbook_versions v on v.runbook_id = b.id where b.slug = $1 and v.number = $2",
        slug,
        number
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        let version = version(
            row.id,
            row.runbook_id,
            row.number,
            &row.digest,
            row.definition,
            row.created_at,
        )?;
        Ok((version, row.source))
    })
    .transpose()
}
