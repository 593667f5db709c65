//! A run as a fixture, for programs: the same file as from the page.

use axum::{extract::State, response::Response};

use super::shapes::ErrorAnswer;
use crate::{
    domain::id::RunId,
    web::{caller::Runs, error::WebError, extract::Path, fixtures, state::AppState},
};

/// A run that is over, as a fixture of its runbook: the YAML to be kept beside it.
#[utoipa::path(get, path = "/runs/{id}/fixture", tag = "runs", params(("id" = i64, Path)),
    responses((status = 200, body = serde_json::Value, content_type = "application/yaml"),
              (status = 404, body = ErrorAnswer),
              (status = 409, description = "The run is not over", body = ErrorAnswer),
              (status = 422, description = "It goes on where another run ended, or is too long", body = ErrorAnswer)))]
pub async fn get(app: State<AppState>, me: Runs, id: Path<RunId>) -> Result<Response, WebError> {
    fixtures::save(app, me, id).await
}
