//! `/me/tokens`: what programs show to act for this person.

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::OwnsAccount,
    error::WebError,
    extract::Path,
    page,
    session::{self, SessionToken},
    state::AppState,
    view::{
        layout::Place,
        tokens::{Shown, TokensPage},
    },
};
use crate::{
    domain::operator::Operator,
    rights::{
        RightsError,
        tokens::{self, Asked, DAYS_USUAL},
    },
    store::{StoreError, api_tokens},
};

const PAGE: &str = "/me/tokens";

/// The fields of the forms. A scope comes once for each box that is ticked.
fn read(fields: Vec<(String, String)>) -> Result<(Uuid, Asked), WebError> {
    let (mut op, mut asked) = (None, Asked::default());
    for (name, value) in fields {
        match name.as_str() {
            "op" => op = value.parse().ok(),
            "name" => asked.name = value,
            "days" => asked.days = value.trim().parse().unwrap_or_default(),
            "scope" => asked.scopes.push(value),
            _ => {}
        }
    }
    let op = op.ok_or_else(|| WebError::unreadable("The form has no operation id; reload the page."))?;
    Ok((op, asked))
}

/// `GET /me/tokens`
pub async fn list(State(app): State<AppState>, OwnsAccount(me): OwnsAccount) -> Result<Response, WebError> {
    let asked = Asked {
        days: DAYS_USUAL,
        ..Asked::default()
    };
    show(&app, &me, asked, None, None).await
}

async fn show(
    app: &AppState,
    me: &Operator,
    asked: Asked,
    made: Option<Shown>,
    fault: Option<(&'static str, String)>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let kept = api_tokens::list(&mut conn, me.id).await?;
    let frame = page::frame(app, &mut conn, me, "API tokens", Place::Elsewhere, now).await?;
    let status = match fault {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let page = TokensPage::of(frame, me, &kept, asked, made, fault, now);
    Ok((status, Html(page.render()?)).into_response())
}

/// `POST /me/tokens`: makes a token and answers with the page that shows it. Sent again it leads to the page without:
/// nobody can read a token twice.
pub async fn make(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    session: SessionToken,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    session::need_fresh(&app, session, PAGE).await?;
    let (op, asked) = read(fields)?;
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        return Ok(see(PAGE).into_response());
    };
    let now = act.now;
    match tokens::make(act.conn(), &me, &asked, now).await {
        Ok(made) => {
            act.commit().await?;
            let shown = Shown {
                text: made.token.reveal().to_owned(),
                name: asked.name,
            };
            let empty = Asked {
                days: DAYS_USUAL,
                ..Asked::default()
            };
            show(&app, &me, empty, Some(shown), None).await
        }
        Err(RightsError::Faulty { field, message }) => {
            drop(act);
            show(&app, &me, asked, None, Some((field, message))).await
        }
        Err(error) => Err(WebError::from(error).with_next(PAGE, "Back to your tokens")),
    }
}

/// `POST /me/tokens/{id}/revoke`
pub async fn revoke(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    Path(id): Path<i64>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let (op, _) = read(fields)?;
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        return Ok(see(PAGE).into_response());
    };
    let now = act.now;
    if let Err(error) = tokens::revoke(act.conn(), &me, id, now).await {
        return Err(WebError::from(error).with_next(PAGE, "Back to your tokens"));
    }
    act.commit().await?;
    Ok(see(PAGE).into_response())
}
