//! Taking an act back: a new fact, never a change of an old one.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    pins,
    respond::{RespondError, lock, set_severity},
};
use crate::{
    domain::{
        event::{IncidentFact, NewEvent},
        id::IncidentId,
        incident::{IncidentMove, IncidentState},
        operator::Operator,
        taking_back::{Undo, Undoable, undoable},
    },
    store::{StoreError, events, incidents},
};

/// The newest events that are looked through for an act.
const LOOKED_THROUGH: i64 = 50;

/// What this person can take back in an incident in that state, whose timeline ends at `last_seq`.
pub async fn find(
    conn: &mut PgConnection,
    id: IncidentId,
    state: IncidentState,
    last_seq: i64,
    me: &Operator,
    now: DateTime<Utc>,
) -> Result<Option<Undoable>, StoreError> {
    let newest = events::list_after(conn, id, last_seq - LOOKED_THROUGH, LOOKED_THROUGH).await?;
    Ok(undoable(&newest, state, me, now))
}

/// Takes back the act of that event, as long as it can be.
pub async fn take_back(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    seq: i64,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let incident = lock(conn, id).await?;
    let Some(found) = find(conn, id, incident.state, incident.last_seq, by, now)
        .await?
        .filter(|found| found.seq == seq)
    else {
        return Err(RespondError::Moved {
            message: "it is too late to take that back, or somebody has decided since".to_owned(),
        });
    };
    match found.undo {
        Undo::Acknowledgement => {
            if incident.state.after(IncidentMove::Unacknowledge).is_none() {
                return Err(RespondError::Moved {
                    message: format!("the incident is {} now", incident.state),
                });
            }
            incidents::unacknowledge(conn, id, found.at).await?;
            let fact = IncidentFact::Unacknowledged;
            events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?;
            Ok(())
        }
        Undo::Severity { back_to } => set_severity(conn, id, by, back_to, "taken back", now).await,
        Undo::Pin { seq } => pins::unpin(conn, id, by, seq, now).await,
        Undo::Unpin { seq } => pins::pin(conn, id, by, seq, now).await,
    }
}
