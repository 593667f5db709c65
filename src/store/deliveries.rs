//! Deliveries: every webhook body as it came and what became of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::{DeliveryId, SourceId};

/// A body to keep.
#[derive(Clone, Copy, Debug)]
pub struct NewDelivery<'a> {
    /// The sender's address.
    pub remote: &'a str,
    /// What the sender calls itself.
    pub user_agent: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
    /// When it arrived.
    pub received_at: DateTime<Utc>,
}

/// A kept delivery, without its body.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DeliveryRow {
    /// Its number.
    pub id: i64,
    /// The source's name; `None` when the sender named no source that exists.
    pub source: Option<String>,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// The sender's address.
    pub remote: String,
    /// `applied` or `rejected`.
    pub outcome: String,
    /// Why it was rejected.
    pub reason: String,
    /// Alerts in it.
    pub alerts: i32,
    /// How often the same refusal came within its minute.
    pub repeats: i32,
    /// Size of the body in bytes.
    pub body_bytes: i32,
}

/// Keeps bodies that were applied, each with its source, its number of alerts, and what else there is to say of it.
pub async fn insert_applied(
    conn: &mut PgConnection,
    deliveries: &[(SourceId, NewDelivery<'_>, usize, &str)],
) -> Result<(), StoreError> {
    let sources: Vec<i64> = deliveries.iter().map(|(source, ..)| source.0).collect();
    let received: Vec<DateTime<Utc>> = deliveries.iter().map(|(_, new, ..)| new.received_at).collect();
    let remotes: Vec<&str> = deliveries.iter().map(|(_, new, ..)| new.remote).collect();
    let agents: Vec<&str> = deliveries.iter().map(|(_, new, ..)| new.user_agent).collect();
    let bodies: Vec<&[u8]> = deliveries.iter().map(|(_, new, ..)| new.body).collect();
    let alerts: Vec<i32> = deliveries
        .iter()
        .map(|(_, _, alerts, _)| *alerts as i32)
        .collect();
    let reasons: Vec<&str> = deliveries.iter().map(|(.., reason)| *reason).collect();
    sqlx::query!(
        "insert into deliveries (source_id, received_at, remote, user_agent, body, outcome, reason, alerts)
         select n.source_id, n.received_at, n.remote, n.user_agent, n.body, 'applied', n.reason, n.alerts
         from unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::bytea[], $6::int[], $7::text[])
              with ordinality as n (source_id, received_at, remote, user_agent, body, alerts, reason, ord)
         order by n.ord",
        &sources,
        &received,
        &remotes as &[&str],
        &agents as &[&str],
        &bodies as &[&[u8]],
        &alerts,
        &reasons as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps a body that could not be used, with the place of the fault.
pub async fn insert_rejected(
    conn: &mut PgConnection,
    source: SourceId,
    delivery: NewDelivery<'_>,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into deliveries (source_id, received_at, remote, user_agent, body, outcome, reason, alerts)
         values ($1, $2, $3, $4, $5, 'rejected', $6, 0)",
        source.0,
        delivery.received_at,
        delivery.remote,
        delivery.user_agent,
        delivery.body,
        reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts a delivery refused before its body was read: one row a source, reason and minute.
pub async fn count_refused(
    conn: &mut PgConnection,
    source: Option<SourceId>,
    delivery: NewDelivery<'_>,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into deliveries
             (source_id, received_at, remote, user_agent, body, outcome, reason, alerts, refused_minute)
         values ($1, $2, $3, $4, '', 'rejected', $5, 0, date_trunc('minute', $2::timestamptz))
         on conflict (coalesce(source_id, 0), reason, refused_minute) where refused_minute is not null
         do update set repeats = deliveries.repeats + 1",
        source.map(|source| source.0),
        delivery.received_at,
        delivery.remote,
        delivery.user_agent,
        reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The newest deliveries before `before`, at most `limit`; the first page with `i64::MAX`.
pub async fn list(
    conn: &mut PgConnection,
    only_rejected: bool,
    before: i64,
    limit: i64,
) -> Result<Vec<DeliveryRow>, StoreError> {
    Ok(sqlx::query_as!(
        DeliveryRow,
        r#"select d.id, s.name as "source?", d.received_at, d.remote, d.outcome, d.reason, d.alerts, d.repeats,
                  length(d.body) as "body_bytes!"
           from deliveries d left join sources s on s.id = d.source_id
           where d.id < $1 and (not $2 or d.outcome = 'rejected')
           order by d.id desc limit $3"#,
        before,
        only_rejected,
        limit
    )
    .fetch_all(conn)
    .await?)
}

/// The body of one delivery.
pub async fn find_body(conn: &mut PgConnection, id: DeliveryId) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(
        sqlx::query_scalar!("select body from deliveries where id = $1", id.0)
            .fetch_optional(conn)
            .await?,
    )
}

/// Forgets at most `limit` deliveries that arrived before `before`; returns how many.
pub async fn prune(conn: &mut PgConnection, before: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    Ok(sqlx::query!(
        "delete from deliveries where id in
             (select id from deliveries where received_at < $1 order by received_at limit $2)",
        before,
        limit
    )
    .execute(conn)
    .await?
    .rows_affected())
}

/// Alerts in the deliveries applied since then: whether intake is alive.
pub async fn count_alerts_since(conn: &mut PgConnection, since: DateTime<Utc>) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select coalesce(sum(alerts), 0)::bigint as "n!" from deliveries
           where received_at > $1 and outcome = 'applied'"#,
        since
    )
    .fetch_one(conn)
    .await?)
}
