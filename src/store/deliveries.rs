//! Deliveries: every webhook body as it came and what became of it. How they are forgotten is in
//! [`super::delivery_sizes`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::{DeliveryId, IncidentId, SourceId};

/// Incidents kept with a delivery; a body that moved more says so on their own pages.
const INCIDENTS_MAX: usize = 100;

/// Headers of a request, by their names.
pub type Headers = BTreeMap<String, String>;

/// A body to keep.
#[derive(Clone, Copy, Debug)]
pub struct NewDelivery<'a> {
    /// How it is read.
    pub format: &'a str,
    /// The sender's address.
    pub remote: &'a str,
    /// What the sender calls itself.
    pub user_agent: &'a str,
    /// What else its request said.
    pub headers: &'a Headers,
    /// The body, byte for byte.
    pub body: &'a [u8],
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// The delivery that is sent again with it.
    pub replay_of: Option<DeliveryId>,
    /// Whether Muster made it to show the way of an alert.
    pub is_test: bool,
}

/// A body that was applied.
#[derive(Clone, Debug)]
pub struct Applied<'a> {
    /// Who sent it.
    pub source: SourceId,
    /// As it came.
    pub new: NewDelivery<'a>,
    /// Alerts in it.
    pub alerts: usize,
    /// What else there is to say of it.
    pub remark: &'a str,
    /// Incidents it opened, moved or added to.
    pub incidents: Vec<IncidentId>,
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
    /// The delivery that was sent again with it.
    pub replay_of: Option<i64>,
    /// Whether Muster made it to show the way of an alert.
    pub is_test: bool,
}

/// All that is kept of a delivery but the rest of a long body.
#[derive(Clone, Debug)]
pub struct Kept {
    /// As lists show it.
    pub row: DeliveryRow,
    /// How it was read; `None` when it came before that was kept.
    pub format: Option<String>,
    /// What the sender calls itself.
    pub user_agent: String,
    /// What else its request said.
    pub headers: Headers,
    /// Incidents it opened, moved or added to.
    pub incidents: Vec<IncidentId>,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

/// Keeps bodies that were applied; returns their numbers, in the same order.
pub async fn insert_applied(
    conn: &mut PgConnection,
    applied: &[Applied<'_>],
) -> Result<Vec<DeliveryId>, StoreError> {
    let sources: Vec<i64> = applied.iter().map(|one| one.source.0).collect();
    let received: Vec<DateTime<Utc>> = applied.iter().map(|one| one.new.received_at).collect();
    let remotes: Vec<&str> = applied.iter().map(|one| one.new.remote).collect();
    let agents: Vec<&str> = applied.iter().map(|one| one.new.user_agent).collect();
    let bodies: Vec<&[u8]> = applied.iter().map(|one| one.new.body).collect();
    let alerts: Vec<i32> = applied.iter().map(|one| one.alerts as i32).collect();
    let reasons: Vec<&str> = applied.iter().map(|one| one.remark).collect();
    let formats: Vec<&str> = applied.iter().map(|one| one.new.format).collect();
    let headers = applied
        .iter()
        .map(|one| json(one.new.headers))
        .collect::<Result<Vec<Value>, _>>()?;
    let replays: Vec<Option<i64>> = applied
        .iter()
        .map(|one| one.new.replay_of.map(|id| id.0))
        .collect();
    let tests: Vec<bool> = applied.iter().map(|one| one.new.is_test).collect();
    // Lists of lists have no type in Postgres, so each goes as the text of one.
    let incidents: Vec<String> = applied.iter().map(|one| array(&one.incidents)).collect();
    Ok(sqlx::query_scalar!(
        "with kept as (
             insert into deliveries (source_id, received_at, remote, user_agent, body, outcome, reason, alerts, format,
                                     headers, replay_of, is_test, incidents)
             select n.source_id, n.received_at, n.remote, n.user_agent, n.body, 'applied', n.reason, n.alerts, n.format,
                    n.headers, n.replay_of, n.is_test, n.incidents::bigint[]
             from unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::bytea[], $6::int[], $7::text[],
                         $8::text[], $9::jsonb[], $10::bigint[], $11::bool[], $12::text[])
                  with ordinality as n (source_id, received_at, remote, user_agent, body, alerts, reason, format,
                                        headers, replay_of, is_test, incidents, ord)
             order by n.ord
             returning id, length(body) as bytes),
         sized as (insert into delivery_sizes (bytes) select sum(bytes) from kept having sum(bytes) > 0)
         select id from kept order by id",
        &sources,
        &received,
        &remotes as &[&str],
        &agents as &[&str],
        &bodies as &[&[u8]],
        &alerts,
        &reasons as &[&str],
        &formats as &[&str],
        &headers,
        &replays as &[Option<i64>],
        &tests,
        &incidents,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(DeliveryId)
    .collect())
}

fn json(headers: &Headers) -> Result<Value, StoreError> {
    serde_json::to_value(headers).map_err(|error| StoreError::corrupt("deliveries", "headers", error))
}

fn array(incidents: &[IncidentId]) -> String {
    let numbers: Vec<String> = incidents
        .iter()
        .take(INCIDENTS_MAX)
        .map(ToString::to_string)
        .collect();
    format!("{{{}}}", numbers.join(","))
}

/// Keeps a body that could not be used, with the place of the fault.
pub async fn insert_rejected(
    conn: &mut PgConnection,
    source: SourceId,
    delivery: NewDelivery<'_>,
    reason: &str,
) -> Result<DeliveryId, StoreError> {
    insert_one(conn, source, delivery, "rejected", reason).await
}

/// Keeps a body that was understood and held no alert: a subscription that was confirmed.
pub async fn insert_understood(
    conn: &mut PgConnection,
    source: SourceId,
    delivery: NewDelivery<'_>,
    remark: &str,
) -> Result<DeliveryId, StoreError> {
    insert_one(conn, source, delivery, "applied", remark).await
}

async fn insert_one(
    conn: &mut PgConnection,
    source: SourceId,
    delivery: NewDelivery<'_>,
    outcome: &str,
    reason: &str,
) -> Result<DeliveryId, StoreError> {
    let id = sqlx::query_scalar!(
        "with kept as (
             insert into deliveries (source_id, received_at, remote, user_agent, body, outcome, reason, alerts, format,
                                     headers, replay_of, is_test)
             values ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $11)
             returning id, length(body) as bytes),
         sized as (insert into delivery_sizes (bytes) select bytes from kept where bytes > 0)
         select id from kept",
        source.0,
        delivery.received_at,
        delivery.remote,
        delivery.user_agent,
        delivery.body,
        outcome,
        reason,
        delivery.format,
        json(delivery.headers)?,
        delivery.replay_of.map(|id| id.0),
        delivery.is_test,
    )
    .fetch_one(conn)
    .await?;
    Ok(DeliveryId(id))
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
             (source_id, received_at, remote, user_agent, body, outcome, reason, alerts, format, refused_minute)
         values ($1, $2, $3, $4, '', 'rejected', $5, 0, $6, date_trunc('minute', $2::timestamptz))
         on conflict (coalesce(source_id, 0), reason, refused_minute) where refused_minute is not null
         do update set repeats = deliveries.repeats + 1",
        source.map(|source| source.0),
        delivery.received_at,
        delivery.remote,
        delivery.user_agent,
        reason,
        delivery.format,
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
                  length(d.body) as "body_bytes!", d.replay_of, d.is_test
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

