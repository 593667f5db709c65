//! The library of runbooks, and the page of one.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    act::see,
    caller::Reads,
    drills,
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        coverage::CoveragePart,
        layout::Place,
        library::{LibraryFilter, LibraryPage, LibraryRow, count, is_wanted},
        parts::said,
        proposal::WaitingRow,
        runbook::{RunbookPage, Subject, Trust},
        text,
    },
};
use crate::{
    domain::{
        access::{self, may_publish, may_within},
        permission::Permission,
    },
    store::{
        self, coverage, incidents, matches, proposals, publications, runbooks, runs, timings, tracks,
        versions as numbered,
    },
};

/// Runs shown on a runbook's page.
const RUNS_MAX: i64 = 10;
/// Incidents that it matched, shown on its page.
const MATCHED_MAX: i64 = 10;
/// Versions shown on its page; the others have a page of their own.
const VERSIONS_MAX: i64 = 5;
/// Open incidents it can be started on from its page, the newest ones.
const OPEN_MAX: i64 = 20;

/// What the library is narrowed to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LibraryQuery {
    /// Words that must all stand in the name, the title, the summary or the services.
    pub q: String,
    /// A service.
    pub service: String,
    /// A team.
    pub owner: String,
    /// By its past: `failing`, `unchecked`, `unmatched`, `unrun`, `due`.
    pub show: String,
}

/// `GET /runbooks`
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<LibraryQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Runbooks", Place::Runbooks, now).await?;
    let shelf = runbooks::list_current(&mut tx).await?;
    let slugs: Vec<String> = shelf.iter().map(|version| version.runbook.slug.clone()).collect();
    let mut tracks = tracks::list(&mut tx, &slugs).await?;
    let of: Vec<_> = shelf
        .iter()
        .map(|version| (version.runbook_id, &version.runbook))
        .collect();
    for (slug, coverage) in slugs.iter().zip(coverage::list(&mut tx, &of, None).await?) {
        if let Some(track) = tracks.get_mut(slug) {
            track.coverage = Some(coverage.tally());
            track.is_due = coverage.due(now, app.drill_due).is_some();
        }
    }
    let rows: Vec<LibraryRow> = shelf
        .iter()
        .map(|version| (version, tracks.get(&version.runbook.slug)))
        .filter(|(version, track)| is_wanted(&query, &version.runbook, *track))
        .map(|(version, track)| LibraryRow::of(version, track, now))
        .collect();
    let waiting = proposals::list_waiting(&mut tx, None).await?;
    let mut waiting: Vec<WaitingRow> = waiting
        .iter()
        .map(|line| WaitingRow::of(line, &me, now))
        .collect();
    waiting.sort_by_key(|row| !row.is_mine);
    let page = LibraryPage {
        frame,
        filter: LibraryFilter::of(&query, &shelf),
        count: count(rows.len(), shelf.len()),
        is_bare: shelf.is_empty(),
        rows,
        waiting,
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
    let id = version.runbook_id;
    let access = &version.runbook.access;
    let may_start = may_within(&me, Permission::Run, &access.start).is_ok();
    let open = match may_start {
        true => incidents::list(&mut tx, false, None, i64::MAX, OPEN_MAX).await?,
        false => Vec::new(),
    };
    let standing = publications::find_standing(&mut tx, id).await?;
    let mut tracks = tracks::list(&mut tx, std::slice::from_ref(&slug)).await?;
    let coverage = coverage::find(&mut tx, &version).await?;
    if let Some(track) = tracks.get_mut(&slug) {
        track.coverage = Some(coverage.tally());
    }
    let training = drills::training(&mut tx, &slug).await?;
    let trust = Trust {
        waiting: waiting
            .iter()
            .map(|line| WaitingRow::of(line, &me, now))
            .collect(),
        may_publish: may_publish(&me, Some(access), access).is_ok(),
        may_start,
        scenarios: training
            .iter()
            .map(|version| (version.slug.clone(), said(&version.scenario.title)))
            .collect(),
    };
    let title = text::visible(&version.runbook.title);
    let frame = page::frame(&app, &mut tx, &me, title, Place::Runbooks, now).await?;
    let targets = Arc::clone(&app.rehearser.targets.borrow());
    let subject = Subject {
        version: &version,
        source: &source,
        current: standing
            .filter(|standing| standing.is_current)
            .map(|standing| standing.version.number),
        track: tracks.get(&slug),
        coverage: CoveragePart::of(&coverage, &training, now),
        timings: &timings::list(&mut tx, id).await?,
        matched: &matches::list_of_runbook(&mut tx, id, MATCHED_MAX).await?,
        versions: &numbered::list(&mut tx, id, i32::MAX, VERSIONS_MAX).await?,
        runs: &runs::list_of_runbook(&mut tx, id, RUNS_MAX).await?,
        open: &open,
        targets: &targets,
    };
    let page = RunbookPage::of(frame, &subject, trust, now);
    Ok(Html(page.render()?).into_response())
}
