//! The library of runbooks.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;

use super::{
    caller::Reads,
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        layout::Place,
        runbook::{LibraryPage, LibraryRow, RunbookPage},
        text,
    },
};
use crate::store::{self, runbooks, runs};

/// Runs shown on a runbook's page.
const RUNS_MAX: i64 = 10;

/// `GET /runbooks`
pub async fn list(State(app): State<AppState>, Reads(me): Reads) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Runbooks", Place::Runbooks, now).await?;
    let records = runs::records(&mut tx).await?;
    let rows = runbooks::list_current(&mut tx)
        .await?
        .iter()
        .map(|version| LibraryRow::of(version, records.get(&version.runbook_id), now))
        .collect();
    Ok(Html(LibraryPage { frame, rows }.render()?))
}

/// Which version.
#[derive(Debug, Default, Deserialize)]
pub struct ShowQuery {
    version: Option<i32>,
}

/// `GET /runbooks/{slug}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(slug): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let found = match query.version {
        Some(number) => runbooks::find_numbered(&mut tx, &slug, number).await?,
        None => runbooks::find_newest(&mut tx, &slug).await?,
    };
    let (version, source) = found.ok_or_else(|| WebError::not_found("runbook"))?;
    let title = text::visible(&version.runbook.title);
    let frame = page::frame(&app, &mut tx, &me, title, Place::Runbooks, now).await?;
    let versions = runbooks::list_versions(&mut tx, version.runbook_id).await?;
    let record = runs::record(&mut tx, version.runbook_id).await?;
    let lines = runs::list_lines(&mut tx, None, Some(version.runbook_id), RUNS_MAX).await?;
    let page = RunbookPage::of(frame, &version, &source, &versions, &record, &lines, now);
    Ok(Html(page.render()?))
}
