//! What people decide about new episodes, by form: maintenance windows, thresholds, severities, and what is held.

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
    error::WebError,
    extract::Path,
    page,
    session::{Approver, Viewer},
    standing::time,
    state::AppState,
    view::{
        layout::Place,
        routing::{RoutingFacts, RoutingPage},
    },
};
use crate::{
    domain::{id::RoutingRuleId, routing::AskedRule},
    execute::routing as acts,
    store::{self, held, routing},
};

/// Held alerts on the page.
const ROWS_MAX: usize = 100;

/// `GET /routing`
pub async fn show(State(app): State<AppState>, Viewer(me): Viewer) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Routing", Place::Routing, now).await?;
    let facts = RoutingFacts {
        rules: routing::list(&mut tx, now).await?,
        held: held::list(&mut tx, ROWS_MAX as i64 + 1).await?,
        rows_max: ROWS_MAX,
    };
    Ok(Html(RoutingPage::of(frame, &facts, &me, now).render()?))
}

/// The fields of these forms; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct RuleForm {
    op: Uuid,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    matchers: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    place: String,
    #[serde(default)]
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    #[serde(default)]
    days: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    length: String,
    #[serde(default)]
    offset: String,
    #[serde(default)]
    count: String,
    #[serde(default)]
    within: String,
    #[serde(default)]
    severity: String,
}

const BACK: &str = "/routing";
const BACK_WORDS: &str = "Back to Routing";

/// `POST /routing/rules`
pub async fn make(
    State(app): State<AppState>,
    Approver(me): Approver,
    Form(form): Form<RuleForm>,
) -> Result<Redirect, WebError> {
    let place = match form.place.trim() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| WebError::unreadable("The place must be a number."))?,
        ),
    };
    let asked = AskedRule {
        starts_at: time(&form.starts_at, "start")?,
        ends_at: time(&form.ends_at, "end")?,
        kind: form.kind,
        title: form.title,
        matchers: form.matchers,
        is_for_one: false,
        place,
        days: form.days,
        at: form.at,
        length: form.length,
        offset: form.offset,
        count: form.count.trim().parse().ok(),
        within: form.within,
        severity: form.severity,
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(BACK));
    };
    let now = act.now;
    let done = acts::make(act.conn(), &asked, &form.source, &form.reason, &me, now).await;
    done.map_err(|error| WebError::from(error).with_next(BACK, BACK_WORDS))?;
    act.commit().await?;
    Ok(see(BACK))
}

/// `POST /routing/rules/{id}/end`
pub async fn end(
    State(app): State<AppState>,
    Approver(me): Approver,
    Path(id): Path<RoutingRuleId>,
    Form(form): Form<RuleForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(BACK));
    };
    let now = act.now;
    let done = acts::end(act.conn(), id, &form.reason, &me, now).await;
    done.map_err(|error| WebError::from(error).with_next(BACK, BACK_WORDS))?;
    act.commit().await?;
    Ok(see(BACK))
}
