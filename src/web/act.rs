//! One act of a person: a transaction that begins by taking the form's operation id, so that a second tap finds it
//! taken and changes nothing, and that ends by waking whoever waits for the change.

use axum::response::Redirect;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::{error::WebError, state::AppState};
use crate::{
    domain::{id::IncidentId, operator::Operator, sentence},
    store::{
        StoreError, operators,
        timelines::{self, Window},
        wake::Wake,
    },
};

/// Events told of at most when a person acted on an old page, the newest.
const SINCE_MAX: i64 = 12;

/// An act under way; dropped without [`Act::commit`] it never was.
pub struct Act {
    tx: Transaction<'static, Postgres>,
    wake: Wake,
    /// When it is done.
    pub now: DateTime<Utc>,
}

impl Act {
    /// Begins an act; `None` when this operation was done before, so the caller only shows its result.
    pub async fn begin(app: &AppState, op: Uuid, by: &Operator) -> Result<Option<Self>, WebError> {
        let now = app.clock.now();
        let mut tx = app.db.begin().await.map_err(StoreError::from)?;
        if !operators::take_operation(&mut tx, op, by.id, now).await? {
            return Ok(None);
        }
        Ok(Some(Self {
            tx,
            wake: app.wake.clone(),
            now,
        }))
    }

    /// The transaction.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Makes it true and tells of it.
    pub async fn commit(self) -> Result<(), WebError> {
        self.tx.commit().await.map_err(StoreError::from)?;
        self.wake.changed();
        Ok(())
    }
}

/// What happened to an incident after `seen`, as lines for a person whose page was old.
pub async fn since(
    conn: &mut PgConnection,
    incident: IncidentId,
    seen: i64,
) -> Result<Vec<String>, StoreError> {
    let missed = Window {
        kinds: None,
        also: None,
        after: seen,
        before: i64::MAX,
        limit: SINCE_MAX,
    };
    Ok(timelines::newest(conn, incident, &missed)
        .await?
        .iter()
        .rev()
        .map(|recorded| {
            format!(
                "{} {}: {}",
                recorded.recorded_at.format("%H:%M:%S"),
                recorded.actor,
                sentence::sentence(&recorded.event)
            )
        })
        .collect())
}

/// Ends a fault of an act with what happened since the person's page was made, when that is why.
pub async fn explain(app: &AppState, fault: WebError, incident: IncidentId, seen: Option<i64>) -> WebError {
    let (true, Some(seen)) = (fault.is_moved(), seen) else {
        return fault;
    };
    let Ok(mut conn) = app.db.acquire().await else {
        return fault;
    };
    match since(&mut conn, incident, seen).await {
        Ok(lines) => fault.with_since(lines),
        Err(_) => fault,
    }
}

/// The answer to a form that was accepted: a page to get.
pub fn see(path: impl AsRef<str>) -> Redirect {
    Redirect::to(path.as_ref())
}
