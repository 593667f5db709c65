//! Incidents as JSON.

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use sqlx::{Postgres, Transaction};
use utoipa::IntoParams;

use super::{
    PageQuery,
    shapes::{
        ErrorAnswer, Rows,
        incident::{EventBody, IncidentBody, IncidentFull, IncidentRow, NoteBody, ReasonBody},
    },
};
use crate::{
    domain::id::IncidentId,
    incident::{
        respond,
        words::{self, NewNote},
    },
    store::{self, StoreError, alerts, approvals, events, incidents, matches, merges, runs, silences},
    web::{
        caller::{Reads, Responds},
        error::WebError,
        extract::{Body, Path},
        state::AppState,
    },
};

/// Alerts and runs of one answer.
const PARTS_MAX: i64 = 500;

/// Which incidents.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StateQuery {
    /// `open`, the default, or `all`.
    pub state: Option<String>,
    /// Only those folded under this one, which are left out otherwise.
    pub under: Option<i64>,
}

/// Incidents, the newest first.
#[utoipa::path(get, path = "/incidents", tag = "incidents", params(StateQuery, PageQuery),
    responses((status = 200, body = Rows<IncidentRow>), (status = 401, body = ErrorAnswer)))]
pub async fn list(
    State(app): State<AppState>,
    _: Reads,
    Query(query): Query<StateQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Rows<IncidentRow>>, WebError> {
    let all = match query.state.as_deref() {
        None | Some("" | "open") => false,
        Some("all") => true,
        Some(_) => return Err(WebError::unreadable("state is open or all")),
    };
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = incidents::list(
        &mut conn,
        all,
        query.under.map(IncidentId),
        page.before(),
        page.limit() + 1,
    )
    .await?;
    Ok(Json(Rows::of(
        found,
        page.limit(),
        |line| line.incident.id.0,
        IncidentRow::from,
    )))
}

/// One incident with its alerts, matches, runs and pending approvals.
#[utoipa::path(get, path = "/incidents/{id}", tag = "incidents", params(("id" = i64, Path)),
    responses((status = 200, body = IncidentFull), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<IncidentId>,
) -> Result<Json<IncidentFull>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let incident = incidents::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let alerts = alerts::list_members(&mut tx, id, PARTS_MAX).await?;
    let silences = silences::list(&mut tx, id, PARTS_MAX).await?;
    let matches = matches::list(&mut tx, id).await?;
    let merged = merges::list_in(&mut tx, id, PARTS_MAX).await?;
    let runs = runs::list_lines(&mut tx, Some(id), None, PARTS_MAX).await?;
    let pending = approvals::list_pending(&mut tx, Some(id), PARTS_MAX).await?;
    Ok(Json(IncidentFull {
        incident: incident.into(),
        alerts: alerts.into_iter().map(Into::into).collect(),
        silences: silences.into_iter().map(Into::into).collect(),
        matches: matches.into_iter().map(Into::into).collect(),
        merged: merged.iter().map(|line| line.id.0).collect(),
        runs: runs.iter().map(|run| run.id.0).collect(),
        pending_approvals: pending.iter().map(|approval| approval.id.0).collect(),
    }))
}

/// Where in a timeline to read from.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AfterQuery {
    /// Events after this number; 0, the default, begins at the first.
    pub after: Option<i64>,
    /// How many events, 1 to 100.
    pub limit: Option<i64>,
}

/// The events of an incident in the order of their commit.
#[utoipa::path(get, path = "/incidents/{id}/timeline", tag = "incidents", params(("id" = i64, Path), AfterQuery),
    responses((status = 200, body = Vec<EventBody>), (status = 404, body = ErrorAnswer)))]
pub async fn timeline(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<IncidentId>,
    Query(query): Query<AfterQuery>,
) -> Result<Json<Vec<EventBody>>, WebError> {
    let limit = query.limit.unwrap_or(super::ROWS_MAX).clamp(1, super::ROWS_MAX);
    let mut tx = store::begin_reading(&app.db).await?;
    if incidents::find(&mut tx, id).await?.is_none() {
        return Err(WebError::not_found("incident"));
    }
    let events = events::list_after(&mut tx, id, query.after.unwrap_or(0), limit).await?;
    Ok(Json(events.into_iter().map(EventBody::from).collect()))
}

/// Takes an incident.
#[utoipa::path(post, path = "/incidents/{id}/acknowledge", tag = "incidents", params(("id" = i64, Path)),
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer)))]
pub async fn acknowledge(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
) -> Result<Json<IncidentBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    respond::acknowledge(&mut tx, id, &me, now).await?;
    commit(&app, tx, id).await
}

/// Says that an incident is over.
#[utoipa::path(post, path = "/incidents/{id}/resolve", tag = "incidents", params(("id" = i64, Path)),
    request_body = ReasonBody,
    responses((status = 200, body = IncidentBody), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn resolve(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<ReasonBody>,
) -> Result<Json<IncidentBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    respond::resolve(&mut tx, id, &me, &body.reason, now).await?;
    commit(&app, tx, id).await
}

/// Writes a note.
#[utoipa::path(post, path = "/incidents/{id}/notes", tag = "incidents", params(("id" = i64, Path)),
    request_body = NoteBody,
    responses((status = 201, body = IncidentBody), (status = 422, body = ErrorAnswer)))]
pub async fn note(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Body(body): Body<NoteBody>,
) -> Result<(StatusCode, Json<IncidentBody>), WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let note = NewNote {
        text: body.text,
        ..NewNote::default()
    };
    words::note(&mut tx, id, &me, &note, now).await?;
    Ok((StatusCode::CREATED, commit(&app, tx, id).await?))
}

/// Makes an act true, tells of it, and answers with the incident as it is then.
pub(super) async fn commit(
    app: &AppState,
    mut tx: Transaction<'static, Postgres>,
    id: IncidentId,
) -> Result<Json<IncidentBody>, WebError> {
    let incident = incidents::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(Json(incident.into()))
}
