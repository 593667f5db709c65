//! Silences, and how an alert stands of which nothing was heard, as JSON.

use axum::{Json, extract::State, http::StatusCode};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::shapes::{
    ErrorAnswer,
    incident::ReasonBody,
    silence::{NewSilenceBody, SilenceBody},
};
use crate::{
    domain::id::{AlertId, IncidentId, SilenceId},
    incident::{
        silencing::{self, LIVE_MAX, Wanted},
        staleness,
    },
    store::{StoreError, silences},
    web::{
        caller::Responds,
        error::WebError,
        extract::{Body, Path},
        silences::link,
        state::AppState,
    },
};

/// Asks the Alertmanager of the incident's source to silence alerts. Answered once it is kept; a worker carries it out.
#[utoipa::path(post, path = "/incidents/{id}/silences", tag = "incidents", params(("id" = i64, Path)),
    request_body = NewSilenceBody,
    responses((status = 202, body = Vec<SilenceBody>), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn ask(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<NewSilenceBody>,
) -> Result<(StatusCode, Json<Vec<SilenceBody>>), WebError> {
    let now = app.clock.now();
    let key = body.key.unwrap_or_else(Uuid::new_v4).to_string();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let wanted = Wanted {
        matchers: &body.matchers,
        duration: &body.duration,
        comment: &body.comment,
        link: &link(&app, id),
        key: &key,
    };
    silencing::ask(&mut tx, id, &me, wanted, now).await?;
    answer(&app, tx, id).await
}

/// Asks for the end of a silence before its time; a worker carries it out.
#[utoipa::path(post, path = "/incidents/{id}/silences/{silence}/expire", tag = "incidents",
    params(("id" = i64, Path), ("silence" = i64, Path)),
    responses((status = 202, body = Vec<SilenceBody>), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub async fn expire(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, silence)): Path<(IncidentId, SilenceId)>,
) -> Result<(StatusCode, Json<Vec<SilenceBody>>), WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    silencing::ask_end(&mut tx, id, silence, &me, now).await?;
    answer(&app, tx, id).await
}

/// Says that an alert of an incident is over, although its own resolve never came.
#[utoipa::path(post, path = "/incidents/{id}/alerts/{alert}/over", tag = "incidents",
    params(("id" = i64, Path), ("alert" = i64, Path)), request_body = ReasonBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub async fn over(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, alert)): Path<(IncidentId, AlertId)>,
    Body(body): Body<ReasonBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    staleness::declare_over(&mut tx, id, alert, &me, &body.reason, now).await?;
    commit(&app, tx).await
}

/// Says that an alert of an incident still fires, although nobody repeated it.
#[utoipa::path(post, path = "/incidents/{id}/alerts/{alert}/still-firing", tag = "incidents",
    params(("id" = i64, Path), ("alert" = i64, Path)), request_body = ReasonBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub async fn still_firing(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path((id, alert)): Path<(IncidentId, AlertId)>,
    Body(body): Body<ReasonBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    staleness::declare_firing(&mut tx, id, alert, &me, &body.reason, now).await?;
    commit(&app, tx).await
}

/// Makes it true, tells the worker, and answers with the newest silences of the incident.
async fn answer(
    app: &AppState,
    mut tx: Transaction<'static, Postgres>,
    id: IncidentId,
) -> Result<(StatusCode, Json<Vec<SilenceBody>>), WebError> {
    let found = silences::list(&mut tx, id, LIVE_MAX).await?;
    commit(app, tx).await?;
    let bodies = found.into_iter().map(SilenceBody::from).collect();
    Ok((StatusCode::ACCEPTED, Json(bodies)))
}

async fn commit(app: &AppState, tx: Transaction<'static, Postgres>) -> Result<StatusCode, WebError> {
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(StatusCode::NO_CONTENT)
}
