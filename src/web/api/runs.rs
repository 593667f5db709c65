//! Runs as JSON: reading one, starting one, and what people do to it.

use axum::{Json, extract::State, http::StatusCode};
use sqlx::{PgConnection, Postgres, Transaction};

use super::shapes::{
    ErrorAnswer,
    run::{DoneBody, OptionalReasonBody, ResumeBody, RunBody, RunMade, StartBody, UnknownBody},
};
use crate::{
    domain::id::{IncidentId, RunId, StepId, VersionId},
    execute::people::{self, Resumption},
    store::{self, StoreError, attempts, runbooks},
    web::{
        caller::{Reads, Runs},
        controls,
        error::WebError,
        extract::{Body, Path},
        runs,
        state::AppState,
    },
};

/// One run with its steps and attempts.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = i64, Path)),
    responses((status = 200, body = RunBody), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<RunId>,
) -> Result<Json<RunBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    read(&mut tx, &app, id).await
}

async fn read(conn: &mut PgConnection, app: &AppState, id: RunId) -> Result<Json<RunBody>, WebError> {
    let mut record = runs::load(conn, &app.standing, id)
        .await?
        .ok_or_else(|| WebError::not_found("run"))?;
    record.attempts = attempts::list(conn, id, runs::ATTEMPTS_MAX).await?;
    Ok(Json(record.into()))
}

/// Starts a run on an open incident. Needs the role responder.
#[utoipa::path(post, path = "/incidents/{id}/runs", tag = "runs", params(("id" = i64, Path)),
    request_body = StartBody,
    responses((status = 201, body = RunMade), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn start(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<IncidentId>,
    Body(body): Body<StartBody>,
) -> Result<(StatusCode, Json<RunMade>), WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let version = find_version(&mut tx, &body.runbook, body.version).await?;
    let run = people::start(&mut tx, id, version, &body.inputs, &me, now).await?;
    commit(&app, tx).await?;
    Ok((StatusCode::CREATED, Json(RunMade { run: run.0 })))
}

/// Wants nothing new to begin. Needs the role responder.
#[utoipa::path(post, path = "/runs/{id}/pause", tag = "runs", params(("id" = i64, Path)), request_body = OptionalReasonBody,
    responses((status = 200, body = RunBody), (status = 409, body = ErrorAnswer)))]
pub async fn pause(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Body(body): Body<OptionalReasonBody>,
) -> Result<Json<RunBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::pause(&mut tx, id, &body.reason, &me, now).await?;
    end(&app, tx, id).await
}

/// Lets a paused run go on. Needs the role responder.
#[utoipa::path(post, path = "/runs/{id}/go-on", tag = "runs", params(("id" = i64, Path)),
    responses((status = 200, body = RunBody), (status = 409, body = ErrorAnswer)))]
pub async fn go_on(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
) -> Result<Json<RunBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::go_on(&mut tx, id, &me, now).await?;
    end(&app, tx, id).await
}

/// Wants the run to stop; what was done stays. Needs the role responder.
#[utoipa::path(post, path = "/runs/{id}/stop", tag = "runs", params(("id" = i64, Path)), request_body = OptionalReasonBody,
    responses((status = 200, body = RunBody), (status = 409, body = ErrorAnswer)))]
pub async fn stop(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Body(body): Body<OptionalReasonBody>,
) -> Result<Json<RunBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::stop(&mut tx, id, &body.reason, &me, now).await?;
    end(&app, tx, id).await
}

/// Wants the run to stop and what it did to be taken back, the last first, under the same gates. Needs the role
/// responder.
#[utoipa::path(post, path = "/runs/{id}/undo", tag = "runs", params(("id" = i64, Path)), request_body = OptionalReasonBody,
    responses((status = 200, body = RunBody), (status = 409, body = ErrorAnswer)))]
pub async fn undo(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Body(body): Body<OptionalReasonBody>,
) -> Result<Json<RunBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::undo(&mut tx, id, &body.reason, &me, now).await?;
    end(&app, tx, id).await
}

