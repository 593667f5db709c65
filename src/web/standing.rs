//! What stands over every run, by form: pause and resume, freezes, circuits closed by hand.

use axum::{Form, extract::State, response::Redirect};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::{Oversees, Pauses},
    error::WebError,
    extract::Path,
    state::AppState,
    view::standing::{StandingFacts, StandingPart},
};
use crate::{
    domain::{freeze::AskedFreeze, id::FreezeId, operator::Operator},
    execute::{control, people::PeopleError},
    store::{StoreError, audit, breakers, freezes, locks, pauses},
};

/// Rows of circuits and of locks on the page.
const ROWS_MAX: usize = 50;
/// What people did last.
const ACTS_MAX: i64 = 20;

/// The part of the page System that people act with.
pub async fn part(
    conn: &mut PgConnection,
    me: &Operator,
    now: DateTime<Utc>,
) -> Result<StandingPart, StoreError> {
    let facts = StandingFacts {
        pause: pauses::find(conn).await?,
        breakers: breakers::list_real(conn, ROWS_MAX as i64 + 1).await?,
        freezes: freezes::list(conn, now).await?,
        locks: locks::list(conn, ROWS_MAX as i64 + 1).await?,
        acts: audit::list_standing(conn, i64::MAX, ACTS_MAX).await?,
        rows_max: ROWS_MAX,
    };
    Ok(StandingPart::of(&facts, me, now))
}

/// The fields of these forms; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct StandingForm {
    op: Uuid,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    matchers: String,
    #[serde(default)]
    starts_at: String,
    #[serde(default)]
    ends_at: String,
}

/// `POST /system/pause`
pub async fn pause(
    State(app): State<AppState>,
    Pauses(me): Pauses,
    Form(form): Form<StandingForm>,
) -> Result<Redirect, WebError> {
    let back = "/system#automation";
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    let done = control::pause(act.conn(), &form.reason, &me, now).await;
    end(act, done, back).await
}

/// `POST /system/resume`
pub async fn resume(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Form(form): Form<StandingForm>,
) -> Result<Redirect, WebError> {
    let back = "/system#automation";
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    let done = control::resume(act.conn(), &form.reason, &me, now).await;
    end(act, done, back).await
}

/// `POST /system/circuits/{target}/close`
pub async fn close_breaker(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Path(target): Path<String>,
    Form(form): Form<StandingForm>,
) -> Result<Redirect, WebError> {
    let back = "/system#circuits";
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    let done = control::close_breaker(act.conn(), &target, &form.reason, &me, now).await;
    end(act, done, back).await
}

/// `POST /system/freezes`
pub async fn freeze(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Form(form): Form<StandingForm>,
) -> Result<Redirect, WebError> {
    let back = "/system#freezes";
    let asked = AskedFreeze {
        starts_at: time(&form.starts_at, "start")?,
        ends_at: time(&form.ends_at, "end")?,
        title: form.title,
        matchers: form.matchers,
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    let done = control::freeze(act.conn(), &asked, &form.reason, &me, now).await;
    end(act, done.map(drop), back).await
}

/// `POST /system/freezes/{id}/end`
pub async fn end_freeze(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Path(id): Path<FreezeId>,
    Form(form): Form<StandingForm>,
) -> Result<Redirect, WebError> {
    let back = "/system#freezes";
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    let done = control::end_freeze(act.conn(), id, &form.reason, &me, now).await;
    end(act, done, back).await
}

async fn end(act: Act, done: Result<(), PeopleError>, back: &str) -> Result<Redirect, WebError> {
    done.map_err(|error| WebError::from(error).with_next(back, "Back to System"))?;
    act.commit().await?;
    Ok(see(back))
}

/// A time as a browser's field sends it, in UTC; `None` when the field was left empty.
pub(super) fn time(text: &str, which: &str) -> Result<Option<DateTime<Utc>>, WebError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|time| Some(time.and_utc()))
        .ok_or_else(|| {
            WebError::unreadable(format!(
                "The {which} must be a time like 2026-11-21T03:00, in UTC."
            ))
        })
}
