//! Sources: configured senders, their settings, and how their deliveries are doing. Their tokens are in
//! [`super::tokens`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
pub use super::tokens::{insert_declared as insert_token, note_used};
use crate::domain::{
    digest::Digest,
    id::{IncidentId, SourceId},
    source::{FoldRule, SourceKind, SourceSettings, Storm},
    span::Span,
    target::SecretRef,
};

/// The most sources of an installation, disabled ones included.
pub const SOURCES_MAX: i64 = 500;
/// Deliveries of a source that are counted; more are said to be more.
pub const COUNTED_MAX: i64 = 10_000;

/// One configured sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its number.
    pub id: SourceId,
    /// Its name in the webhook's address.
    pub name: String,
    /// The same as in its settings, for who needs nothing else of them.
    pub heartbeat_within: Option<Span>,
    /// How it is read and treated.
    pub settings: SourceSettings,
    /// Rises with every change.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when its tokens open nothing.
    pub disabled_at: Option<DateTime<Utc>>,
}

/// A source and what opens it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownSource {
    /// The source.
    pub source: Source,
    /// Hashes of its live tokens.
    pub token_hashes: Vec<Digest>,
}

/// How the deliveries and heartbeats of a source are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Of which source.
    pub source: SourceId,
    /// When the newest of its deliveries that are kept arrived.
    pub last_delivery_at: Option<DateTime<Utc>>,
    /// Deliveries since the time that was asked for, at most [`COUNTED_MAX`] + 1.
    pub deliveries: i64,
    /// Those of them that were rejected.
    pub rejected: i64,
    /// Those of each hour that has any, by hours after the time that was asked for.
    pub hours: Vec<(i32, i64)>,
    /// Heartbeats it has ever sent.
    pub heartbeats: i64,
    /// The newest sign of life of the heartbeat that was silent longest.
    pub last_beat_at: Option<DateTime<Utc>>,
    /// When that one is due.
    pub beat_due: Option<DateTime<Utc>>,
    /// An incident raised for a silence that goes on.
    pub silence: Option<IncidentId>,
    /// Live tokens.
    pub tokens: i64,
    /// When one of them was last used.
    pub token_used_at: Option<DateTime<Utc>>,
}

struct Row {
    id: i64,
    name: String,
    format: String,
    correlate_by: Vec<String>,
    stale_after_ms: Option<i64>,
    heartbeat_within_ms: Option<i64>,
    storm_starts: i32,
    storm_within_ms: i64,
    fold_over: Option<i32>,
    fold_within_ms: i64,
    sign_with: Option<String>,
    mapping: Option<Value>,
    topic_arn: Option<String>,
    alertmanager: Option<String>,
    client_name: Option<String>,
    revision: i64,
    created_at: DateTime<Utc>,
    disabled_at: Option<DateTime<Utc>>,
}

fn span(ms: i64) -> Span {
    Span::from_millis(ms.unsigned_abs())
}

fn ms(span: Span) -> i64 {
    span.as_millis() as i64
}

impl TryFrom<Row> for Source {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let format = SourceKind::named(&row.format)
            .ok_or_else(|| StoreError::corrupt("sources", "format", row.format))?;
        let sign_with = row.sign_with.map(SecretRef::try_from).transpose();
        let heartbeat_within = row.heartbeat_within_ms.map(span);
        Ok(Self {
            id: SourceId(row.id),
            name: row.name,
            heartbeat_within,
            settings: SourceSettings {
                format,
                correlate_by: row.correlate_by,
                stale_after: row.stale_after_ms.map(span),
                heartbeat_within,
                storm: Storm {
                    starts: row.storm_starts.unsigned_abs(),
                    within: span(row.storm_within_ms),
                },
                storm_fold: row.fold_over.map(|over| FoldRule {
                    over: over.unsigned_abs(),
                    within: span(row.fold_within_ms),
                }),
                sign_with: sign_with.map_err(|error| StoreError::corrupt("sources", "sign_with", error))?,
                mapping: row.mapping,
                topic_arn: row.topic_arn,
                alertmanager: row.alertmanager,
                client_name: row.client_name,
            },
            revision: row.revision,
            created_at: row.created_at,
            disabled_at: row.disabled_at,
        })
    }
}

