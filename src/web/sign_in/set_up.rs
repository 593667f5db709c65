//! The first person of an installation, made once with the code from the server's log.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::{hash_of, let_in};
use crate::{
    domain::{audit::ActKind, operator::Role, sign_in::Way},
    identity::{note, password},
    store::{StoreError, operators},
    web::{
        act::see,
        arrival::Visitor,
        caller::Anyone,
        error::WebError,
        session,
        state::AppState,
        throttle::Guess,
        view::{layout::Frame, sign_in::SetupPage},
    },
};

/// A one-time code is 256 bits as text, or shorter; anything longer is no code.
const CODE_BYTES_MAX: usize = 200;
/// All guesses at the code count together, whatever name is typed.
const GUESSED: &str = "/setup";

/// The code, when it came with the link.
#[derive(Debug, Default, Deserialize)]
pub struct SetupQuery {
    #[serde(default)]
    code: String,
}

/// `GET /setup`, while nobody exists.
pub async fn form(
    State(app): State<AppState>,
    _: Anyone,
    Query(query): Query<SetupQuery>,
) -> Result<Response, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    if !operators::none_exists(&mut conn).await? {
        return Ok(see("/login").into_response());
    }
    page(&app, query.code, String::new(), Vec::new())
}

fn page(
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
pub async fn set_up(
    State(app): State<AppState>,
    _: Anyone,
    visitor: Visitor,
    Form(form): Form<SetupForm>,
) -> Result<Response, WebError> {
    let guess = Guess::new(GUESSED, visitor.ip);
    if let Err(wait) = app.throttle.take(&app.db, guess, app.clock.now()).await? {
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
    if let Some(fault) = password::fault(&form.password, &name) {
        faults.push(("password", format!("Password: {fault}")));
    }
    if !faults.is_empty() {
        // No guess at the code: it was not looked at.
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        app.throttle.right(&mut conn, guess).await?;
        return page(&app, code, name, faults);
    }
    let hash = hash_of(&app, form.password).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    // Of two who come at once the second waits here, and finds the code used.
    let good = code.len() <= CODE_BYTES_MAX
        && operators::use_code(&mut tx, session::token_digest(&code), now).await? == Some(None);
    if !operators::none_exists(&mut tx).await? {
        return Ok(see("/login").into_response());
    }
    if !good {
        let words = "Set-up code: it is wrong or too old; the newest one stands in the server's log";
        return page(&app, code, name, vec![("code", words.to_owned())]);
    }
    let Some(id) = operators::insert(&mut tx, &name, &hash, Role::Admin, now).await? else {
        return Ok(see("/login").into_response());
    };
    app.throttle.right(&mut tx, guess).await?;
    note(
        &mut tx,
        ActKind::PersonMade,
        &name,
        "by the set-up code",
        Some(id),
        now,
    )
    .await?;
    tracing::info!(operator.id = id.0, "the first admin is made");
    let_in(&app, tx, id, &Way::SetUp, &visitor, "/setup/checks").await
}
