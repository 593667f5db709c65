//! What people do to a run and its steps, by form: pause and go on, stop, take back, skip, say what was done, settle
//! what nobody knows.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{self, Act, see},
    caller::Runs,
    error::WebError,
    extract::Path,
    state::AppState,
    view::step,
};
use crate::{
    domain::{
        id::{RunId, StepId},
        operator::{Operator, Role},
        run::UnknownChoice,
    },
    execute::people::{self, PeopleError},
    store::{StoreError, runs},
};

/// The fields of the forms on a run; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct RunForm {
    op: Uuid,
    seen: Option<i64>,
    /// `run`: the form stood on the run's own page; `step:` with a name: on that step's.
    #[serde(default)]
    back: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    evidence: String,
    choice: Option<UnknownChoice>,
    step: Option<StepId>,
}

/// `POST /runs/{id}/pause`
pub async fn pause(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return back(&app, id, &form).await;
    };
    let now = act.now;
    let done = people::pause(act.conn(), id, &form.reason, &me, now).await;
    end(&app, act, done, id, &form).await
}

/// `POST /runs/{id}/go-on`
pub async fn go_on(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return back(&app, id, &form).await;
    };
    let now = act.now;
    let done = people::go_on(act.conn(), id, &me, now).await;
    end(&app, act, done, id, &form).await
}

/// `POST /runs/{id}/stop`
pub async fn stop(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return back(&app, id, &form).await;
    };
    let now = act.now;
    let done = people::stop(act.conn(), id, &form.reason, &me, now).await;
    end(&app, act, done, id, &form).await
}

/// `POST /runs/{id}/undo`
pub async fn undo(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return back(&app, id, &form).await;
    };
    let now = act.now;
    let done = people::undo(act.conn(), id, &form.reason, &me, now).await;
    end(&app, act, done, id, &form).await
}

/// `POST /runs/{id}/skip`: the step is chosen in the form.
pub async fn skip(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let Some(step) = &form.step else {
        return Err(WebError::unreadable("The form names no step."));
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return back(&app, id, &form).await;
    };
    let now = act.now;
    let done = people::skip(act.conn(), id, step, &form.reason, &me, now).await;
    end(&app, act, done, id, &form).await
}

/// `POST /runs/{id}/steps/{step}/done`
pub async fn manual_done(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path((id, step)): Path<(RunId, StepId)>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return back(&app, id, &form).await;
    };
    let now = act.now;
    let done = people::manual_done(act.conn(), id, &step, &form.note, &me, now).await;
    end(&app, act, done, id, &form).await
}

/// `POST /runs/{id}/steps/{step}/unknown`
pub async fn decide_unknown(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path((id, step)): Path<(RunId, StepId)>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let choice = form
        .choice
        .ok_or_else(|| WebError::unreadable("The form says no choice."))?;
    may_choose(choice, &me)?;
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return back(&app, id, &form).await;
    };
    let now = act.now;
    let done = people::decide_unknown(act.conn(), id, &step, choice, &form.evidence, &me, now).await;
    end(&app, act, done, id, &form).await
}

/// Sending again is a decision like a gate's, so it needs an approver.
pub fn may_choose(choice: UnknownChoice, me: &Operator) -> Result<(), WebError> {
    match choice {
        UnknownChoice::RetrySameKey | UnknownChoice::RetryNewKey if me.role < Role::Approver => {
            Err(WebError::forbidden(
                "Sending it again needs the role approver. You can run the check, or say what you know.",
            ))
        }
        _ => Ok(()),
    }
}

async fn end(
    app: &AppState,
    act: Act,
    done: Result<(), PeopleError>,
    id: RunId,
    form: &RunForm,
) -> Result<Redirect, WebError> {
    if let Err(error) = done {
        drop(act);
        let fault = WebError::from(error).with_next(format!("/runs/{id}"), format!("Back to run {id}"));
        return Err(explain(app, fault, id, form.seen).await);
    }
    act.commit().await?;
    back(app, id, form).await
}

/// Ends a fault with what happened since the person's page was made, when that is why.
pub async fn explain(app: &AppState, fault: WebError, id: RunId, seen: Option<i64>) -> WebError {
    let found = async { runs::find(&mut *app.db.acquire().await?, id).await };
    match found.await {
        Ok(Some(run)) => act::explain(app, fault, run.incident, seen).await,
        Ok(None) | Err(_) => fault,
    }
}

/// The page the form stood on: the run's, or the incident's, where people work.
async fn back(app: &AppState, id: RunId, form: &RunForm) -> Result<Redirect, WebError> {
    if form.back == "run" {
        return Ok(see(format!("/runs/{id}")));
    }
    if let Some(step) = form.back.strip_prefix("step:") {
        return Ok(see(step::href(id, &step.into())));
    }
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let run = runs::find(&mut conn, id)
        .await?
        .ok_or_else(|| WebError::not_found("run"))?;
    Ok(see(format!("/incidents/{}#runs", run.incident)))
}
