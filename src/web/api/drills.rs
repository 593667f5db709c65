//! Drills as JSON.

use axum::{
    Json,
    extract::{Query, State},
};

use super::{
    PageQuery,
    shapes::{
        ErrorAnswer, Rows,
        coverage::DueBody,
        drill::{DrillBody, DrillFull, ReenactBody, ReenactedBody, ScoreBody},
    },
};
use crate::{
    domain::{
        id::{DrillId, IncidentId},
        night::slug,
    },
    drill,
    store::{self, StoreError, drills, operators},
    web::{
        caller::{Reads, Runs},
        drills as pages,
        error::WebError,
        extract::{Body, Path},
        state::AppState,
    },
};

/// Incidents of one drill.
const INCIDENTS_MAX: i64 = 50;

/// Drills, the newest first.
#[utoipa::path(get, path = "/drills", tag = "drills", params(PageQuery),
    responses((status = 200, body = Rows<DrillBody>), (status = 401, body = ErrorAnswer)))]
pub async fn list(
    State(app): State<AppState>,
    _: Reads,
    Query(page): Query<PageQuery>,
) -> Result<Json<Rows<DrillBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let before = page.before.map(DrillId);
    let found = drills::list(&mut conn, None, before, page.limit() + 1).await?;
    Ok(Json(Rows::of(
        found,
        page.limit(),
        |drill| drill.id.0,
        DrillBody::from,
    )))
}

/// Runbooks that are due for a drill, the most urgent first: never practised, changed since, or not practised for long.
#[utoipa::path(get, path = "/drills/due", tag = "drills",
    responses((status = 200, body = Vec<DueBody>), (status = 401, body = ErrorAnswer)))]
pub async fn due(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<DueBody>>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let due = pages::due::list(&mut tx, app.drill_due, app.clock.now()).await?;
    Ok(Json(due.into_iter().map(DueBody::from).collect()))
}

/// One drill with who plays and its incidents.
#[utoipa::path(get, path = "/drills/{id}", tag = "drills", params(("id" = i64, Path)),
    responses((status = 200, body = DrillFull), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<DrillId>,
) -> Result<Json<DrillFull>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let drill = drills::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("drill"))?;
    let trainer = match drill.trainer {
        Some(person) => operators::find_name(&mut tx, person).await?,
        None => None,
    };
    let players = drills::players(&mut tx, id).await?;
    let incidents = drills::incidents(&mut tx, id, INCIDENTS_MAX).await?;
    Ok(Json(DrillFull::of(drill, trainer, players, incidents)))
}

/// The scorecard of a drill. Before the drill is over only who leads it may see it.
#[utoipa::path(get, path = "/drills/{id}/score", tag = "drills", params(("id" = i64, Path)),
    responses((status = 200, body = ScoreBody), (status = 404, body = ErrorAnswer),
        (status = 422, description = "It has not begun, or its world cannot be worked out", body = ErrorAnswer)))]
pub async fn score(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<DrillId>,
) -> Result<Json<ScoreBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    Ok(Json(pages::scored(&mut tx, &app, &me, id).await?.into()))
}

/// Makes the scenario that plays a real incident again, for today's runbooks. The same night and the same runbooks are the
/// version they were before.
#[utoipa::path(post, path = "/drills/reenact", tag = "drills", request_body = ReenactBody,
    responses((status = 200, body = ReenactedBody), (status = 404, body = ErrorAnswer),
        (status = 422, description = "It is not over, had no alert or no run", body = ErrorAnswer)))]
pub async fn reenact(
    State(app): State<AppState>,
    Runs(me): Runs,
    Body(body): Body<ReenactBody>,
) -> Result<Json<ReenactedBody>, WebError> {
    let id = IncidentId(body.incident);
    let targets = app.rehearser.targets.borrow().clone();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let (_, written) = drill::reenact::make(&mut tx, id, &targets, &me.actor(), app.clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Json(ReenactedBody {
        scenario: slug(id),
        gaps: written.gaps,
        text: written.text,
    }))
}
