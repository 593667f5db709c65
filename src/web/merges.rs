//! Merging an incident into another one, and taking it out again, by form.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, Redirect},
};
use chrono::TimeDelta;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::Act,
    caller::Responds,
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
    store::{self, StoreError, incidents, merges},
};

/// How often a merge is tried when alerts come in at the same moment.
pub const TRIES_MAX: usize = 5;
/// How old the open incidents are at most that are offered without being named, in hours.
const OFFERED_HOURS: i64 = 24;

/// What a person looks for.
#[derive(Debug, Default, Deserialize)]
pub struct SearchQuery {
    /// Words of the title or the source, or a number.
    #[serde(default)]
    q: String,
}

/// `GET /incidents/{id}/merge`
pub async fn form(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Query(query): Query<SearchQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let incident = incidents::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let since = now - TimeDelta::hours(OFFERED_HOURS);
    // U+0000 is in no title, and the database takes none.
    let text = query.q.trim().replace('\0', "");
    let lines = merges::find_open(&mut tx, id, &text, since, LINES_MAX as i64 + 1).await?;
    let title = format!("Merge {}", key(id.0));
    let frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now).await?;
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
