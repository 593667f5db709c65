//! What people write about an incident, as JSON: corrections of notes, its impact, status updates, pins.

use axum::{Json, extract::State, http::StatusCode};
use chrono::TimeDelta;

use super::{
    incidents::commit,
    shapes::{
        ErrorAnswer,
        incident::IncidentBody,
        words::{CorrectionBody, ImpactBody, PinBody, UpdateBody},
    },
};
use crate::{
    domain::id::IncidentId,
    incident::{
        corrections, pins,
        words::{self, NewUpdate},
    },
    store::StoreError,
    web::{
        caller::Responds,
        error::WebError,
        extract::{Body, Path},
        state::AppState,
    },
};

/// Corrects a note, which stays in the timeline as it was written.
#[utoipa::path(post, path = "/incidents/{id}/notes/{seq}/corrections", tag = "incidents",
    params(("id" = i64, Path), ("seq" = i64, Path)), request_body = CorrectionBody,
    responses((status = 201, body = IncidentBody), (status = 409, body = ErrorAnswer)))]
pub async fn correct(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, seq)): Path<(IncidentId, i64)>,
    Body(body): Body<CorrectionBody>,
) -> Result<(StatusCode, Json<IncidentBody>), WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    corrections::correct(&mut tx, id, &me, seq, &body.text, body.over, now).await?;
    Ok((StatusCode::CREATED, commit(&app, tx, id).await?))
}

/// Says in one sentence what an incident does to people; an empty one takes back what was said.
#[utoipa::path(put, path = "/incidents/{id}/impact", tag = "incidents", params(("id" = i64, Path)),
    request_body = ImpactBody,
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer)))]
pub async fn impact(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<ImpactBody>,
) -> Result<Json<IncidentBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    words::state_impact(&mut tx, id, &me, &body.impact, now).await?;
    commit(&app, tx, id).await
}

/// Tells the team how it stands, and when more comes.
#[utoipa::path(post, path = "/incidents/{id}/updates", tag = "incidents", params(("id" = i64, Path)),
    request_body = UpdateBody, responses((status = 201, body = IncidentBody)))]
pub async fn update(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<UpdateBody>,
) -> Result<(StatusCode, Json<IncidentBody>), WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let update = NewUpdate {
        condition: body.condition,
        action: body.action,
        need: body.need,
        next_in: body
            .next_in_minutes
            .map(|minutes| TimeDelta::minutes(i64::from(minutes))),
    };
    words::post_update(&mut tx, id, &me, &update, now).await?;
    Ok((StatusCode::CREATED, commit(&app, tx, id).await?))
}

/// Pins an event, so that it is always shown.
#[utoipa::path(post, path = "/incidents/{id}/pins", tag = "incidents", params(("id" = i64, Path)),
    request_body = PinBody, responses((status = 200, body = IncidentBody)))]
pub async fn pin(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<PinBody>,
) -> Result<Json<IncidentBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    pins::pin(&mut tx, id, &me, body.seq, now).await?;
    commit(&app, tx, id).await
}

/// Takes a pin away.
#[utoipa::path(delete, path = "/incidents/{id}/pins/{seq}", tag = "incidents",
    params(("id" = i64, Path), ("seq" = i64, Path)), responses((status = 200, body = IncidentBody)))]
pub async fn unpin(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, seq)): Path<(IncidentId, i64)>,
) -> Result<Json<IncidentBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    pins::unpin(&mut tx, id, &me, seq, now).await?;
    commit(&app, tx, id).await
}
