//! Links that work once: an invitation, by which a person chooses a password, and the link a demo prints.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::{Next, hash_of, let_in};
use crate::{
    domain::{operator::Operator, sign_in::Way},
    identity::{account, password},
    store::{StoreError, operators},
    web::{
        arrival::Visitor,
        caller::Anyone,
        error::WebError,
        extract::Path,
        session,
        state::AppState,
        view::{layout::Frame, sign_in::EnterPage, text},
    },
};

/// `GET /enter/{code}`: says whom the link is for. It changes nothing: previews and scanners open links.
pub async fn form(
    State(app): State<AppState>,
    _: Anyone,
    Path(code): Path<String>,
    Query(query): Query<Next>,
) -> Result<Response, WebError> {
    let (operator, chooses) = find(&app, &code).await?;
    page(&app, &code, &query.next, operator, chooses, None)
}

async fn find(app: &AppState, code: &str) -> Result<(Operator, bool), WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let digest = session::token_digest(code);
    operators::find_by_code(&mut conn, digest, app.clock.now())
        .await?
        .ok_or_else(used_up)
}

fn page(
    app: &AppState,
    code: &str,
    next: &str,
    operator: Operator,
    chooses: bool,
    fault: Option<String>,
) -> Result<Response, WebError> {
    let status = match fault {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let title = if chooses { "Choose a password" } else { "Sign in" };
    let page = EnterPage {
        frame: Frame::bare(title, None, app.clock.now()),
        action: text::with_query(&format!("/enter/{code}"), &[("next", next)]),
        role: operator.role.name(),
        name: operator.name,
        chooses,
        fault,
    };
    Ok((status, Html(page.render()?)).into_response())
}

/// The password of an invitation; never printed.
#[derive(Deserialize)]
pub struct EnterForm {
    #[serde(default)]
    password: String,
}

/// `POST /enter/{code}`: uses the link up.
pub async fn enter(
    State(app): State<AppState>,
    _: Anyone,
    visitor: Visitor,
    Path(code): Path<String>,
    Query(query): Query<Next>,
    Form(form): Form<EnterForm>,
) -> Result<Response, WebError> {
    let (operator, chooses) = find(&app, &code).await?;
    let hash = match chooses {
        false => None,
        true => match password::fault(&form.password, &operator.name) {
            Some(fault) => {
                let words = format!("Password: {fault}.");
                return page(&app, &code, &query.next, operator, chooses, Some(words));
            }
            None => Some(hash_of(&app, form.password).await?),
        },
    };
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    if operators::use_code(&mut tx, session::token_digest(&code), now).await? != Some(Some(operator.id)) {
        return Err(used_up());
    }
    if let Some(hash) = hash {
        account::set_password(&mut tx, operator.id, &hash, "by invitation", now).await?;
    }
    let_in(&app, tx, operator.id, &Way::Link, &visitor, &query.next).await
}

fn used_up() -> WebError {
    WebError::not_found("link: it was used already, or it is too old").with_next("/login", "Sign in")
}
