//! The postmortem, as a page and as Markdown.

use askama::Template;
use axum::{
    extract::State,
    http::header,
    response::{Html, IntoResponse, Response},
};

use super::{
    caller::Reads,
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{layout::Place, postmortem::PostmortemPage},
};
use crate::{domain::id::IncidentId, store, timeline::postmortem};

/// `GET /incidents/{id}/postmortem`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<IncidentId>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let draft = postmortem::load(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let title = format!("Postmortem INC-{id}");
    let frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now)
        .await?
        .of_drill(draft.incident.drill);
    Ok(Html(PostmortemPage::of(frame, &draft).render()?))
}

/// `GET /incidents/{id}/postmortem.md`
pub async fn markdown(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<IncidentId>,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let draft = postmortem::load(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let head = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
    Ok((head, draft.markdown()).into_response())
}
