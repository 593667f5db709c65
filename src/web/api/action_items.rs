//! Action items as JSON.

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::{
    ErrorAnswer, Rows,
    action_item::{ActionItemBody, CloseItemBody, MadeItemBody, NewItemBody},
};
use crate::{
    domain::{
        action_item::ItemState,
        id::{ActionItemId, IncidentId, OperatorId},
    },
    drill::items::{self, Draft},
    store::{
        StoreError,
        action_items::{self, Wanted},
    },
    web::{
        action_items::{origin, wanted},
        caller::{Reads, Responds},
        error::WebError,
        extract::{Body, Path},
        state::AppState,
        view::action_item::Which,
    },
};

/// Items on one page.
const ROWS_MAX: i64 = 100;

/// Which items.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ItemsQuery {
    /// `open`, `mine`, `overdue`, `all`
    #[serde(default)]
    which: String,
    /// The `next` of the page before.
    before: Option<i64>,
}

/// Action items, the newest first, at most 100 at once.
#[utoipa::path(get, path = "/action-items", tag = "drills", params(ItemsQuery),
    responses((status = 200, body = Rows<ActionItemBody>), (status = 401, body = ErrorAnswer)))]
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Rows<ActionItemBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let asked = Wanted {
        before: query.before.map(ActionItemId),
        ..wanted(Which::named(&query.which), me.id, app.clock.now())
    };
    let found = action_items::list(&mut conn, &asked, ROWS_MAX + 1).await?;
    Ok(Json(Rows::of(
        found,
        ROWS_MAX,
        |item| item.id.0,
        ActionItemBody::from,
    )))
}

/// Makes an action item of an incident or of a drill.
#[utoipa::path(post, path = "/action-items", tag = "drills", request_body = NewItemBody,
    responses((status = 201, body = MadeItemBody), (status = 404, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn make(
    State(app): State<AppState>,
    Responds(me): Responds,
    Body(body): Body<NewItemBody>,
) -> Result<(StatusCode, Json<MadeItemBody>), WebError> {
    let draft = Draft {
        origin: origin(body.incident, body.drill)?,
        text: body.text,
        owner: body.owner.map_or(me.id, OperatorId),
        due: body.due,
        proof: body.proof.map(IncidentId),
    };
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let id = items::make(&mut tx, &draft, &me, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok((StatusCode::CREATED, Json(MadeItemBody { id: id.0 })))
}

/// Closes an action item. One whose incident must pass is only done when a drill of it passed after the item was made, in
/// the versions that are in use.
#[utoipa::path(post, path = "/action-items/{id}/close", tag = "drills", params(("id" = i64, Path)),
    request_body = CloseItemBody,
    responses((status = 204), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn close(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<i64>,
    Body(body): Body<CloseItemBody>,
) -> Result<StatusCode, WebError> {
    let state =
        ItemState::named(&body.state).ok_or_else(|| WebError::unreadable("state is done or dropped"))?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let simulator = &app.conductor.simulator;
    items::close(
        &mut tx,
        simulator,
        ActionItemId(id),
        state,
        &body.remark,
        &me,
        now,
    )
    .await?;
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(StatusCode::NO_CONTENT)
}
