//! Signing in and out. Every way in ends in `let_in`, which begins a new session and lands on the exact link.

pub mod link;
pub mod passkey;
pub mod provider;
pub mod recovery;
pub mod set_up;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::TimeDelta;
use serde::Deserialize;
use sqlx::{Postgres, Transaction};

use super::{
    act::see,
    arrival::Visitor,
    caller::Anyone,
    error::WebError,
    look,
    session::{self, SessionToken},
    state::AppState,
    throttle::Guess,
    view::{format, layout::Frame, sign_in::LoginPage, text},
};
use crate::{
    domain::{
        audit::ActKind,
        id::OperatorId,
        preferences::Preferences,
        sign_in::{Arrival, Way},
    },
    identity::note,
    store::{StoreError, operators, preferences, sessions},
};

/// One answer for a wrong name and a wrong password.
const WRONG: &str = "Name or password is wrong.";

/// Where to go after signing in.
#[derive(Debug, Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
    /// Set when somebody who is signed in is to show once more who they are.
    #[serde(default)]
    again: String,
}

/// `GET /login`
pub async fn login_form(
    State(app): State<AppState>,
    _: Anyone,
    token: SessionToken,
    headers: HeaderMap,
    Query(query): Query<Next>,
) -> Result<Response, WebError> {
    let next = text::local_path(&query.next);
    if query.again.is_empty() && session::find(&app, token).await?.is_some() {
        return Ok(see(next).into_response());
    }
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    if operators::none_exists(&mut conn).await? {
        return Ok(see("/setup").into_response());
    }
    login_page(&app, &headers, next, String::new(), None)
}

fn login_page(
    app: &AppState,
    headers: &HeaderMap,
    next: String,
    name: String,
    fault: Option<String>,
) -> Result<Response, WebError> {
    let status = match fault {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let page = LoginPage {
        frame: Frame::bare("Sign in", None, app.clock.now()).looking(look::of(headers, app)),
        recovery: text::with_query("/login/recovery", &[("next", &next)]),
        provider: app.provider.as_ref().map(|provider| {
            let address = text::with_query("/login/provider", &[("next", &next)]);
            (address, provider.label().to_owned())
        }),
        has_passkeys: passkey::place(app, headers).is_some(),
        next,
        name,
        fault,
    };
    Ok((status, Html(page.render()?)).into_response())
}

/// Name and password; never printed.
#[derive(Deserialize)]
pub struct LoginForm {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// `POST /login`
pub async fn login(
    State(app): State<AppState>,
    _: Anyone,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Result<Response, WebError> {
    let next = text::local_path(&form.next);
    let name = form.name.trim().to_owned();
    let guess = Guess::new(&name, visitor.ip);
    if let Err(wait) = app.throttle.take(&app.db, guess, app.clock.now()).await? {
        return slowed(wait, |words| login_page(&app, &headers, next, name, Some(words)));
    }
    let known = {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        operators::find_by_name(&mut conn, &name).await?
    };
    let (operator, hash) = known.map_or((None, None), |(operator, hash)| (Some(operator), hash));
    let checked = app
        .passwords
        .check(form.password.clone(), hash.clone())
        .await
        .map_err(|error| WebError::bug("a password could not be checked", error))?;
    let Some(operator) = operator.as_ref().filter(|_| checked.is_right) else {
        failed(&app, operator.map(|known| known.name), &visitor.arrival).await?;
        return login_page(&app, &headers, next, name, Some(WRONG.to_owned()));
    };
    let renewed = match checked.is_outdated {
        true => Some(hash_of(&app, form.password).await?),
        false => None,
    };
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    app.throttle.right(&mut tx, guess).await?;
    if let Some(renewed) = renewed {
        operators::set_password(&mut tx, operator.id, &renewed, hash.as_deref()).await?;
    }
    let_in(&app, tx, operator.id, &Way::Password, &visitor, &next).await
}

/// The hash of a password to keep.
pub(super) async fn hash_of(app: &AppState, password: String) -> Result<String, WebError> {
    let hashed = app.passwords.hash(password).await;
    hashed.map_err(|error| WebError::bug("a password could not be hashed", error))
}

/// Says honestly how long a try has to wait, on the page it came from.
pub(super) fn slowed(
    wait: TimeDelta,
    page: impl FnOnce(String) -> Result<Response, WebError>,
) -> Result<Response, WebError> {
    let wait_s = (wait.num_milliseconds() + 999) / 1000;
    let words = format!(
        "Too many tries. Try again in {}.",
        format::length(TimeDelta::seconds(wait_s))
    );
    let mut answer = page(words)?;
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    answer.headers_mut().insert(header::RETRY_AFTER, wait_s.into());
    Ok(answer)
}

/// Writes down that somebody could not sign in. A name nobody has is left out: what is typed there may be a password.
pub(super) async fn failed(app: &AppState, known: Option<String>, from: &Arrival) -> Result<(), WebError> {
    tracing::info!(from = from.address, "a sign-in failed");
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let (name, now) = (known.unwrap_or_default(), app.clock.now());
    note(&mut tx, ActKind::SignInFailed, &name, &from.address, None, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Begins a session, ends the one that this browser had, makes both true, and answers with the page that was asked for.
pub(super) async fn let_in(
    app: &AppState,
    tx: Transaction<'static, Postgres>,
    operator: OperatorId,
    way: &Way,
    visitor: &Visitor,
    next: &str,
) -> Result<Response, WebError> {
    let (cookie, next) = open(app, tx, operator, way, visitor, next).await?;
    let mut answer = ([(header::SET_COOKIE, cookie)], see(next)).into_response();
    // So that this browser's pages look the same after they have signed out, or when the database is away.
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let chosen = preferences::find(&mut conn, operator).await?;
    if chosen != Preferences::default()
        && let Ok(cookie) = HeaderValue::from_str(&look::cookie(chosen, app))
    {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// The same for an answer of another form: the `Set-Cookie` and the address to go to.
pub(super) async fn open(
    app: &AppState,
    mut tx: Transaction<'static, Postgres>,
    operator: OperatorId,
    way: &Way,
    visitor: &Visitor,
    next: &str,
) -> Result<(String, String), WebError> {
    let now = app.clock.now();
    if let Some(before) = visitor.token.0 {
        sessions::delete(&mut tx, before).await?;
    }
    let from = &visitor.arrival;
    let cookie = session::begin(
        &mut tx,
        operator,
        way,
        from,
        app.session_limits,
        app.is_https(),
        now,
    )
    .await?;
    let how = format!("{}, {}", way.words(), from.address);
    note(&mut tx, ActKind::SignedIn, "", &how, Some(operator), now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    tracing::info!(
        operator.id = operator.0,
        from = from.address,
        way = way.name(),
        "signed in"
    );
    Ok((cookie, text::local_path(next)))
}

/// `POST /logout`
pub async fn logout(
    State(app): State<AppState>,
    _: Anyone,
    token: SessionToken,
) -> Result<Response, WebError> {
    if let Some(token) = token.0 {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        sessions::delete(&mut conn, token).await?;
    }
    let cookie = session::end_cookie(app.is_https());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}
