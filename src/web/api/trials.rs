//! Trying sources out and sending deliveries again, as JSON.

use axum::{Json, extract::State};

use super::shapes::{
    ErrorAnswer,
    delivery::{AgainBody, KeptBody, SampleBody, TrialBody, TriedAlertBody, TriedBody, WayBody},
};
use crate::{
    domain::{id::DeliveryId, operator::Role},
    store::{StoreError, deliveries as kept},
    web::{
        caller::{KeepsSources, Reads, Responds},
        deliveries,
        error::WebError,
        extract::{Body, Path},
        state::AppState,
        trial,
    },
};

/// Bytes of a body in an answer.
const SHOWN_BYTES_MAX: i32 = 64 * 1024;

/// One delivery. Its body is for responders.
#[utoipa::path(get, path = "/deliveries/{id}", tag = "deliveries", params(("id" = i64, Path)),
    responses((status = 200, body = KeptBody), (status = 404, body = ErrorAnswer)))]
pub async fn delivery(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<DeliveryId>,
) -> Result<Json<KeptBody>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = kept::find(&mut conn, id, SHOWN_BYTES_MAX).await?;
    let found = found.ok_or_else(|| WebError::not_found("delivery"))?;
    Ok(Json(KeptBody::of(found, me.role >= Role::Responder)))
}

/// Sends a kept delivery again through the real path, read as its source is set now. Needs the role responder.
#[utoipa::path(post, path = "/deliveries/{id}/replay", tag = "deliveries", params(("id" = i64, Path)),
    request_body = AgainBody,
    responses((status = 200, body = WayBody), (status = 404, body = ErrorAnswer), (status = 422, body = ErrorAnswer),
        (status = 503, body = ErrorAnswer)))]
pub async fn replay(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<DeliveryId>,
    Body(body): Body<AgainBody>,
) -> Result<Json<WayBody>, WebError> {
    let format = body.format.unwrap_or_default();
    let handed = deliveries::send_again(&app, &me, id, &format).await?;
    Ok(Json(WayBody::from(&handed)))
}

/// Sends a test alert and its resolve through the real path of a source. Nothing starts by itself on it. Needs the role
/// responder.
#[utoipa::path(post, path = "/sources/{source}/test", tag = "sources", params(("source" = String, Path)),
    responses((status = 200, body = TrialBody), (status = 404, body = ErrorAnswer), (status = 422, body = ErrorAnswer),
        (status = 503, body = ErrorAnswer)))]
pub async fn test(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(name): Path<String>,
) -> Result<Json<TrialBody>, WebError> {
    let trial = trial::send_test(&app, &me, &name).await?;
    Ok(Json(TrialBody {
        label: trial::label(&trial),
        ways: trial.ways.iter().map(WayBody::from).collect(),
    }))
}

/// Reads a body as a source would, with its mapping or another one; nothing is kept. Needs the role admin.
#[utoipa::path(post, path = "/sources/{source}/try", tag = "sources", params(("source" = String, Path)),
    request_body = SampleBody,
    responses((status = 200, body = TriedBody), (status = 404, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn attempt(
    State(app): State<AppState>,
    _: KeepsSources,
    Path(name): Path<String>,
    Body(body): Body<SampleBody>,
) -> Result<Json<TriedBody>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let source = trial::way_source(&mut conn, &name).await?;
    let now = app.clock.now();
    let read = trial::read(&source, body.sample.as_bytes(), body.mapping.as_ref(), now);
    let (alerts, remark) = read.map_err(WebError::refused)?;
    Ok(Json(TriedBody {
        alerts: alerts.into_iter().map(TriedAlertBody::from).collect(),
        remark,
    }))
}
