//! The starts of Muster as JSON.

use axum::{
    Json,
    extract::{Query, State},
};

use super::{
    PageQuery,
    shapes::{
        ErrorAnswer, Rows,
        boot::{BootFull, BootRow},
    },
};
use crate::{
    domain::id::BootId,
    store::{self, StoreError, aftermath, boots},
    web::{caller::Reads, error::WebError, extract::Path, state::AppState},
};

/// Starts, the newest first.
#[utoipa::path(get, path = "/boots", tag = "system", params(PageQuery),
    responses((status = 200, body = Rows<BootRow>), (status = 401, body = ErrorAnswer)))]
pub async fn list(
    State(app): State<AppState>,
    _: Reads,
    Query(page): Query<PageQuery>,
) -> Result<Json<Rows<BootRow>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = boots::list(&mut conn, page.before(), page.limit() + 1).await?;
    Ok(Json(Rows::of(
        found,
        page.limit(),
        |boot| boot.id.0,
        |boot| BootRow::from(&boot),
    )))
}

/// One start with what was overdue at it.
#[utoipa::path(get, path = "/boots/{id}", tag = "system", params(("id" = i64, Path)),
    responses((status = 200, body = BootFull), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<BootId>,
) -> Result<Json<BootFull>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let boot = boots::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("start"))?;
    let aftermath = aftermath::load(&mut tx, &boot.report).await?;
    Ok(Json(BootFull::of(&boot, &aftermath)))
}
