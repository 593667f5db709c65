//! The outermost layer that knows pages: gives every request a reference, keeps what a person typed, and turns each
//! fault below into a page or JSON, logging it once.

use std::{borrow::Cow, error::Error};

use askama::Template;
use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    error::{Kind, WebError},
    look, nul,
    publishing::TEXT_BYTES_MAX,
    session::{self, SessionToken},
    state::AppState,
    view::{
        error::{Again, ErrorPage, KeptField, Outage},
        layout::Frame,
        standing::PausedPart,
        text,
    },
};

/// The longest form without a runbook in it; no form of ours comes near it.
pub const FORM_BYTES_MAX: usize = 64 * 1024;

/// Fields whose text is shown again when a form was not accepted, because a person typed it.
const KEPT_FIELDS: [(&str, &str); 15] = [
    ("yaml", "Your runbook"),
    ("text", "Your note"),
    ("reason", "Your reason"),
    ("note", "Your note"),
    ("evidence", "How you know"),
    ("finding", "What you found"),
    ("phrase", "Your phrase"),
    ("title", "Your title"),
    ("matchers", "Your matchers"),
    ("comment", "Your comment"),
    ("impact", "The impact"),
    ("condition", "Condition"),
    ("action", "Action"),
    ("need", "Need"),
    ("summary", "What they should know"),
];

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

/// Reads a form's body so that what a person typed can be shown again, and hands it on, without U+0000.
async fn keep_form(request: Request) -> Result<(Request, Bytes), WebError> {
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if request.method() != Method::POST || !is_form {
        return Ok((request, Bytes::new()));
    }
    let bytes_max = match request.uri().path().starts_with("/runbooks/") {
        true => TEXT_BYTES_MAX,
        false => FORM_BYTES_MAX,
    };
    let (mut parts, body) = request.into_parts();
    let mut bytes = to_bytes(body, bytes_max)
        .await
        .map_err(|_| WebError::too_large())?;
    if let Cow::Owned(clean) = nul::form(&bytes) {
        parts.headers.remove(header::CONTENT_LENGTH);
        bytes = clean.into();
    }
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
            let token = <SessionToken as FromRequestParts<AppState>>::from_request_parts(&mut parts, app)
                .await
                .unwrap_or(SessionToken(None));
            session::find(app, token).await.ok().flatten()
        }
    };
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(form).into_owned().collect();
    let kept: Vec<KeptField> = fields
        .iter()
        .filter_map(|(name, value)| {
            let (_, label) = KEPT_FIELDS.iter().find(|(kept, _)| kept == name)?;
            (!value.trim().is_empty()).then(|| KeptField {
                label,
                text: value.clone(),
            })
        })
        .collect();
    let again = fault.again.as_ref().map(|(seen, words)| Again {
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
            let form_page = || page_behind(asked.uri.path());
            let back = asked.referer.clone().unwrap_or_else(form_page);
            let words = match kept.is_empty() {
                true => "Sign in",
                false => "Copy your text, then sign in",
            };
            Some((text::login_address(&back), words.to_owned()))
        }
        _ => asked
            .referer
            .clone()
            .filter(|referer| referer != asked.uri.path())
            .map(|referer| (referer, "Back to where you were".to_owned())),
    });
    let title = match (fault.kind, kept.is_empty()) {
        (Kind::SignIn, false) => "Sign in again: your text is kept",
        (kind, _) => kind.title(),
    };
    let mut frame = Frame::bare(title, operator.as_ref(), now).looking(look::of(&asked.token, app));
    // As this replica saw it last: the page of a fault asks the database for as little as it can.
    frame.paused = app.standing.pause().map(|pause| PausedPart::of(&pause, now));
    let is_read = asked.method == Method::GET || asked.method == Method::HEAD;
    let outage = (is_read && fault.is_outage()).then(|| {
        let waiting = app.receiver.as_ref().filter(|receiver| receiver.can_spool());
        let waiting = waiting.map(|receiver| receiver.waiting());
        let retry = asked.uri.path_and_query().map_or("/", |target| target.as_str());
        Outage::of(app.standing.answered_at(), waiting, retry.to_owned(), now)
    });
    frame.refresh_s = outage.as_ref().map(|_| Outage::REFRESH_S);
    let page = ErrorPage {
        frame,
        message: match outage {
            Some(_) => "Until it does, pages cannot be shown and nothing can be decided.".to_owned(),
            None => fault.message.clone(),
        },
        since: fault.since.clone(),
        kept,
        again,
        next,
        reference: reference.to_owned(),
        says_reference: matches!(fault.kind, Kind::Bug | Kind::Unavailable),
        outage,
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

/// The page a form most likely stands on, when the browser does not say: that of the thing it is about.
fn page_behind(path: &str) -> String {
    let mut parts = path.split('/').skip(1);
    let (room, thing) = (parts.next().unwrap_or_default(), parts.next());
    match thing.filter(|thing| thing.bytes().all(|b| b.is_ascii_digit())) {
        Some(id) => format!("/{room}/{id}"),
        None => format!("/{room}"),
    }
}

fn log(fault: &WebError, asked: &Asked, reference: &str) {
    let chain = fault.cause.as_deref().map_or_else(String::new, describe);
    let method = &asked.method;
    // What follows signs somebody in.
    let path = match asked.uri.path() {
        path if path.starts_with("/enter/") => "/enter/…",
        path => path,
    };
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
    fn a_form_leads_back_to_the_page_of_its_thing() {
        for (path, page) in [
            ("/incidents/4/notes", "/incidents/4"),
            ("/approvals/7/decision", "/approvals/7"),
            ("/runs/9/steps/2/done", "/runs/9"),
            ("/routing/rules", "/routing"),
            ("/system/pause", "/system"),
            ("/", "/"),
        ] {
            assert_eq!(page_behind(path), page);
        }
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
