//! Merging an incident into another one, and taking it out again, by form.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, Redirect},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::Act,
    caller::Responds,
    candidates::{self, SearchQuery},
    error::WebError,
    extract::Path,
    page,
    respond::{back, end},
    state::AppState,
    view::{
        incident::key,
        layout::Place,
        merge::{LINES_MAX, MergePage},
    },
};
use crate::{
    domain::id::IncidentId,
    incident::{merge, respond::RespondError},
    store::{self, StoreError},
};

/// How often a merge is tried when alerts come in at the same moment.
pub const TRIES_MAX: usize = 5;

/// `GET /incidents/{id}/merge`
pub async fn form(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Query(query): Query<SearchQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let (incident, text, lines) = candidates::find(&mut tx, id, &query, LINES_MAX, now).await?;
    let title = format!("Merge {}", key(id.0));
    let frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now)
        .await?
        .of_drill(incident.drill);
    Ok(Html(
        MergePage::of(frame, &incident, &text, &lines, now).render()?,
    ))
}

/// The fields of these forms.
#[derive(Debug, Deserialize)]
pub struct MergeForm {
    op: Uuid,
    seen: Option<i64>,
    into: Option<i64>,
    #[serde(default)]
    reason: String,
}

/// `POST /incidents/{id}/merge`
pub async fn merge(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<MergeForm>,
) -> Result<Redirect, WebError> {
    let into = form.into.map(IncidentId).ok_or_else(|| {
        WebError::refused("Choose the incident to merge into.")
            .with_next(format!("/incidents/{id}/merge"), "Choose one")
    })?;
    for attempt in 1.. {
        let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
            return Ok(back(id));
        };
        let now = act.now;
        match merge::merge(act.conn(), id, into, &form.reason, &me, now).await {
            Err(RespondError::Store(error)) if error.is_conflict() && attempt < TRIES_MAX => {}
            done => return end(&app, act, done, &me, id, form.seen).await,
        }
    }
    Err(StoreError::Contended.into())
}

/// `POST /incidents/{id}/unmerge`
pub async fn unmerge(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<MergeForm>,
) -> Result<Redirect, WebError> {
    for attempt in 1.. {
        let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
            return Ok(back(id));
        };
        let now = act.now;
        match merge::unmerge(act.conn(), id, &form.reason, &me, now).await {
            Err(RespondError::Store(error)) if error.is_conflict() && attempt < TRIES_MAX => {}
            done => return end(&app, act, done, &me, id, form.seen).await,
        }
    }
    Err(StoreError::Contended.into())
}
