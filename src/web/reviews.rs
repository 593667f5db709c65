//! Reviews of what was opened alone: reading the open ones, and closing one by form.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Reviews,
    error::WebError,
    extract::Path,
    state::AppState,
    view::inbox::REVIEWS_MAX,
};
use crate::{
    execute::people,
    store::{
        StoreError,
        reviews::{self, Review},
    },
};

/// The open reviews, the newest first, one more than is shown when there are more.
pub async fn open(conn: &mut PgConnection) -> Result<Vec<Review>, StoreError> {
    let mut found = reviews::list(conn, None, REVIEWS_MAX as i64 + 1).await?;
    found.retain(|review| review.closed_at.is_none());
    Ok(found)
}

/// The form that closes a review.
#[derive(Debug, Deserialize)]
pub struct ReviewForm {
    op: Uuid,
    #[serde(default)]
    finding: String,
    /// `incident` or `approval`: the form stood on such a page; otherwise in the inbox.
    #[serde(default)]
    back: String,
}

/// `POST /reviews/{id}/close`
pub async fn close(
    State(app): State<AppState>,
    Reviews(me): Reviews,
    Path(id): Path<i64>,
    Form(form): Form<ReviewForm>,
) -> Result<Redirect, WebError> {
    let inbox = "/approvals".to_owned();
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(inbox));
    };
    let now = act.now;
    let back = match reviews::lock(act.conn(), id).await? {
        Some(review) if form.back == "incident" => format!("/incidents/{}", review.incident),
        Some(review) if form.back == "approval" => format!("/approvals/{}", review.approval),
        _ => inbox,
    };
    people::close_review(act.conn(), id, &form.finding, &me, now)
        .await
        .map_err(|error| WebError::from(error).with_next(back.clone(), "Back"))?;
    act.commit().await?;
    Ok(see(back))
}
