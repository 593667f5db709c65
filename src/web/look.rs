//! How this browser's pages look before anybody is known: a cookie with what its last person chose. Pages of somebody who is
//! signed in go by what is kept of them.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use axum_extra::extract::cookie::CookieJar;
use chrono::TimeDelta;

use super::{
    session::{cookie_name, set_cookie},
    state::AppState,
};
use crate::domain::preferences::Preferences;

/// The cookie's name; it is no secret and opens nothing.
const COOKIE: &str = "muster-look";
/// How long a browser keeps it.
const KEPT: TimeDelta = TimeDelta::days(365);

/// What the cookie of a request says; everything as it comes when it has none, or one that nobody of ours wrote.
pub fn of(headers: &HeaderMap, app: &AppState) -> Preferences {
    CookieJar::from_headers(headers)
        .get(&cookie_name(COOKIE, app.is_https()))
        .and_then(|cookie| Preferences::from_line(cookie.value()))
        .unwrap_or_default()
}

/// The `Set-Cookie` that lets this browser remember it.
pub fn cookie(chosen: Preferences, app: &AppState) -> String {
    set_cookie(COOKIE, &chosen.line(), KEPT, app.is_https())
}

/// The same as [`of`], for handlers.
#[derive(Clone, Copy, Debug)]
pub struct Look(pub Preferences);

impl FromRequestParts<AppState> for Look {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        Ok(Self(of(&parts.headers, app)))
    }
}
