//! Pinning events, so that they are always shown.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::respond::{RespondError, lock};
use crate::{
    domain::{
        event::{IncidentFact, NewEvent},
        id::IncidentId,
        operator::Operator,
    },
    store::{events, pins},
};

/// Events that can be pinned in one incident; with more of them nothing stands out.
pub const PINS_MAX: i64 = 20;

/// A person pins an event. One that is pinned already stays so, and nothing is written.
pub async fn pin(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    seq: i64,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let incident = lock(conn, id).await?;
    if !(1..=incident.last_seq).contains(&seq) {
        return Err(RespondError::NotFound);
    }
    if pins::count(conn, id).await? >= PINS_MAX {
        return Err(RespondError::Refused {
            message: format!("{PINS_MAX} events are pinned already; unpin one first"),
        });
    }
    if pins::insert(conn, id, seq, by.id, now).await? {
        write(conn, id, by, IncidentFact::Pinned { seq }, now).await?;
    }
    Ok(())
}

/// A person takes a pin away. Where there is none nothing is written.
pub async fn unpin(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    seq: i64,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    lock(conn, id).await?;
    if pins::remove(conn, id, seq).await? {
        write(conn, id, by, IncidentFact::Unpinned { seq }, now).await?;
    }
    Ok(())
}

async fn write(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    fact: IncidentFact,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?;
    Ok(())
}