/// Goes on where a run ended that did not succeed, as a new run. Needs the role responder.
#[utoipa::path(post, path = "/runs/{id}/resume", tag = "runs", params(("id" = i64, Path)), request_body = ResumeBody,
    responses((status = 201, body = RunMade), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn resume(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Body(body): Body<ResumeBody>,
) -> Result<(StatusCode, Json<RunMade>), WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let version = match body.version {
        None => None,
        Some(number) => {
            let record = runs::load(&mut tx, &app.standing, id)
                .await?
                .ok_or_else(|| WebError::not_found("run"))?;
            Some(find_version(&mut tx, &record.version.runbook.slug, Some(number)).await?)
        }
    };
    let named = |steps: Vec<String>| steps.into_iter().map(StepId).collect();
    let how = Resumption {
        version,
        done: named(body.done),
        not_done: named(body.not_done),
        skip: named(body.skip),
        reason: body.reason,
    };
    let run = people::resume(&mut tx, id, &how, &me, now).await?;
    commit(&app, tx).await?;
    Ok((StatusCode::CREATED, Json(RunMade { run: run.0 })))
}

/// Lets a step be, with a reason. Needs the role responder.
#[utoipa::path(post, path = "/runs/{id}/steps/{step}/skip", tag = "runs",
    params(("id" = i64, Path), ("step" = String, Path)), request_body = OptionalReasonBody,
    responses((status = 200, body = RunBody), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn skip(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path((id, step)): Path<(RunId, StepId)>,
    Body(body): Body<OptionalReasonBody>,
) -> Result<Json<RunBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::skip(&mut tx, id, &step, &body.reason, &me, now).await?;
    end(&app, tx, id).await
}

/// Says that a manual step is done. Needs the role responder.
#[utoipa::path(post, path = "/runs/{id}/steps/{step}/done", tag = "runs",
    params(("id" = i64, Path), ("step" = String, Path)), request_body = DoneBody,
    responses((status = 200, body = RunBody), (status = 409, body = ErrorAnswer)))]
pub async fn done(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path((id, step)): Path<(RunId, StepId)>,
    Body(body): Body<DoneBody>,
) -> Result<Json<RunBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::manual_done(&mut tx, id, &step, &body.note, &me, now).await?;
    end(&app, tx, id).await
}

/// Decides about a step whose outcome nobody knows. Needs the role responder; to send it again, approver.
#[utoipa::path(post, path = "/runs/{id}/steps/{step}/unknown", tag = "runs",
    params(("id" = i64, Path), ("step" = String, Path)), request_body = UnknownBody,
    responses((status = 200, body = RunBody), (status = 403, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
              (status = 422, body = ErrorAnswer)))]
pub async fn unknown(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path((id, step)): Path<(RunId, StepId)>,
    Body(body): Body<UnknownBody>,
) -> Result<Json<RunBody>, WebError> {
    controls::may_choose(body.choice, &me)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::decide_unknown(&mut tx, id, &step, body.choice, &body.evidence, &me, now).await?;
    end(&app, tx, id).await
}

/// The version of that number, or the newest.
async fn find_version(
    conn: &mut PgConnection,
    slug: &str,
    number: Option<i32>,
) -> Result<VersionId, WebError> {
    let found = match number {
        Some(number) => runbooks::find_numbered(conn, slug, number).await?,
        None => runbooks::find_newest(conn, slug).await?,
    };
    found
        .map(|(version, _)| version.id)
        .ok_or_else(|| WebError::not_found("version of a runbook"))
}

/// Makes an act true, tells of it, and answers with the run as it is then.
async fn end(
    app: &AppState,
    mut tx: Transaction<'static, Postgres>,
    id: RunId,
) -> Result<Json<RunBody>, WebError> {
    let body = read(&mut tx, app, id).await?;
    commit(app, tx).await?;
    Ok(body)
}

async fn commit(app: &AppState, tx: Transaction<'static, Postgres>) -> Result<(), WebError> {
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(())
}
