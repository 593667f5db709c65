//! Episodes that a rule holds: recorded, in no incident, let go when their time comes or their group is large enough.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    alert::{AlertReport, AlertStatus, Fingerprint},
    digest::Digest,
    id::{AlertId, EpisodeId, IncidentId, RoutingRuleId, SourceId},
    labels::Labels,
};

/// An episode that is held and fires.
#[derive(Clone, Debug)]
pub struct Held {
    /// Which.
    pub episode: EpisodeId,
    /// Of which alert.
    pub alert: AlertId,
    /// Who sends it.
    pub source: SourceId,
    /// The sender's receiver, raw.
    pub receiver: String,
    /// The sender's group key, raw.
    pub group_key: String,
    /// Where the group is found again.
    pub key: Digest,
    /// Alerts the sender left out.
    pub truncated: i32,
    /// Which rule holds it.
    pub rule: RoutingRuleId,
    /// What people call that rule, also when it was ended.
    pub rule_title: String,
    /// Held until enough alerts of its group fire, and not by a window.
    pub counts: bool,
    /// Since when.
    pub held_at: DateTime<Utc>,
    /// When it is held no longer.
    pub due: DateTime<Utc>,
    /// What the alert says, as if it were reported now.
    pub report: Arc<AlertReport>,
}

struct Row {
    episode_id: i64,
    alert_id: i64,
    source_id: i64,
    receiver: String,
    group_key: String,
    correlation_key: Vec<u8>,
    truncated: i32,
    rule_id: i64,
    rule_title: String,
    counts: bool,
    held_at: DateTime<Utc>,
    due: DateTime<Utc>,
    fingerprint: String,
    labels: Value,
    annotations: Value,
    generator_url: String,
    starts_at: DateTime<Utc>,
}

fn texts(value: Value) -> Result<Labels, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::corrupt("alerts", "labels", error))
}

impl TryFrom<Row> for Held {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let report = AlertReport {
            fingerprint: Fingerprint::parse(&row.fingerprint)
                .ok_or_else(|| StoreError::corrupt("alerts", "fingerprint", row.fingerprint))?,
            status: AlertStatus::Firing,
            labels: texts(row.labels)?,
            annotations: texts(row.annotations)?,
            starts_at: row.starts_at,
            ends_at: None,
            lease_until: None,
            generator_url: row.generator_url,
        };
        Ok(Self {
            episode: EpisodeId(row.episode_id),
            alert: AlertId(row.alert_id),
            source: SourceId(row.source_id),
            receiver: row.receiver,
            group_key: row.group_key,
            key: Digest::from_slice(&row.correlation_key)
                .ok_or_else(|| StoreError::corrupt("held", "correlation_key", "not 32 bytes"))?,
            truncated: row.truncated,
            rule: RoutingRuleId(row.rule_id),
            rule_title: row.rule_title,
            counts: row.counts,
            held_at: row.held_at,
            due: row.due,
            report: Arc::new(report),
        })
    }
}

/// Waits until no other transaction counts alerts of these groups, which it then does alone until it ends. `keys` are
/// sorted, so that two do not wait for each other.
pub async fn lock_groups(conn: &mut PgConnection, keys: &[Digest]) -> Result<(), StoreError> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key.0[..]).collect();
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended(encode(k.key, 'hex'), 0)) as "void: ()"
           from unnest($1::bytea[]) with ordinality as k (key, ord) order by k.ord"#,
        &keys as &[&[u8]]
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Firing episodes that are held to be counted with these groups, the oldest first.
pub async fn find_by_groups(conn: &mut PgConnection, keys: &[Digest]) -> Result<Vec<Held>, StoreError> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key.0[..]).collect();
    sqlx::query_as!(
        Row,
        r#"select h.episode_id, h.alert_id, h.source_id, h.receiver, h.group_key, h.correlation_key, h.truncated,
                h.rule_id, r.title as rule_title, h.counts, h.held_at, h.due as "due!", a.fingerprint, a.labels, a.annotations,
                a.generator_url, e.starts_at
         from held h join episodes e on e.id = h.episode_id join alerts a on a.id = h.alert_id
         join routing_rules r on r.id = h.rule_id
         where h.correlation_key = any($1) and h.counts and h.due is not null and e.ends_at is null order by h.episode_id"#,
        &keys as &[&[u8]]
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Held::try_from)
    .collect()
}

/// Firing episodes that are held no longer by `now`, those that are due longest first. Not locked: their alerts are to
/// be locked, and this asked again.
pub async fn find_due(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Held>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select h.episode_id, h.alert_id, h.source_id, h.receiver, h.group_key, h.correlation_key, h.truncated,
                h.rule_id, r.title as rule_title, h.counts, h.held_at, h.due as "due!", a.fingerprint, a.labels, a.annotations,
                a.generator_url, e.starts_at
         from held h join episodes e on e.id = h.episode_id join alerts a on a.id = h.alert_id
         join routing_rules r on r.id = h.rule_id
         where h.due <= $1 and e.ends_at is null order by h.due, h.episode_id limit $2"#,
        now,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Held::try_from)
    .collect()
}

