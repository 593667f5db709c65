//! Signing in and out, the first person, and links that sign in once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use askama::Template;
use axum::{
    Form,
    extract::{ConnectInfo, Extension, Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::TimeDelta;
use serde::Deserialize;

use super::{
    act::see,
    caller::Anyone,
    error::WebError,
    extract::Path,
    password,
    session::{self, SessionToken},
    state::AppState,
    view::{
        format,
        layout::Frame,
        sign_in::{EnterPage, LoginPage, SetupPage},
        text,
    },
};
use crate::{
    domain::operator::Role,
    store::{StoreError, operators},
};

/// One answer for a wrong name and a wrong password.
const WRONG: &str = "Name or password is wrong.";
/// A one-time code is 256 bits as text, or shorter; anything longer is no code.
const CODE_BYTES_MAX: usize = 200;

/// The peer of a request; absent only where a test calls the router directly.
type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

fn address_of(peer: &Peer) -> IpAddr {
    peer.as_ref()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.0.ip())
}

/// Where to go after signing in.
#[derive(Debug, Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

/// `GET /login`
pub async fn login_form(
    State(app): State<AppState>,
    _: Anyone,
    token: SessionToken,
    Query(query): Query<Next>,
) -> Result<Response, WebError> {
    let next = text::local_path(&query.next);
    if session::find(&app, token).await?.is_some() {
        return Ok(see(next).into_response());
    }
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    if operators::none_exists(&mut conn).await? {
        return Ok(see("/setup").into_response());
    }
    login_page(&app, next, String::new(), None)
}

fn login_page(
    app: &AppState,
    next: String,
    name: String,
    fault: Option<String>,
) -> Result<Response, WebError> {
    let status = match fault {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let page = LoginPage {
        frame: Frame::bare("Sign in", None, app.clock.now()),
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
    peer: Peer,
    Form(form): Form<LoginForm>,
) -> Result<Response, WebError> {
    let next = text::local_path(&form.next);
    let name = form.name.trim().to_owned();
    let from = address_of(&peer);
    if let Some(wait) = app.throttle.wait(&name, from, app.clock.now()) {
        let whole = TimeDelta::seconds(wait.num_seconds() + 1);
        let words = format!("Too many tries. Try again in {}.", format::length(whole));
        let mut answer = login_page(&app, next, name, Some(words))?;
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, (wait.num_seconds() + 1).into());
        return Ok(answer);
    }
    if form.password.len() > password::PASSWORD_BYTES_MAX {
        return login_page(&app, next, name, Some(WRONG.to_owned()));
    }
    let known = {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        operators::find_by_name(&mut conn, &name).await?
    };
    let (operator, hash) = known.map_or((None, None), |(operator, hash)| (Some(operator), Some(hash)));
    let right = app
        .passwords
        .check(form.password, hash)
        .await
        .map_err(|error| WebError::bug("a password could not be checked", error))?;
    let now = app.clock.now();
    let Some(operator) = operator.filter(|_| right) else {
        app.throttle.failed(&name, from, now);
        tracing::info!(%from, "a sign-in failed");
        return login_page(&app, next, name, Some(WRONG.to_owned()));
    };
    app.throttle.succeeded(&name, from);
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let cookie = session::begin(&mut tx, operator.id, app.is_https(), now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    tracing::info!(operator.id = operator.id.0, %from, "signed in");
    Ok(([(header::SET_COOKIE, cookie)], see(next)).into_response())
}

/// `POST /logout`
pub async fn logout(
    State(app): State<AppState>,
    _: Anyone,
    token: SessionToken,
) -> Result<Response, WebError> {
    if let Some(token) = token.0 {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        operators::delete_session(&mut conn, token).await?;
    }
    let cookie = session::end_cookie(app.is_https());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

/// The code, when it came with the link.
#[derive(Debug, Default, Deserialize)]
pub struct SetupQuery {
    #[serde(default)]
    code: String,
}

/// `GET /setup`, while nobody exists.
pub async fn setup_form(
    State(app): State<AppState>,
    _: Anyone,
    Query(query): Query<SetupQuery>,
) -> Result<Response, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    if !operators::none_exists(&mut conn).await? {
        return Ok(see("/login").into_response());
    }
    setup_page(&app, query.code, String::new(), Vec::new())
}

fn setup_page(
    app: &AppState,
    code: String,
    name: String,
    faults: Vec<(&'static str, String)>,
) -> Result<Response, WebError> {
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = SetupPage {
        frame: Frame::bare("Set up", None, app.clock.now()),
        code,
        name,
        faults,
    };
    Ok((status, Html(page.render()?)).into_response())
}

/// Code, name and password; never printed.
#[derive(Deserialize)]
pub struct SetupForm {
    code: String,
    name: String,
    password: String,
}

/// `POST /setup`: uses the code up and makes the first admin, or does neither.
pub async fn setup(
    State(app): State<AppState>,
    _: Anyone,
    peer: Peer,
    Form(form): Form<SetupForm>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let from = address_of(&peer);
    // All guesses at the code count together, whatever name is typed.
    if let Some(wait) = app.throttle.wait("/setup", from, now) {
        return Err(WebError::too_many(wait));
    }
    let (code, name) = (form.code.trim().to_owned(), form.name.trim().to_owned());
    let mut faults = Vec::new();
    if name.is_empty() || name.chars().count() > 100 {
        faults.push((
            "name",
            "Your name: type what you will sign in with, at most 100 characters".to_owned(),
        ));
    }
    if let Some(fault) = password::fault(&form.password) {
        faults.push(("password", format!("Password: {fault}")));
    }
    if !faults.is_empty() {
        return setup_page(&app, code, name, faults);
    }
    let hash = app
        .passwords
        .hash(form.password)
        .await
        .map_err(|error| WebError::bug("a password could not be hashed", error))?;
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    if !operators::none_exists(&mut tx).await? {
        return Ok(see("/login").into_response());
    }
    let good = code.len() <= CODE_BYTES_MAX
        && operators::use_code(&mut tx, session::token_digest(&code), now).await? == Some(None);
    if !good {
        app.throttle.failed("/setup", from, now);
        let words = "Set-up code: it is wrong or too old; the newest one stands in the server's log";
        return setup_page(&app, code, name, vec![("code", words.to_owned())]);
    }
    let Some(id) = operators::insert(&mut tx, &name, &hash, Role::Admin, now).await? else {
        return Ok(see("/login").into_response());
    };
    let cookie = session::begin(&mut tx, id, app.is_https(), now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    tracing::info!(operator.id = id.0, "the first admin was made");
    Ok(([(header::SET_COOKIE, cookie)], see("/incidents")).into_response())
}

/// `GET /enter/{code}`: says whom the link signs in. It changes nothing: previews and scanners open links.
pub async fn enter_form(
    State(app): State<AppState>,
    _: Anyone,
    Path(code): Path<String>,
    Query(query): Query<Next>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let operator = operators::find_by_code(&mut conn, session::token_digest(&code), now)
        .await?
        .ok_or_else(used_up)?;
    let page = EnterPage {
        frame: Frame::bare("Sign in", None, now),
        action: text::with_query(&format!("/enter/{code}"), &[("next", &query.next)]),
        role: operator.role.name(),
        name: operator.name,
    };
    Ok(Html(page.render()?).into_response())
}

/// `POST /enter/{code}`: uses the link up.
pub async fn enter(
    State(app): State<AppState>,
    _: Anyone,
    Path(code): Path<String>,
    Query(query): Query<Next>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let used = operators::use_code(&mut tx, session::token_digest(&code), now).await?;
    // The set-up code is no link; not committed, it stays good.
    let Some(Some(id)) = used else {
        return Err(used_up());
    };
    let operator = operators::find(&mut tx, id).await?.ok_or_else(used_up)?;
    let cookie = session::begin(&mut tx, operator.id, app.is_https(), now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let next = text::local_path(&query.next);
    Ok(([(header::SET_COOKIE, cookie)], see(next)).into_response())
}

fn used_up() -> WebError {
    WebError::not_found("link: it was used already, or it is too old").with_next("/login", "Sign in")
}
