//! Adding and removing a person's own passkeys.

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    identity::passkey::{self, NAME_CHARS_MAX},
    store::StoreError,
    web::{
        act::see,
        caller::OwnsAccount,
        error::WebError,
        extract::{Body, Path},
        session::{self, SessionToken},
        sign_in::passkey::need_place,
        state::AppState,
    },
};

/// `POST /me/passkeys/challenge`
pub async fn challenge(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    token: SessionToken,
    headers: HeaderMap,
) -> Result<Json<Value>, WebError> {
    session::need_fresh(&app, token, "/me").await?;
    let place = need_place(&app, &headers)?;
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let asked = passkey::begin_adding(&mut conn, &place, &me, app.clock.now()).await?;
    Ok(Json(asked))
}

/// What the authenticator made, and what its owner calls it.
#[derive(Deserialize)]
pub struct AddBody {
    credential: Value,
    name: String,
}

/// `POST /me/passkeys`
pub async fn add(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    token: SessionToken,
    headers: HeaderMap,
    Body(body): Body<AddBody>,
) -> Result<Response, WebError> {
    session::need_fresh(&app, token, "/me").await?;
    let place = need_place(&app, &headers)?;
    let name = body.name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(WebError::refused(format!(
            "give the passkey a name of at most {NAME_CHARS_MAX} characters"
        )));
    }
    let now = app.clock.now();
    let answered = {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        passkey::answer_adding(&mut conn, me.id, &body.credential, now).await?
    };
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    passkey::add(&mut tx, &place, me.id, name, answered, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Json(json!({"added": name})).into_response())
}

/// `POST /me/passkeys/{id}/remove`
pub async fn remove(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    token: SessionToken,
    Path(id): Path<i64>,
) -> Result<Response, WebError> {
    session::need_fresh(&app, token, "/me").await?;
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    // One that is gone already is what was asked for.
    passkey::remove(&mut tx, me.id, id, app.clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(see("/me?done=removed#passkeys").into_response())
}
