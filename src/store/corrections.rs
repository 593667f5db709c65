//! What people corrected in their notes. A note stays as it was written; a correction is an event that names it.

use sqlx::PgConnection;

use super::{StoreError, events::Row};
use crate::domain::{event::Recorded, id::IncidentId};

/// The event of that number.
pub async fn find_event(
    conn: &mut PgConnection,
    incident: IncidentId,
    seq: i64,
) -> Result<Option<Recorded>, StoreError> {
    sqlx::query_as!(
        Row,
        "select seq, run_id, body, actor, occurred_at, recorded_at, hash from events
         where incident_id = $1 and seq = $2",
        incident.0,
        seq
    )
    .fetch_optional(conn)
    .await?
    .map(Recorded::try_from)
    .transpose()
}

/// Corrections of these notes, the newest first, at most `limit` in all.
pub async fn list(
    conn: &mut PgConnection,
    incident: IncidentId,
    notes: &[i64],
    limit: i64,
) -> Result<Vec<Recorded>, StoreError> {
    if notes.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        Row,
        "select seq, run_id, body, actor, occurred_at, recorded_at, hash from events
         where incident_id = $1 and kind = 'note_corrected' and (body ->> 'note')::bigint = any($2)
         order by seq desc limit $3",
        incident.0,
        notes,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Recorded::try_from)
    .collect()
}
