//! Where people left off in the timelines they look at.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::{IncidentId, OperatorId},
    visit::{Left, Visit},
};

/// What is known of one person's looking at one incident.
pub async fn find(
    conn: &mut PgConnection,
    person: OperatorId,
    incident: IncidentId,
) -> Result<Option<Visit>, StoreError> {
    Ok(sqlx::query!(
        "select seen_seq, seen_at, left_seq, left_at, back_at from incident_visits
         where operator_id = $1 and incident_id = $2",
        person.0,
        incident.0
    )
    .fetch_optional(conn)
    .await?
    .map(|row| Visit {
        seen_seq: row.seen_seq,
        seen_at: row.seen_at,
        left: match (row.left_seq, row.left_at, row.back_at) {
            (Some(seq), Some(at), Some(back_at)) => Some(Left { seq, at, back_at }),
            _ => None,
        },
    }))
}

/// Keeps it. Two pages of one person that write at once lose nothing: the later look stands.
pub async fn keep(
    conn: &mut PgConnection,
    person: OperatorId,
    incident: IncidentId,
    visit: &Visit,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into incident_visits (operator_id, incident_id, seen_seq, seen_at, left_seq, left_at, back_at)
         select $1, i.id, least($3, i.next_seq - 1), $4, $5, $6, $7 from incidents i where i.id = $2
         on conflict (operator_id, incident_id) do update
         set seen_seq = greatest(incident_visits.seen_seq, excluded.seen_seq),
             seen_at = greatest(incident_visits.seen_at, excluded.seen_at),
             left_seq = excluded.left_seq, left_at = excluded.left_at, back_at = excluded.back_at",
        person.0,
        incident.0,
        visit.seen_seq,
        visit.seen_at,
        visit.left.map(|left| left.seq),
        visit.left.map(|left| left.at),
        visit.left.map(|left| left.back_at)
    )
    .execute(conn)
    .await?;
    Ok(())
}