/// Makes the source, or changes its heartbeat when one is given: what a declaration at start leaves open stays as people
/// have set it.
pub async fn upsert(
    conn: &mut PgConnection,
    name: &str,
    heartbeat_within: Option<Span>,
    now: DateTime<Utc>,
) -> Result<SourceId, StoreError> {
    let id = sqlx::query_scalar!(
        "insert into sources as s (name, heartbeat_within_ms, created_at) values ($1, $2, $3)
         on conflict (name) do update set
             heartbeat_within_ms = coalesce(excluded.heartbeat_within_ms, s.heartbeat_within_ms),
             revision = s.revision + case when excluded.heartbeat_within_ms <> s.heartbeat_within_ms
                 or (excluded.heartbeat_within_ms is not null and s.heartbeat_within_ms is null)
                 then 1 else 0 end
         returning id",
        name,
        heartbeat_within.map(ms),
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(SourceId(id))
}

/// Makes a source; `None` when its name is taken or there are [`SOURCES_MAX`].
pub async fn insert(
    conn: &mut PgConnection,
    name: &str,
    settings: &SourceSettings,
    now: DateTime<Utc>,
) -> Result<Option<SourceId>, StoreError> {
    Ok(sqlx::query_scalar!(
        "insert into sources (name, format, correlate_by, stale_after_ms, heartbeat_within_ms, storm_starts,
                              storm_within_ms, sign_with, mapping, topic_arn, alertmanager, created_at, fold_over,
                              fold_within_ms, client_name)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $14, coalesce($15::bigint, 300000), $16
         where (select count(*) from sources where drill_id is null) < $13
         on conflict (name) do nothing returning id",
        name,
        settings.format.name(),
        &settings.correlate_by,
        settings.stale_after.map(ms),
        settings.heartbeat_within.map(ms),
        settings.storm.starts as i32,
        ms(settings.storm.within),
        settings.sign_with.clone().map(String::from),
        settings.mapping,
        settings.topic_arn,
        settings.alertmanager,
        now,
        SOURCES_MAX,
        settings.storm_fold.map(|rule| rule.over as i32),
        settings.storm_fold.map(|rule| ms(rule.within)),
        settings.client_name,
    )
    .fetch_optional(conn)
    .await?
    .map(SourceId))
}

/// Gives the source these settings, if it is still at that revision.
pub async fn update(
    conn: &mut PgConnection,
    id: SourceId,
    revision: i64,
    settings: &SourceSettings,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update sources set format = $3, correlate_by = $4, stale_after_ms = $5, heartbeat_within_ms = $6,
             storm_starts = $7, storm_within_ms = $8, sign_with = $9, mapping = $10, topic_arn = $11,
             alertmanager = $12, fold_over = $13, fold_within_ms = coalesce($14, fold_within_ms),
             client_name = $15, revision = revision + 1
         where id = $1 and revision = $2",
        id.0,
        revision,
        settings.format.name(),
        &settings.correlate_by,
        settings.stale_after.map(ms),
        settings.heartbeat_within.map(ms),
        settings.storm.starts as i32,
        ms(settings.storm.within),
        settings.sign_with.clone().map(String::from),
        settings.mapping,
        settings.topic_arn,
        settings.alertmanager,
        settings.storm_fold.map(|rule| rule.over as i32),
        settings.storm_fold.map(|rule| ms(rule.within)),
        settings.client_name,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Closes the source to its sender; `false` when it was closed already.
pub async fn disable(conn: &mut PgConnection, id: SourceId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update sources set disabled_at = $2, revision = revision + 1 where id = $1 and disabled_at is null",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Opens the source to its sender again; `false` when it was open.
pub async fn enable(conn: &mut PgConnection, id: SourceId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update sources set disabled_at = null, revision = revision + 1
         where id = $1 and disabled_at is not null",
        id.0
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The source of that name that this token opens. The token is found by its hash, so the comparison tells nothing
/// about it by its timing.
pub async fn find_by_token(
    conn: &mut PgConnection,
    name: &str,
    token: Digest,
) -> Result<Option<Source>, StoreError> {
    sqlx::query_as!(
        Row,
        "select s.id, s.name, format, correlate_by, stale_after_ms, heartbeat_within_ms, storm_starts,
                storm_within_ms, sign_with, mapping, topic_arn, alertmanager, client_name, fold_over, fold_within_ms,
                revision, s.created_at, disabled_at
         from sources s join source_tokens t on t.source_id = s.id
         where s.name = $1 and t.token_hash = $2 and t.revoked_at is null and s.disabled_at is null",
        name,
        &token.0[..]
    )
    .fetch_optional(conn)
    .await?
    .map(Source::try_from)
    .transpose()
}

/// The source of that name.
pub async fn find_by_name(conn: &mut PgConnection, name: &str) -> Result<Option<Source>, StoreError> {
    // No name holds U+0000, and the database takes none.
    if name.contains('\0') {
        return Ok(None);
    }
    sqlx::query_as!(
        Row,
        "select id, name, format, correlate_by, stale_after_ms, heartbeat_within_ms, storm_starts, storm_within_ms,
                sign_with, mapping, topic_arn, alertmanager, client_name, fold_over, fold_within_ms, revision,
                created_at, disabled_at
         from sources where name = $1",
        name
    )
    .fetch_optional(conn)
    .await?
    .map(Source::try_from)
    .transpose()
}

/// The source of that number, disabled or not.
pub async fn find(conn: &mut PgConnection, id: SourceId) -> Result<Option<Source>, StoreError> {
    sqlx::query_as!(
        Row,
        "select id, name, format, correlate_by, stale_after_ms, heartbeat_within_ms, storm_starts, storm_within_ms,
                sign_with, mapping, topic_arn, alertmanager, client_name, fold_over, fold_within_ms, revision,
                created_at, disabled_at
         from sources where id = $1",
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Source::try_from)
    .transpose()
}

/// All sources by name, at most [`SOURCES_MAX`]; a drill's own is none of them.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Source>, StoreError> {
    sqlx::query_as!(
        Row,
        "select id, name, format, correlate_by, stale_after_ms, heartbeat_within_ms, storm_starts, storm_within_ms,
                sign_with, mapping, topic_arn, alertmanager, client_name, fold_over, fold_within_ms, revision,
                created_at, disabled_at
         from sources where drill_id is null order by name limit $1",
        SOURCES_MAX
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Source::try_from)
    .collect()
}

/// Every source that is not disabled, with the hashes of its live tokens: all that is needed to know a sender.
pub async fn snapshot(conn: &mut PgConnection) -> Result<Vec<KnownSource>, StoreError> {
    sqlx::query!(
        r#"select s.id, s.name, format, correlate_by, stale_after_ms, heartbeat_within_ms, storm_starts,
                  storm_within_ms, sign_with, mapping, topic_arn, alertmanager, client_name, fold_over, fold_within_ms,
                  revision, s.created_at, disabled_at,
                  array(select t.token_hash from source_tokens t
                        where t.source_id = s.id and t.revoked_at is null order by t.id) as "token_hashes!"
           from sources s where s.disabled_at is null and s.drill_id is null order by s.name"#,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let hashes = row.token_hashes.iter().map(|hash| {
            Digest::from_slice(hash)
                .ok_or_else(|| StoreError::corrupt("source_tokens", "token_hash", "not 32 bytes"))
        });
        Ok(KnownSource {
            token_hashes: hashes.collect::<Result<_, _>>()?,
            source: Source::try_from(Row {
                id: row.id,
                name: row.name,
                format: row.format,
                correlate_by: row.correlate_by,
                stale_after_ms: row.stale_after_ms,
                heartbeat_within_ms: row.heartbeat_within_ms,
                storm_starts: row.storm_starts,
                storm_within_ms: row.storm_within_ms,
                fold_over: row.fold_over,
                fold_within_ms: row.fold_within_ms,
                sign_with: row.sign_with,
                mapping: row.mapping,
                topic_arn: row.topic_arn,
                alertmanager: row.alertmanager,
                client_name: row.client_name,
                revision: row.revision,
                created_at: row.created_at,
                disabled_at: row.disabled_at,
            })?,
        })
    })
    .collect()
}

