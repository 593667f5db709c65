//! `/settings/targets`: what runbooks may act on now, and one target by itself. They are read from their file; what can be
//! changed here is only the circuit.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, Redirect},
};
use chrono::TimeDelta;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::{Oversees, Pauses, Reads, Runs},
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        layout::Place,
        standing::MAY_RELEASE,
        target::{HISTORY, TargetFacts, TargetPage, Touched, page_of},
        targets::TargetsPage,
    },
};
use crate::{
    domain::{
        operator::{Operator, Role},
        target::Targets,
    },
    execute::control,
    store::{self, breakers, calls, locks, openings, runbooks},
};

/// Targets of one page of the list.
const ROWS_MAX: usize = 100;
/// Circuits and locks that are looked at for the list: more than a file of targets has.
const STANDING_MAX: i64 = 1000;
/// Times of it that are drawn.
const OPENINGS_MAX: i64 = 200;
/// Calls on the page of a target.
const CALLS_MAX: i64 = 20;
/// Who may ask a target: as for a plan, since it goes outward.
const MAY_TOUCH: Role = Role::Responder;
/// How long a person is told to wait while others ask.
const FULL_WAIT: TimeDelta = TimeDelta::seconds(5);

/// Where the list begins.
#[derive(Debug, Default, Deserialize)]
pub struct TargetsQuery {
    /// After the target of that name.
    #[serde(default)]
    after: String,
}

fn known(app: &AppState) -> Arc<Targets> {
    Arc::clone(&app.rehearser.targets.borrow())
}

/// `GET /settings/targets`
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<TargetsQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let targets = known(&app);
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Targets", Place::Targets, now).await?;
    let breakers = breakers::list_real(&mut tx, STANDING_MAX).await?;
    let locks = locks::list(&mut tx, STANDING_MAX).await?;
    let page = TargetsPage::of(frame, &targets, &breakers, &locks, &query.after, ROWS_MAX, now);
    Ok(Html(page.render()?))
}

/// `GET /settings/targets/{name}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(name): Path<String>,
) -> Result<Html<String>, WebError> {
    target_page(&app, &me, &name, None).await
}

async fn target_page(
    app: &AppState,
    me: &Operator,
    name: &str,
    touched: Option<Touched>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let targets = known(app);
    let mut tx = store::begin_reading(&app.db).await?;
    let breaker = breakers::find(&mut tx, name).await?;
    let target = targets.0.get(name);
    // A circuit outlives the target's lines in the file; whoever comes for it can still see and close it.
    if target.is_none() && breaker.is_none() {
        return Err(WebError::not_found("target").with_next("/settings/targets", "All targets"));
    }
    let facts = TargetFacts {
        name,
        target,
        breaker,
        openings: openings::list(&mut tx, name, now - HISTORY, OPENINGS_MAX).await?,
        holder: locks::find_holder(&mut tx, name).await?,
        calls: calls::list(&mut tx, name, CALLS_MAX).await?,
        runbooks: runbooks::list_current(&mut tx).await?,
        touched,
        may_touch: me.role >= MAY_TOUCH,
        may_release: me.role >= MAY_RELEASE,
        may_hold: me.role >= MAY_TOUCH,
    };
    let frame = page::frame(app, &mut tx, me, format!("Target {name}"), Place::Targets, now).await?;
    Ok(Html(TargetPage::of(frame, facts, now).render()?))
}

/// `POST /settings/targets/{name}/test`: it changes nothing, so its answer is the page itself.
pub async fn test(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(name): Path<String>,
) -> Result<Html<String>, WebError> {
    let touch = {
        let _place = app
            .rehearsals
            .try_acquire()
            .map_err(|_| WebError::too_many(FULL_WAIT))?;
        app.rehearser.touch(&name).await
    };
    let touch = touch.ok_or_else(|| WebError::not_found("target"))?;
    tracing::info!(target.name = name, by = me.name, "a person asked a target");
    target_page(&app, &me, &name, Some(Touched::of(&touch))).await
}

/// Why a circuit opens or closes.
#[derive(Debug, Deserialize)]
pub struct CircuitForm {
    op: Uuid,
    #[serde(default)]
    reason: String,
}

/// `POST /settings/targets/{name}/open`: holds its circuit open. Whoever may pause everything may hold one target.
pub async fn open(
    State(app): State<AppState>,
    Pauses(me): Pauses,
    Path(name): Path<String>,
    Form(form): Form<CircuitForm>,
) -> Result<Redirect, WebError> {
    let back = page_of(&name);
    if !known(&app).0.contains_key(&name) {
        return Err(WebError::not_found("target").with_next("/settings/targets", "All targets"));
    }
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    control::open_breaker(act.conn(), &name, &form.reason, &me, now)
        .await
        .map_err(|error| WebError::from(error).with_next(back.clone(), "Back to the target"))?;
    act.commit().await?;
    Ok(see(back))
}

/// `POST /settings/targets/{name}/close`: closes its circuit.
pub async fn close(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Path(name): Path<String>,
    Form(form): Form<CircuitForm>,
) -> Result<Redirect, WebError> {
    let back = page_of(&name);
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(back));
    };
    let now = act.now;
    control::close_breaker(act.conn(), &name, &form.reason, &me, now)
        .await
        .map_err(|error| WebError::from(error).with_next(back.clone(), "Back to the target"))?;
    act.commit().await?;
    Ok(see(back))
}
