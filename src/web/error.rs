//! What went wrong, for whoever asked: every refusal of the room, with its status code, its words and the way on. A
//! handler returns a [`WebError`]; [`super::dress`] turns it into a page or JSON on the way out.

use std::{error::Error, sync::Arc};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;

use super::view::format;
use crate::{
    catalog::publish::PublishError,
    domain::{access::Denial, approval::Refusal, permission::Permission},
    drill::DrillError,
    execute::{people::PeopleError, routing::MakeError},
    identity::IdentityError,
    incident::respond::RespondError,
    rights::RightsError,
    sources::SourceError,
    store::{StoreError, drills::WHO_LEFT_RESTS},
};

/// Why a request was not done.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct WebError {
    pub(super) kind: Kind,
    pub(super) message: String,
    /// What happened meanwhile, one line each.
    pub(super) since: Vec<String>,
    /// Where to go on from here: address and words.
    pub(super) next: Option<(String, String)>,
    /// The same form once more, with this newest event seen.
    pub(super) again: Option<(i64, String)>,
    #[source]
    pub(super) cause: Option<Arc<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unreadable,
    SignIn,
    Forbidden,
    NotFound,
    Method,
    Moved,
    TooLarge,
    Refused,
    TooMany { wait_s: i64 },
    Unavailable,
    Bug,
}

impl Kind {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::SignIn => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Moved => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The kind of an answer that some layer below gave by its status alone.
    pub(super) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::SignIn,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::Method,
            StatusCode::CONFLICT => Self::Moved,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNPROCESSABLE_ENTITY => Self::Unreadable,
            StatusCode::TOO_MANY_REQUESTS => Self::TooMany { wait_s: 1 },
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Self::Unavailable,
            status if status.is_client_error() => Self::Unreadable,
            _ => Self::Bug,
        }
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::SignIn => "sign_in",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Method => "method_not_allowed",
            Self::Moved => "moved_on",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::TooMany { .. } => "too_many",
            Self::Unavailable => "unavailable",
            Self::Bug => "bug",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Unreadable => "Muster could not read that request",
            Self::SignIn => "Sign in again",
            Self::Forbidden => "You may not do that",
            Self::NotFound => "There is nothing here",
            Self::Method => "That is not how this page is asked",
            Self::Moved => "Things have moved on; nothing was done",
            Self::TooLarge => "That is too large",
            Self::Refused => "Not done",
            Self::TooMany { .. } => "Too many tries",
            Self::Unavailable => "The database does not answer",
            Self::Bug => "Muster made a mistake",
        }
    }

    fn usual_message(self) -> &'static str {
        match self {
            Self::Unreadable => "A field is missing or holds what cannot be there. Go back and try again.",
            Self::SignIn => {
                "Your session has ended; nothing was done. Sign in and you come back to where you were."
            }
            Self::Forbidden => "This request came from another site, or you may not do this.",
            Self::NotFound => "The address is mistyped, or what it named does not exist.",
            Self::Method => "Go back and use the buttons of the page.",
            Self::Moved => "Somebody or something was faster. Look at what is true now.",
            Self::TooLarge => "Shorten your text and send it again.",
            Self::Refused => "A rule does not allow it.",
            Self::TooMany { .. } => "Wait a moment and try again.",
            Self::Unavailable => {
                "Nothing was changed as far as Muster knows. Alerts are accepted again as soon as the database \
                 answers. Try again in a few seconds."
            }
            Self::Bug => "It has been written down under the reference below. Try again, or tell an admin.",
        }
    }
}

