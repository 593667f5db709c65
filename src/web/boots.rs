//! The starts of Muster: how long it was away each time, and what that delayed.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    caller::Reads,
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        boot::BootPage,
        boots::{AwayBanner, BootsPage, Newest, ROWS_MAX},
        layout::Place,
    },
};
use crate::{
    domain::id::BootId,
    store::{self, StoreError, aftermath, boots},
};

/// How long the list of incidents says that Muster was away.
const BANNER_FOR: TimeDelta = TimeDelta::minutes(30);

/// The list's place.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    before: Option<i64>,
}

/// `GET /system/boots`
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<ListQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Starts", Place::System, now).await?;
    let before = query.before.unwrap_or(i64::MAX);
    let found = boots::list(&mut tx, before, ROWS_MAX as i64 + 1).await?;
    Ok(Html(BootsPage::of(frame, found, now).render()?))
}

/// `GET /system/boots/{id}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<BootId>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, format!("Start {id}"), Place::System, now).await?;
    let boot = boots::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("start"))?;
    let aftermath = aftermath::load(&mut tx, &boot.report).await?;
    Ok(Html(BootPage::of(frame, &boot, &aftermath, now).render()?))
}

/// The newest start, for the page of the system.
pub async fn newest(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<Newest>, StoreError> {
    let found = boots::list(conn, i64::MAX, 1).await?;
    Ok(found.first().map(|boot| Newest::of(boot, now)))
}

/// That Muster was away, for a while after it came back.
pub async fn banner(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<AwayBanner>, StoreError> {
    let found = boots::find_outage_since(conn, now - BANNER_FOR).await?;
    Ok(found.as_ref().map(AwayBanner::of))
}
