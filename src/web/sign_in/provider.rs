//! Signing in by an identity provider: away to it, and back.

use axum::{
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::CookieJar;
use chrono::TimeDelta;
use data_encoding::BASE64URL_NOPAD;

use super::{Next, failed, login_page, open};
use crate::{
    domain::sign_in::Way,
    identity::oidc::{Answer, FLOW, Flow, Provider, ProviderError},
    store::StoreError,
    web::{
        act::see,
        arrival::Visitor,
        caller::Anyone,
        error::WebError,
        session::{cookie_name, set_cookie},
        state::AppState,
        view::text,
    },
};

/// The cookie that binds a sign-in to its browser. It is `Lax`, since the browser comes back from another site.
const COOKIE: &str = "muster-flow";

fn provider(app: &AppState) -> Result<&Provider, WebError> {
    app.provider
        .as_ref()
        .ok_or_else(|| WebError::not_found("provider"))
}

/// `GET /login/provider`: away to it. By a link and not a form: our policy lets forms lead nowhere else.
pub async fn away(
    State(app): State<AppState>,
    _: Anyone,
    headers: HeaderMap,
    Query(query): Query<Next>,
) -> Result<Response, WebError> {
    let provider = provider(&app)?;
    let next = text::local_path(&query.next);
    match provider.begin(&next, app.clock.now()).await {
        Ok((url, flow)) => {
            let kept = serde_json::to_vec(&flow)
                .map_err(|error| WebError::bug("a sign-in could not be written", error))?;
            let kept = BASE64URL_NOPAD.encode(&kept);
            let cookie = set_cookie(COOKIE, &kept, FLOW, app.is_https());
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(url.as_str())).into_response())
        }
        Err(error) => refuse(&app, &headers, next, error),
    }
}

/// `GET /login/provider/back`: what it says, checked, and in.
pub async fn back(
    State(app): State<AppState>,
    _: Anyone,
    visitor: Visitor,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, WebError> {
    let provider = provider(&app)?;
    let jar = CookieJar::from_headers(&headers);
    let flow = jar
        .get(&cookie_name(COOKIE, app.is_https()))
        .and_then(|cookie| BASE64URL_NOPAD.decode(cookie.value().as_bytes()).ok())
        .and_then(|kept| serde_json::from_slice::<Flow>(&kept).ok());
    let next = flow.as_ref().map_or("/", |flow| flow.next.as_str());
    let next = text::local_path(next);
    let mut response = match arrive(&app, provider, &visitor, flow.as_ref(), &answer).await {
        Ok((cookie, next)) => ([(header::SET_COOKIE, cookie)], see(next)).into_response(),
        Err(error) => {
            failed(&app, None, &visitor.arrival).await?;
            refuse(&app, &headers, next, error)?
        }
    };
    // Good or not, this way is gone.
    let gone = set_cookie(COOKIE, "", TimeDelta::zero(), app.is_https());
    if let Ok(gone) = gone.parse() {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    Ok(response)
}

async fn arrive(
    app: &AppState,
    provider: &Provider,
    visitor: &Visitor,
    flow: Option<&Flow>,
    answer: &Answer,
) -> Result<(String, String), Refusal> {
    let flow = flow
        .ok_or_else(|| ProviderError::Refused("this browser began no sign-in, or too long ago".to_owned()))?;
    let now = app.clock.now();
    let vouched = provider.finish(flow, answer, now).await?;
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let person = provider.admit(&mut tx, flow, &vouched, now).await?;
    let way = Way::Provider(provider.issuer());
    Ok(open(app, tx, person, &way, visitor, &flow.next).await?)
}

/// Why somebody who came back is not let in.
enum Refusal {
    Provider(ProviderError),
    Web(WebError),
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Web(error.into())
    }
}

impl From<WebError> for Refusal {
    fn from(error: WebError) -> Self {
        Self::Web(error)
    }
}

/// The sign-in page, with what went wrong and every other way in.
fn refuse(
    app: &AppState,
    headers: &HeaderMap,
    next: String,
    error: impl Into<Refusal>,
) -> Result<Response, WebError> {
    let (status, words) = match error.into() {
        Refusal::Web(error) => return Err(error),
        Refusal::Provider(ProviderError::Identity(error)) => return Err(error.into()),
        Refusal::Provider(ProviderError::Away { label, reason }) => {
            tracing::warn!(reason, "the identity provider cannot be asked");
            let words = format!("{label} does not answer. Sign in another way, or try again.");
            (StatusCode::SERVICE_UNAVAILABLE, words)
        }
        Refusal::Provider(ProviderError::Refused(reason)) => {
            tracing::info!(reason, "an answer of the identity provider was refused");
            let words = "That sign-in could not be completed. Begin it again from here.".to_owned();
            (StatusCode::UNPROCESSABLE_ENTITY, words)
        }
        Refusal::Provider(ProviderError::NotAllowed(words)) => (StatusCode::FORBIDDEN, words),
    };
    let mut page = login_page(app, headers, next, String::new(), Some(words))?;
    *page.status_mut() = status;
    Ok(page)
}
