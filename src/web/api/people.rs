//! People and teams, for whoever manages them in person: no token carries it.

use axum::{Json, extract::State, http::StatusCode};
use sqlx::{Postgres, Transaction};

use super::shapes::{
    ErrorAnswer,
    person::{
        InvitedBody, NewPersonBody, PersonBody, PersonReasonBody, RoleBody, TeamBody, TeamNameBody, TeamsBody,
    },
};
use crate::{
    domain::id::OperatorId,
    rights::{RightsError, people, teams},
    store::{self, StoreError, people as rows},
    web::{
        caller::KeepsPeople,
        error::WebError,
        extract::{Body, Path},
        session::{self, SessionToken},
        state::AppState,
    },
};

/// Everybody: the enabled by name, then the disabled.
#[utoipa::path(get, path = "/people", tag = "people",
    responses((status = 200, body = Vec<PersonBody>), (status = 401, body = ErrorAnswer), (status = 403, body = ErrorAnswer)))]
pub async fn list(State(app): State<AppState>, _: KeepsPeople) -> Result<Json<Vec<PersonBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = rows::list(&mut conn, None, app.clock.now()).await?;
    Ok(Json(found.into_iter().map(PersonBody::from).collect()))
}

/// Invites somebody. The code of their link, `/enter/{code}`, is in this answer and nowhere else.
#[utoipa::path(post, path = "/people", tag = "people", request_body = NewPersonBody,
    responses((status = 201, body = InvitedBody), (status = 403, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn invite(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    session: SessionToken,
    Body(body): Body<NewPersonBody>,
) -> Result<(StatusCode, Json<InvitedBody>), WebError> {
    session::need_fresh(&app, session, "/settings/people").await?;
    let new = people::NewPerson {
        name: body.name,
        role: body.role,
        teams: body.teams,
    };
    let mut tx = begin(&app).await?;
    let invited = people::invite(&mut tx, &new, &me, app.clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let answer = InvitedBody {
        id: invited.id.0,
        code: invited.code,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Makes another link for somebody; the one before opens nothing any more.
#[utoipa::path(post, path = "/people/{id}/invite", tag = "people", params(("id" = i64, Path)),
    responses((status = 201, body = InvitedBody), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub async fn invite_again(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    session: SessionToken,
    Path(id): Path<OperatorId>,
) -> Result<(StatusCode, Json<InvitedBody>), WebError> {
    session::need_fresh(&app, session, "/settings/people").await?;
    let mut tx = begin(&app).await?;
    let code = people::invite_again(&mut tx, id, &me, app.clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok((StatusCode::CREATED, Json(InvitedBody { id: id.0, code })))
}

/// Gives somebody another role; their sessions end.
#[utoipa::path(post, path = "/people/{id}/role", tag = "people", params(("id" = i64, Path)), request_body = RoleBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn set_role(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Path(id): Path<OperatorId>,
    Body(body): Body<RoleBody>,
) -> Result<StatusCode, WebError> {
    let mut tx = begin(&app).await?;
    let done = people::set_role(&mut tx, id, &body.role, &body.reason, &me, app.clock.now()).await;
    end(tx, done).await
}

/// Puts somebody into exactly these teams; their sessions end.
#[utoipa::path(post, path = "/people/{id}/teams", tag = "people", params(("id" = i64, Path)), request_body = TeamsBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn set_teams(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Path(id): Path<OperatorId>,
    Body(body): Body<TeamsBody>,
) -> Result<StatusCode, WebError> {
    let mut tx = begin(&app).await?;
    let done = people::set_teams(&mut tx, id, &body.teams, &body.reason, &me, app.clock.now()).await;
    end(tx, done).await
}

/// Lets somebody in no more: their sessions end and their tokens open nothing.
#[utoipa::path(post, path = "/people/{id}/disable", tag = "people", params(("id" = i64, Path)), request_body = PersonReasonBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn disable(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Path(id): Path<OperatorId>,
    Body(body): Body<PersonReasonBody>,
) -> Result<StatusCode, WebError> {
    let mut tx = begin(&app).await?;
    let done = people::disable(&mut tx, id, &body.reason, &me, app.clock.now()).await;
    end(tx, done).await
}

/// Lets somebody in again, by what they had.
#[utoipa::path(post, path = "/people/{id}/enable", tag = "people", params(("id" = i64, Path)), request_body = PersonReasonBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 422, body = ErrorAnswer)))]
pub async fn enable(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Path(id): Path<OperatorId>,
    Body(body): Body<PersonReasonBody>,
) -> Result<StatusCode, WebError> {
    let mut tx = begin(&app).await?;
    let done = people::enable(&mut tx, id, &body.reason, &me, app.clock.now()).await;
    end(tx, done).await
}

/// Ends all sessions of somebody.
#[utoipa::path(post, path = "/people/{id}/end-sessions", tag = "people", params(("id" = i64, Path)),
    request_body = PersonReasonBody,
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn end_sessions(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Path(id): Path<OperatorId>,
    Body(body): Body<PersonReasonBody>,
) -> Result<StatusCode, WebError> {
    let mut tx = begin(&app).await?;
    let done = people::end_sessions(&mut tx, id, &body.reason, &me, app.clock.now()).await;
    end(tx, done).await
}

/// The teams and who is in them.
#[utoipa::path(get, path = "/teams", tag = "people",
    responses((status = 200, body = Vec<TeamBody>), (status = 403, body = ErrorAnswer)))]
pub async fn list_teams(
    State(app): State<AppState>,
    _: KeepsPeople,
) -> Result<Json<Vec<TeamBody>>, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let found = store::teams::list(&mut conn).await?;
    Ok(Json(found.into_iter().map(TeamBody::from).collect()))
}

/// Makes a team with nobody in it.
#[utoipa::path(post, path = "/teams", tag = "people", request_body = TeamNameBody,
    responses((status = 204), (status = 409, body = ErrorAnswer), (status = 422, body = ErrorAnswer)))]
pub async fn make_team(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Body(body): Body<TeamNameBody>,
) -> Result<StatusCode, WebError> {
    let mut tx = begin(&app).await?;
    let done = teams::make(&mut tx, &body.name, &me, app.clock.now()).await;
    end(tx, done).await
}

/// Takes a team away.
#[utoipa::path(post, path = "/teams/{name}/end", tag = "people", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorAnswer)))]
pub async fn end_team(
    State(app): State<AppState>,
    KeepsPeople(me): KeepsPeople,
    Path(name): Path<String>,
) -> Result<StatusCode, WebError> {
    let mut tx = begin(&app).await?;
    let done = teams::end(&mut tx, &name, &me, app.clock.now()).await;
    end(tx, done).await
}

async fn begin(app: &AppState) -> Result<Transaction<'static, Postgres>, WebError> {
    Ok(app.db.begin().await.map_err(StoreError::from)?)
}

async fn end(
    tx: Transaction<'static, Postgres>,
    done: Result<(), RightsError>,
) -> Result<StatusCode, WebError> {
    done?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
