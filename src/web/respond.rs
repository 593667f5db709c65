//! What people do to an incident, by form.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{self, Act, see},
    caller::Responds,
    error::WebError,
    extract::Path,
    state::AppState,
};
use crate::{
    domain::{
        event::Event,
        id::IncidentId,
        incident::Severity,
        operator::{Actor, Operator},
        sentence::{Category, category},
    },
    incident::{respond, visits},
    store::{events, incidents},
};

/// Events looked at to see whether a person's page was too old to act on.
const CHECKED_MAX: i64 = 200;

/// The fields of these forms; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct RespondForm {
    op: Uuid,
    seen: Option<i64>,
    #[serde(default)]
    reason: String,
    severity: Option<i16>,
}

/// `POST /incidents/{id}/acknowledge`
pub async fn acknowledge(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<RespondForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = respond::acknowledge(act.conn(), id, &me, now).await;
    end(&app, act, done, &me, id, form.seen).await
}

/// `POST /incidents/{id}/mitigate`
pub async fn mitigate(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<RespondForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    unchanged(&mut act, id, form.seen, &me, "Mark mitigated all the same").await?;
    let now = act.now;
    let done = respond::mitigate(act.conn(), id, &me, &form.reason, now).await;
    end(&app, act, done, &me, id, form.seen).await
}

/// `POST /incidents/{id}/resolve`
pub async fn resolve(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<RespondForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    unchanged(&mut act, id, form.seen, &me, "Resolve all the same").await?;
    let now = act.now;
    let done = respond::resolve(act.conn(), id, &me, &form.reason, now).await;
    end(&app, act, done, &me, id, form.seen).await
}

/// `POST /incidents/{id}/close`
pub async fn close(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<RespondForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = respond::close(act.conn(), id, &me, now).await;
    end(&app, act, done, &me, id, form.seen).await
}

/// `POST /incidents/{id}/severity`
pub async fn set_severity(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<IncidentId>,
    Form(form): Form<RespondForm>,
) -> Result<Redirect, WebError> {
    let to = form
        .severity
        .and_then(Severity::numbered)
        .ok_or_else(|| WebError::unreadable("The severity must be 1, 2, 3 or 4."))?;
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(back(id));
    };
    let now = act.now;
    let done = respond::set_severity(act.conn(), id, &me, to, &form.reason, now).await;
    end(&app, act, done, &me, id, form.seen).await
}

pub(super) fn back(id: IncidentId) -> Redirect {
    see(format!("/incidents/{id}"))
}

pub(super) async fn end<T>(
    app: &AppState,
    mut act: Act,
    done: Result<T, respond::RespondError>,
    me: &Operator,
    id: IncidentId,
    seen: Option<i64>,
) -> Result<Redirect, WebError> {
    let page = format!("/incidents/{id}");
    if let Err(error) = done {
        // The transaction is given back before another connection is asked for.
        drop(act);
        let fault = WebError::from(error).with_next(page, format!("Back to INC-{id}"));
        return Err(act::explain(app, fault, id, seen).await);
    }
    if let Some(seen) = seen {
        // Who acts on a page has looked at it; without script nothing else says so.
        let now = act.now;
        visits::look(act.conn(), me.id, id, seen, now).await?;
    }
    act.commit().await?;
    Ok(see(page))
}

/// Refuses when something that bears on the decision happened after the person's page was made: an alert, or another
/// person's decision. The answer tells what, keeps the text and offers the same form again.
pub(super) async fn unchanged(
    act: &mut Act,
    id: IncidentId,
    seen: Option<i64>,
    me: &Operator,
    again: &str,
) -> Result<(), WebError> {
    let Some(seen) = seen else {
        return Ok(());
    };
    let conn = act.conn();
    let Some(locked) = incidents::lock(conn, id).await? else {
        return Err(WebError::not_found("incident"));
    };
    let missed = events::list_after(conn, id, seen, CHECKED_MAX).await?;
    let bears = |event: &Event, actor: &Actor| match category(event) {
        Category::Alert => true,
        Category::Decision => !matches!(actor, Actor::Person { id, .. } if *id == me.id),
        _ => false,
    };
    if !missed
        .iter()
        .any(|recorded| bears(&recorded.event, &recorded.actor))
    {
        return Ok(());
    }
    let lines = act::since(conn, id, seen).await?;
    Err(
        WebError::moved("something that bears on this happened after your page was made")
            .with_since(lines)
            .with_again(locked.last_seq, again)
            .with_next(format!("/incidents/{id}"), format!("Back to INC-{id}")),
    )
}
