//! Links that bring one person to one gate. The database holds only the hashes of their codes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    digest::Digest,
    id::{ApprovalId, OperatorId},
};

/// Links to one request at most: a notifier that repeats itself does not fill the table.
pub const LINKS_MAX: i64 = 100;

/// A link to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewLink {
    /// The hash of its code.
    pub hash: Digest,
    /// To which request.
    pub approval: ApprovalId,
    /// For whom.
    pub operator: OperatorId,
    /// Who made it.
    pub made_by: OperatorId,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub id: i64,
    /// To which request.
    pub approval: ApprovalId,
    /// For whom.
    pub operator: OperatorId,
    /// Their name.
    pub operator_name: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When somebody decided with it.
    pub used_at: Option<DateTime<Utc>>,
}

/// Keeps a link; `None` when there are too many to this request.
pub async fn insert(
    conn: &mut PgConnection,
    link: &NewLink,
    now: DateTime<Utc>,
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        "insert into approval_links (code_hash, approval_id, operator_id, made_by, made_at, expires_at)
         select $1, $2, $3, $4, $5, $6
         where (select count(*) from approval_links where approval_id = $2) < $7 returning id",
        &link.hash.0[..],
        link.approval.0,
        link.operator.0,
        link.made_by.0,
        now,
        link.expires_at,
        LINKS_MAX
    )
    .fetch_optional(conn)
    .await?)
}

/// The link with that code, whatever became of it.
pub async fn find(conn: &mut PgConnection, hash: Digest) -> Result<Option<Link>, StoreError> {
    let row = sqlx::query!(
        "select l.id, l.approval_id, l.operator_id, o.name, l.expires_at, l.used_at
         from approval_links l join operators o on o.id = l.operator_id where l.code_hash = $1",
        &hash.0[..]
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Link {
        id: row.id,
        approval: ApprovalId(row.approval_id),
        operator: OperatorId(row.operator_id),
        operator_name: row.name,
        expires_at: row.expires_at,
        used_at: row.used_at,
    }))
}

/// Uses a link up; `false` when it was used or is over.
pub async fn consume(conn: &mut PgConnection, id: i64, now: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query!(
        "update approval_links set used_at = $2 where id = $1 and used_at is null and expires_at > $2",
        id,
        now
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}

/// Whether it is worth writing down that a link was followed by somebody else: once a minute at most.
pub async fn note_refused(conn: &mut PgConnection, id: i64, now: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query!(
        "update approval_links set refused_at = $2
         where id = $1 and (refused_at is null or refused_at <= $2::timestamptz - interval '1 minute')",
        id,
        now
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}
