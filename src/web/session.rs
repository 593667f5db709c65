//! Sessions: a random token in a cookie, of which the database holds only the hash. What a caller may do is for
//! [`super::caller`] to say.

use axum::{extract::FromRequestParts, http::request::Parts};
use axum_extra::extract::cookie::CookieJar;
use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE64URL_NOPAD;
use sqlx::PgConnection;

use super::{error::WebError, state::AppState};
use crate::{
    domain::{digest::Digest, id::OperatorId, operator::Operator},
    store::{StoreError, operators},
};

/// A session nobody used for so long is over.
pub const IDLE_MAX: TimeDelta = TimeDelta::hours(12);
/// A session is over after this, used or not.
pub const SESSION_MAX: TimeDelta = TimeDelta::days(7);

const TOKEN_BYTES: usize = 32;

/// The cookie's name. `__Host-` lets a browser take it only over https, for this host alone.
fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-muster" } else { "muster" }
}

/// 256 random bits as text.
pub fn new_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// What the database knows a token or a one-time code by.
pub fn token_digest(token: &str) -> Digest {
    Digest::of_bytes(token.as_bytes())
}

/// Begins a session in the caller's transaction; returns the `Set-Cookie` that goes with the answer.
pub async fn begin(
    conn: &mut PgConnection,
    operator: OperatorId,
    https: bool,
    now: DateTime<Utc>,
) -> Result<String, WebError> {
    let token = new_token().map_err(|error| WebError::bug("no random bytes", error))?;
    operators::insert_session(conn, token_digest(&token), operator, now, now + SESSION_MAX).await?;
    Ok(set_cookie(&token, SESSION_MAX, https))
}

/// The `Set-Cookie` that takes the session's cookie away.
pub fn end_cookie(https: bool) -> String {
    set_cookie("", TimeDelta::zero(), https)
}

fn set_cookie(token: &str, max_age: TimeDelta, https: bool) -> String {
    format!(
        "{}={token}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{}",
        cookie_name(https),
        max_age.num_seconds(),
        if https { "; Secure" } else { "" }
    )
}

/// The session a request carries, whether or not it still stands.
#[derive(Clone, Copy, Debug)]
pub struct SessionToken(pub Option<Digest>);

impl FromRequestParts<AppState> for SessionToken {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, WebError> {
        let jar = CookieJar::from_headers(&parts.headers);
        Ok(Self(
            jar.get(cookie_name(app.is_https()))
                .map(|cookie| token_digest(cookie.value())),
        ))
    }
}

/// The person behind a request, whoever they are.
pub async fn find(app: &AppState, token: SessionToken) -> Result<Option<Operator>, WebError> {
    let Some(token) = token.0 else {
        return Ok(None);
    };
    let now = app.clock.now();
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    Ok(operators::find_by_session(&mut conn, token, now, now - IDLE_MAX).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_random_and_fit_a_cookie() {
        let token = new_token().unwrap();
        assert_eq!(token.len(), 43);
        assert_ne!(token, new_token().unwrap());
        let https = set_cookie(&token, SESSION_MAX, true);
        assert!(
            https.starts_with("__Host-muster=") && https.ends_with("; Secure"),
            "{https}"
        );
        let http = set_cookie(&token, SESSION_MAX, false);
        assert!(
            http.starts_with("muster=") && http.ends_with("Max-Age=604800; HttpOnly; SameSite=Lax"),
            "{http}"
        );
    }
}
