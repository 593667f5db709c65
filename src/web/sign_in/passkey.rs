//! Signing in with a passkey: the script asks for a challenge, the authenticator signs it, no name is typed.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{failed, open};
use crate::{
    domain::sign_in::Way,
    identity::passkey::{self, PasskeyError, Place},
    store::StoreError,
    web::{arrival::Visitor, caller::Anyone, error::WebError, extract::Body, state::AppState},
};

/// The place where passkeys of this Muster are made and used, when there is one: its public address, or, without one,
/// the machine it runs on. A host that only the request names is believed no further: whoever stands in between could
/// choose it.
pub fn place(app: &AppState, headers: &HeaderMap) -> Option<Place> {
    if let Some(url) = &app.public_url {
        return Place::of(url);
    }
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let scheme = if app.speaks_tls { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{host}/")).ok()?;
    let name = url.host_str()?;
    if name != "localhost" && !name.ends_with(".localhost") {
        return None;
    }
    Place::of(&url)
}

/// The same, or the refusal that says what is missing.
pub fn need_place(app: &AppState, headers: &HeaderMap) -> Result<Place, WebError> {
    place(app, headers).ok_or_else(|| {
        WebError::refused(
            "passkeys need a name and https: set MUSTER_PUBLIC_URL, or open Muster as localhost on its own machine",
        )
    })
}

/// `POST /login/passkey/challenge`
pub async fn challenge(
    State(app): State<AppState>,
    _: Anyone,
    headers: HeaderMap,
) -> Result<Json<Value>, WebError> {
    let place = need_place(&app, &headers)?;
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    Ok(Json(
        passkey::begin_sign_in(&mut conn, &place, app.clock.now()).await?,
    ))
}

/// What the authenticator signed, and where to go.
#[derive(Deserialize)]
pub struct SignInBody {
    credential: Value,
    #[serde(default)]
    next: String,
}

/// `POST /login/passkey`: answers with the address to go to.
pub async fn sign_in(
    State(app): State<AppState>,
    _: Anyone,
    visitor: Visitor,
    headers: HeaderMap,
    Body(body): Body<SignInBody>,
) -> Result<Response, WebError> {
    let place = need_place(&app, &headers)?;
    let now = app.clock.now();
    let answered = {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        passkey::answer_sign_in(&mut conn, &body.credential, now).await
    };
    let signed = match answered {
        Ok(answered) => {
            let mut tx = app.db.begin().await.map_err(StoreError::from)?;
            passkey::sign_in(&mut tx, &place, answered, now)
                .await
                .map(|operator| (tx, operator))
        }
        Err(error) => Err(error),
    };
    let (tx, operator) = match signed {
        Ok(signed) => signed,
        Err(error @ (PasskeyError::Refused(_) | PasskeyError::Stale)) => {
            failed(&app, None, &visitor.arrival).await?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    let (cookie, next) = open(&app, tx, operator, &Way::Passkey, &visitor, &body.next).await?;
    Ok(([(header::SET_COOKIE, cookie)], Json(json!({"next": next}))).into_response())
}

impl From<PasskeyError> for WebError {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::Refused(reason) => {
                tracing::info!(reason, "a passkey was refused");
                Self::refused("this passkey does not open anything here")
            }
            PasskeyError::Identity(error) => error.into(),
            other => Self::refused(other.to_string()),
        }
    }
}
