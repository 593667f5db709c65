//! Who has taken on what in an incident, as JSON.

use axum::{Json, extract::State};

use super::{
    incidents::commit,
    shapes::{
        ErrorAnswer,
        incident::IncidentBody,
        words::{DutyBody, GiveBody},
    },
};
use crate::{
    domain::{
        duty::Duty,
        id::{IncidentId, OperatorId},
    },
    incident::duties,
    store::StoreError,
    web::{
        caller::Responds,
        error::WebError,
        extract::{Body, Path},
        state::AppState,
    },
};

fn duty(name: &str) -> Result<Duty, WebError> {
    let names = Duty::ALL.map(Duty::name).join(", ");
    Duty::named(name).ok_or_else(|| WebError::unreadable(format!("The duty is one of {names}.")))
}

/// Takes a duty on, or gives it to another person.
#[utoipa::path(post, path = "/incidents/{id}/duties", tag = "incidents", params(("id" = i64, Path)),
    request_body = GiveBody,
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer)))]
pub async fn give(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<GiveBody>,
) -> Result<Json<IncidentBody>, WebError> {
    let duty = duty(&body.duty)?;
    let to = body.to.map_or(me.id, OperatorId);
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    duties::give(&mut tx, id, &me, duty, to, &body.summary, now).await?;
    commit(&app, tx, id).await
}

/// Lays down a duty of one's own.
#[utoipa::path(post, path = "/incidents/{id}/duties/lay-down", tag = "incidents", params(("id" = i64, Path)),
    request_body = DutyBody,
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer)))]
pub async fn lay_down(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<DutyBody>,
) -> Result<Json<IncidentBody>, WebError> {
    let duty = duty(&body.duty)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    duties::lay_down(&mut tx, id, &me, duty, now).await?;
    commit(&app, tx, id).await
}
