//! One's own API tokens. A token cannot make another: these need a session.

use axum::{Json, extract::State, http::StatusCode};

use super::shapes::{
    ErrorAnswer,
    token::{ApiTokenBody, ApiTokenMade, NewApiTokenBody},
};
use crate::{
    rights::tokens::{self, Asked},
    store::{StoreError, api_tokens},
    web::{
        caller::OwnsAccount,
        error::WebError,
        extract::{Body, Path},
        session::{self, SessionToken},
        state::AppState,
    },
};

/// Your live tokens, the newest first, without their text.
#[utoipa::path(get, path = "/tokens", tag = "tokens",
    responses((status = 200, body = Vec<ApiTokenBody>), (status = 401, body = ErrorAnswer), (status = 403, body = ErrorAnswer)))]
pub async fn list(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
) -> Result<Json<Vec<ApiTokenBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let kept = api_tokens::list(&mut conn, me.id).await?;
    Ok(Json(kept.into_iter().map(ApiTokenBody::from).collect()))
}

/// Makes a token for a program of yours. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewApiTokenBody,
    responses((status = 201, body = ApiTokenMade), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn make(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    session: SessionToken,
    Body(body): Body<NewApiTokenBody>,
) -> Result<(StatusCode, Json<ApiTokenMade>), WebError> {
    session::need_fresh(&app, session, "/me/tokens").await?;
    let asked = Asked {
        name: body.name,
        scopes: body.scopes,
        days: body.days,
    };
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let made = tokens::make(&mut tx, &me, &asked, app.clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let answer = ApiTokenMade {
        id: made.id,
        token: made.token.reveal().to_owned(),
        expires_at: made.expires_at,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Takes a token of yours away.
#[utoipa::path(post, path = "/tokens/{id}/revoke", tag = "tokens", params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = ErrorAnswer)))]
pub async fn revoke(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    Path(id): Path<i64>,
) -> Result<StatusCode, WebError> {
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    tokens::revoke(&mut tx, &me, id, app.clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
