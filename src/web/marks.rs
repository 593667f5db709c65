//! Small acts upon a timeline, by form: pin, unpin, take back what one has just done, say that one has read.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::{Reads, Responds},
    error::WebError,
    extract::Path,
    respond::{back, end},
    state::AppState,
};
use crate::{
    domain::id::IncidentId,
    incident::{pins, taking_back, visits},
    store::{StoreError, incidents},
};

/// How far from the newest event a row is still among the first ones of the page.
const NEAR: i64 = 100;

/// The fields of these forms.
#[derive(Debug, Deserialize)]
pub struct MarkForm {
    op: Uuid,
    seen: Option<i64>,
    seq: i64,
}

impl MarkForm {
    /// One form pins any event of a page, so each event is an operation of its own.
    fn op(&self) -> Uuid {
        Uuid::from_u128(self.op.as_u128() ^ u128::from(self.seq.unsigned_abs()))
    }

    /// Back to the row, wherever it is.
    fn row(&self, id: IncidentId) -> Redirect {
        let seq = self.seq;
        see(match self.seen.unwrap_or(seq) - seq < NEAR {
            true => format!("/incidents/{id}#e{seq}"),
            false => format!("/incidents/{id}?row={seq}#e{seq}"),
        })
    }
}

/// That one has read.
#[derive(Debug, Deserialize)]
pub struct ReadForm {
    seen: i64,
}

/// `POST /incidents/{id}/pins`
pub async fn pin(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<MarkForm>,
) -> Result<Redirect, WebError> {
    if let Some(mut act) = Act::begin(&app, form.op(), &me).await? {
        let now = act.now;
        let done = pins::pin(act.conn(), id, &me, form.seq, now).await;
        _ = end(&app, act, done, &me, id, None).await?;
    }
    Ok(form.row(id))
}

/// `POST /incidents/{id}/pins/remove`
pub async fn unpin(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<MarkForm>,
) -> Result<Redirect, WebError> {
    if let Some(mut act) = Act::begin(&app, form.op(), &me).await? {
        let now = act.now;
        let done = pins::unpin(act.conn(), id, &me, form.seq, now).await;
        _ = end(&app, act, done, &me, id, None).await?;
    }
    Ok(form.row(id))
}

/// `POST /incidents/{id}/undo`
pub async fn undo(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<MarkForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = taking_back::take_back(act.conn(), id, &me, form.seq, now).await;
    end(&app, act, done, &me, id, form.seen).await
}

/// `POST /incidents/{id}/read`: whoever may read may say that they have.
pub async fn read(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<IncidentId>,
    Form(form): Form<ReadForm>,
) -> Result<Redirect, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    if incidents::find(&mut tx, id).await?.is_none() {
        return Err(WebError::not_found("incident"));
    }
    visits::read(&mut tx, me.id, id, form.seen, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(back(id))
}
