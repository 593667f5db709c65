//! The incidents that a batch opens, moves or adds to.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{
    super::{StoreError, events},
    state_of,
};
use crate::domain::{
    digest::Digest,
    event::Tail,
    flap::TIMES_MAX,
    id::{IncidentId, SourceId},
    incident::{IncidentState, Severity},
};

/// An incident, locked.
#[derive(Clone, Copy, Debug)]
pub struct IncidentRow {
    /// Which.
    pub id: IncidentId,
    /// How it stands.
    pub state: IncidentState,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
    /// End of the hold-down, if all its alerts have ended.
    pub recover_due: Option<DateTime<Utc>>,
    /// Alerts the sender left out.
    pub truncated: i32,
    /// Earliest start of its alerts.
    pub detected_at: DateTime<Utc>,
    /// Since when it flaps.
    pub flapping_since: Option<DateTime<Utc>>,
    /// Where it lives on, when it was merged.
    pub lives_in: Option<IncidentId>,
    /// Where its timeline ends.
    pub tail: Tail,
}

struct IncidentColumns {
    id: i64,
    state: String,
    resolved_at: Option<DateTime<Utc>>,
    recover_due: Option<DateTime<Utc>>,
    truncated_alerts: i32,
    detected_at: DateTime<Utc>,
    flapping_since: Option<DateTime<Utc>>,
    lives_in: Option<i64>,
    next_seq: i64,
    last_hash: Vec<u8>,
}

impl TryFrom<IncidentColumns> for IncidentRow {
    type Error = StoreError;

    fn try_from(row: IncidentColumns) -> Result<Self, StoreError> {
        Ok(Self {
            id: IncidentId(row.id),
            state: state_of(&row.state)?,
            resolved_at: row.resolved_at,
            recover_due: row.recover_due,
            truncated: row.truncated_alerts,
            detected_at: row.detected_at,
            flapping_since: row.flapping_since,
            lives_in: row.lives_in.map(IncidentId),
            tail: events::tail(row.next_seq, &row.last_hash)?,
        })
    }
}

/// Locks the newest incident with each of these keys, an open one first, in the order of their numbers. One that was
/// merged comes back itself and not the one it lives on in.
pub async fn lock_newest_by_keys(
    conn: &mut PgConnection,
    keys: &[Digest],
) -> Result<Vec<(Digest, IncidentRow)>, StoreError> {
    let bytes: Vec<&[u8]> = keys.iter().map(|key| &key.0[..]).collect();
    sqlx::query!(
        "select i.correlation_key, i.id, i.state, i.resolved_at, i.recover_due, i.truncated_alerts, i.detected_at,
                i.flapping_since, i.lives_in, i.next_seq, i.last_hash
         from (select coalesce(
                   (select o.id from incidents o
                    where o.correlation_key = k.key and o.state in ('triggered', 'acknowledged', 'mitigated')),
                   (select o.id from incidents o where o.correlation_key = k.key order by o.id desc limit 1)) as id
               from unnest($1::bytea[]) as k (key)) newest
         join incidents i on i.id = newest.id
         order by i.id for no key update of i",
        &bytes as &[&[u8]],
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let key = Digest::from_slice(&row.correlation_key)
            .ok_or_else(|| StoreError::corrupt("incidents", "correlation_key", "not 32 bytes"))?;
        let columns = IncidentColumns {
            id: row.id,
            state: row.state,
            resolved_at: row.resolved_at,
            recover_due: row.recover_due,
            truncated_alerts: row.truncated_alerts,
            detected_at: row.detected_at,
            flapping_since: row.flapping_since,
            lives_in: row.lives_in,
            next_seq: row.next_seq,
            last_hash: row.last_hash,
        };
        Ok((key, columns.try_into()?))
    })
    .collect()
}

