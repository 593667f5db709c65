//! Links to gates: `/a/{code}`. Following one changes nothing but that a stranger's visit is written down.

use askama::Template;
use axum::{
    Form, Json,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    api::shapes::{
        ErrorAnswer,
        audit::{LinkMade, NewLinkBody},
    },
    approvals,
    caller::{Reads, Responds},
    error::WebError,
    extract::{Body, Path},
    page,
    presence::Shown,
    session::{new_token, token_digest},
    state::AppState,
    view::{
        layout::Place,
        link::LinkPage,
        parts::{at, said},
    },
};
use crate::{
    domain::{digest::Digest, id::ApprovalId},
    execute::people::{self, LinkError},
    store::StoreError,
};

/// How every code begins, so that people and scanners of leaked secrets know what it is.
pub const CODE_MARK: &str = "msa_";
/// A code is its mark and 256 bits as text; anything longer is none.
const CODE_BYTES_MAX: usize = 100;

/// What the database knows a code by; `None` for what cannot be one.
pub fn code_digest(code: &str) -> Option<Digest> {
    (code.starts_with(CODE_MARK) && code.len() <= CODE_BYTES_MAX).then(|| token_digest(code))
}

impl From<LinkError> for WebError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Unknown => Self::not_found("link").with_next("/approvals", "All approvals"),
            LinkError::Foreign { .. } => Self::forbidden(super::error::sentence(&format!(
                "{error}. Sign out and sign in as the one it is for, or let them decide"
            ))),
            LinkError::Used(_) | LinkError::Over(_) => {
                Self::moved(error.to_string()).with_next("/approvals", "All approvals")
            }
            LinkError::Store(error) => error.into(),
        }
    }
}

/// `GET /a/{code}`: the gate's page, for the person whom the link is for.
pub async fn follow(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(code): Path<String>,
    Shown(presence): Shown,
) -> Result<Html<String>, WebError> {
    let hash = code_digest(&code).ok_or(LinkError::Unknown)?;
    let now = app.clock.now();
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let opened = people::open_link(&mut conn, hash, &me, now).await;
    drop(conn);
    if let Err(LinkError::Foreign { .. }) = &opened {
        let mut tx = app.db.begin().await.map_err(StoreError::from)?;
        people::note_foreign_link(&mut tx, hash, &me, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
    }
    approvals::page(&app, &me, presence, opened?.approval, Some(code)).await
}

/// Makes a link to a pending request for one person who may decide there. It leads them to the gate's page once they are
/// signed in, is good for one decision, and ends when the time to decide is over.
#[utoipa::path(post, path = "/approvals/{id}/links", tag = "approvals", params(("id" = i64, Path)),
    request_body = NewLinkBody,
    responses((status = 201, body = LinkMade), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
              (status = 422, body = ErrorAnswer)))]
pub async fn make(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<ApprovalId>,
    Body(body): Body<NewLinkBody>,
) -> Result<(StatusCode, Json<LinkMade>), WebError> {
    let code = new_code()?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let (number, expires_at) =
        people::make_link(&mut tx, id, token_digest(&code), &body.operator, &me, now).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let made = LinkMade {
        id: number,
        url: address(&app, &code),
        expires_at,
    };
    Ok((StatusCode::CREATED, Json(made)))
}

fn new_code() -> Result<String, WebError> {
    let token = new_token().map_err(|error| WebError::bug("no random bytes", error))?;
    Ok(format!("{CODE_MARK}{token}"))
}

/// The address with this code, whole where Muster knows its own.
fn address(app: &AppState, code: &str) -> String {
    let base = app.public_url.as_ref().map_or("", |url| url.as_str());
    format!("{}/a/{code}", base.trim_end_matches('/'))
}

/// The form that makes a link.
#[derive(Debug, Deserialize)]
pub struct LinkForm {
    op: Uuid,
    name: String,
}

/// `POST /approvals/{id}/links`: makes a link and answers with the page that shows it. Sent again it leads to the gate:
/// nobody can read a link twice.
pub async fn make_by_form(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<ApprovalId>,
    Form(form): Form<LinkForm>,
) -> Result<Response, WebError> {
    let gate = format!("/approvals/{id}");
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(gate).into_response());
    };
    let (code, now) = (new_code()?, act.now);
    let (_, until) = people::make_link(act.conn(), id, token_digest(&code), &form.name, &me, now)
        .await
        .map_err(|error| WebError::from(error).with_next(gate, "Back to the request"))?;
    let frame = page::frame(
        &app,
        act.conn(),
        &me,
        "A link for one decision",
        Place::Approvals,
        now,
    )
    .await?;
    act.commit().await?;
    let page = LinkPage {
        frame,
        approval: id.0,
        name: said(&form.name),
        url: address(&app, &code),
        until: at(until, now),
    };
    Ok(Html(page.render()?).into_response())
}
