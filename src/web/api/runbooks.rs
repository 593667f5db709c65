//! Runbooks as JSON.

use axum::{Json, extract::State};

use super::shapes::{ErrorAnswer, coverage::CoverageBody, shelf::RunbookBody};
use crate::{
    store::{self, coverage, runbooks, runs},
    web::{caller::Reads, error::WebError, extract::Path, state::AppState},
};

/// The runbooks in use.
#[utoipa::path(get, path = "/runbooks", tag = "runbooks",
    responses((status = 200, body = Vec<RunbookBody>), (status = 401, body = ErrorAnswer)))]
pub async fn list(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<RunbookBody>>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let records = runs::records(&mut tx).await?;
    let rows = runbooks::list_current(&mut tx)
        .await?
        .into_iter()
        .map(|version| {
            let record = records.get(&version.runbook_id);
            RunbookBody::of(version, record, None)
        })
        .collect();
    Ok(Json(rows))
}

/// One runbook with its source.
#[utoipa::path(get, path = "/runbooks/{slug}", tag = "runbooks", params(("slug" = String, Path)),
    responses((status = 200, body = RunbookBody), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(slug): Path<String>,
) -> Result<Json<RunbookBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let (version, source) = runbooks::find_newest(&mut tx, &slug)
        .await?
        .ok_or_else(|| WebError::not_found("runbook"))?;
    let record = runs::record(&mut tx, version.runbook_id).await?;
    Ok(Json(RunbookBody::of(version, Some(&record), Some(source))))
}

/// What drills have covered of the version of a runbook that is in use.
#[utoipa::path(get, path = "/runbooks/{slug}/coverage", tag = "runbooks", params(("slug" = String, Path)),
    responses((status = 200, body = CoverageBody), (status = 404, body = ErrorAnswer)))]
pub async fn covered(
    State(app): State<AppState>,
    _: Reads,
    Path(slug): Path<String>,
) -> Result<Json<CoverageBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let (version, _) = runbooks::find_newest(&mut tx, &slug)
        .await?
        .ok_or_else(|| WebError::not_found("runbook"))?;
    let found = coverage::find(&mut tx, &version).await?;
    Ok(Json(CoverageBody::of(slug, version.number, &found)))
}
