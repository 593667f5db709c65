//! Events that are always shown.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, events::Row};
use crate::domain::{
    event::Recorded,
    id::{IncidentId, OperatorId},
};

/// Pins an event of a locked incident; `false` when it is pinned already or does not exist.
pub async fn insert(
    conn: &mut PgConnection,
    incident: IncidentId,
    seq: i64,
    by: OperatorId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into incident_pins (incident_id, seq, pinned_by, pinned_at)
         select incident_id, seq, $3, $4 from events where incident_id = $1 and seq = $2
         on conflict do nothing",
        incident.0,
        seq,
        by.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes a pin of a locked incident away; `false` when there is none.
pub async fn remove(conn: &mut PgConnection, incident: IncidentId, seq: i64) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "delete from incident_pins where incident_id = $1 and seq = $2",
        incident.0,
        seq
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// How many events of an incident are pinned.
pub async fn count(conn: &mut PgConnection, incident: IncidentId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from incident_pins where incident_id = $1"#,
        incident.0
    )
    .fetch_one(conn)
    .await?)
}

/// The pinned events of an incident, the newest first, at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    incident: IncidentId,
    limit: i64,
) -> Result<Vec<Recorded>, StoreError> {
    sqlx::query_as!(
        Row,
        "select e.seq, e.run_id, e.body, e.actor, e.occurred_at, e.recorded_at, e.hash
         from incident_pins p join events e on e.incident_id = p.incident_id and e.seq = p.seq
         where p.incident_id = $1 order by p.seq desc limit $2",
        incident.0,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Recorded::try_from)
    .collect()
}
