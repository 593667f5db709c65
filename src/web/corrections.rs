//! Correcting a note, by form.

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, Redirect},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Responds,
    error::WebError,
    extract::Path,
    page,
    respond::end,
    state::AppState,
    view::{correction::CorrectionPage, incident::key, layout::Place},
};
use crate::{
    domain::id::IncidentId,
    incident::corrections,
    store::{self, incidents},
};

/// `GET /incidents/{id}/notes/{seq}`
pub async fn form(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, seq)): Path<(IncidentId, i64)>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let incident = incidents::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let note = corrections::find(&mut tx, id, seq)
        .await?
        .ok_or_else(|| WebError::not_found("note"))?;
    let title = format!("Correct a note · {}", key(id.0));
    let frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now)
        .await?
        .of_drill(incident.drill);
    Ok(Html(CorrectionPage::of(frame, &incident, &note, now).render()?))
}

/// A note as it is to read.
#[derive(Debug, Deserialize)]
pub struct CorrectionForm {
    op: Uuid,
    seen: Option<i64>,
    /// Number of the event that held the text when the form was made.
    over: Option<i64>,
    #[serde(default)]
    text: String,
}

/// `POST /incidents/{id}/notes/{seq}`
pub async fn correct(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, seq)): Path<(IncidentId, i64)>,
    Form(form): Form<CorrectionForm>,
) -> Result<Redirect, WebError> {
    let row = format!("/incidents/{id}?row={seq}#e{seq}");
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(row));
    };
    let now = act.now;
    let done = corrections::correct(act.conn(), id, &me, seq, &form.text, form.over, now).await;
    _ = end(&app, act, done, &me, id, form.seen).await?;
    Ok(see(row))
}
