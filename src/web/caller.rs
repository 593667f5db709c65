//! Who is asking, and what they must be allowed. Each handler states its need by the second argument of its signature;
//! [`super::routes`] registers no handler that does not, and the argument refuses whoever is not allowed before the
//! handler runs.

use axum::{
    extract::{FromRequestParts, MatchedPath, State},
    http::{HeaderMap, header, request::Parts},
};

use super::{
    error::WebError,
    session::{self, SessionToken},
    state::AppState,
};
use crate::{
    domain::{
        access,
        operator::Operator,
        permission::Permission,
        token::{self, PERSONAL_MARK},
    },
    store::{StoreError, api_tokens},
};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it is what people see before they sign in, or no secret.
    Nothing,
    /// A token of a source, checked where deliveries come in.
    Source,
    /// To be signed in, or show a token, and be allowed this.
    Permission(Permission),
}

/// A caller as a handler states it.
pub trait Guard: FromRequestParts<AppState> {
    /// What it lets through.
    const NEED: Need;
}

/// The arguments of a handler that states what it needs: the state, then the caller, then whatever else.
pub trait Guarded {
    /// What it states.
    const NEED: Need;
}

macro_rules! guarded {
    ($($rest:ident),*) => {
        impl<M, G: Guard, $($rest),*> Guarded for (M, State<AppState>, G, $($rest),*) {
            const NEED: Need = G::NEED;
        }
    };
}

guarded!();
guarded!(T1);
guarded!(T1, T2);
guarded!(T1, T2, T3);
guarded!(T1, T2, T3, T4);

/// Whoever: for the pages before signing in, and for files that are no secret.
#[derive(Clone, Copy, Debug)]
pub struct Anyone;

impl Guard for Anyone {
    const NEED: Need = Need::Nothing;
}

impl FromRequestParts<AppState> for Anyone {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        Ok(Self)
    }
}

/// The token a program shows as `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The person behind a request: by their session, or by a token of theirs. Both at once is refused, since whoever sent
/// it cannot have meant both.
async fn identify(parts: &mut Parts, app: &AppState) -> Result<Operator, WebError> {
    let session = SessionToken::from_request_parts(parts, app).await?;
    let is_shown = parts.headers.contains_key(header::AUTHORIZATION);
    if !is_shown {
        return session::find(app, session).await?.ok_or_else(WebError::sign_in);
    }
    if session.0.is_some() {
        return Err(WebError::unreadable(
            "There is a session cookie and an Authorization header; send one of them.",
        ));
    }
    let token = bearer(&parts.headers)
        .filter(|token| token::is_whole(PERSONAL_MARK, token))
        .ok_or_else(WebError::bad_token)?;
    let now = app.clock.now();
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    api_tokens::find_operator(&mut conn, token::digest(token), now)
        .await?
        .ok_or_else(WebError::bad_token)
}

async fn allowed(parts: &mut Parts, app: &AppState, permission: Permission) -> Result<Operator, WebError> {
    let operator = identify(parts, app).await?;
    if let Err(denial) = access::may(&operator, permission) {
        // Of the address only its shape: the address itself may hold a one-time code.
        let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        tracing::info!(operator.id = operator.id.0, via = %operator.via, %permission, route, "refused");
        return Err(WebError::denied(permission, &denial));
    }
    Ok(operator)
}

macro_rules! callers {
    ($($(#[$doc:meta])* $name:ident => $permission:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub Operator);

        impl Guard for $name {
            const NEED: Need = Need::Permission(Permission::$permission);
        }

        impl FromRequestParts<AppState> for $name {
            type Rejection = WebError;

            async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, WebError> {
                allowed(parts, app, Permission::$permission).await.map(Self)
            }
        }
    )*};
}

callers! {
    /// May read.
    Reads => Read,
    /// May manage their own account, and is there in person.
    OwnsAccount => Account,
    /// May work on incidents.
    Responds => Respond,
    /// May start and steer runs.
    Runs => Run,
    /// May pause all automation.
    Pauses => Pause,
    /// May decide at gates; the gate itself says at which.
    Decides => Decide,
    /// May open a gate alone.
    BreaksGlass => BreakGlass,
    /// May undo a pause, close circuits, make freezes and routing rules.
    Oversees => Oversee,
    /// May close the review of a gate that was opened alone.
    Reviews => Review,
    /// May publish runbooks and review those of others.
    Publishes => Publish,
    /// May read who decided what.
    ReadsAudit => Audit,
    /// May make and change sources.
    KeepsSources => Sources,
    /// May invite people and change what they may do.
    KeepsPeople => People,
}