/// Forgets episodes whose alerts have ended before anything came of them, at most `limit`; returns how many.
pub async fn forget_ended(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update held h set due = null from (
             select h.episode_id from held h join episodes e on e.id = h.episode_id
             where h.due <= $1 and e.ends_at is not null order by h.due limit $2
             for update of h skip locked) over
         where h.episode_id = over.episode_id",
        now,
        limit
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Firing episodes that are held, the soonest to be let go first.
pub async fn list(conn: &mut PgConnection, limit: i64) -> Result<Vec<Held>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select h.episode_id, h.alert_id, h.source_id, h.receiver, h.group_key, h.correlation_key, h.truncated,
                h.rule_id, r.title as rule_title, h.counts, h.held_at, h.due as "due!", a.fingerprint, a.labels, a.annotations,
                a.generator_url, e.starts_at
         from held h join episodes e on e.id = h.episode_id join alerts a on a.id = h.alert_id
         join routing_rules r on r.id = h.rule_id
         where h.due is not null and e.ends_at is null order by h.due, h.episode_id limit $1"#,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Held::try_from)
    .collect()
}

/// The group of an episode that is or was held and came into no incident.
pub async fn find_group(conn: &mut PgConnection, episode: EpisodeId) -> Result<Option<Group>, StoreError> {
    sqlx::query!(
        "select source_id, receiver, group_key, correlation_key from held where episode_id = $1",
        episode.0
    )
    .fetch_optional(conn)
    .await?
    .map(|row| {
        Ok(Group {
            source: SourceId(row.source_id),
            receiver: row.receiver,
            group_key: row.group_key,
            key: Digest::from_slice(&row.correlation_key)
                .ok_or_else(|| StoreError::corrupt("held", "correlation_key", "not 32 bytes"))?,
        })
    })
    .transpose()
}

/// A sender's group.
pub type Group = super::incidents::Group;

/// An episode to be held.
#[derive(Clone, Copy, Debug)]
pub struct HeldInsert<'a> {
    /// Which.
    pub episode: EpisodeId,
    /// Of which alert.
    pub alert: AlertId,
    /// Who sends it.
    pub source: SourceId,
    /// The sender's receiver, raw.
    pub receiver: &'a str,
    /// The sender's group key, raw.
    pub group_key: &'a str,
    /// Where the group is found again.
    pub key: Digest,
    /// Alerts the sender left out.
    pub truncated: i32,
    /// Which rule holds it.
    pub rule: RoutingRuleId,
    /// Held until enough alerts of its group fire, and not by a window.
    pub counts: bool,
    /// When it is held no longer.
    pub due: DateTime<Utc>,
}

/// Holds episodes; one that was held already is held by another rule now.
pub async fn hold(
    conn: &mut PgConnection,
    held: &[HeldInsert<'_>],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let episodes: Vec<i64> = held.iter().map(|held| held.episode.0).collect();
    let alerts: Vec<i64> = held.iter().map(|held| held.alert.0).collect();
    let sources: Vec<i64> = held.iter().map(|held| held.source.0).collect();
    let receivers: Vec<&str> = held.iter().map(|held| held.receiver).collect();
    let groups: Vec<&str> = held.iter().map(|held| held.group_key).collect();
    let keys: Vec<&[u8]> = held.iter().map(|held| &held.key.0[..]).collect();
    let truncated: Vec<i32> = held.iter().map(|held| held.truncated).collect();
    let rules: Vec<i64> = held.iter().map(|held| held.rule.0).collect();
    let counts: Vec<bool> = held.iter().map(|held| held.counts).collect();
    let due: Vec<DateTime<Utc>> = held.iter().map(|held| held.due).collect();
    sqlx::query!(
        "insert into held (episode_id, alert_id, source_id, receiver, group_key, correlation_key, truncated, rule_id,
                           counts, held_at, due)
         select n.episode_id, n.alert_id, n.source_id, n.receiver, n.group_key, n.key, n.truncated, n.rule_id, n.counts,
                $1, n.due
         from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::int[],
                     $9::bigint[], $10::bool[], $11::timestamptz[])
              as n (episode_id, alert_id, source_id, receiver, group_key, key, truncated, rule_id, counts, due)
         on conflict (episode_id) do update set rule_id = excluded.rule_id, counts = excluded.counts,
             held_at = excluded.held_at, due = excluded.due",
        now,
        &episodes,
        &alerts,
        &sources,
        &receivers as &[&str],
        &groups as &[&str],
        &keys as &[&[u8]],
        &truncated,
        &rules,
        &counts,
        &due,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A held episode that comes into an incident.
#[derive(Clone, Copy, Debug)]
pub struct HeldRouted<'a> {
    /// Which.
    pub episode: EpisodeId,
    /// Where.
    pub incident: IncidentId,
    /// Why there.
    pub reason: &'a str,
    /// The incident its group has, when that one is merged into this one.
    pub came_from: Option<IncidentId>,
}

/// Puts held episodes into incidents.
pub async fn let_go(conn: &mut PgConnection, routed: &[HeldRouted<'_>]) -> Result<(), StoreError> {
    let episodes: Vec<i64> = routed.iter().map(|routed| routed.episode.0).collect();
    let incidents: Vec<i64> = routed.iter().map(|routed| routed.incident.0).collect();
    let reasons: Vec<&str> = routed.iter().map(|routed| routed.reason).collect();
    let from: Vec<Option<i64>> = routed
        .iter()
        .map(|routed| routed.came_from.map(|id| id.0))
        .collect();
    sqlx::query!(
        "with gone as (delete from held where episode_id = any($1))
         update episodes e set incident_id = n.incident_id, reason = n.reason, came_from = n.came_from
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[])
              as n (id, incident_id, reason, came_from)
         where e.id = n.id",
        &episodes,
        &incidents,
        &reasons as &[&str],
        &from as &[Option<i64>],
    )
    .execute(conn)
    .await?;
    Ok(())
}
