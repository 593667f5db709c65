//! Playing a real incident again: its scenario is made by form, taken out of use and brought back, and can be had as a file.

use axum::{
    Form,
    extract::State,
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::readable;
use crate::{
    domain::{
        access::may,
        id::IncidentId,
        night::slug,
        operator::{Operator, Role},
        permission::Permission,
    },
    drill,
    store::{self, StoreError, scenarios},
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
pub struct ReenactForm {
    op: Uuid,
    incident: i64,
}

/// `POST /drills/reenact`: makes the scenario and leads to the form that begins it. The same night and the same runbooks
/// are the version they were before.
pub async fn make(
    State(app): State<AppState>,
    Runs(me): Runs,
    Form(form): Form<ReenactForm>,
) -> Result<Redirect, WebError> {
    let id = IncidentId(form.incident);
    let page = format!("/drills/scenarios/{}", slug(id));
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page));
    };
    let now = act.now;
    let targets = app.rehearser.targets.borrow().clone();
    drill::reenact::make(act.conn(), id, &targets, &me.actor(), now)
        .await
        .map_err(|error| WebError::from(error).with_next("/drills", "All drills"))?;
    act.commit().await?;
    Ok(see(page))
}

/// Whether somebody takes scenarios out of use: admins.
pub fn shelves(me: &Operator) -> bool {
    may(me, Permission::Run).is_ok() && me.role == Role::Admin
}

/// The only field of the forms that take it out of use and bring it back.
#[derive(Debug, Deserialize)]
pub struct ShelfForm {
    op: Uuid,
}

/// `POST /drills/scenarios/{slug}/retire`: takes a scenario that was made of an incident out of use.
pub async fn retire(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(slug): Path<String>,
    Form(form): Form<ShelfForm>,
) -> Result<Redirect, WebError> {
    shelve(&app, &me, slug, true, form.op).await
}

/// `POST /drills/scenarios/{slug}/restore`: brings it back.
pub async fn restore(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(slug): Path<String>,
    Form(form): Form<ShelfForm>,
) -> Result<Redirect, WebError> {
    shelve(&app, &me, slug, false, form.op).await
}

async fn shelve(
    app: &AppState,
    me: &Operator,
    slug: String,
    is_retired: bool,
    op: Uuid,
) -> Result<Redirect, WebError> {
    let page = format!("/drills/scenarios/{slug}");
    if !shelves(me) {
        let words = "An admin takes scenarios out of use and brings them back.";
        return Err(WebError::forbidden(words).with_next(page, "Back to the scenario"));
    }
    let Some(mut act) = Act::begin(app, op, me).await? else {
        return Ok(see(page));
    };
    let now = act.now;
    drill::reenact::shelve(act.conn(), &slug, is_retired, &me.actor(), now)
        .await
        .map_err(|error| WebError::from(error).with_next("/drills", "All drills"))?;
    act.commit().await?;
    Ok(see(page))
}

/// `GET /drills/scenarios/{slug}/file`: the text of the version in use, or the last one that was, to be put into the folder
/// of drills under a name of its own. It holds hints and what is expected, so it is for those who may lead drills.
pub async fn file(
    State(app): State<AppState>,
    _: Runs,
    Path(slug): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let (version, _) = readable(&mut tx, &slug).await?;
    let text = scenarios::source(&mut tx, version.id)
        .await?
        .ok_or_else(|| StoreError::corrupt("scenario_versions", "source", version.id))?;
    let head = [
        (header::CONTENT_TYPE, "application/yaml; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}.yaml\"", version.slug),
        ),
    ];
    Ok((head, text).into_response())
}
