//! What stands over every run, as JSON: the pause, circuits, freezes, locks, and what people did to them.

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use sqlx::{Postgres, Transaction};

use super::{
    PageQuery, ROWS_MAX,
    shapes::{
        ErrorAnswer, Rows,
        standing::{
            ActBody, BreakerBody, FreezeBody, FreezeMade, LockBody, NewFreezeBody, PauseBody, WhyBody,
        },
    },
};
use crate::{
    domain::{freeze::AskedFreeze, id::FreezeId},
    execute::control,
    store::{StoreError, audit, breakers, freezes, locks, pauses},
    web::{
        caller::{Oversees, Pauses, Reads},
        error::WebError,
        extract::{Body, Path},
        state::AppState,
    },
};

/// Whether all automation is paused.
#[utoipa::path(get, path = "/pause", tag = "automation",
    responses((status = 200, body = PauseBody), (status = 401, body = ErrorAnswer)))]
pub async fn paused(State(app): State<AppState>, _: Reads) -> Result<Json<PauseBody>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    Ok(Json(pauses::find(&mut conn).await?.into()))
}

/// Pauses all automation. Needs the role responder.
#[utoipa::path(post, path = "/pause", tag = "automation", request_body = WhyBody,
    responses((status = 200, body = PauseBody), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn pause(
    State(app): State<AppState>,
    Pauses(me): Pauses,
    Body(body): Body<WhyBody>,
) -> Result<Json<PauseBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    control::pause(&mut tx, &body.reason, &me, now).await?;
    let pause = pauses::find(&mut tx).await?;
    commit(&app, tx).await?;
    Ok(Json(pause.into()))
}

/// Lets automation go on. Needs the role approver.
#[utoipa::path(post, path = "/resume", tag = "automation", request_body = WhyBody,
    responses((status = 200, body = PauseBody), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn resume(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Body(body): Body<WhyBody>,
) -> Result<Json<PauseBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    control::resume(&mut tx, &body.reason, &me, now).await?;
    commit(&app, tx).await?;
    Ok(Json(None.into()))
}

/// Circuits of targets that failed lately, those that are open longest first; at most 100.
#[utoipa::path(get, path = "/circuits", tag = "automation",
    responses((status = 200, body = Vec<BreakerBody>), (status = 401, body = ErrorAnswer)))]
pub async fn breakers(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<BreakerBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = breakers::list_real(&mut conn, ROWS_MAX).await?;
    Ok(Json(found.into_iter().map(BreakerBody::from).collect()))
}

/// Holds the circuit of a target open by hand: nothing that changes it is sent until a person closes it. Needs the role
/// responder.
#[utoipa::path(post, path = "/circuits/{target}/open", tag = "automation", params(("target" = String, Path)),
    request_body = WhyBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
              (status = 422, body = ErrorAnswer)))]
pub async fn open_breaker(
    State(app): State<AppState>,
    Pauses(me): Pauses,
    Path(target): Path<String>,
    Body(body): Body<WhyBody>,
) -> Result<StatusCode, WebError> {
    if !app.rehearser.targets.borrow().0.contains_key(&target) {
        return Err(WebError::not_found("target"));
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    control::open_breaker(&mut tx, &target, &body.reason, &me, now).await?;
    commit(&app, tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Closes the circuit of a target by hand. Needs the role approver.
#[utoipa::path(post, path = "/circuits/{target}/close", tag = "automation", params(("target" = String, Path)),
    request_body = WhyBody,
    responses((status = 204), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn close_breaker(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Path(target): Path<String>,
    Body(body): Body<WhyBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    control::close_breaker(&mut tx, &target, &body.reason, &me, now).await?;
    commit(&app, tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Freezes that are on or planned, the soonest to end first; never more than 100.
#[utoipa::path(get, path = "/freezes", tag = "automation",
    responses((status = 200, body = Vec<FreezeBody>), (status = 401, body = ErrorAnswer)))]
pub async fn freezes(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<FreezeBody>>, WebError> {
    let now = app.clock.now();
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = freezes::list(&mut conn, now).await?;
    Ok(Json(
        found
            .into_iter()
            .map(|freeze| FreezeBody::of(freeze, now))
            .collect(),
    ))
}

/// Makes a freeze. Needs the role approver.
#[utoipa::path(post, path = "/freezes", tag = "automation", request_body = NewFreezeBody,
    responses((status = 201, body = FreezeMade), (status = 422, body = ErrorAnswer)))]
pub async fn freeze(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Body(body): Body<NewFreezeBody>,
) -> Result<(StatusCode, Json<FreezeMade>), WebError> {
    let now = app.clock.now();
    let asked = AskedFreeze {
        title: body.title,
        matchers: body.matchers,
        starts_at: body.starts_at,
        ends_at: Some(body.ends_at),
    };
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let id = control::freeze(&mut tx, &asked, &body.reason, &me, now).await?;
    commit(&app, tx).await?;
    Ok((StatusCode::CREATED, Json(FreezeMade { id: id.0 })))
}

/// Ends a freeze before its time. Needs the role approver.
#[utoipa::path(post, path = "/freezes/{id}/end", tag = "automation", params(("id" = i64, Path)),
    request_body = WhyBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn end_freeze(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Path(id): Path<FreezeId>,
    Body(body): Body<WhyBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    control::end_freeze(&mut tx, id, &body.reason, &me, now).await?;
    commit(&app, tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Locks that runs hold, the longest held first; at most 100.
#[utoipa::path(get, path = "/locks", tag = "automation",
    responses((status = 200, body = Vec<LockBody>), (status = 401, body = ErrorAnswer)))]
pub async fn locks(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<LockBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = locks::list(&mut conn, ROWS_MAX).await?;
    Ok(Json(found.into_iter().map(LockBody::from).collect()))
}

/// What people did to automation as a whole, the newest first.
#[utoipa::path(get, path = "/acts", tag = "automation", params(PageQuery),
    responses((status = 200, body = Rows<ActBody>), (status = 401, body = ErrorAnswer)))]
pub async fn acts(
    State(app): State<AppState>,
    _: Reads,
    Query(page): Query<PageQuery>,
) -> Result<Json<Rows<ActBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = audit::list_standing(&mut conn, page.before(), page.limit() + 1).await?;
    Ok(Json(Rows::of(found, page.limit(), |act| act.seq, ActBody::from)))
}

async fn commit(app: &AppState, tx: Transaction<'static, Postgres>) -> Result<(), WebError> {
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(())
}
