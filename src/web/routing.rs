//! What people decide about new episodes, by form: maintenance windows, thresholds, severities, and what is held.

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::{Oversees, Reads},
    error::WebError,
    extract::Path,
    page,
    standing::time,
    state::AppState,
    view::{
        layout::Place,
        routing::{RoutingFacts, RoutingPage},
        rule_form::Refused,
    },
};
use crate::{
    domain::{
        id::RoutingRuleId,
        operator::Operator,
        routing::{AskedRule, RuleFault},
    },
    execute::routing::{self as acts, MakeError},
    store::{self, held, routing, sources},
};

/// Held alerts on the page.
const ROWS_MAX: usize = 100;

/// `GET /routing`
pub async fn show(State(app): State<AppState>, Reads(me): Reads) -> Result<Response, WebError> {
    page(&app, &me, None).await
}

/// The page; with the form that was not accepted it says so.
async fn page(app: &AppState, me: &Operator, refused: Option<Refused>) -> Result<Response, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(app, &mut tx, me, "Routing", Place::Routing, now).await?;
    let status = match refused {
        None => StatusCode::OK,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let facts = RoutingFacts {
        rules: routing::list(&mut tx, now).await?,
        held: held::list(&mut tx, ROWS_MAX as i64 + 1).await?,
        rows_max: ROWS_MAX,
        sources: sources::list(&mut tx)
            .await?
            .into_iter()
            .map(|source| source.name)
            .collect(),
        refused,
    };
    let page = RoutingPage::of(frame, &facts, me, now).render()?;
    Ok((status, Html(page)).into_response())
}

/// The fields of these forms; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct RuleForm {
    op: Uuid,
    #[serde(default)]
    reason: String,
    /// Which form it is.
    #[serde(default)]
    form: String,
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

impl RuleForm {
    /// The rule it asks for, or the first field that cannot be read at all.
    fn asked(&self) -> Result<AskedRule, RuleFault> {
        let unreadable = |field, message: String| RuleFault { field, message };
        let moment =
            |text: &str, field| time(text, "time").map_err(|error| unreadable(field, error.to_string()));
        let place = match self.place.trim() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| unreadable("place", "the place must be a number".to_owned()))?,
            ),
        };
        Ok(AskedRule {
            starts_at: moment(&self.starts_at, "starts_at")?,
            ends_at: moment(&self.ends_at, "ends_at")?,
            kind: self.kind.clone(),
            title: self.title.clone(),
            matchers: self.matchers.clone(),
            is_for_one: false,
            place,
            days: self.days.clone(),
            at: self.at.clone(),
            length: self.length.clone(),
            offset: self.offset.clone(),
            count: self.count.trim().parse().ok(),
            within: self.within.clone(),
            severity: self.severity.clone(),
        })
    }

    /// The form to be shown again, with what is wrong.
    fn refused(self, fault: RuleFault) -> Refused {
        Refused {
            form: self.form,
            typed: vec![
                ("title", self.title),
                ("matchers", self.matchers),
                ("source", self.source),
                ("place", self.place),
                ("starts_at", self.starts_at),
                ("ends_at", self.ends_at),
                ("days", self.days),
                ("at", self.at),
                ("length", self.length),
                ("offset", self.offset),
                ("count", self.count),
                ("within", self.within),
                ("severity", self.severity),
                ("reason", self.reason),
            ],
            fault,
        }
    }
}

const BACK: &str = "/routing";
const BACK_WORDS: &str = "Back to Routing";

/// `POST /routing/rules`: makes a rule; a form that is not accepted is shown again, with what was typed.
pub async fn make(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Form(form): Form<RuleForm>,
) -> Result<Response, WebError> {
    let asked = match form.asked() {
        Ok(asked) => asked,
        Err(fault) => return page(&app, &me, Some(form.refused(fault))).await,
    };
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(BACK).into_response());
    };
    let now = act.now;
    match acts::make(act.conn(), &asked, &form.source, &form.reason, &me, now).await {
        Ok(_) => {
            act.commit().await?;
            Ok(see(BACK).into_response())
        }
        Err(MakeError::Faulty(fault)) => {
            drop(act);
            page(&app, &me, Some(form.refused(fault))).await
        }
        Err(error) => Err(WebError::from(error).with_next(BACK, BACK_WORDS)),
    }
}

/// `POST /routing/rules/{id}/end`
pub async fn end(
    State(app): State<AppState>,
    Oversees(me): Oversees,
    Path(id): Path<RoutingRuleId>,
    Form(form): Form<RuleForm>,
) -> Result<Response, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return Ok(see(BACK).into_response());
    };
    let now = act.now;
    let done = acts::end(act.conn(), id, &form.reason, &me, now).await;
    done.map_err(|error| WebError::from(error).with_next(BACK, BACK_WORDS))?;
    act.commit().await?;
    Ok(see(BACK).into_response())
}
