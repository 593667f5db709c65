//! Reviews: what breaking the glass leaves behind until somebody else has looked at it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::{ApprovalId, IncidentId, OperatorId};

/// One review.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Review {
    /// Its number.
    pub id: i64,
    /// The request that was opened alone.
    pub approval: i64,
    /// Its incident.
    pub incident: i64,
    /// What was asked.
    pub title: String,
    /// Who broke the glass.
    pub opened_by: i64,
    /// What they are called.
    pub opened_by_name: String,
    /// Why, in their words.
    pub reason: String,
    /// When.
    pub opened_at: DateTime<Utc>,
    /// Who looked at it.
    pub closed_by_name: Option<String>,
    /// When.
    pub closed_at: Option<DateTime<Utc>>,
    /// What they found.
    pub finding: String,
}

/// Opens a review; `false` when the request has one already.
pub async fn insert(
    conn: &mut PgConnection,
    approval: ApprovalId,
    incident: IncidentId,
    by: OperatorId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    Ok(sqlx::query!(
        "insert into reviews (approval_id, incident_id, opened_by, reason, opened_at) values ($1, $2, $3, $4, $5)
         on conflict (approval_id) do nothing",
        approval.0,
        incident.0,
        by.0,
        reason,
        now
    )
    .execute(conn)
    .await?
    .rows_affected()
        == 1)
}

/// Reviews, the open ones first and the newest of each first, at most `limit`; of one incident when it is named.
pub async fn list(
    conn: &mut PgConnection,
    incident: Option<IncidentId>,
    limit: i64,
) -> Result<Vec<Review>, StoreError> {
    Ok(sqlx::query_as!(
        Review,
        r#"select r.id, r.approval_id as approval, r.incident_id as incident, a.title, r.opened_by,
                  o.name as opened_by_name, r.reason, r.opened_at, c.name as "closed_by_name?", r.closed_at, r.finding
           from reviews r join approvals a on a.id = r.approval_id join operators o on o.id = r.opened_by
           left join operators c on c.id = r.closed_by
           where $1::bigint is null or r.incident_id = $1
           order by r.closed_at is null desc, r.id desc limit $2"#,
        incident.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?)
}

/// The review that opening this request alone has left.
pub async fn find_of(conn: &mut PgConnection, approval: ApprovalId) -> Result<Option<Review>, StoreError> {
    Ok(sqlx::query_as!(
        Review,
        r#"select r.id, r.approval_id as approval, r.incident_id as incident, a.title, r.opened_by,
                  o.name as opened_by_name, r.reason, r.opened_at, c.name as "closed_by_name?", r.closed_at, r.finding
           from reviews r join approvals a on a.id = r.approval_id join operators o on o.id = r.opened_by
           left join operators c on c.id = r.closed_by
           where r.approval_id = $1"#,
        approval.0
    )
    .fetch_optional(conn)
    .await?)
}

/// One review, its row locked.
pub async fn lock(conn: &mut PgConnection, id: i64) -> Result<Option<Review>, StoreError> {
    Ok(sqlx::query_as!(
        Review,
        r#"select r.id, r.approval_id as approval, r.incident_id as incident, a.title, r.opened_by,
                  o.name as opened_by_name, r.reason, r.opened_at, c.name as "closed_by_name?", r.closed_at, r.finding
           from reviews r join approvals a on a.id = r.approval_id join operators o on o.id = r.opened_by
           left join operators c on c.id = r.closed_by
           where r.id = $1 for no key update of r"#,
        id
    )
    .fetch_optional(conn)
    .await?)
}

/// Closes an open review. The database refuses the person who opened it.
pub async fn close(
    conn: &mut PgConnection,
    id: i64,
    by: OperatorId,
    finding: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update reviews set closed_by = $2, closed_at = $4, finding = $3 where id = $1 and closed_at is null",
        id,
        by.0,
        finding,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