/// How sources are doing: all of them, or one; deliveries are counted since `since`. By the name of the source.
pub async fn list_pulses(
    conn: &mut PgConnection,
    only: Option<SourceId>,
    since: DateTime<Utc>,
) -> Result<Vec<Pulse>, StoreError> {
    Ok(sqlx::query!(
        r#"select s.id, newest.received_at as "last_delivery_at?", counted.deliveries as "deliveries!",
                  counted.rejected as "rejected!", counted.hours as "hours?: Vec<i32>",
                  counted.by_hour as "by_hour?: Vec<i64>", beats.heartbeats as "heartbeats!", beats.last_beat_at,
                  beats.due, beats.silence, live.tokens as "tokens!", live.used_at
           from sources s
           left join lateral (select received_at from deliveries d where d.source_id = s.id
                              order by received_at desc, id desc limit 1) newest on true
           cross join lateral (
               select coalesce(sum(n), 0)::bigint as deliveries, coalesce(sum(rejected), 0)::bigint as rejected,
                      array_agg(hour) as hours, array_agg(n) as by_hour
               from (select floor(extract(epoch from received_at - $2::timestamptz) / 3600)::integer as hour,
                            sum(repeats)::bigint as n,
                            coalesce(sum(repeats) filter (where outcome = 'rejected'), 0)::bigint as rejected
                     from (select outcome, repeats, received_at from deliveries d
                           where d.source_id = s.id and d.received_at > $2
                           order by received_at desc, id desc limit $3::bigint + 1) d
                     group by 1) h) counted
           cross join lateral (
               select count(*) as heartbeats, min(last_seen_at) as last_beat_at, min(due) as due,
                      min(incident_id) as silence
               from heartbeats h where h.source_id = s.id) beats
           cross join lateral (
               select count(*) as tokens, max(last_used_at) as used_at
               from source_tokens t where t.source_id = s.id and t.revoked_at is null) live
           where ($1::bigint is null or s.id = $1) and s.drill_id is null
           order by s.name limit $4"#,
        only.map(|id| id.0),
        since,
        COUNTED_MAX,
        SOURCES_MAX
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Pulse {
        source: SourceId(row.id),
        last_delivery_at: row.last_delivery_at,
        deliveries: row.deliveries,
        rejected: row.rejected,
        hours: row
            .hours
            .into_iter()
            .flatten()
            .zip(row.by_hour.into_iter().flatten())
            .collect(),
        heartbeats: row.heartbeats,
        last_beat_at: row.last_beat_at,
        beat_due: row.due,
        silence: row.silence.map(IncidentId),
        tokens: row.tokens,
        token_used_at: row.used_at,
    })
    .collect())
}