impl WebError {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            since: Vec::new(),
            next: None,
            again: None,
            cause: None,
        }
    }

    pub(super) fn usual(kind: Kind) -> Self {
        Self::new(kind, kind.usual_message())
    }

    /// The request cannot be read; the message says where.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unreadable, message)
    }

    /// Nobody is signed in, or not any more.
    pub fn sign_in() -> Self {
        Self::usual(Kind::SignIn)
    }

    /// This person may not; the message says who may.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, message)
    }

    /// This person may not, and why; the message says who can change that.
    pub fn denied(permission: Permission, denial: &Denial) -> Self {
        let words = permission.words();
        let way_out = match denial {
            Denial::Scope(_) => "Make a token that carries it, at Your account.",
            Denial::Token => "Sign in in a browser.",
            Denial::Role { .. } => "An admin can change that, under People.",
            Denial::Circle { .. } => {
                "The runbook says so. An admin can change who is in a team, under People; a new version of the runbook can \
                 name others."
            }
        };
        Self::new(
            Kind::Forbidden,
            format!("You may not {words}: {denial}. {way_out}"),
        )
    }

    /// This person may not decide at a gate, and why; the message says who can change that.
    pub fn refusal(refusal: &Refusal) -> Self {
        let way_out = match refusal {
            Refusal::Denied(denial) => return Self::denied(Permission::Decide, denial),
            Refusal::Requester | Refusal::Unbreakable => "Ask somebody who may: the gate's page says who.",
            Refusal::Role { .. } | Refusal::Named { .. } => {
                "An admin can change roles and teams, under People; a new version of the runbook can ask for others."
            }
        };
        Self::forbidden(format!("{} {way_out}", sentence(&refusal.to_string())))
    }

    /// A program showed a token that opens nothing.
    pub fn bad_token() -> Self {
        Self::new(
            Kind::SignIn,
            "The Authorization header holds no good token: it is mistyped, has expired or was revoked. Make another one at \
             Your account.",
        )
    }

    /// There is no such thing.
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("There is no such {what}."))
    }

    /// The state has moved on; the message says what is true now.
    pub fn moved(message: impl Into<String>) -> Self {
        Self::new(Kind::Moved, sentence(&message.into()))
    }

    /// A rule does not allow it; the message names it and the way out.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, sentence(&message.into()))
    }

    /// The body is longer than anything we take.
    pub fn too_large() -> Self {
        Self::usual(Kind::TooLarge)
    }

    /// Too many tries; says honestly how long to wait.
    pub fn too_many(wait: TimeDelta) -> Self {
        let wait_s = (wait.num_milliseconds() + 999) / 1000;
        let kind = Kind::TooMany { wait_s };
        Self::new(
            kind,
            format!("Try again in {}.", format::length(TimeDelta::seconds(wait_s))),
        )
    }

    /// This replica is full or stopping.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    /// A mistake of ours; the cause is logged, never shown.
    pub fn bug(what: &'static str, cause: impl Error + Send + Sync + 'static) -> Self {
        let mut error = Self::usual(Kind::Bug);
        error.cause = Some(Arc::new(Bug {
            what,
            cause: Box::new(cause),
        }));
        error
    }

    /// The same with the lines of what happened meanwhile.
    pub fn with_since(mut self, since: Vec<String>) -> Self {
        self.since = since;
        self
    }

    /// The same with a way on.
    pub fn with_next(mut self, href: impl Into<String>, words: impl Into<String>) -> Self {
        self.next = Some((href.into(), words.into()));
        self
    }

    /// The same with the form offered once more, now that `seen` has been shown.
    pub fn with_again(mut self, seen: i64, words: impl Into<String>) -> Self {
        self.again = Some((seen, words.into()));
        self
    }

    /// Whether nothing was done because the database does not answer, and nothing else is to be said of it.
    pub(super) fn is_outage(&self) -> bool {
        self.kind == Kind::Unavailable && self.message == Kind::Unavailable.usual_message()
    }

    /// Whether the state had moved on.
    pub fn is_moved(&self) -> bool {
        self.kind == Kind::Moved
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Bug {
    what: &'static str,
    #[source]
    pub(super) cause: Box<dyn Error + Send + Sync>,
}

/// Rooms below speak without capital and final dot; a page does not.
pub(super) fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let mut text: String = chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect());
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> Self {
        let mut fault = if error.is_unavailable() {
            Self::usual(Kind::Unavailable)
        } else if error.breaks(WHO_LEFT_RESTS) {
            Self::refused(
                "your part of this drill has dropped out: from now on you look on, and the others manage without you; \
                 nothing was done",
            )
        } else if error.is_conflict() {
            Self::new(
                Kind::Moved,
                "Somebody acted at the same moment; nothing was done. Try again.",
            )
        } else {
            Self::usual(Kind::Bug)
        };
        fault.cause = Some(Arc::new(error));
        fault
    }
}

