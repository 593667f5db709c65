//! Why runbooks did or did not match an incident, as JSON.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::{ErrorAnswer, incident::ReasonsBody};
use crate::{
    domain::id::IncidentId,
    store::{self, incidents},
    web::{caller::Reads, error::WebError, extract::Path, reasons::Reasons, state::AppState},
};

/// Which runbooks.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AfterQuery {
    /// Those after this one, by name: the `next` of the answer before.
    pub after: Option<String>,
}

/// Why each runbook did or did not match, value by value: compared anew with the runbooks of today.
#[utoipa::path(get, path = "/incidents/{id}/runbooks", tag = "incidents", params(("id" = i64, Path), AfterQuery),
    responses((status = 200, body = ReasonsBody), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<IncidentId>,
    Query(query): Query<AfterQuery>,
) -> Result<Json<ReasonsBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    if incidents::find(&mut tx, id).await?.is_none() {
        return Err(WebError::not_found("incident"));
    }
    let after = query.after.unwrap_or_default();
    let reasons = Reasons::load(&mut tx, id, &after).await?;
    Ok(Json(ReasonsBody::from(&reasons)))
}
