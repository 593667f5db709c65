//! The postmortem, as a page and as Markdown.

use askama::Template;
use axum::{
    extract::State,
    http::header,
    response::{Html, IntoResponse, Response},
};

use super::{
    action_items,
    caller::Reads,
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{action_item::ItemsPart, layout::Place, postmortem::PostmortemPage},
};
use crate::{
    domain::{access::may, id::IncidentId, incident::IncidentState, permission::Permission},
    drill,
    store::{
        self,
        action_items::{Origin, Wanted},
    },
    timeline::{
        actions::{Actions, ITEMS_MAX},
        postmortem,
    },
};

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
    let incident = &draft.incident;
    let origin = Origin::Incident(id);
    let proof = incident.drill.is_none().then_some(id);
    let record = action_items::of(&mut tx, origin, proof, &me).await?;
    let items = ItemsPart::of(&record, origin, Some(me.id), now);
    let is_over = matches!(incident.state, IncidentState::Resolved | IncidentState::Closed);
    let can_be_played = is_over && incident.drill.is_none() && !draft.runs.is_empty();
    let may_reenact = can_be_played && may(&me, Permission::Run).is_ok();
    Ok(Html(
        PostmortemPage::of(frame, &draft, items, may_reenact).render()?,
    ))
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
    let wanted = Wanted {
        incident: Some(id),
        ..Wanted::default()
    };
    let items = store::action_items::list(&mut tx, &wanted, ITEMS_MAX as i64 + 1).await?;
    let played = drill::items::played(&mut tx, &app.conductor.simulator, &items).await?;
    let actions = Actions::of(items, played, app.clock.now());
    let base = app.public_url.as_ref().map_or("", |url| url.as_str());
    let head = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
    Ok((head, draft.markdown(&actions, base.trim_end_matches('/'))).into_response())
}
