//! Scenarios and their immutable versions.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{digest::Digest, id::ScenarioVersionId, scenario::Scenario};

/// One version.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioVersion {
    /// Its row.
    pub id: ScenarioVersionId,
    /// Of which scenario.
    pub slug: String,
    /// Its number within the scenario, from 1.
    pub number: i32,
    /// What it says.
    pub scenario: Scenario,
}

struct Row {
    id: i64,
    slug: String,
    number: i32,
    definition: Value,
}

impl TryFrom<Row> for ScenarioVersion {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let scenario = serde_json::from_value(row.definition)
            .map_err(|error| StoreError::corrupt("scenario_versions", "definition", error))?;
        Ok(Self {
            id: ScenarioVersionId(row.id),
            slug: row.slug,
            number: row.number,
            scenario,
        })
    }
}

/// Keeps a text as a version and makes it the one in use: the same content is the version it was before.
pub async fn publish(
    conn: &mut PgConnection,
    parsed: &Scenario,
    source: &str,
    now: DateTime<Utc>,
) -> Result<ScenarioVersionId, StoreError> {
    let digest = Digest::of_bytes(source.as_bytes());
    let definition = serde_json::to_value(parsed)
        .map_err(|error| StoreError::corrupt("scenario_versions", "definition", error))?;
    let scenario = sqlx::query_scalar!(
        "insert into scenarios (slug) values ($1) on conflict (slug) do update set slug = excluded.slug returning id",
        parsed.slug
    )
    .fetch_one(&mut *conn)
    .await?;
    let version = sqlx::query_scalar!(
        r#"with made as (
               insert into scenario_versions (scenario_id, number, digest, source, definition, created_at)
               select $1, coalesce((select max(number) from scenario_versions where scenario_id = $1), 0) + 1,
                      $2, $3, $4, $5
               where not exists (select from scenario_versions where scenario_id = $1 and digest = $2)
               returning id)
           select id as "id!" from made
           union all
           select id from scenario_versions where scenario_id = $1 and digest = $2"#,
        scenario,
        &digest.0[..],
        source,
        definition,
        now
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "update scenarios set current_version_id = $2 where id = $1 and current_version_id is distinct from $2",
        scenario,
        version
    )
    .execute(conn)
    .await?;
    Ok(ScenarioVersionId(version))
}

/// Takes all but these out of use, and those that were made of real incidents; their versions and drills stay.
pub async fn retire_all_but(conn: &mut PgConnection, slugs: &[String]) -> Result<(), StoreError> {
    sqlx::query!(
        "update scenarios set current_version_id = null
         where current_version_id is not null and incident_id is null and slug <> all($1)",
        slugs
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The version with that row.
pub async fn find(
    conn: &mut PgConnection,
    id: ScenarioVersionId,
) -> Result<Option<ScenarioVersion>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select v.id, s.slug, v.number, v.definition
         from scenario_versions v join scenarios s on s.id = v.scenario_id where v.id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(ScenarioVersion::try_from).transpose()
}

/// The version in use of that name.
pub async fn find_current(
    conn: &mut PgConnection,
    slug: &str,
) -> Result<Option<ScenarioVersion>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select v.id, s.slug, v.number, v.definition
         from scenarios s join scenario_versions v on v.id = s.current_version_id where s.slug = $1",
        slug
    )
    .fetch_optional(conn)
    .await?;
    row.map(ScenarioVersion::try_from).transpose()
}

/// Which of these were made of real incidents: no file takes their place.
pub async fn made_of_incidents(conn: &mut PgConnection, slugs: &[String]) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "select slug from scenarios where incident_id is not null and slug = any($1)",
        slugs
    )
    .fetch_all(conn)
    .await?)
}

/// The versions in use, by name, at most `limit` after that name.
pub async fn list_current(
    conn: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<ScenarioVersion>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select v.id, s.slug, v.number, v.definition
         from scenarios s join scenario_versions v on v.id = s.current_version_id
         where ($1::text is null or s.slug > $1) order by s.slug limit $2",
        after,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(ScenarioVersion::try_from).collect()
}

/// The versions of those made of real incidents that were taken out of use, by name, at most `limit` after that name.
pub async fn list_retired(
    conn: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<ScenarioVersion>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select v.id, s.slug, v.number, v.definition
         from scenarios s join scenario_versions v on v.id = s.retired_version_id
         where $1::text is null or s.slug > $1
         order by s.slug limit $2",
        after,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(ScenarioVersion::try_from).collect()
}

/// The version of one made of a real incident that was taken out of use.
pub async fn find_retired(
    conn: &mut PgConnection,
    slug: &str,
) -> Result<Option<ScenarioVersion>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select v.id, s.slug, v.number, v.definition
         from scenarios s join scenario_versions v on v.id = s.retired_version_id
         where s.slug = $1",
        slug
    )
    .fetch_optional(conn)
    .await?;
    row.map(ScenarioVersion::try_from).transpose()
}

/// Takes one that was made of a real incident out of use; false when there is none of that name in use.
pub async fn retire(conn: &mut PgConnection, slug: &str) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update scenarios set retired_version_id = current_version_id, current_version_id = null
         where slug = $1 and current_version_id is not null and incident_id is not null",
        slug
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Brings such a one back as it was in use; false when there is none of that name out of use.
pub async fn restore(conn: &mut PgConnection, slug: &str) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update scenarios set current_version_id = retired_version_id, retired_version_id = null
         where slug = $1 and retired_version_id is not null",
        slug
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The versions in use that train this runbook, by name, at most `limit`.
pub async fn list_training(
    conn: &mut PgConnection,
    runbook: &str,
    limit: i64,
) -> Result<Vec<ScenarioVersion>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select v.id, s.slug, v.number, v.definition
         from scenario_versions v join scenarios s on s.current_version_id = v.id
         where v.definition -> 'runbooks' ? $1 order by s.slug limit $2",
        runbook,
        limit
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(ScenarioVersion::try_from).collect()
}

/// A scenario in use that trains a runbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Training {
    /// The runbook.
    pub runbook: String,
    /// The scenario.
    pub slug: String,
    /// What people call it.
    pub title: String,
}

/// Those that train each of these runbooks, at most `limit` of each; what breaks nothing comes first, and game days last.
pub async fn training(
    conn: &mut PgConnection,
    runbooks: &[String],
    limit: i64,
) -> Result<Vec<Training>, StoreError> {
    Ok(sqlx::query_as!(
        Training,
        r#"select r.runbook as "runbook!", t.slug as "slug!", t.title as "title!"
           from unnest($1::text[]) with ordinality as r (runbook, ord)
           cross join lateral (
               select s.slug, v.definition ->> 'title' as title, v.definition ? 'game_day' as is_game_day
               from scenario_versions v join scenarios s on s.current_version_id = v.id
               where v.definition -> 'runbooks' ? r.runbook
               order by is_game_day, s.slug limit $2) t
           order by r.ord, t.is_game_day, t.slug"#,
        runbooks,
        limit
    )
    .fetch_all(conn)
    .await?)
}

/// The text of a version.
pub async fn source(conn: &mut PgConnection, id: ScenarioVersionId) -> Result<Option<String>, StoreError> {
    Ok(
        sqlx::query_scalar!("select source from scenario_versions where id = $1", id.0)
            .fetch_optional(conn)
            .await?,
    )
}
