//! Publishing runbooks and reviewing what others propose, as JSON.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use sqlx::{Postgres, Transaction};

use super::shapes::{
    ErrorAnswer,
    publishing::{
        ApproveBody, ApprovedBody, FaultsAnswer, NewRunbookBody, ProposalBody, PublishedBody, WordBody,
    },
};
use crate::{
    catalog::{
        publish::{self, Outcome, PublishError, Text},
        review::{self, Review, Seen},
    },
    domain::id::ProposalId,
    store::{self, StoreError, proposals},
    web::{
        caller::{Publishes, Reads},
        error::WebError,
        extract::{Body, Path},
        state::AppState,
    },
};

/// Publishes a runbook: the same text is the same version. Where the runbook, as it stands or as it would be, asks for a
/// review, the text becomes a proposal (202) that others approve. With `base`, nothing is published when another version
/// than that one is in use by now.
#[utoipa::path(post, path = "/runbooks", tag = "runbooks", request_body = NewRunbookBody,
    responses((status = 201, body = PublishedBody, description = "It is in use"),
        (status = 200, body = PublishedBody, description = "The version in use says exactly this"),
        (status = 202, body = PublishedBody, description = "It waits for review"),
        (status = 403, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = FaultsAnswer, description = "The text has faults, each with its line and column")))]
pub async fn publish(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Body(body): Body<NewRunbookBody>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let text = Text {
        slug: None,
        source: &body.yaml,
        note: &body.note,
        base: body.base,
    };
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let outcome = match publish::publish(&mut tx, &text, &me, now).await {
        Err(PublishError::Faulty(faults)) => {
            let answer = FaultsAnswer::of(&faults);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(answer)).into_response());
        }
        outcome => outcome?,
    };
    commit(&app, tx).await?;
    let status = match &outcome {
        Outcome::Published(_) => StatusCode::CREATED,
        Outcome::Unchanged(_) => StatusCode::OK,
        Outcome::Proposed(_) => StatusCode::ACCEPTED,
    };
    Ok((status, Json(PublishedBody::of(outcome))).into_response())
}

/// The proposals of a runbook that wait; never more than one.
#[utoipa::path(get, path = "/runbooks/{slug}/proposals", tag = "runbooks", params(("slug" = String, Path)),
    responses((status = 200, body = Vec<ProposalBody>), (status = 401, body = ErrorAnswer)))]
pub async fn list(
    State(app): State<AppState>,
    _: Reads,
    Path(slug): Path<String>,
) -> Result<Json<Vec<ProposalBody>>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let mut bodies = Vec::new();
    for line in proposals::list_waiting(&mut tx, Some(&slug)).await? {
        let review = Review::find(&mut tx, &slug, line.id).await?;
        bodies.extend(review.map(ProposalBody::of));
    }
    Ok(Json(bodies))
}

/// One proposal, with what it has otherwise than the version in use.
#[utoipa::path(get, path = "/runbooks/{slug}/proposals/{id}", tag = "runbooks",
    params(("slug" = String, Path), ("id" = i64, Path)),
    responses((status = 200, body = ProposalBody), (status = 404, body = ErrorAnswer)))]
pub async fn get(
    State(app): State<AppState>,
    _: Reads,
    Path((slug, id)): Path<(String, ProposalId)>,
) -> Result<Json<ProposalBody>, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let review = Review::find(&mut tx, &slug, id)
        .await?
        .ok_or_else(|| WebError::not_found("proposal"))?;
    Ok(Json(ProposalBody::of(review)))
}

/// Approves a proposal of somebody else. The last approval it needs puts it in use. Not for tokens.
#[utoipa::path(post, path = "/runbooks/{slug}/proposals/{id}/approve", tag = "runbooks",
    params(("slug" = String, Path), ("id" = i64, Path)), request_body = ApproveBody,
    responses((status = 200, body = ApprovedBody), (status = 403, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn approve(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path((slug, id)): Path<(String, ProposalId)>,
    Body(body): Body<ApproveBody>,
) -> Result<Json<ApprovedBody>, WebError> {
    let now = app.clock.now();
    let seen = Seen {
        digest: body.digest,
        base: body.base,
    };
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let version = review::approve(&mut tx, &slug, id, seen, &body.note, &me, now).await?;
    commit(&app, tx).await?;
    Ok(Json(ApprovedBody {
        version: version.map(|version| version.number),
    }))
}

/// Sends a proposal of somebody else back with a note. Not for tokens.
#[utoipa::path(post, path = "/runbooks/{slug}/proposals/{id}/send-back", tag = "runbooks",
    params(("slug" = String, Path), ("id" = i64, Path)), request_body = WordBody,
    responses((status = 204), (status = 403, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn send_back(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path((slug, id)): Path<(String, ProposalId)>,
    Body(body): Body<WordBody>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    review::send_back(&mut tx, &slug, id, &body.note, &me, now).await?;
    commit(&app, tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes back one's own proposal.
#[utoipa::path(post, path = "/runbooks/{slug}/proposals/{id}/withdraw", tag = "runbooks",
    params(("slug" = String, Path), ("id" = i64, Path)),
    responses((status = 204), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn withdraw(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path((slug, id)): Path<(String, ProposalId)>,
) -> Result<StatusCode, WebError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    review::withdraw(&mut tx, &slug, id, &me, now).await?;
    commit(&app, tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn commit(app: &AppState, tx: Transaction<'static, Postgres>) -> Result<(), WebError> {
    tx.commit().await.map_err(StoreError::from)?;
    app.wake.changed();
    Ok(())
}
