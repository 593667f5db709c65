//! Who does what in an incident, by form: take, hand over, lay down.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::Act,
    caller::Responds,
    error::WebError,
    extract::Path,
    respond::{back, end},
    state::AppState,
};
use crate::{
    domain::{
        duty::Duty,
        id::{IncidentId, OperatorId},
    },
    incident::duties,
};

/// The fields of these forms.
#[derive(Debug, Deserialize)]
pub struct DutyForm {
    op: Uuid,
    seen: Option<i64>,
    #[serde(default)]
    duty: String,
    to: Option<i64>,
    #[serde(default)]
    summary: String,
}

impl DutyForm {
    fn duty(&self) -> Result<Duty, WebError> {
        Duty::named(&self.duty).ok_or_else(|| WebError::unreadable("There is no such role in an incident."))
    }
}

/// `POST /incidents/{id}/roles/take`
pub async fn take(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<DutyForm>,
) -> Result<Redirect, WebError> {
    let duty = form.duty()?;
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = duties::give(act.conn(), id, &me, duty, me.id, "", now).await;
    end(&app, act, done, &me, id, form.seen).await
}

/// `POST /incidents/{id}/roles/hand-over`
pub async fn hand_over(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<DutyForm>,
) -> Result<Redirect, WebError> {
    let duty = form.duty()?;
    let to = form
        .to
        .map(OperatorId)
        .ok_or_else(|| WebError::unreadable("Choose whom you hand it over to."))?;
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = duties::give(act.conn(), id, &me, duty, to, &form.summary, now).await;
    end(&app, act, done, &me, id, form.seen).await
}

/// `POST /incidents/{id}/roles/lay-down`
pub async fn lay_down(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<DutyForm>,
) -> Result<Redirect, WebError> {
    let duty = form.duty()?;
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = duties::lay_down(act.conn(), id, &me, duty, now).await;
    end(&app, act, done, &me, id, form.seen).await
}
