//! Merging and unmerging incidents as JSON.

use axum::{Json, extract::State};

use super::{
    incidents::commit,
    shapes::{
        ErrorAnswer,
        incident::{IncidentBody, MergeBody, ReasonBody},
    },
};
use crate::{
    domain::id::IncidentId,
    incident::{merge, respond::RespondError},
    store::StoreError,
    web::{
        caller::Responds,
        error::WebError,
        extract::{Body, Path},
        merges::TRIES_MAX,
        state::AppState,
    },
};

/// Merges an incident into another one, which has its alerts from then on.
#[utoipa::path(post, path = "/incidents/{id}/merge", tag = "incidents", params(("id" = i64, Path)),
    request_body = MergeBody,
    responses((status = 200, body = IncidentBody), (status = 404, body = ErrorAnswer),
              (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn merge(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<MergeBody>,
) -> Result<Json<IncidentBody>, WebError> {
    let into = IncidentId(body.into);
    for attempt in 1.. {
        let now = app.clock.now();
        let mut tx = app.db.begin().await.map_err(StoreError::from)?;
        match merge::merge(&mut tx, id, into, &body.reason, &me, now).await {
            Ok(_) => return commit(&app, tx, id).await,
            Err(RespondError::Store(error)) if error.is_conflict() && attempt < TRIES_MAX => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Contended.into())
}

/// Takes an incident out of what it was merged into, with the alerts of its group.
#[utoipa::path(post, path = "/incidents/{id}/unmerge", tag = "incidents", params(("id" = i64, Path)),
    request_body = ReasonBody,
    responses((status = 200, body = IncidentBody), (status = 404, body = ErrorAnswer),
              (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn unmerge(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<ReasonBody>,
) -> Result<Json<IncidentBody>, WebError> {
    for attempt in 1.. {
        let now = app.clock.now();
        let mut tx = app.db.begin().await.map_err(StoreError::from)?;
        match merge::unmerge(&mut tx, id, &body.reason, &me, now).await {
            Ok(_) => return commit(&app, tx, id).await,
            Err(RespondError::Store(error)) if error.is_conflict() && attempt < TRIES_MAX => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Contended.into())
}
