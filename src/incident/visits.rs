//! Keeping where a person left off in an incident.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        id::{IncidentId, OperatorId},
        visit::Visit,
    },
    store::{StoreError, visits},
};

/// A person looks at an incident, up to that event.
pub async fn look(
    conn: &mut PgConnection,
    person: OperatorId,
    incident: IncidentId,
    seq: i64,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let visit = match visits::find(conn, person, incident).await? {
        Some(visit) => visit.looked(seq, now),
        None => Visit {
            seen_seq: seq,
            seen_at: now,
            left: None,
        },
    };
    visits::keep(conn, person, incident, &visit).await
}

/// A person has read what happened while they were away.
pub async fn read(
    conn: &mut PgConnection,
    person: OperatorId,
    incident: IncidentId,
    seq: i64,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let visit = Visit {
        seen_seq: seq,
        seen_at: now,
        left: None,
    };
    visits::keep(conn, person, incident, &visit).await
}
