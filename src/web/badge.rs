//! What a tab that nobody looks at shows of itself: the number of decisions that wait. Far less than a stream: a hidden
//! page asks twice a minute.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{caller::Reads, error::WebError, incidents as list_page, page, state::AppState};
use crate::{
    domain::operator::Operator,
    store::{StoreError, drills},
};

/// What is told.
#[derive(Debug, Default, Serialize)]
pub struct Badge {
    /// Decisions that wait for this person.
    waiting: usize,
    /// Where the list of incidents stands: another word, and something has happened.
    newest: String,
    /// Whether the database answers.
    database: bool,
}

/// `GET /live/badge`
pub async fn get(State(app): State<AppState>, Reads(me): Reads) -> Result<Response, WebError> {
    let told = match app.db.acquire().await.map_err(StoreError::from) {
        Ok(mut conn) => read(&mut conn, &me, app.clock.now()).await,
        Err(error) => Err(error),
    };
    // A database that is away is an answer here, not a failure.
    let badge = told.unwrap_or_default();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(badge)).into_response())
}

async fn read(conn: &mut PgConnection, me: &Operator, now: DateTime<Utc>) -> Result<Badge, StoreError> {
    // Who leads a drill and looks at another tab for a while is still there.
    drills::leader_seen(conn, me.id, None, now).await?;
    Ok(Badge {
        waiting: page::waiting(&page::pending(conn).await?, me),
        newest: list_page::cursor(conn, false).await?,
        database: true,
    })
}
