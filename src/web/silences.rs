//! What people say back about alerts, by form: silence them, end a silence, or say how an alert stands of which nothing
//! was heard. What leaves this house is carried out by a worker.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Responds,
    error::WebError,
    extract::Path,
    state::AppState,
};
use crate::{
    domain::id::{AlertId, IncidentId, SilenceId},
    incident::{
        respond::RespondError,
        silencing::{self, Wanted},
        staleness,
    },
};

/// The fields of the form that asks for a silence.
#[derive(Debug, Deserialize)]
pub struct SilenceForm {
    op: Uuid,
    #[serde(default)]
    matchers: String,
    #[serde(default)]
    duration: String,
    #[serde(default)]
    comment: String,
}

/// The fields of the small forms.
#[derive(Debug, Deserialize)]
pub struct ReasonForm {
    op: Uuid,
    #[serde(default)]
    reason: String,
}

/// Where an incident can be seen, for somebody who reads of it elsewhere.
pub fn link(app: &AppState, id: IncidentId) -> String {
    match &app.public_url {
        Some(url) => format!("{}/incidents/{id}", url.as_str().trim_end_matches('/')),
        None => format!("INC-{id}"),
    }
}

/// `POST /incidents/{id}/silences`
pub async fn ask(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<SilenceForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let wanted = Wanted {
        matchers: &form.matchers,
        duration: &form.duration,
        comment: &form.comment,
        link: &link(&app, id),
        key: &form.op.to_string(),
    };
    let done = silencing::ask(act.conn(), id, &me, wanted, now).await;
    end(act, done, id).await
}

/// `POST /incidents/{id}/silences/{silence}/expire`
pub async fn expire(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, silence)): Path<(IncidentId, SilenceId)>,
    Form(form): Form<ReasonForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = silencing::ask_end(act.conn(), id, silence, &me, now).await;
    end(act, done, id).await
}

/// `POST /incidents/{id}/alerts/{alert}/over`
pub async fn over(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, alert)): Path<(IncidentId, AlertId)>,
    Form(form): Form<ReasonForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = staleness::declare_over(act.conn(), id, alert, &me, &form.reason, now).await;
    end(act, done, id).await
}

/// `POST /incidents/{id}/alerts/{alert}/still-firing`
pub async fn still_firing(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, alert)): Path<(IncidentId, AlertId)>,
    Form(form): Form<ReasonForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = staleness::declare_firing(act.conn(), id, alert, &me, &form.reason, now).await;
    end(act, done, id).await
}

fn back(id: IncidentId) -> Redirect {
    see(format!("/incidents/{id}"))
}

async fn end(act: Act, done: Result<(), RespondError>, id: IncidentId) -> Result<Redirect, WebError> {
    if let Err(error) = done {
        let page = format!("/incidents/{id}");
        return Err(WebError::from(error).with_next(page, format!("Back to INC-{id}")));
    }
    act.commit().await?;
    Ok(back(id))
}
