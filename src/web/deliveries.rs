//! What senders sent, and what became of it.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::header,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    error::WebError,
    extract::Path,
    page,
    session::{Responder, Viewer},
    state::AppState,
    view::{
        delivery::{DeliveriesPage, ROWS_MAX, Row},
        layout::Place,
        text,
    },
};
use crate::{
    domain::id::DeliveryId,
    store::{self, StoreError, deliveries},
};

/// The list's filter and place.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    #[serde(default)]
    show: String,
    before: Option<i64>,
}

/// `GET /deliveries`
pub async fn list(
    State(app): State<AppState>,
    Viewer(me): Viewer,
    Query(query): Query<ListQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Deliveries", Place::Deliveries, now).await?;
    let only_rejected = query.show == "rejected";
    let before = query.before.unwrap_or(i64::MAX);
    let mut lines = deliveries::list(&mut tx, only_rejected, before, ROWS_MAX as i64 + 1).await?;
    let more = lines.len() > ROWS_MAX;
    lines.truncate(ROWS_MAX);
    let older = lines.last().filter(|_| more).map(|last| {
        let before = last.id.to_string();
        text::with_query("/deliveries", &[("show", &query.show), ("before", &before)])
    });
    let page = DeliveriesPage {
        frame,
        rows: lines.iter().map(|line| Row::of(line, now)).collect(),
        only_rejected,
        older,
    };
    Ok(Html(page.render()?))
}

/// `GET /deliveries/{id}/body`: byte for byte, as a file that no browser will take for a page.
pub async fn body(
    State(app): State<AppState>,
    _: Responder,
    Path(id): Path<DeliveryId>,
) -> Result<Response, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let body = deliveries::find_body(&mut conn, id)
        .await?
        .ok_or_else(|| WebError::not_found("delivery"))?;
    let head = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"delivery-{id}.txt\""),
        ),
    ];
    Ok((head, body).into_response())
}
