//! `/settings`: what is set, where that comes from, and the way to everything that can be changed in a page.

use askama::Template;
use axum::{extract::State, response::Html};

use super::{
    caller::Reads,
    error::WebError,
    page,
    state::AppState,
    view::{layout::Place, setting::SettingsPage},
};
use crate::{domain::operator::Role, store::StoreError};

/// Who sees what is set: paths and addresses are nothing for guests.
const MAY_SEE: Role = Role::Responder;

/// `GET /settings`
pub async fn show(State(app): State<AppState>, Reads(me): Reads) -> Result<Html<String>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let frame = page::frame(&app, &mut conn, &me, "Settings", Place::Settings, app.clock.now()).await?;
    let settings = (me.role >= MAY_SEE).then_some(&app.settings[..]);
    Ok(Html(SettingsPage::of(frame, settings).render()?))
}
