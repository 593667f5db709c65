//! Drafts: texts of runbooks that somebody has written and not published, one a person and runbook.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::OperatorId;

/// A text as somebody left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The text.
    pub source: String,
    /// What they would say with it.
    pub note: String,
    /// Number of the version they began from, 0 for none.
    pub base: i32,
    /// When they left it.
    pub saved_at: DateTime<Utc>,
}

/// Keeps a draft in the place of the one before. A new runbook has the empty name.
pub async fn save(
    conn: &mut PgConnection,
    by: OperatorId,
    slug: &str,
    draft: &Draft,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into runbook_drafts (operator_id, slug, source, note, base, saved_at) values ($1, $2, $3, $4, $5, $6)
         on conflict (operator_id, slug) do update
             set source = excluded.source, note = excluded.note, base = excluded.base, saved_at = excluded.saved_at",
        by.0,
        slug,
        draft.source,
        draft.note,
        draft.base,
        draft.saved_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The draft of a person.
pub async fn find(conn: &mut PgConnection, by: OperatorId, slug: &str) -> Result<Option<Draft>, StoreError> {
    Ok(sqlx::query_as!(
        Draft,
        "select source, note, base, saved_at from runbook_drafts where operator_id = $1 and slug = $2",
        by.0,
        slug
    )
    .fetch_optional(conn)
    .await?)
}

/// Throws a draft away.
pub async fn remove(conn: &mut PgConnection, by: OperatorId, slug: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from runbook_drafts where operator_id = $1 and slug = $2",
        by.0,
        slug
    )
    .execute(conn)
    .await?;
    Ok(())
}
