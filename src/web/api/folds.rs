//! Folding and unfolding incidents as JSON.

use axum::{Json, extract::State};

use super::shapes::{
    ErrorAnswer,
    incident::{FoldBody, FoldedBody},
};
use crate::{
    domain::id::IncidentId,
    incident::fold,
    store::StoreError,
    web::{
        caller::Responds,
        error::WebError,
        extract::{Body, Path},
        folds::chosen,
        state::AppState,
    },
};

/// Folds incidents under one that stands for them in the list. Each stays an incident of its own.
#[utoipa::path(post, path = "/incidents/{id}/fold", tag = "incidents", params(("id" = i64, Path)),
    request_body = FoldBody,
    responses((status = 200, body = FoldedBody), (status = 404, body = ErrorAnswer),
              (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn fold(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<FoldBody>,
) -> Result<Json<FoldedBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let ids = body.incidents.into_iter().map(IncidentId).collect();
    let source = body.source.unwrap_or_default();
    let chosen = chosen(&mut tx, ids, &source, &body.within.unwrap_or_default()).await?;
    let folded = fold::fold(&mut tx, id, &chosen, &body.reason, &me, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(Json(named(&folded)))
}

/// Lets a folded incident stand for itself again, or those that are folded under this one. No rule folds them again.
#[utoipa::path(post, path = "/incidents/{id}/unfold", tag = "incidents", params(("id" = i64, Path)),
    responses((status = 200, body = FoldedBody), (status = 404, body = ErrorAnswer),
              (status = 409, body = ErrorAnswer)))]
pub async fn unfold(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
) -> Result<Json<FoldedBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let unfolded = fold::unfold(&mut tx, id, &me, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(Json(named(&unfolded)))
}

fn named(ids: &[IncidentId]) -> FoldedBody {
    FoldedBody {
        incidents: ids.iter().map(|id| id.0).collect(),
    }
}
