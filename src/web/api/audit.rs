//! Who decided what, as JSON.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    ROWS_MAX,
    shapes::{
        ErrorAnswer,
        audit::{AuditRowBody, DecisionRows},
    },
};
use crate::{
    audit::list::{self, Cursor, Filter},
    store,
    web::{
        audit::{cursor, time},
        caller::ReadsAudit,
        error::WebError,
        state::AppState,
    },
};

/// Which decisions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DecisionQuery {
    /// Name of who decided: a person, `Muster`, `the command line`.
    #[serde(default)]
    pub actor: String,
    /// Name of the kind, like `paused` or `gate_rejected`.
    #[serde(default)]
    pub kind: String,
    /// The object: `INC-7` for an incident, else its name or id.
    #[serde(default)]
    pub object: String,
    /// Not older than this.
    #[serde(default)]
    pub from: String,
    /// Older than this.
    #[serde(default)]
    pub to: String,
    /// Decisions before this one: the `next` of the answer before.
    #[serde(default)]
    pub before: String,
    /// How many rows, 1 to 100.
    pub limit: Option<i64>,
}

/// Decisions, the newest first: of people and of Muster, about incidents and about everything else.
#[utoipa::path(get, path = "/audit", tag = "audit", params(DecisionQuery),
    responses((status = 200, body = DecisionRows), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer)))]
pub async fn list(
    State(app): State<AppState>,
    _: ReadsAudit,
    Query(query): Query<DecisionQuery>,
) -> Result<Json<DecisionRows>, WebError> {
    let filter = Filter {
        from: time(&query.from, "start")?,
        to: time(&query.to, "end")?,
        actor: query.actor.replace('\0', ""),
        kind: query.kind.replace('\0', ""),
        object: query.object.replace('\0', ""),
    };
    let before = cursor(&query.before)?;
    let limit = query.limit.unwrap_or(ROWS_MAX).clamp(1, ROWS_MAX) as usize;
    let mut tx = store::begin_reading(&app.db).await?;
    let mut found = list::list(&mut tx, &filter, before, limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more);
    Ok(Json(DecisionRows {
        next: next.map(|last| Cursor(last.place()).to_string()),
        rows: found.iter().map(AuditRowBody::of).collect(),
    }))
}
