//! Sessions: a random token in a cookie, of which the database holds only the hash, with when it began, from where and
//! how. What a caller may do is for [`super::caller`] to say.

use axum::{extract::FromRequestParts, http::request::Parts};
use axum_extra::extract::cookie::CookieJar;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

pub use crate::identity::code::{new_token, token_digest};

use super::{error::WebError, state::AppState, view::text};
use crate::{
    domain::{
        digest::Digest,
        id::OperatorId,
        operator::Operator,
        sign_in::{Arrival, Way},
    },
    store::{
        StoreError,
        sessions::{self, Current, NewSession},
    },
};

/// How long sessions last. ASVS 7.3 wants both limits written down with their reason: whoever is on call opens Muster
/// from a page at 3 am on a phone and must not meet a sign-in between the alert and the approval, so a session outlasts
/// a shift; and none outlasts a week, so that a lost machine is no way in for longer. Both are settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// A session nobody used for so long is over.
    pub idle: TimeDelta,
    /// A session is over after this, used or not.
    pub longest: TimeDelta,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle: TimeDelta::hours(12),
            longest: TimeDelta::days(7),
        }
    }
}

/// The name of a cookie of ours. `__Host-` lets a browser take it only over https, for this host alone and for all its
/// paths, so no neighbour under the same domain can set it.
pub(super) fn cookie_name(of: &str, https: bool) -> String {
    format!("{}{of}", if https { "__Host-" } else { "" })
}

/// How long a sign-in counts as fresh.
pub const FRESH: TimeDelta = TimeDelta::minutes(15);

/// The session's cookie.
const COOKIE: &str = "muster";

/// Begins a session in the caller's transaction, always with a token of its own; returns the `Set-Cookie` that goes with
/// the answer.
pub async fn begin(
    conn: &mut PgConnection,
    operator: OperatorId,
    way: &Way,
    from: &Arrival,
    limits: SessionLimits,
    https: bool,
    now: DateTime<Utc>,
) -> Result<String, WebError> {
    let token = new_token().map_err(|error| WebError::bug("no random bytes", error))?;
    let session = NewSession {
        token: token_digest(&token),
        operator,
        way,
        from,
        expires_at: now + limits.longest,
    };
    sessions::insert(conn, &session, now).await?;
    Ok(set_cookie(COOKIE, &token, limits.longest, https))
}

/// The `Set-Cookie` that takes the session's cookie away.
pub fn end_cookie(https: bool) -> String {
    set_cookie(COOKIE, "", TimeDelta::zero(), https)
}

/// A cookie that scripts cannot read. `Lax` and not `Strict`: a link to an incident that somebody follows from a chat or
/// a page must land there signed in, which `Strict` prevents; and what changes anything is a POST, which `Lax` does not
/// let another site send with the cookie, and which the guard of [`super::router`] refuses as well.
pub(super) fn set_cookie(of: &str, value: &str, max_age: TimeDelta, https: bool) -> String {
    format!(
        "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{}",
        cookie_name(of, https),
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
            jar.get(&cookie_name(COOKIE, app.is_https()))
                .map(|cookie| token_digest(cookie.value())),
        ))
    }
}

/// The person behind a request, whoever they are.
pub async fn find(app: &AppState, token: SessionToken) -> Result<Option<Operator>, WebError> {
    Ok(current(app, token).await?.map(|current| current.operator))
}

/// The session a request came with, if it stands.
pub async fn current(app: &AppState, token: SessionToken) -> Result<Option<Current>, WebError> {
    let Some(token) = token.0 else {
        return Ok(None);
    };
    let now = app.clock.now();
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    Ok(sessions::find(&mut conn, token, now, now - app.session_limits.idle).await?)
}

/// Refuses what makes or changes a way in, unless the person showed lately who they are: a browser left open on a desk must
/// not become somebody else's way in. `back` is the page to come back to. ASVS 7.5.1.
pub async fn need_fresh(app: &AppState, token: SessionToken, back: &str) -> Result<(), WebError> {
    let current = current(app, token).await?.ok_or_else(WebError::sign_in)?;
    if app.clock.now() - current.since <= FRESH {
        return Ok(());
    }
    Err(WebError::forbidden(format!(
        "This makes or changes a way in, and you last signed in more than {} min ago. Sign in once more and repeat it.",
        FRESH.num_minutes()
    ))
    .with_next(
        text::with_query("/login", &[("again", "yes"), ("next", back)]),
        "Sign in once more",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_this_host_alone_and_out_of_reach_of_scripts() {
        let week = SessionLimits::default().longest;
        assert_eq!(
            set_cookie(COOKIE, "x", week, true),
            "__Host-muster=x; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            set_cookie(COOKIE, "x", week, false),
            "muster=x; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax"
        );
    }
}
