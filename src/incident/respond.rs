//! What people do to an incident. Each act locks the incident, checks that it still makes sense, changes one thing and
//! writes one event.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        event::{IncidentFact, NewEvent},
        id::IncidentId,
        incident::{IncidentMove, IncidentState, Severity},
        operator::Operator,
    },
    store::{StoreError, events, incidents, incidents::Locked, queue},
};

/// Why an act was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RespondError {
    /// There is no such incident.
    #[error("there is no such incident")]
    NotFound,
    /// Somebody or something was faster.
    #[error("{message}")]
    Moved {
        /// What is true now.
        message: String,
    },
    /// A rule does not allow it.
    #[error("{message}")]
    Refused {
        /// Which, and the way out.
        message: String,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A person takes the incident.
pub async fn acknowledge(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    step(
        conn,
        id,
        IncidentMove::Acknowledge,
        by,
        IncidentFact::Acknowledged,
        now,
    )
    .await
}

/// A person says that the harm has stopped.
pub async fn mitigate(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let fact = IncidentFact::Mitigated {
        reason: reason.trim().to_owned(),
    };
    step(conn, id, IncidentMove::Mitigate, by, fact, now).await
}

/// A person says that it is over. Not while a run is live: what it still sends would go unwatched.
pub async fn resolve(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    lock(conn, id).await?;
    if queue::has_live_run(conn, id).await? {
        return Err(RespondError::Refused {
            message: "a run is still going; stop it or let it end, then resolve".to_owned(),
        });
    }
    let fact = IncidentFact::Resolved {
        reason: reason.trim().to_owned(),
    };
    step(conn, id, IncidentMove::Resolve, by, fact, now).await
}

/// A person says that it is written up.
pub async fn close(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    step(conn, id, IncidentMove::Close, by, IncidentFact::Closed, now).await
}

/// A person changes how bad it is.
pub async fn set_severity(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    to: Severity,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let incident = lock(conn, id).await?;
    if incident.severity == to {
        return Err(RespondError::Moved {
            message: format!("it is {to} already"),
        });
    }
    incidents::set_severity(conn, id, to).await?;
    let fact = IncidentFact::SeverityChanged {
        from: incident.severity,
        to,
        reason: reason.trim().to_owned(),
    };
    events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?;
    Ok(())
}

pub(super) async fn lock(conn: &mut PgConnection, id: IncidentId) -> Result<Locked, RespondError> {
    incidents::lock(conn, id).await?.ok_or(RespondError::NotFound)
}

async fn step(
    conn: &mut PgConnection,
    id: IncidentId,
    step: IncidentMove,
    by: &Operator,
    fact: IncidentFact,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let incident = lock(conn, id).await?;
    let to: IncidentState = incident.state.after(step).ok_or_else(|| RespondError::Moved {
        message: format!("the incident is {} already", incident.state),
    })?;
    incidents::set_state(conn, id, to, Some(by.id), now).await?;
    events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?;
    Ok(())
}
