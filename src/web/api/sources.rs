//! Sources as JSON. Below `/sources/{source}/` the intake has its formats; `tokens`, `disable` and `enable` are none.

use axum::{Json, extract::State, http::StatusCode};
use sqlx::{PgConnection, Postgres, Transaction};

use super::shapes::{
    ErrorAnswer,
    source::{ChangeSourceBody, NewSourceBody, NewTokenBody, SourceBody, SourceMade, TokenBody, TokenIssued},
    standing::WhyBody,
};
use crate::{
    sources as acts,
    store::{self, StoreError, sources, tokens},
    web::{
        caller::{KeepsSources, Reads},
        error::WebError,
        extract::{Body, Path},
        source_form::check_client_name,
        sources::{COUNTED_FOR, FIRST_TOKEN},
        state::AppState,
    },
};

/// All sources by name; never more than 500.
#[utoipa::path(get, path = "/sources", tag = "sources",
    responses((status = 200, body = Vec<SourceBody>), (status = 401, body = ErrorAnswer)))]
pub async fn list(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<SourceBody>>, WebError> {
    let since = app.clock.now() - COUNTED_FOR;
    let mut tx = store::begin_reading(&app.db).await?;
    let found = sources::list(&mut tx).await?;
    let pulses = sources::list_pulses(&mut tx, None, since).await?;
    let rows = found.iter().zip(&pulses);
    Ok(Json(
        rows.map(|(source, pulse)| SourceBody::of(source, pulse))
            .collect(),
    ))
}

/// Makes a source and its first token. Needs the role admin.
#[utoipa::path(post, path = "/sources", tag = "sources", request_body = NewSourceBody,
    responses((status = 201, body = SourceMade), (status = 403, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn make(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    Body(body): Body<NewSourceBody>,
) -> Result<(StatusCode, Json<SourceMade>), WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let name = body.name.trim().to_owned();
    let asked = body.settings.into();
    check_client_name(&app, &mut tx, &name, &asked).await?;
    acts::make(&mut tx, &name, &asked, &me.actor(), now).await?;
    let issued = acts::issue(&mut tx, &name, FIRST_TOKEN, &me.actor(), now).await?;
    commit(&app, tx).await?;
    let token = issued.into();
    Ok((StatusCode::CREATED, Json(SourceMade { name, token })))
}

/// One source.
#[utoipa::path(get, path = "/sources/{source}", tag = "sources", params(("source" = String, Path)),
    responses((status = 200, body = SourceBody), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(name): Path<String>,
) -> Result<Json<SourceBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    Ok(Json(find(&mut tx, &app, &name).await?))
}

async fn find(conn: &mut PgConnection, app: &AppState, name: &str) -> Result<SourceBody, WebError> {
    let source = acts::find(conn, name).await?;
    let pulses = sources::list_pulses(conn, Some(source.id), app.clock.now() - COUNTED_FOR).await?;
    let pulse = pulses.first().ok_or_else(|| WebError::not_found("source"))?;
    Ok(SourceBody::of(&source, pulse))
}

/// Gives a source new settings, all of them. Needs the role admin.
#[utoipa::path(put, path = "/sources/{source}", tag = "sources", params(("source" = String, Path)),
    request_body = ChangeSourceBody,
    responses((status = 200, body = SourceBody), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn change(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    Path(name): Path<String>,
    Body(body): Body<ChangeSourceBody>,
) -> Result<Json<SourceBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let asked = body.settings.into();
    check_client_name(&app, &mut tx, &name, &asked).await?;
    acts::change(
        &mut tx,
        &name,
        body.revision,
        &asked,
        &body.reason,
        &me.actor(),
        now,
    )
    .await?;
    let changed = find(&mut tx, &app, &name).await?;
    commit(&app, tx).await?;
    Ok(Json(changed))
}

/// Closes a source to its sender. Needs the role admin.
#[utoipa::path(post, path = "/sources/{source}/disable", tag = "sources", params(("source" = String, Path)),
    request_body = WhyBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn disable(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    Path(name): Path<String>,
    Body(body): Body<WhyBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    acts::disable(&mut tx, &name, &body.reason, &me.actor(), now).await?;
    commit(&app, tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Opens a source to its sender again. Needs the role admin.
#[utoipa::path(post, path = "/sources/{source}/enable", tag = "sources", params(("source" = String, Path)),
    request_body = WhyBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn enable(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    Path(name): Path<String>,
    Body(body): Body<WhyBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    acts::enable(&mut tx, &name, &body.reason, &me.actor(), now).await?;
    commit(&app, tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Live tokens of a source, the oldest first, without their text. Needs the role admin.
#[utoipa::path(get, path = "/sources/{source}/tokens", tag = "sources", params(("source" = String, Path)),
    responses((status = 200, body = Vec<TokenBody>), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub async fn tokens(
    State(app): State<AppState>,
    _: KeepsSources,
    Path(name): Path<String>,
) -> Result<Json<Vec<TokenBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let source = acts::find(&mut conn, &name).await?;
    let found = tokens::list(&mut conn, source.id).await?;
    Ok(Json(found.into_iter().map(TokenBody::from).collect()))
}

/// Issues a token of a source; two can be live at once. Needs the role admin.
#[utoipa::path(post, path = "/sources/{source}/tokens", tag = "sources", params(("source" = String, Path)),
    request_body = NewTokenBody,
    responses((status = 201, body = TokenIssued), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn issue(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    Path(name): Path<String>,
    Body(body): Body<NewTokenBody>,
) -> Result<(StatusCode, Json<TokenIssued>), WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let issued = acts::issue(&mut tx, &name, &body.name, &me.actor(), now).await?;
    commit(&app, tx).await?;
    Ok((StatusCode::CREATED, Json(issued.into())))
}

/// Takes a token away. Needs the role admin.
#[utoipa::path(post, path = "/sources/{source}/tokens/{id}/revoke", tag = "sources",
    params(("source" = String, Path), ("id" = i64, Path)), request_body = WhyBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn revoke(
    State(app): State<AppState>,
    KeepsSources(me): KeepsSources,
    Path((name, id)): Path<(String, i64)>,
    Body(body): Body<WhyBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    acts::revoke(&mut tx, &name, id, &body.reason, &me.actor(), now).await?;
    commit(&app, tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn commit(app: &AppState, tx: Transaction<'static, Postgres>) -> Result<(), WebError> {
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    app.sources_changed().await;
    Ok(())
}
