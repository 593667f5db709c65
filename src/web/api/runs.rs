//! Runs as JSON.

use axum::{Json, extract::State};

use super::shapes::{ErrorAnswer, run::RunBody};
use crate::{
    domain::id::RunId,
    store,
    web::{error::WebError, extract::Path, runs, session::Viewer, state::AppState},
};

/// One run with its steps and attempts.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = i64, Path)),
    responses((status = 200, body = RunBody), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Viewer,
    Path(id): Path<RunId>,
) -> Result<Json<RunBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let record = runs::load(&mut tx, &app.standing, id)
        .await?
        .ok_or_else(|| WebError::not_found("run"))?;
    Ok(Json(record.into()))
}
