//! Timelines across incidents: what people and Muster decided, and every event in the order of its chain.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{
    StoreError,
    audit::{Place, Wanted},
    events,
};
use crate::domain::{
    digest::Digest,
    event::{EventRow, Recorded, Tail},
    id::{IncidentId, RunId},
};

struct Row {
    incident_id: i64,
    seq: i64,
    run_id: Option<i64>,
    body: Value,
    actor: Value,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    hash: Vec<u8>,
}

/// Decisions of timelines before a place, the newest first, at most `limit`.
pub async fn list_before(
    conn: &mut PgConnection,
    wanted: &Wanted,
    place: Place,
    limit: i64,
) -> Result<Vec<(IncidentId, Recorded)>, StoreError> {
    sqlx::query_as!(
        Row,
        "select incident_id, seq, run_id, body, actor, occurred_at, recorded_at, hash from events
         where is_decision(kind, actor) and recorded_at <= $1
               and (recorded_at, incident_id, seq) < ($1, $2::bigint, $3::bigint)
               and ($4::text is null or actor ->> 'name' = $4) and ($5::text is null or actor ->> 'by' = $5)
               and ($6::text is null or kind = $6) and ($7::bigint is null or incident_id = $7)
               and ($8::timestamptz is null or recorded_at >= $8)
         order by recorded_at desc, incident_id desc, seq desc limit $9",
        place.at,
        place.incident,
        place.seq,
        wanted.name,
        wanted.by,
        wanted.kind,
        wanted.incident,
        wanted.from,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let incident = IncidentId(row.incident_id);
        let row = events::Row {
            seq: row.seq,
            run_id: row.run_id,
            body: row.body,
            actor: row.actor,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            hash: row.hash,
        };
        Ok((incident, Recorded::try_from(row)?))
    })
    .collect()
}

/// Events from that number of that incident's timeline on, through all timelines in the order of the incidents, at most
/// `limit`; each with the link that its row holds.
pub async fn list_from(
    conn: &mut PgConnection,
    incident: IncidentId,
    seq: i64,
    limit: i64,
) -> Result<Vec<(EventRow, Digest)>, StoreError> {
    sqlx::query_as!(
        Row,
        "select incident_id, seq, run_id, body, actor, occurred_at, recorded_at, hash from events
         where (incident_id, seq) >= ($1::bigint, $2::bigint) order by incident_id, seq limit $3",
        incident.0,
        seq,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let link = Digest::from_slice(&row.hash)
            .ok_or_else(|| StoreError::corrupt("events", "hash", "not 32 bytes"))?;
        let row = EventRow {
            incident: IncidentId(row.incident_id),
            seq: row.seq,
            run: row.run_id.map(RunId),
            body: row.body,
            actor: row.actor,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
        };
        Ok((row, link))
    })
    .collect()
}

/// Where the timelines of these incidents end, by the incidents' own rows, in their order.
pub async fn tails(
    conn: &mut PgConnection,
    from: IncidentId,
    to: IncidentId,
) -> Result<Vec<(IncidentId, Tail)>, StoreError> {
    sqlx::query!(
        "select id, next_seq, last_hash from incidents where id between $1 and $2 order by id",
        from.0,
        to.0
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| Ok((IncidentId(row.id), events::tail(row.next_seq, &row.last_hash)?)))
    .collect()
}
