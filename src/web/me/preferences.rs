//! How a person wants their pages, by form.

use axum::{
    Form,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use crate::{
    domain::preferences::{Clocks, Keys, Preferences, TextSize, Theme},
    store::{StoreError, preferences},
    web::{act::see, caller::OwnsAccount, error::WebError, look, state::AppState},
};

/// The names of what was chosen.
#[derive(Debug, Deserialize)]
pub struct PreferencesForm {
    theme: String,
    text: String,
    keys: String,
    clocks: String,
}

impl PreferencesForm {
    fn read(&self) -> Option<Preferences> {
        Some(Preferences {
            theme: Theme::named(&self.theme)?,
            text: TextSize::named(&self.text)?,
            keys: Keys::named(&self.keys)?,
            clocks: Clocks::named(&self.clocks)?,
        })
    }
}

/// `POST /me/preferences`: kept with the person, and by this browser for the pages before they sign in.
pub async fn set(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    Form(form): Form<PreferencesForm>,
) -> Result<Response, WebError> {
    let chosen = form
        .read()
        .ok_or_else(|| WebError::unreadable("Choose one of what the form offers."))?;
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    preferences::set(&mut conn, me.id, chosen).await?;
    let cookie = look::cookie(chosen, &app);
    Ok((
        [(header::SET_COOKIE, cookie)],
        see("/me?done=preferences#preferences"),
    )
        .into_response())
}
