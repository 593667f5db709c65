//! The versions of a runbook, and any two of them compared.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    caller::Reads,
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        coverage::LossPart,
        layout::Place,
        text,
        versions::{Compared, DiffPage, VersionsPage},
    },
};
use crate::{
    domain::{
        coverage::{Coverage, Loss, loss},
        runbook::Runbook,
    },
    store::{
        self, StoreError, coverage,
        runbooks::{self, Version},
        versions::{self, Numbered},
    },
};

/// Versions on one page.
const PAGE_MAX: usize = 50;

/// Which page.
#[derive(Debug, Default, Deserialize)]
pub struct VersionsQuery {
    /// Only versions with a lower number than this.
    before: Option<i32>,
}

/// `GET /runbooks/{slug}/versions`
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(slug): Path<String>,
    Query(query): Query<VersionsQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let (newest, _) = runbooks::find_newest(&mut tx, &slug)
        .await?
        .ok_or_else(|| WebError::not_found("runbook"))?;
    let before = query.before.unwrap_or(i32::MAX);
    let mut found = versions::list(&mut tx, newest.runbook_id, before, PAGE_MAX as i64 + 1).await?;
    let has_more = found.len() > PAGE_MAX;
    found.truncate(PAGE_MAX);
    let title = text::visible(&newest.runbook.title);
    let frame = page::frame(
        &app,
        &mut tx,
        &me,
        format!("Versions · {title}"),
        Place::Runbooks,
        now,
    )
    .await?;
    let page = VersionsPage::of(frame, &slug, &newest.runbook.title, &found, has_more, now);
    Ok(Html(page.render()?))
}

/// Which two.
#[derive(Debug, Deserialize)]
pub struct DiffQuery {
    /// Number of the one compared from.
    a: i32,
    /// Number of the one compared to.
    b: i32,
}

/// `GET /runbooks/{slug}/diff?a=&b=`
pub async fn diff(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(slug): Path<String>,
    Query(query): Query<DiffQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let (old, old_source, old_line) = numbered(&mut tx, &slug, query.a).await?;
    let (new, new_source, new_line) = numbered(&mut tx, &slug, query.b).await?;
    let name = text::visible(&new.runbook.title);
    let title = format!("v{} → v{} · {name}", query.a, query.b);
    let frame = page::frame(&app, &mut tx, &me, title, Place::Runbooks, now).await?;
    let old = Compared {
        version: &old,
        source: &old_source,
        line: &old_line,
    };
    let new = Compared {
        version: &new,
        source: &new_source,
        line: &new_line,
    };
    let loss = between(&mut tx, Some(old.version), &new.version.runbook).await?;
    let loss = LossPart::of(&loss, now);
    Ok(Html(DiffPage::of(frame, old, new, loss, now).render()?))
}

/// What of the coverage of a version a text that follows it would lose; without a version there is none to lose.
pub async fn between(
    conn: &mut PgConnection,
    old: Option<&Version>,
    new: &Runbook,
) -> Result<Loss, StoreError> {
    let Some(old) = old else {
        return Ok(loss(&Coverage::default(), &Coverage::bare(new)));
    };
    let of = [(old.runbook_id, &old.runbook), (old.runbook_id, new)];
    let found = coverage::list(conn, &of, None).await?;
    Ok(match found.as_slice() {
        [before, after] => loss(before, after),
        _ => Loss::default(),
    })
}

/// One version with its text and what became of it.
async fn numbered(
    conn: &mut PgConnection,
    slug: &str,
    number: i32,
) -> Result<(Version, String, Numbered), WebError> {
    let missing =
        || WebError::not_found("version").with_next(format!("/runbooks/{slug}/versions"), "See its versions");
    let (version, source) = runbooks::find_numbered(conn, slug, number)
        .await?
        .ok_or_else(missing)?;
    let mut lines = versions::list(conn, version.runbook_id, number.saturating_add(1), 1).await?;
    let line = lines.pop().ok_or_else(missing)?;
    Ok((version, source, line))
}
