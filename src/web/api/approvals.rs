//! Requests for a decision as JSON.

use axum::{Json, extract::State};

use super::shapes::{
    ErrorAnswer,
    approval::{ApprovalBody, ApprovalRow, DecidedBody, DecisionBody},
};
use crate::{
    domain::{digest::Digest, id::ApprovalId},
    execute::people,
    store::{self, StoreError, approvals},
    web::{
        error::WebError,
        extract::{Body, Path},
        page,
        session::Viewer,
        state::AppState,
    },
};

/// Requests that are pending, the soonest to lapse first; at most 100.
#[utoipa::path(get, path = "/approvals", tag = "approvals",
    responses((status = 200, body = Vec<ApprovalRow>), (status = 401, body = ErrorAnswer)))]
pub async fn list(State(app): State<AppState>, _: Viewer) -> Result<Json<Vec<ApprovalRow>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let pending = page::pending(&mut conn).await?;
    Ok(Json(pending.into_iter().map(ApprovalRow::from).collect()))
}

/// One request with everything a decision is bound to.
#[utoipa::path(get, path = "/approvals/{id}", tag = "approvals", params(("id" = i64, Path)),
    responses((status = 200, body = ApprovalBody), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Viewer,
    Path(id): Path<ApprovalId>,
) -> Result<Json<ApprovalBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let approval = approvals::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("approval"))?;
    let votes = approvals::votes(&mut tx, id).await?;
    Ok(Json(ApprovalBody::of(approval, votes)))
}

/// Approves or rejects. The gate's own rule says who may.
#[utoipa::path(post, path = "/approvals/{id}/decision", tag = "approvals", params(("id" = i64, Path)),
    request_body = DecisionBody,
    responses((status = 200, body = DecidedBody), (status = 403, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub async fn decide(
    State(app): State<AppState>,
    Viewer(me): Viewer,
    Path(id): Path<ApprovalId>,
    Body(body): Body<DecisionBody>,
) -> Result<Json<DecidedBody>, WebError> {
    let digest = Digest::try_from(body.digest)
        .map_err(|fault| WebError::unreadable(format!("The digest cannot be read: {fault}.")))?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let state = people::decide(&mut tx, id, digest, body.verdict, &body.reason, &me, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(Json(state.into()))
}
