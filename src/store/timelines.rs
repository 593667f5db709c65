//! A timeline read for people: how many events of each kind it has, and windows of it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, events::Row};
use crate::domain::{
    event::{Event, Recorded},
    id::{IncidentId, RunId},
};

/// How many events of a kind a timeline has.
#[derive(Clone, Debug, PartialEq)]
pub struct KindCount {
    /// The kind's name.
    pub kind: String,
    /// How many.
    pub count: i64,
    /// One of them, to tell the group of the kind by.
    pub example: Event,
}

/// Counts the events after `after` by their kind: from an index alone, but for the one example of each.
pub async fn counts(
    conn: &mut PgConnection,
    incident: IncidentId,
    after: i64,
) -> Result<Vec<KindCount>, StoreError> {
    sqlx::query!(
        r#"with counted as (
               select kind, count(*) as n, min(seq) as first from events where incident_id = $1 and seq > $2
               group by kind)
           select c.kind as "kind!", c.n as "count!", e.run_id, e.body
           from counted c join events e on e.incident_id = $1 and e.seq = c.first order by c.kind"#,
        incident.0,
        after
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(KindCount {
            kind: row.kind,
            count: row.count,
            example: Event::from_body(row.run_id.map(RunId), row.body)
                .map_err(|error| StoreError::corrupt("events", "body", error))?,
        })
    })
    .collect()
}

/// Which events.
#[derive(Clone, Debug)]
pub struct Window<'a> {
    /// Of these kinds, all kinds when `None`; pinned ones always.
    pub kinds: Option<&'a [String]>,
    /// This one as well, whatever its kind.
    pub also: Option<i64>,
    /// With a higher number.
    pub after: i64,
    /// With a lower number.
    pub before: i64,
    /// How many at most.
    pub limit: i64,
}

/// The newest events of a window, the newest first.
pub async fn newest(
    conn: &mut PgConnection,
    incident: IncidentId,
    window: &Window<'_>,
) -> Result<Vec<Recorded>, StoreError> {
    sqlx::query_as!(
        Row,
        "select seq, run_id, body, actor, occurred_at, recorded_at, hash from events e
         where incident_id = $1 and seq > $2 and seq < $3
               and ($4::text[] is null or kind = any($4) or seq = $6
                    or exists (select from incident_pins p where p.incident_id = $1 and p.seq = e.seq))
         order by seq desc limit $5",
        incident.0,
        window.after,
        window.before,
        window.kinds,
        window.limit,
        window.also
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Recorded::try_from)
    .collect()
}

/// The oldest events of a window, the oldest first.
pub async fn oldest(
    conn: &mut PgConnection,
    incident: IncidentId,
    window: &Window<'_>,
) -> Result<Vec<Recorded>, StoreError> {
    sqlx::query_as!(
        Row,
        "select seq, run_id, body, actor, occurred_at, recorded_at, hash from events e
         where incident_id = $1 and seq > $2 and seq < $3
               and ($4::text[] is null or kind = any($4) or seq = $6
                    or exists (select from incident_pins p where p.incident_id = $1 and p.seq = e.seq))
         order by seq limit $5",
        incident.0,
        window.after,
        window.before,
        window.kinds,
        window.limit,
        window.also
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Recorded::try_from)
    .collect()
}

/// When the alerts of an incident began to fire, by our clock: how many in each stretch of `stretch_s` seconds that has
/// any, counted from `from`. Also those that it took along into another one.
pub async fn alert_rate(
    conn: &mut PgConnection,
    incident: IncidentId,
    from: DateTime<Utc>,
    stretch_s: i64,
) -> Result<Vec<(i64, i64)>, StoreError> {
    Ok(sqlx::query!(
        r#"select floor(extract(epoch from opened_at - $2::timestamptz) / $3::double precision)::bigint as "stretch!",
                  count(*) as "count!"
           from episodes where (incident_id = $1 or came_from = $1) and opened_at >= $2
           group by 1 order by 1"#,
        incident.0,
        from,
        stretch_s as f64
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| (row.stretch, row.count))
    .collect())
}
