//! How whoever asks has shown who they are. A gate wants to know where what it lets through cannot be taken back.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

use super::{
    error::WebError,
    session::{self, SessionToken},
    sign_in::passkey,
    state::AppState,
};
use crate::{
    domain::{proof::Presence, sign_in::Way},
    store::{StoreError, passkeys},
};

/// That of a request. A program with a token is nobody who is there.
#[derive(Clone, Copy, Debug)]
pub struct Shown(pub Presence);

impl FromRequestParts<AppState> for Shown {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, WebError> {
        let token = SessionToken::from_request_parts(parts, app).await?;
        Ok(Self(of(app, token, &parts.headers).await?))
    }
}

async fn of(app: &AppState, token: SessionToken, headers: &HeaderMap) -> Result<Presence, WebError> {
    let Some(current) = session::current(app, token).await? else {
        return Ok(Presence::default());
    };
    // Where no passkey can be used, nobody is asked for one.
    let has_passkey = match passkey::place(app, headers) {
        None => false,
        Some(_) => {
            let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
            let theirs = passkeys::list_credentials(&mut conn, current.operator.id).await?;
            !theirs.is_empty()
        }
    };
    Ok(Presence {
        since: Some(current.since),
        by_passkey: current.way == Way::Passkey,
        has_passkey,
    })
}
