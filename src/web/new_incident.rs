//! Opening an incident that no alert knows of, by form.

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Responds,
    error::WebError,
    page,
    state::AppState,
    view::{layout::Place, new_incident::NewPage},
};
use crate::{
    domain::{incident::Severity, operator::Operator},
    incident::by_hand::{self, ByHand},
    store,
};

/// The fields of the form.
#[derive(Debug, Deserialize)]
pub struct NewForm {
    op: Uuid,
    #[serde(default)]
    title: String,
    severity: Option<i16>,
    #[serde(default)]
    service: String,
    #[serde(default)]
    text: String,
}

/// `GET /incidents/new`
pub async fn form(State(app): State<AppState>, Responds(me): Responds) -> Result<Response, WebError> {
    page_of(&app, &me, &ByHand::default(), None, Vec::new()).await
}

async fn page_of(
    app: &AppState,
    me: &Operator,
    typed: &ByHand,
    severity: Option<Severity>,
    faults: Vec<(&'static str, String)>,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(
        app,
        &mut tx,
        me,
        "Report an incident",
        Place::Incidents,
        app.clock.now(),
    )
    .await?;
    let status = match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let html = NewPage::of(frame, typed, severity, faults).render()?;
    Ok((status, Html(html)).into_response())
}

/// `POST /incidents/new`
pub async fn open(
    State(app): State<AppState>,
    Responds(me): Responds,
    Form(form): Form<NewForm>,
) -> Result<Response, WebError> {
    let told = ByHand {
        title: form.title,
        service: form.service,
        note: form.text,
    };
    let mut faults = told.faults();
    let severity = form.severity.and_then(Severity::numbered);
    let Some(severity) = severity.filter(|_| faults.is_empty()) else {
        if severity.is_none() {
            faults.push(("severity", "Say how bad it is.".to_owned()));
        }
        return page_of(&app, &me, &told, severity, faults).await;
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        // It was opened the first time; it is the newest of the list.
        return Ok(see("/incidents").into_response());
    };
    let now = act.now;
    let id = by_hand::open(act.conn(), &told, severity, form.op, &me, now).await?;
    act.commit().await?;
    Ok(see(format!("/incidents/{id}")).into_response())
}
