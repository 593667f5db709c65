//! Plan mode as JSON.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::{
    ErrorAnswer,
    plan::{NewPlanBody, PlanBody},
};
use crate::{
    store::{self, StoreError, preflights::Preflight},
    web::{
        caller::{Reads, Runs},
        error::WebError,
        extract::{Body, Path},
        plans::{PlanQuery, Subject},
        state::AppState,
    },
};

/// For which incident, and which version.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PreflightQuery {
    /// The incident's number.
    pub incident: i64,
    /// The version's number; the one in use when absent.
    pub version: Option<i32>,
}

/// What the preflight found when the runbook matched an incident.
#[utoipa::path(get, path = "/runbooks/{slug}/plan", tag = "runbooks", params(("slug" = String, Path), PreflightQuery),
    responses((status = 200, body = PlanBody), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(slug): Path<String>,
    Query(query): Query<PreflightQuery>,
) -> Result<Json<PlanBody>, WebError> {
    let query = PlanQuery {
        incident: Some(query.incident),
        version: query.version,
    };
    let mut tx = store::begin_reading(&app.db).await?;
    let subject = Subject::load(&mut tx, &slug, &query).await?;
    match &subject.preflight {
        Some(Preflight::Done(found)) => Ok(Json(PlanBody::of(&subject.version, found))),
        _ => Err(WebError::not_found("preflight")),
    }
}

/// Plans a run: renders every step, asks what only reads, changes nothing. Needs the role responder; answers within 40
/// seconds.
#[utoipa::path(post, path = "/runbooks/{slug}/plan", tag = "runbooks", params(("slug" = String, Path)),
    request_body = NewPlanBody,
    responses((status = 200, body = PlanBody), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 429, body = ErrorAnswer)))]
pub async fn run(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(slug): Path<String>,
    Body(body): Body<NewPlanBody>,
) -> Result<Json<PlanBody>, WebError> {
    let query = PlanQuery {
        incident: body.incident,
        version: body.version,
    };
    let mut subject = {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        Subject::load(&mut conn, &slug, &query).await?
    };
    if subject.incident.is_none() {
        subject.alert["labels"] = serde_json::json!(body.labels);
    }
    tracing::info!(runbook = slug, by = me.name, "a person plans a runbook");
    let given: BTreeMap<String, String> = body.inputs;
    let found = subject.rehearse(&app, &given, body.checks).await?;
    Ok(Json(PlanBody::of(&subject.version, &found)))
}
