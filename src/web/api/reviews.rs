//! Reviews of what was opened alone, as JSON.

use axum::{Json, extract::State, http::StatusCode};

use super::{
    ROWS_MAX,
    shapes::{
        ErrorAnswer,
        approval::{FindingBody, ReviewBody},
    },
};
use crate::{
    execute::people,
    store::{StoreError, reviews},
    web::{
        caller::{Reads, Reviews},
        error::WebError,
        extract::{Body, Path},
        state::AppState,
    },
};

/// Reviews, the open ones first and the newest of each first; at most 100.
#[utoipa::path(get, path = "/reviews", tag = "approvals",
    responses((status = 200, body = Vec<ReviewBody>), (status = 401, body = ErrorAnswer)))]
pub async fn list(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<ReviewBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = reviews::list(&mut conn, None, ROWS_MAX).await?;
    Ok(Json(found.into_iter().map(ReviewBody::from).collect()))
}

/// Closes a review with what was found. Needs the role approver, and not the person who opened it.
#[utoipa::path(post, path = "/reviews/{id}/close", tag = "approvals", params(("id" = i64, Path)),
    request_body = FindingBody,
    responses((status = 204), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn close(
    State(app): State<AppState>,
    Reviews(me): Reviews,
    Path(id): Path<i64>,
    Body(body): Body<FindingBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::close_review(&mut tx, id, &body.finding, &me, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(StatusCode::NO_CONTENT)
}
