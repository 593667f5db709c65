//! A real fault that nobody can see end: an admin says by form that it is over, and how that is known.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;
use uuid::Uuid;

use super::DrillKey;
use crate::{
    domain::{
        audit::{self, ActKind, Object},
        drill::name,
        operator::Role,
    },
    drill::declare,
    store::{self, drills},
    web::{
        act::{Act, see},
        caller::Runs,
        error::WebError,
        extract::Path,
        state::AppState,
    },
};

/// The fields of the form.
#[derive(Debug, Deserialize)]
pub struct DeclareForm {
    op: Uuid,
    inject: String,
    #[serde(default)]
    reason: String,
}

/// `POST /drills/{id}/declare-over`
pub async fn declare_over(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(DrillKey(id)): Path<DrillKey>,
    Form(form): Form<DeclareForm>,
) -> Result<Redirect, WebError> {
    let page = format!("/drills/{id}");
    let next = |error: WebError| error.with_next(page.clone(), format!("Back to {}", name(id)));
    if me.role != Role::Admin {
        return Err(next(WebError::forbidden(
            "Only an admin says that a real fault is over. The page People says who is one.",
        )));
    }
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page));
    };
    let now = act.now;
    let drill = drills::find(act.conn(), id)
        .await?
        .ok_or_else(|| WebError::not_found("drill"))?;
    let why = form.reason.trim();
    let fault = declare::declare_over(act.conn(), (id, &form.inject), why, me.id, now)
        .await
        .map_err(|error| next(error.into()))?;
    let reason = format!("{} of {}: {why}", fault.cause, fault.target_name);
    let kind = ActKind::FaultDeclared;
    let decided = audit::Act::new(me.actor(), kind, Object::drill(id, &drill.title), &reason);
    store::audit::insert(act.conn(), &decided, now).await?;
    act.commit().await?;
    Ok(see(page))
}
