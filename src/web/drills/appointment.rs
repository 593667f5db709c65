//! A drill as an appointment: its players say whether they come, and calendars read when it is.

use axum::{
    Form,
    extract::State,
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::DrillKey;
use crate::{
    domain::{drill::name, id::DrillId},
    store::{self, StoreError, drills, operators, playing},
    web::{
        act::{Act, see},
        caller::Reads,
        error::WebError,
        extract::Path,
        state::AppState,
        view::drill::calendar,
    },
};

/// Appointments in one calendar.
const APPOINTMENTS_MAX: i64 = 500;

/// The fields of the form.
#[derive(Debug, Deserialize)]
pub struct AnswerForm {
    op: Uuid,
    /// `yes` or `no`.
    comes: String,
}

/// `POST /drills/{id}/answer`: a player says whether they come.
pub async fn answer(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(DrillKey(id)): Path<DrillKey>,
    Form(form): Form<AnswerForm>,
) -> Result<Redirect, WebError> {
    let page = format!("/drills/{id}");
    let comes = match form.comes.as_str() {
        "yes" => true,
        "no" => false,
        _ => return Err(WebError::unreadable("The form says neither yes nor no.")),
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page));
    };
    let now = act.now;
    if !drills::answer(act.conn(), id, me.id, comes, now).await? {
        return Err(
            WebError::refused("you were not asked to this drill, or it is over").with_next(page, name(id)),
        );
    }
    act.commit().await?;
    Ok(see(page))
}

/// `GET /drills/{id}/invitation.ics`
pub async fn invitation(
    State(app): State<AppState>,
    Reads(_): Reads,
    Path(DrillKey(id)): Path<DrillKey>,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let text = of(&app, &mut tx, Some(id)).await?;
    let text = text.ok_or_else(|| WebError::not_found("time of this drill"))?;
    Ok(told(text))
}

/// `GET /drills/calendar.ics`: all drills that are planned for a time.
pub async fn all(State(app): State<AppState>, Reads(_): Reads) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    Ok(told(of(&app, &mut tx, None).await?.unwrap_or_default()))
}

/// `None` when only one is asked for and it has no time.
async fn of(
    app: &AppState,
    conn: &mut PgConnection,
    only: Option<DrillId>,
) -> Result<Option<String>, StoreError> {
    let found = playing::appointments(conn, only, APPOINTMENTS_MAX).await?;
    if only.is_some() && found.is_empty() {
        return Ok(None);
    }
    let installation = operators::installation(conn).await?;
    let base = app.public_url.as_ref().map(|url| url.as_str());
    Ok(Some(calendar::text(&found, installation, base, app.clock.now())))
}

fn told(text: String) -> Response {
    let head = [
        (header::CONTENT_TYPE, "text/calendar; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (head, text).into_response()
}
