//! What people write about an incident, by form: notes, its impact, status updates.

use axum::{Form, extract::State, response::Redirect};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Responds,
    error::WebError,
    extract::Path,
    respond::{back, end},
    state::AppState,
};
use crate::{
    domain::{id::IncidentId, note::NoteTag},
    incident::words::{self, NewNote, NewUpdate},
};

/// A note.
#[derive(Debug, Deserialize)]
pub struct NoteForm {
    op: Uuid,
    #[serde(default)]
    text: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    happened: String,
}

/// The impact in one sentence.
#[derive(Debug, Deserialize)]
pub struct ImpactForm {
    op: Uuid,
    seen: Option<i64>,
    #[serde(default)]
    impact: String,
}

/// A status update.
#[derive(Debug, Deserialize)]
pub struct UpdateForm {
    op: Uuid,
    seen: Option<i64>,
    #[serde(default)]
    condition: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    need: String,
    /// Minutes until the next one; empty for no promise.
    #[serde(default)]
    next: String,
}

/// A moment as a field for date and time sends it, with or without seconds; `None` when it is empty.
pub(super) fn moment(text: &str) -> Result<Option<DateTime<Utc>>, WebError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    [
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d %H:%M",
    ]
    .iter()
    .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    .map(|moment| Some(moment.and_utc()))
    .ok_or_else(|| WebError::refused("write the time as 2026-11-21T03:07:12, in UTC"))
}

/// `POST /incidents/{id}/notes`
pub async fn note(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<NoteForm>,
) -> Result<Redirect, WebError> {
    let timeline = format!("/incidents/{id}#timeline");
    let note = NewNote {
        tag: NoteTag::named(&form.tag),
        happened_at: moment(&form.happened)?,
        text: form.text,
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(timeline));
    };
    let now = act.now;
    let done = words::note(act.conn(), id, &me, &note, now).await;
    _ = end(&app, act, done, &me, id, None).await?;
    Ok(see(timeline))
}

/// `POST /incidents/{id}/impact`
pub async fn impact(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<ImpactForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = words::state_impact(act.conn(), id, &me, &form.impact, now).await;
    end(&app, act, done, &me, id, form.seen).await
}

/// `POST /incidents/{id}/updates`
pub async fn update(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<UpdateForm>,
) -> Result<Redirect, WebError> {
    let next_in = match form.next.trim() {
        "" => None,
        minutes => {
            let minutes: u16 = minutes
                .parse()
                .map_err(|_| WebError::unreadable("The next update is due in a number of minutes."))?;
            Some(TimeDelta::minutes(i64::from(minutes)))
        }
    };
    let update = NewUpdate {
        condition: form.condition,
        action: form.action,
        need: form.need,
        next_in,
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = words::post_update(act.conn(), id, &me, &update, now).await;
    end(&app, act, done, &me, id, form.seen).await
}