/// Locks incidents in the order of their numbers.
pub async fn lock_incidents(
    conn: &mut PgConnection,
    ids: &[IncidentId],
) -> Result<Vec<IncidentRow>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        IncidentColumns,
        "select id, state, resolved_at, recover_due, truncated_alerts, detected_at, flapping_since, lives_in, next_seq,
                last_hash
         from incidents where id = any($1)
         order by id for no key update",
        &ids
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(IncidentRow::try_from)
    .collect()
}

/// An incident to be opened.
#[derive(Clone, Debug)]
pub struct IncidentInsert<'a> {
    /// What people call it.
    pub title: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// Who reported it.
    pub source: SourceId,
    /// The sender's receiver, raw.
    pub receiver: &'a str,
    /// The sender's group key, raw.
    pub group_key: &'a str,
    /// Where later episodes look for it.
    pub key: Digest,
    /// Labels and annotations of its first alert.
    pub context: Value,
    /// Earliest start of its alerts.
    pub detected_at: DateTime<Utc>,
    /// The one before it with the same key.
    pub recurrence_of: Option<IncidentId>,
    /// Alerts the sender left out.
    pub truncated: i32,
}

/// Opens incidents; they come back in the order given. [`StoreError::Contended`] when an open one holds a key already.
pub async fn insert_incidents(
    conn: &mut PgConnection,
    incidents: &[IncidentInsert<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<IncidentId>, StoreError> {
    let titles: Vec<&str> = incidents.iter().map(|new| new.title).collect();
    let severities: Vec<i16> = incidents.iter().map(|new| new.severity.number()).collect();
    let sources: Vec<i64> = incidents.iter().map(|new| new.source.0).collect();
    let receivers: Vec<&str> = incidents.iter().map(|new| new.receiver).collect();
    let groups: Vec<&str> = incidents.iter().map(|new| new.group_key).collect();
    let keys: Vec<&[u8]> = incidents.iter().map(|new| &new.key.0[..]).collect();
    let contexts: Vec<Value> = incidents.iter().map(|new| new.context.clone()).collect();
    let detected: Vec<DateTime<Utc>> = incidents.iter().map(|new| new.detected_at).collect();
    let before: Vec<Option<i64>> = incidents
        .iter()
        .map(|new| new.recurrence_of.map(|id| id.0))
        .collect();
    let truncated: Vec<i32> = incidents.iter().map(|new| new.truncated).collect();
    let made = sqlx::query!(
        "insert into incidents (title, severity, state, source_id, receiver, group_key, correlation_key, context,
                                opened_at, detected_at, recurrence_of, truncated_alerts)
         select n.title, n.severity, 'triggered', n.source_id, n.receiver, n.group_key, n.key, n.context, $1,
                n.detected_at, n.recurrence_of, n.truncated
         from unnest($2::text[], $3::smallint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[], $8::jsonb[],
                     $9::timestamptz[], $10::bigint[], $11::int[]) with ordinality
              as n (title, severity, source_id, receiver, group_key, key, context, detected_at, recurrence_of,
                    truncated, ord)
         order by n.ord
         on conflict (correlation_key) where state in ('triggered', 'acknowledged', 'mitigated') do nothing
         returning id, correlation_key",
        now,
        &titles as &[&str],
        &severities,
        &sources,
        &receivers as &[&str],
        &groups as &[&str],
        &keys as &[&[u8]],
        &contexts,
        &detected,
        &before as &[Option<i64>],
        &truncated,
    )
    .fetch_all(conn)
    .await?;
    let by_key: HashMap<Vec<u8>, i64> = made
        .into_iter()
        .map(|row| (row.correlation_key, row.id))
        .collect();
    incidents
        .iter()
        .map(|new| {
            by_key
                .get(&new.key.0[..])
                .map(|id| IncidentId(*id))
                .ok_or(StoreError::Contended)
        })
        .collect()
}

/// What becomes of a locked incident.
#[derive(Clone, Copy, Debug)]
pub struct IncidentUpdate {
    /// Which.
    pub id: IncidentId,
    /// How it stands.
    pub state: IncidentState,
    /// How often it came back.
    pub reopened: i32,
    /// End of the hold-down, if all its alerts have ended.
    pub recover_due: Option<DateTime<Utc>>,
    /// The last end any sender named, with that.
    pub recovered_at: Option<DateTime<Utc>>,
    /// Alerts the sender left out.
    pub truncated: i32,
    /// Earliest start of its alerts.
    pub detected_at: DateTime<Utc>,
    /// When it came back, if it did.
    pub came_back_at: Option<DateTime<Utc>>,
    /// Since when it flaps.
    pub flapping_since: Option<DateTime<Utc>>,
    /// When it is calm, if it came back while it flaps; as before otherwise.
    pub calm_due: Option<DateTime<Utc>>,
}

/// Writes what becomes of locked incidents. One that is open again was over before.
pub async fn update_incidents(
    conn: &mut PgConnection,
    incidents: &[IncidentUpdate],
) -> Result<(), StoreError> {
    let ids: Vec<i64> = incidents.iter().map(|now| now.id.0).collect();
    let states: Vec<&str> = incidents.iter().map(|now| now.state.name()).collect();
    let reopened: Vec<i32> = incidents.iter().map(|now| now.reopened).collect();
    let due: Vec<Option<DateTime<Utc>>> = incidents.iter().map(|now| now.recover_due).collect();
    let ended: Vec<Option<DateTime<Utc>>> = incidents.iter().map(|now| now.recovered_at).collect();
    let truncated: Vec<i32> = incidents.iter().map(|now| now.truncated).collect();
    let detected: Vec<DateTime<Utc>> = incidents.iter().map(|now| now.detected_at).collect();
    let came_back: Vec<Option<DateTime<Utc>>> = incidents.iter().map(|now| now.came_back_at).collect();
    let flapping: Vec<Option<DateTime<Utc>>> = incidents.iter().map(|now| now.flapping_since).collect();
    let calm: Vec<Option<DateTime<Utc>>> = incidents.iter().map(|now| now.calm_due).collect();
    sqlx::query!(
        "update incidents i set state = n.state, reopened = i.reopened + n.reopened, recover_due = n.recover_due,
                recovered_at = n.recovered_at, truncated_alerts = n.truncated, detected_at = n.detected_at,
                resolved_at = case when n.state in ('resolved', 'closed') then i.resolved_at end,
                closed_at = case when n.state = 'closed' then i.closed_at end,
                came_back = case when n.came_back_at is null then i.came_back
                                 else (array_prepend(n.came_back_at, i.came_back))[1:$11] end,
                flapping_since = n.flapping_since,
                calm_due = case when n.flapping_since is not null then coalesce(n.calm_due, i.calm_due) end
         from unnest($1::bigint[], $2::text[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::int[],
                     $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[])
              as n (id, state, reopened, recover_due, recovered_at, truncated, detected_at, came_back_at,
                    flapping_since, calm_due)
         where i.id = n.id",
        &ids,
        &states as &[&str],
        &reopened,
        &due as &[Option<DateTime<Utc>>],
        &ended as &[Option<DateTime<Utc>>],
        &truncated,
        &detected,
        &came_back as &[Option<DateTime<Utc>>],
        &flapping as &[Option<DateTime<Utc>>],
        &calm as &[Option<DateTime<Utc>>],
        TIMES_MAX as i32,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Of these incidents, those in which nothing fires, with the last end any sender named.
pub async fn find_quiet(
    conn: &mut PgConnection,
    incidents: &[IncidentId],
) -> Result<Vec<(IncidentId, Option<DateTime<Utc>>)>, StoreError> {
    let ids: Vec<i64> = incidents.iter().map(|id| id.0).collect();
    Ok(sqlx::query!(
        r#"select k.id as "id!", (select max(e.ends_at) from episodes e where e.incident_id = k.id) as last
           from unnest($1::bigint[]) as k (id)
           where not exists (select from episodes e where e.incident_id = k.id and e.ends_at is null)
             and not exists (select from episodes e where e.incident_id = k.id and e.refire_due is not null)"#,
        &ids
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| (IncidentId(row.id), row.last))
    .collect())
}
