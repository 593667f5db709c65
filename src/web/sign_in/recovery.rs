//! Signing in with a recovery code.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::{Next, failed, let_in, slowed};
use crate::{
    domain::sign_in::Way,
    identity::recovery,
    store::StoreError,
    web::{
        arrival::Visitor,
        caller::Anyone,
        error::WebError,
        look::Look,
        state::AppState,
        throttle::Guess,
        view::{layout::Frame, sign_in::RecoveryPage, text},
    },
};

/// One answer for a wrong name and a wrong code.
const WRONG: &str = "Name or code is wrong, or the code was used already.";

/// `GET /login/recovery`
pub async fn form(
    State(app): State<AppState>,
    _: Anyone,
    look: Look,
    Query(query): Query<Next>,
) -> Result<Response, WebError> {
    page(&app, look, text::local_path(&query.next), String::new(), None)
}

fn page(
    app: &AppState,
    look: Look,
    next: String,
    name: String,
    fault: Option<String>,
) -> Result<Response, WebError> {
    let status = match fault {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let page = RecoveryPage {
        frame: Frame::bare("Sign in with a recovery code", None, app.clock.now()).looking(look.0),
        back: text::login_address(&next),
        next,
        name,
        fault,
    };
    Ok((status, Html(page.render()?)).into_response())
}

/// Name and code; never printed.
#[derive(Deserialize)]
pub struct RecoveryForm {
    name: String,
    code: String,
    #[serde(default)]
    next: String,
}

/// `POST /login/recovery`: uses the code up.
pub async fn enter(
    State(app): State<AppState>,
    _: Anyone,
    visitor: Visitor,
    look: Look,
    Form(form): Form<RecoveryForm>,
) -> Result<Response, WebError> {
    let next = text::local_path(&form.next);
    let name = form.name.trim().to_owned();
    let now = app.clock.now();
    // The same count as that of passwords: both open the same name.
    let guess = Guess::new(&name, visitor.ip);
    if let Err(wait) = app.throttle.take(&app.db, guess, now).await? {
        return slowed(wait, |words| page(&app, look, next, name, Some(words)));
    }
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let Some(operator) = recovery::use_up(&mut tx, &name, &form.code, &visitor.arrival, now).await? else {
        drop(tx);
        failed(&app, None, &visitor.arrival).await?;
        return page(&app, look, next, name, Some(WRONG.to_owned()));
    };
    app.throttle.right(&mut tx, guess).await?;
    recovery::note_use(&mut tx, operator.id, &visitor.arrival, now).await?;
    let_in(&app, tx, operator.id, &Way::RecoveryCode, &visitor, &next).await
}
