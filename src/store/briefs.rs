//! What the people of an incident tell each other of it: its impact in one sentence, and the newest status update.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, events};
use crate::domain::{event::Recorded, id::IncidentId};

/// What was said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brief {
    /// What it does to people; empty when nobody said.
    pub impact: String,
    /// The newest status update.
    pub update: Option<Recorded>,
    /// When the next one is promised.
    pub update_due: Option<DateTime<Utc>>,
}

/// What was said of an incident; nothing, when nobody said anything.
pub async fn find(conn: &mut PgConnection, incident: IncidentId) -> Result<Brief, StoreError> {
    let Some(row) = sqlx::query!(
        "select impact, update_seq, update_due from incident_briefs where incident_id = $1",
        incident.0
    )
    .fetch_optional(&mut *conn)
    .await?
    else {
        return Ok(Brief::default());
    };
    let update = match row.update_seq {
        Some(seq) => events::list_after(conn, incident, seq - 1, 1).await?.pop(),
        None => None,
    };
    Ok(Brief {
        impact: row.impact,
        update,
        update_due: row.update_due,
    })
}

/// Says what a locked incident does to people.
pub async fn set_impact(conn: &mut PgConnection, incident: IncidentId, text: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into incident_briefs (incident_id, impact) values ($1, $2)
         on conflict (incident_id) do update set impact = excluded.impact",
        incident.0,
        text
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes that event the newest status update of a locked incident.
pub async fn set_update(
    conn: &mut PgConnection,
    incident: IncidentId,
    seq: i64,
    due: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into incident_briefs (incident_id, update_seq, update_due) values ($1, $2, $3)
         on conflict (incident_id)
         do update set update_seq = excluded.update_seq, update_due = excluded.update_due",
        incident.0,
        seq,
        due
    )
    .execute(conn)
    .await?;
    Ok(())
}