/// The newest deliveries of a source before one of them, at most `limit`; the first page with `i64::MAX`. By the time of
/// arrival, as the index has them.
pub async fn list_of_source(
    conn: &mut PgConnection,
    source: SourceId,
    only_rejected: bool,
    before: i64,
    limit: i64,
) -> Result<Vec<DeliveryRow>, StoreError> {
    // Before one that is forgotten there is nothing: the oldest go first.
    Ok(sqlx::query_as!(
        DeliveryRow,
        r#"select d.id, s.name as "source?", d.received_at, d.remote, d.outcome, d.reason, d.alerts, d.repeats,
                  length(d.body) as "body_bytes!", d.replay_of, d.is_test
           from deliveries d join sources s on s.id = d.source_id
           where d.source_id = $1 and (not $2 or d.outcome = 'rejected')
             and ($3 = 9223372036854775807
                  or (d.received_at, d.id) < ((select b.received_at from deliveries b where b.id = $3), $3))
           order by d.received_at desc, d.id desc limit $4"#,
        source.0,
        only_rejected,
        before,
        limit
    )
    .fetch_all(conn)
    .await?)
}

/// One delivery with at most `body_max` bytes of its body.
pub async fn find(
    conn: &mut PgConnection,
    id: DeliveryId,
    body_max: i32,
) -> Result<Option<Kept>, StoreError> {
    let found = sqlx::query!(
        r#"select d.id, s.name as "source?", d.received_at, d.remote, d.outcome, d.reason, d.alerts, d.repeats,
                  length(d.body) as "body_bytes!", d.replay_of, d.is_test, d.format, d.user_agent, d.headers,
                  d.incidents, substr(d.body, 1, $2) as "body!"
           from deliveries d left join sources s on s.id = d.source_id where d.id = $1"#,
        id.0,
        body_max
    )
    .fetch_optional(conn)
    .await?;
    found
        .map(|row| {
            Ok(Kept {
                row: DeliveryRow {
                    id: row.id,
                    source: row.source,
                    received_at: row.received_at,
                    remote: row.remote,
                    outcome: row.outcome,
                    reason: row.reason,
                    alerts: row.alerts,
                    repeats: row.repeats,
                    body_bytes: row.body_bytes,
                    replay_of: row.replay_of,
                    is_test: row.is_test,
                },
                format: row.format,
                user_agent: row.user_agent,
                headers: serde_json::from_value(row.headers)
                    .map_err(|error| StoreError::corrupt("deliveries", "headers", error))?,
                incidents: row.incidents.into_iter().map(IncidentId).collect(),
                body: row.body,
            })
        })
        .transpose()
}

/// The deliveries with which this one was sent again, the newest first, at most `limit`.
pub async fn list_replays(
    conn: &mut PgConnection,
    of: DeliveryId,
    limit: i64,
) -> Result<Vec<DeliveryRow>, StoreError> {
    Ok(sqlx::query_as!(
        DeliveryRow,
        r#"select d.id, s.name as "source?", d.received_at, d.remote, d.outcome, d.reason, d.alerts, d.repeats,
                  length(d.body) as "body_bytes!", d.replay_of, d.is_test
           from deliveries d left join sources s on s.id = d.source_id
           where d.replay_of = $1 order by d.id desc limit $2"#,
        of.0,
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

/// Alerts in the deliveries of real senders applied since then: whether intake is alive.
pub async fn count_alerts_since(conn: &mut PgConnection, since: DateTime<Utc>) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select coalesce(sum(alerts), 0)::bigint as "n!" from deliveries
           where received_at > $1 and outcome = 'applied'
             and (source_id is null or source_id not in (select id from sources where drill_id is not null))"#,
        since
    )
    .fetch_one(conn)
    .await?)
}
