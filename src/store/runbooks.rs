//! Runbooks and their immutable versions.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
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

/// Publishes a source: the same content is the version it was before, new content is the next one. Makes it the
/// current version and returns it.
pub async fn publish(
    conn: &mut PgConnection,
    runbook: &Runbook,
    source: &str,
    origin: &str,
    now: DateTime<Utc>,
) -> Result<Version, StoreError> {
    let digest = Digest::of_bytes(source.as_bytes());
    let definition = serde_json::to_value(runbook)
        .map_err(|error| StoreError::corrupt("runbook_versions", "definition", error))?;
    // The row lock makes replicas that read the same change at once number it once.
    let runbook_id = sqlx::query_scalar!(
        "insert into runbooks (slug) values ($1) on conflict (slug) do update set slug = excluded.slug returning id",
        runbook.slug
    )
    .fetch_one(&mut *conn)
    .await?;
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
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "update runbooks set current_version_id = $2 where id = $1 and current_version_id is distinct from $2",
        runbook_id,
        row.id
    )
    .execute(conn)
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

/// Takes runbooks that are no longer there out of matching; their versions stay for ever.
pub async fn retire_all_but(conn: &mut PgConnection, slugs: &[String]) -> Result<u64, StoreError> {
    Ok(sqlx::query!(
        "update runbooks set current_version_id = null where current_version_id is not null and slug <> all($1)",
        slugs
    )
    .execute(conn)
    .await?
    .rows_affected())
}

fn version(
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
}

/// The newest versions of a runbook.
pub async fn list_versions(conn: &mut PgConnection, runbook_id: i64) -> Result<Vec<VersionLine>, StoreError> {
    Ok(sqlx::query_as!(
        VersionLine,
        r#"select v.number, v.created_at, v.origin, (b.current_version_id is not distinct from v.id) as "current!"
           from runbook_versions v join runbooks b on b.id = v.runbook_id
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
