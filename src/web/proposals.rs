//! Versions that wait until others have looked at them: the page of one, and what people say there.

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{Html, Redirect},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::{Publishes, Reads},
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    versions,
    view::{coverage::LossPart, layout::Place, proposal::ProposalPage},
};
use crate::{
    catalog::{
        publish::PublishError,
        review::{self, Review, Seen},
    },
    domain::{digest::Digest, id::ProposalId},
    store,
};

/// `GET /runbooks/{slug}/proposals/{id}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path((slug, id)): Path<(String, ProposalId)>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let review = Review::find(&mut tx, &slug, id)
        .await?
        .ok_or_else(|| WebError::not_found("proposal"))?;
    let title = format!("{slug} proposal {id}");
    let frame = page::frame(&app, &mut tx, &me, title, Place::Runbooks, now).await?;
    let old = review.standing.as_ref().map(|standing| &standing.version);
    let loss = versions::between(&mut tx, old, &review.proposal.runbook).await?;
    let loss = LossPart::of(&loss, now);
    Ok(Html(ProposalPage::of(frame, &review, loss, &me, now).render()?))
}

/// The fields of these forms; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct ReviewForm {
    op: Uuid,
    digest: Option<Digest>,
    #[serde(default)]
    base: i32,
    #[serde(default)]
    note: String,
}

/// `POST /runbooks/{slug}/proposals/{id}/approve`
pub async fn approve(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path((slug, id)): Path<(String, ProposalId)>,
    Form(form): Form<ReviewForm>,
) -> Result<Redirect, WebError> {
    let digest = form
        .digest
        .ok_or_else(|| WebError::unreadable("The form lacks the hash of what was proposed."))?;
    let seen = Seen {
        digest,
        base: form.base,
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page_of(&slug, id)));
    };
    let now = act.now;
    let done = review::approve(act.conn(), &slug, id, seen, &form.note, &me, now).await;
    end(act, &slug, id, done.map(|_| ())).await
}

/// `POST /runbooks/{slug}/proposals/{id}/send-back`
pub async fn send_back(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path((slug, id)): Path<(String, ProposalId)>,
    Form(form): Form<ReviewForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page_of(&slug, id)));
    };
    let now = act.now;
    let done = review::send_back(act.conn(), &slug, id, &form.note, &me, now).await;
    end(act, &slug, id, done).await
}

/// `POST /runbooks/{slug}/proposals/{id}/withdraw`
pub async fn withdraw(
    State(app): State<AppState>,
    Publishes(me): Publishes,
    Path((slug, id)): Path<(String, ProposalId)>,
    Form(form): Form<ReviewForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(page_of(&slug, id)));
    };
    let now = act.now;
    let done = review::withdraw(act.conn(), &slug, id, &me, now).await;
    end(act, &slug, id, done).await
}

async fn end(
    act: Act,
    slug: &str,
    id: ProposalId,
    done: Result<(), PublishError>,
) -> Result<Redirect, WebError> {
    let page = page_of(slug, id);
    done.map_err(|error| WebError::from(error).with_next(page.clone(), "Look at the proposal"))?;
    act.commit().await?;
    Ok(see(page))
}

fn page_of(slug: &str, id: ProposalId) -> String {
    format!("/runbooks/{slug}/proposals/{id}")
}
