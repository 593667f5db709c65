//! What words and keys mean: for newcomers, and for whoever pressed `?`.

use askama::Template;
use axum::{extract::State, response::Html};

use super::{
    caller::Reads,
    error::WebError,
    page,
    state::AppState,
    view::{
        help::{HelpPage, KeysPage},
        layout::Place,
    },
};
use crate::store::StoreError;

/// `GET /help`
pub async fn show(State(app): State<AppState>, Reads(me): Reads) -> Result<Html<String>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let frame = page::frame(&app, &mut conn, &me, "What is what", Place::Help, app.clock.now()).await?;
    Ok(Html(HelpPage::of(frame).render()?))
}

/// `GET /help/keys`
pub async fn keys(State(app): State<AppState>, Reads(me): Reads) -> Result<Html<String>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let frame = page::frame(&app, &mut conn, &me, "Keys", Place::Help, app.clock.now()).await?;
    Ok(Html(KeysPage::of(frame).render()?))
}
