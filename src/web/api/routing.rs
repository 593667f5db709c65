//! What people decide about new episodes, as JSON: maintenance windows, thresholds, severities, and what is held.

use axum::{Json, extract::State, http::StatusCode};
use sqlx::{Postgres, Transaction};

use super::{
    ROWS_MAX,
    shapes::{
        ErrorAnswer,
        routing::{HeldBody, NewRuleBody, RuleBody, RuleMade},
        standing::WhyBody,
    },
};
use crate::{
    domain::{id::RoutingRuleId, routing::AskedRule},
    execute::routing as acts,
    store::{StoreError, held, routing},
    web::{
        caller::{Oversees, Reads},
        error::WebError,
        extract::{Body, Path},
        state::AppState,
    },
};

/// Rules that stand, in the order in which they are asked; never more than 100.
#[utoipa::path(get, path = "/routing/rules", tag = "routing",
    responses((status = 200, body = Vec<RuleBody>), (status = 401, body = ErrorAnswer)))]
pub async fn rules(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<RuleBody>>, WebError> {
    let now = app.clock.now();
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = routing::list(&mut conn, now).await?;
    Ok(Json(found.iter().map(|rule| RuleBody::of(rule, now)).collect()))
}

/// Makes a rule. Needs the role approver.
#[utoipa::path(post, path = "/routing/rules", tag = "routing", request_body = NewRuleBody,
    responses((status = 201, body = RuleMade), (status = 422, body = ErrorAnswer)))]
pub async fn make(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Body(body): Body<NewRuleBody>,
) -> Result<(StatusCode, Json<RuleMade>), WebError> {
    let now = app.clock.now();
    let asked = AskedRule {
        kind: body.kind,
        title: body.title,
        matchers: body.matchers,
        is_for_one: false,
        place: body.place,
        starts_at: body.starts_at,
        ends_at: body.ends_at,
        days: body.days,
        at: body.at,
        length: body.length,
        offset: body.offset,
        count: body.count,
        within: body.within,
        severity: body.severity,
    };
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let id = acts::make(&mut tx, &asked, &body.source, &body.reason, &me, now).await?;
    commit(&app, tx).await?;
    Ok((StatusCode::CREATED, Json(RuleMade { id: id.0 })))
}

/// Ends a rule; what it holds and still fires is placed within a second. Needs the role approver.
#[utoipa::path(post, path = "/routing/rules/{id}/end", tag = "routing", params(("id" = i64, Path)),
    request_body = WhyBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn end(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Path(id): Path<RoutingRuleId>,
    Body(body): Body<WhyBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    acts::end(&mut tx, id, &body.reason, &me, now).await?;
    commit(&app, tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Firing alerts that a rule holds, the soonest to be let go first; at most 100.
#[utoipa::path(get, path = "/routing/held", tag = "routing",
    responses((status = 200, body = Vec<HeldBody>), (status = 401, body = ErrorAnswer)))]
pub async fn held(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<HeldBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = held::list(&mut conn, ROWS_MAX).await?;
    Ok(Json(found.into_iter().map(HeldBody::from).collect()))
}

async fn commit(app: &AppState, tx: Transaction<'static, Postgres>) -> Result<(), WebError> {
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(())
}
