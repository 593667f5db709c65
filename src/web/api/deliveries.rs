//! Deliveries as JSON.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    PageQuery,
    shapes::{ErrorAnswer, Rows, shelf::DeliveryBody},
};
use crate::{
    store::{StoreError, deliveries, sources},
    web::{caller::Reads, error::WebError, state::AppState},
};

/// Which deliveries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OutcomeQuery {
    /// `rejected` for these only.
    pub outcome: Option<String>,
    /// Only those of the source of that name.
    pub source: Option<String>,
}

/// Deliveries, the newest first.
#[utoipa::path(get, path = "/deliveries", tag = "deliveries", params(OutcomeQuery, PageQuery),
    responses((status = 200, body = Rows<DeliveryBody>), (status = 401, body = ErrorAnswer),
        (status = 404, description = "There is no such source", body = ErrorAnswer)))]
pub async fn list(
    State(app): State<AppState>,
    _: Reads,
    Query(query): Query<OutcomeQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Rows<DeliveryBody>>, WebError> {
    let only_rejected = query.outcome.as_deref() == Some("rejected");
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let (before, limit) = (page.before(), page.limit() + 1);
    let found = match &query.source {
        None => deliveries::list(&mut conn, only_rejected, before, limit).await?,
        Some(name) => {
            let source = sources::find_by_name(&mut conn, name).await?;
            let source = source.ok_or_else(|| WebError::not_found("source"))?;
            deliveries::list_of_source(&mut conn, source.id, only_rejected, before, limit).await?
        }
    };
    Ok(Json(Rows::of(
        found,
        page.limit(),
        |row| row.id,
        DeliveryBody::from,
    )))
}