impl From<RespondError> for WebError {
    fn from(error: RespondError) -> Self {
        match error {
            RespondError::NotFound => Self::not_found("incident"),
            RespondError::Moved { message } => Self::moved(message),
            RespondError::Refused { message } => Self::refused(message),
            RespondError::Store(error) => error.into(),
        }
    }
}

impl From<PeopleError> for WebError {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::NotFound(what) => Self::not_found(what),
            PeopleError::Moved { message } => Self::moved(message),
            PeopleError::Refused { message } => Self::refused(message),
            PeopleError::Forbidden(refusal) => Self::refusal(&refusal),
            PeopleError::Denied { permission, denial } => Self::denied(permission, &denial),
            PeopleError::Store(error) => error.into(),
        }
    }
}

impl From<PublishError> for WebError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Faulty(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                Self::refused(faults.join("\n"))
            }
            PublishError::Denied(denial) => Self::denied(Permission::Publish, &denial),
            PublishError::Moved(message) => Self::moved(message),
            PublishError::Refused(message) => Self::refused(message),
            PublishError::NotFound => Self::not_found("proposal"),
            PublishError::Store(error) => error.into(),
        }
    }
}

impl From<MakeError> for WebError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Faulty(fault) => Self::refused(fault.message),
            MakeError::People(error) => error.into(),
        }
    }
}

impl From<SourceError> for WebError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::NotFound(what) => Self::not_found(what),
            SourceError::Moved { message } => Self::moved(message),
            SourceError::Faulty(_) => Self::refused(error.to_string()),
            SourceError::Random(cause) => Self::bug("no random bytes", cause),
            SourceError::Store(error) => error.into(),
        }
    }
}

impl From<IdentityError> for WebError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Store(error) => error.into(),
            IdentityError::Hash(error) => Self::bug("a password could not be hashed", error),
            IdentityError::Random(error) => Self::bug("no random bytes", error),
        }
    }
}

impl From<RightsError> for WebError {
    fn from(error: RightsError) -> Self {
        match error {
            RightsError::NotFound(what) => Self::not_found(what),
            RightsError::Moved(message) => Self::moved(message),
            RightsError::Faulty { .. } => Self::refused(error.to_string()),
            RightsError::Random(cause) => Self::bug("no random bytes", cause),
            RightsError::Identity(error) => error.into(),
            RightsError::Store(error) => error.into(),
        }
    }
}

impl From<DrillError> for WebError {
    fn from(error: DrillError) -> Self {
        match error {
            DrillError::NotFound(what) => Self::not_found(what),
            DrillError::Moved(message) => Self::moved(message),
            DrillError::Refused(message) => Self::refused(message),
            DrillError::Fault(fault) => {
                Self::refused(format!("the world of the drill cannot go on: {fault}"))
            }
            DrillError::Store(error) => error.into(),
        }
    }
}

impl From<askama::Error> for WebError {
    fn from(error: askama::Error) -> Self {
        Self::bug("a template could not be rendered", error)
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_room_below_has_its_status() {
        let status = |error: WebError| error.into_response().status().as_u16();
        for (error, expected) in [
            (WebError::from(RespondError::NotFound), 404),
            (
                RespondError::Moved {
                    message: "x".to_owned(),
                }
                .into(),
                409,
            ),
            (
                RespondError::Refused {
                    message: "x".to_owned(),
                }
                .into(),
                422,
            ),
            (PeopleError::NotFound("run").into(), 404),
            (
                PeopleError::Forbidden(crate::domain::approval::Refusal::Requester).into(),
                403,
            ),
            (StoreError::from(sqlx::Error::PoolTimedOut).into(), 503),
            (StoreError::corrupt("t", "c", "d").into(), 500),
            (WebError::too_many(TimeDelta::milliseconds(1500)), 429),
        ] {
            assert_eq!(status(error), expected);
        }
    }

    #[test]
    fn messages_from_below_become_sentences() {
        assert_eq!(sentence("the run is over"), "The run is over.");
        assert_eq!(sentence("Really?"), "Really?");
        assert_eq!(sentence(""), ".");
        assert_eq!(
            WebError::too_many(TimeDelta::milliseconds(1500)).message,
            "Try again in 2 s."
        );
    }
}
