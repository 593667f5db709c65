//! The library of runbooks.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    act::see,
    caller::Reads,
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        layout::Place,
        proposal::WaitingRow,
        runbook::{LibraryPage, LibraryRow, RunbookPage, Trust},
        text,
    },
};
use crate::{
    domain::{
        access::{self, may_publish},
        permission::Permission,
    },
    store::{self, proposals, runbooks, runs},
};

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
    let waiting = proposals::list_waiting(&mut tx, None).await?;
    let page = LibraryPage {
        frame,
        rows,
        waiting: waiting.iter().map(|line| WaitingRow::of(line, now)).collect(),
        may_publish: access::may(&me, Permission::Publish).is_ok(),
    };
    Ok(Html(page.render()?))
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
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let waiting = proposals::list_waiting(&mut tx, Some(&slug)).await?;
    let found = match query.version {
        Some(number) => runbooks::find_numbered(&mut tx, &slug, number).await?,
        None => runbooks::find_newest(&mut tx, &slug).await?,
    };
    if let (None, None, Some(first)) = (&found, query.version, waiting.first()) {
        // Nothing of it is published yet; what there is to see is what waits.
        return Ok(see(format!("/runbooks/{slug}/proposals/{}", first.id)).into_response());
    }
    let (version, source) = found.ok_or_else(|| WebError::not_found("runbook"))?;
    let title = text::visible(&version.runbook.title);
    let frame = page::frame(&app, &mut tx, &me, title, Place::Runbooks, now).await?;
    let versions = runbooks::list_versions(&mut tx, version.runbook_id).await?;
    let record = runs::record(&mut tx, version.runbook_id).await?;
    let lines = runs::list_lines(&mut tx, None, Some(version.runbook_id), RUNS_MAX).await?;
    let access = &version.runbook.access;
    let trust = Trust {
        waiting: waiting.iter().map(|line| WaitingRow::of(line, now)).collect(),
        may_publish: may_publish(&me, Some(access), access).is_ok(),
    };
    let page = RunbookPage::of(frame, &version, &source, &versions, &record, &lines, trust, now);
    Ok(Html(page.render()?).into_response())
}
