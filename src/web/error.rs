//! What went wrong, for whoever asked. The only place that knows status codes, and the only one that turns a fault
//! into a page or into JSON. A handler returns a [`WebError`]; [`dress`] meets it on the way out.

use std::{error::Error, sync::Arc};

use askama::Template;
use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::{
    session::{self, SessionToken},
    state::AppState,
    view::{
        error::{ErrorPage, KeptField},
        format,
        layout::Frame,
        text,
    },
};
use crate::{execute::people::PeopleError, incident::respond::RespondError, store::StoreError};

/// The longest form; no form of ours comes near it.
pub const FORM_BYTES_MAX: usize = 64 * 1024;

/// Fields whose text is shown again when a form was not accepted, because a person typed it.
const KEPT_FIELDS: [(&str, &str); 5] = [
    ("text", "Your note"),
    ("reason", "Your reason"),
    ("note", "Your note"),
    ("evidence", "How you know"),
    ("phrase", "Your phrase"),
];

/// Why a request was not done.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct WebError {
    kind: Kind,
    message: String,
    /// What happened meanwhile, one line each.
    since: Vec<String>,
    /// Where to go on from here: address and words.
    next: Option<(String, String)>,
    /// The same form once more, with this newest event seen.
    again: Option<(i64, String)>,
    #[source]
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
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
    fn status(self) -> StatusCode {
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
    fn of(status: StatusCode) -> Self {
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

    fn code(self) -> &'static str {
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

    fn title(self) -> &'static str {
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
            Self::SignIn => "Your session has ended. Sign in, then send your text again.",
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

    fn usual(kind: Kind) -> Self {
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
    cause: Box<dyn Error + Send + Sync>,
}

/// Rooms below speak without capital and final dot; a page does not.
fn sentence(message: &str) -> String {
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
            PeopleError::Forbidden(refusal) => Self::forbidden(sentence(&refusal.to_string())),
            PeopleError::Store(error) => error.into(),
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

/// Turns a panic into the answer of a bug.
pub fn from_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words");
    WebError::bug("a handler panicked", std::io::Error::other(text.to_owned())).into_response()
}

/// The outermost layer that knows pages: gives every request a reference, keeps what a person typed, and turns each
/// fault below into a page or JSON, logging it once.
pub async fn dress(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let reference = reference(request.headers());
    let asked = Asked::of(&request);
    let (request, kept) = match keep_form(request).await {
        Ok(kept) => kept,
        Err(fault) => return finish(&app, asked, Bytes::new(), fault, &reference).await,
    };
    let response = next.run(request).await;
    let mut response = match fault_of(&response) {
        Some(fault) => {
            let headers = response.headers().get(header::ALLOW).cloned();
            let mut answer = finish(&app, asked, kept, fault, &reference).await;
            if let Some(allow) = headers {
                answer.headers_mut().insert(header::ALLOW, allow);
            }
            answer
        }
        None => response,
    };
    if let Ok(value) = HeaderValue::from_str(&reference) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// A proxy's id when it is a harmless one, else a new one.
fn reference(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    match given {
        Some(id)
            if (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            id.to_owned()
        }
        _ => Uuid::now_v7().to_string(),
    }
}

/// What was asked, as far as a fault's answer depends on it.
struct Asked {
    method: Method,
    uri: Uri,
    json: bool,
    token: HeaderMap,
    referer: Option<String>,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let accept = request
            .headers()
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let json = request.uri().path().starts_with("/api/")
            || (accept.contains("application/json") && !accept.contains("text/html"));
        let mut token = HeaderMap::new();
        for value in request.headers().get_all(header::COOKIE) {
            token.append(header::COOKIE, value.clone());
        }
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            json,
            token,
            referer: request
                .headers()
                .get(header::REFERER)
                .and_then(|value| value.to_str().ok())
                .and_then(text::path_of),
        }
    }
}

/// Reads a form's body so that what a person typed can be shown again, and hands the same bytes on.
async fn keep_form(request: Request) -> Result<(Request, Bytes), WebError> {
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if request.method() != Method::POST || !is_form {
        return Ok((request, Bytes::new()));
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, FORM_BYTES_MAX)
        .await
        .map_err(|_| WebError::too_large())?;
    let request = Request::from_parts(parts, Body::from(bytes.clone()));
    Ok((request, bytes))
}

/// The fault behind an answer, if it is one that has no words of its own yet.
fn fault_of(response: &Response) -> Option<WebError> {
    if let Some(fault) = response.extensions().get::<WebError>() {
        return Some(fault.clone());
    }
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let worded = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"));
    (!worded).then(|| WebError::usual(Kind::of(status)))
}

async fn finish(app: &AppState, asked: Asked, form: Bytes, fault: WebError, reference: &str) -> Response {
    log(&fault, &asked, reference);
    let mut response = if asked.json {
        as_json(&fault, reference)
    } else if fault.kind == Kind::SignIn && asked.method == Method::GET {
        let next = asked.uri.path_and_query().map_or("/", |target| target.as_str());
        Redirect::to(&text::login_address(next)).into_response()
    } else {
        as_page(app, &asked, &form, &fault, reference).await
    };
    if let Kind::TooMany { wait_s } = fault.kind {
        response.headers_mut().insert(header::RETRY_AFTER, wait_s.into());
    }
    if fault.kind == Kind::Unavailable {
        response.headers_mut().insert(header::RETRY_AFTER, 2.into());
    }
    response
}

fn as_json(fault: &WebError, reference: &str) -> Response {
    let body =
        json!({"error": {"code": fault.kind.code(), "message": fault.message, "reference": reference}});
    (fault.kind.status(), Json(body)).into_response()
}

async fn as_page(app: &AppState, asked: &Asked, form: &Bytes, fault: &WebError, reference: &str) -> Response {
    let now = app.clock.now();
    // The page of a fault must come even when the database does not answer: then nobody is named on it.
    let operator = match fault.kind {
        Kind::Unavailable | Kind::Bug | Kind::SignIn => None,
        _ => {
            let (mut parts, ()) = Request::new(()).into_parts();
            parts.headers = asked.token.clone();
            let token = <SessionToken as axum::extract::FromRequestParts<AppState>>::from_request_parts(
                &mut parts, app,
            )
            .await
            .unwrap_or(SessionToken(None));
            session::find(app, token).await.ok().flatten()
        }
    };
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(form).into_owned().collect();
    let kept = fields
        .iter()
        .filter_map(|(name, value)| {
            let (_, label) = KEPT_FIELDS.iter().find(|(kept, _)| kept == name)?;
            (!value.trim().is_empty()).then(|| KeptField {
                label,
                text: value.clone(),
            })
        })
        .collect();
    let again = fault
        .again
        .as_ref()
        .map(|(seen, words)| super::view::error::Again {
            action: asked.uri.path().to_owned(),
            words: words.clone(),
            fields: fields
                .iter()
                .map(|(name, value)| match name.as_str() {
                    "seen" => (name.clone(), seen.to_string()),
                    "op" => (name.clone(), Uuid::new_v4().to_string()),
                    _ => (name.clone(), value.clone()),
                })
                .collect(),
        });
    let next = fault.next.clone().or_else(|| match fault.kind {
        Kind::SignIn => {
            let back = asked.referer.as_deref().unwrap_or("/");
            Some((text::login_address(back), "Sign in".to_owned()))
        }
        _ => asked
            .referer
            .clone()
            .filter(|referer| referer != asked.uri.path())
            .map(|referer| (referer, "Back to where you were".to_owned())),
    });
    let page = ErrorPage {
        frame: Frame::bare(fault.kind.title(), operator.as_ref(), now),
        message: fault.message.clone(),
        since: fault.since.clone(),
        kept,
        again,
        next,
        reference: reference.to_owned(),
        says_reference: matches!(fault.kind, Kind::Bug | Kind::Unavailable),
    };
    let status = fault.kind.status();
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, %reference, "the error page could not be rendered");
            (status, format!("{}. Reference {reference}", fault.message)).into_response()
        }
    }
}

fn log(fault: &WebError, asked: &Asked, reference: &str) {
    let chain = fault.cause.as_deref().map_or_else(String::new, describe);
    let (method, path) = (&asked.method, asked.uri.path());
    match fault.kind {
        Kind::Bug => {
            tracing::error!(%reference, %method, path, cause = chain, "a request failed by a mistake of ours");
        }
        Kind::Unavailable => {
            tracing::warn!(%reference, %method, path, cause = chain, "a request found no database");
        }
        kind => {
            tracing::debug!(%reference, %method, path, code = kind.code(), cause = chain, "a request was refused")
        }
    }
}

fn describe(error: &(dyn Error + Send + Sync)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
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

    #[test]
    fn a_strangers_request_id_is_only_kept_when_harmless() {
        let given = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_str(id).unwrap());
            reference(&headers)
        };
        assert_eq!(given("abcdef-0123"), "abcdef-0123");
        for hostile in ["short", "<script>alert(1)</script>", "a b c d e f g h"] {
            assert_ne!(given(hostile), hostile);
        }
    }
}
