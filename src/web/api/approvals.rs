//! Requests for a decision as JSON, and every word people have at a gate.

use axum::{Json, extract::State};
use sqlx::{Postgres, Transaction};

use super::shapes::{
    ErrorAnswer,
    approval::{
        ApprovalBody, ApprovalRow, BreakBody, DecidedBody, DecisionBody, QuestionBody, ReadAgainBody,
        SendBackBody,
    },
    run::OptionalReasonBody,
};
use crate::{
    domain::{
        approval::{ApprovalState, Verdict},
        digest::Digest,
        id::ApprovalId,
    },
    execute::people::{self, Word},
    store::{self, StoreError, approvals, reviews},
    web::{
        caller::{BreaksGlass, Decides, Reads, Responds},
        error::WebError,
        extract::{Body, Path},
        presence::Shown,
        state::AppState,
    },
};

/// Requests in one answer.
const PENDING_MAX: i64 = 100;

/// Requests that are pending, the soonest to lapse first, those of drills too; at most 100.
#[utoipa::path(get, path = "/approvals", tag = "approvals",
    responses((status = 200, body = Vec<ApprovalRow>), (status = 401, body = ErrorAnswer)))]
pub async fn list(State(app): State<AppState>, _: Reads) -> Result<Json<Vec<ApprovalRow>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let pending = approvals::list_lines(&mut conn, None, PENDING_MAX).await?;
    Ok(Json(pending.into_iter().map(ApprovalRow::from).collect()))
}

/// One request with everything a decision is bound to.
#[utoipa::path(get, path = "/approvals/{id}", tag = "approvals", params(("id" = i64, Path)),
    responses((status = 200, body = ApprovalBody), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path(id): Path<ApprovalId>,
) -> Result<Json<ApprovalBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let approval = approvals::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("approval"))?;
    let votes = approvals::votes(&mut tx, id).await?;
    let review = reviews::find_of(&mut tx, id).await?;
    Ok(Json(ApprovalBody::of(approval, votes, review)))
}

/// Approves or rejects. The gate's own rule says who may. Evidence that is too old approves nothing: have it read again
/// first. What cannot be taken back is approved in a browser, by somebody who has signed in just now, never by a token.
#[utoipa::path(post, path = "/approvals/{id}/decision", tag = "approvals", params(("id" = i64, Path)),
    request_body = DecisionBody,
    responses((status = 200, body = DecidedBody), (status = 403, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
              (status = 422, body = ErrorAnswer)))]
pub async fn decide(
    State(app): State<AppState>,
    Decides(me): Decides,
    Path(id): Path<ApprovalId>,
    Shown(presence): Shown,
    Body(body): Body<DecisionBody>,
) -> Result<Json<DecidedBody>, WebError> {
    let digest = read(body.digest)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let word = Word {
        verdict: body.verdict,
        digest,
        reason: &body.reason,
        typed: &body.typed,
        presence,
    };
    let state = people::decide(&mut tx, id, &word, &me, now).await?;
    end(&app, tx, state).await
}

/// Sends a request back with a note: the run pauses, and once it goes on the gate asks again. The gate's own rule says
/// who may.
#[utoipa::path(post, path = "/approvals/{id}/send-back", tag = "approvals", params(("id" = i64, Path)),
    request_body = SendBackBody,
    responses((status = 200, body = DecidedBody), (status = 403, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
              (status = 422, body = ErrorAnswer)))]
pub async fn send_back(
    State(app): State<AppState>,
    Decides(me): Decides,
    Path(id): Path<ApprovalId>,
    Body(body): Body<SendBackBody>,
) -> Result<Json<DecidedBody>, WebError> {
    let digest = read(body.digest)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::send_back(&mut tx, id, digest, &body.note, &me, now).await?;
    end(&app, tx, ApprovalState::Returned).await
}

/// Has the evidence of a request read again: what only read is, and then the gate asks anew. Approvals given so far end.
/// The gate's own rule says who may.
#[utoipa::path(post, path = "/approvals/{id}/read-again", tag = "approvals", params(("id" = i64, Path)),
    request_body = ReadAgainBody,
    responses((status = 200, body = DecidedBody), (status = 403, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
              (status = 422, body = ErrorAnswer)))]
pub async fn read_again(
    State(app): State<AppState>,
    Decides(me): Decides,
    Path(id): Path<ApprovalId>,
    Body(body): Body<ReadAgainBody>,
) -> Result<Json<DecidedBody>, WebError> {
    let digest = read(body.digest)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::read_again(&mut tx, id, digest, &me, now).await?;
    end(&app, tx, ApprovalState::Returned).await
}

/// Asks something about a request. It stands on the gate's page and in the timeline, and holds nothing. Needs the role
/// responder.
#[utoipa::path(post, path = "/approvals/{id}/question", tag = "approvals", params(("id" = i64, Path)),
    request_body = QuestionBody,
    responses((status = 200, body = DecidedBody), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn ask(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<ApprovalId>,
    Body(body): Body<QuestionBody>,
) -> Result<Json<DecidedBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::ask(&mut tx, id, &body.question, &me, now).await?;
    end(&app, tx, ApprovalState::Pending).await
}

/// Takes an approval back before anything has started under it. Whoever gave it may, and whoever may decide.
#[utoipa::path(post, path = "/approvals/{id}/withdraw", tag = "approvals", params(("id" = i64, Path)),
    request_body = OptionalReasonBody,
    responses((status = 200, body = DecidedBody), (status = 403, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub async fn withdraw(
    State(app): State<AppState>,
    Decides(me): Decides,
    Path(id): Path<ApprovalId>,
    Body(body): Body<OptionalReasonBody>,
) -> Result<Json<DecidedBody>, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    people::withdraw(&mut tx, id, &body.reason, &me, now).await?;
    end(&app, tx, ApprovalState::Withdrawn).await
}

/// Opens a gate alone, where its rule allows that; a review is opened that somebody else must close. Needs the role
/// responder.
#[utoipa::path(post, path = "/approvals/{id}/break-glass", tag = "approvals", params(("id" = i64, Path)),
    request_body = BreakBody,
    responses((status = 200, body = DecidedBody), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn break_glass(
    State(app): State<AppState>,
    BreaksGlass(me): BreaksGlass,
    Path(id): Path<ApprovalId>,
    Shown(presence): Shown,
    Body(body): Body<BreakBody>,
) -> Result<Json<DecidedBody>, WebError> {
    let digest = read(body.digest)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let word = Word {
        verdict: Verdict::Approve,
        digest,
        reason: &body.reason,
        typed: &body.typed,
        presence,
    };
    people::break_glass(&mut tx, id, &word, &me, now).await?;
    end(&app, tx, ApprovalState::Approved).await
}

fn read(digest: String) -> Result<Digest, WebError> {
    Digest::try_from(digest)
        .map_err(|fault| WebError::unreadable(format!("The digest cannot be read: {fault}.")))
}

async fn end(
    app: &AppState,
    tx: Transaction<'static, Postgres>,
    state: ApprovalState,
) -> Result<Json<DecidedBody>, WebError> {
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(Json(state.into()))
}
