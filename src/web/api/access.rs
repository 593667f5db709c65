//! Explain access, as JSON.

use axum::{
    Json,
    extract::{Query, State},
};

use super::shapes::{ErrorAnswer, publishing::AccessBody};
use crate::{
    store,
    web::{
        access::{self, AccessQuery},
        caller::Reads,
        error::WebError,
        state::AppState,
    },
};

/// Whether a person may do something now, and why: what lets people through answers.
#[utoipa::path(get, path = "/access", tag = "people", params(AccessQuery),
    responses((status = 200, body = AccessBody), (status = 422, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Query(query): Query<AccessQuery>,
) -> Result<Json<AccessBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    match access::answer(&mut tx, &query).await? {
        Ok(answer) => Ok(Json(AccessBody {
            may: answer.explanation.may,
            question: answer.question,
            answer: answer.explanation.sentence,
        })),
        Err(fault) => Err(WebError::refused(fault)),
    }
}
