//! Plan mode: what every step of a runbook would do now. Whoever may read sees what a preflight found; to ask targets
//! anew needs a responder, since it goes outward.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::Html,
};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    caller::{Reads, Runs},
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        layout::Place,
        plan::{PlanForm, PlanPage, Report},
        text,
    },
};
use crate::{
    domain::{id::IncidentId, rehearsal::Rehearsal},
    execute::rehearse::{IncidentHead, Script},
    store::{
        self, StoreError,
        incidents::{self, Incident},
        matches,
        preflights::{self, Preflight},
        runbooks::{self, Version},
    },
};

/// How long a person is told to wait while others rehearse.
const FULL_WAIT: TimeDelta = TimeDelta::seconds(5);
/// Labels that may be typed.
const LABELS_MAX: usize = 64;

/// Which version, for which incident.
#[derive(Debug, Default, Deserialize)]
pub struct PlanQuery {
    /// The incident's number.
    pub incident: Option<i64>,
    /// The version's number; the one in use when absent.
    pub version: Option<i32>,
}

/// What is planned, read in one moment.
pub struct Subject {
    /// The version.
    pub version: Version,
    /// The incident, if one was named.
    pub incident: Option<Incident>,
    /// `labels` and `annotations` of the alert a run would be about.
    pub alert: Value,
    /// What the preflight found.
    pub preflight: Option<Preflight>,
}

impl Subject {
    /// Reads it.
    pub async fn load(conn: &mut PgConnection, slug: &str, query: &PlanQuery) -> Result<Self, WebError> {
        let found = match query.version {
            Some(number) => runbooks::find_numbered(conn, slug, number).await?,
            None => runbooks::find_newest(conn, slug).await?,
        };
        let (version, _) = found.ok_or_else(|| WebError::not_found("runbook"))?;
        let Some(id) = query.incident.map(IncidentId) else {
            return Ok(Self {
                version,
                incident: None,
                alert: json!({"labels": {}, "annotations": {}}),
                preflight: None,
            });
        };
        let incident = incidents::find(conn, id)
            .await?
            .ok_or_else(|| WebError::not_found("incident"))?;
        Ok(Self {
            alert: matches::run_context(conn, id, version.id).await?,
            preflight: preflights::find(conn, id, version.id).await?,
            incident: Some(incident),
            version,
        })
    }

    /// Rehearses it; refuses while too many others do.
    pub async fn rehearse(
        &self,
        app: &AppState,
        given: &BTreeMap<String, String>,
        asks: bool,
    ) -> Result<Rehearsal, WebError> {
        let _place = app
            .rehearsals
            .try_acquire()
            .map_err(|_| WebError::too_many(FULL_WAIT))?;
        let incident = self.incident.as_ref().map(|incident| IncidentHead {
            id: incident.id,
            title: &incident.title,
            severity: incident.severity.number(),
        });
        let script = Script {
            runbook: &self.version.runbook,
            given,
            alert: &self.alert,
            incident,
            asks,
        };
        let drill = self.incident.as_ref().and_then(|incident| incident.drill);
        match app.rehearser.within(drill).await {
            Ok(rehearser) => Ok(rehearser.rehearse(&script).await),
            Err(why) => Err(WebError::refused(why)),
        }
    }
}

/// `GET /runbooks/{slug}/plan`: the form, and what the preflight found if the incident has one.
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(slug): Path<String>,
    Query(query): Query<PlanQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let subject = Subject::load(&mut tx, &slug, &query).await?;
    let title = format!("Plan · {}", text::visible(&subject.version.runbook.title));
    let frame = page::frame(&app, &mut tx, &me, title, Place::Runbooks, now).await?;
    let report = match &subject.preflight {
        Some(Preflight::Done(found)) => Some(Report::of(found, now)),
        _ => None,
    };
    let form = PlanForm::of(&subject, None, "");
    Ok(Html(PlanPage::of(frame, &subject, form, report).render()?))
}

/// `POST /runbooks/{slug}/plan`: `version`, `incident`, `labels` when there is none, a field `input.<name>` for each
/// input, and `render=yes` to ask nothing. It changes nothing, so its answer is the page itself.
pub async fn run(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(slug): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Html<String>, WebError> {
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let number = |name: &str| match field(name) {
        "" => Ok(None),
        text => text
            .parse::<i64>()
            .map(Some)
            .map_err(|_| WebError::unreadable(format!("The field {name} is not a number."))),
    };
    let query = PlanQuery {
        incident: number("incident")?,
        version: number("version")?.and_then(|number| number.try_into().ok()),
    };
    let given: BTreeMap<String, String> = fields
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("input.")?.to_owned(), value.clone())))
        .collect();
    let mut subject = {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        Subject::load(&mut conn, &slug, &query).await?
    };
    if subject.incident.is_none() {
        subject.alert["labels"] = json!(labels(field("labels"))?);
    }
    tracing::info!(runbook = slug, by = me.name, "a person plans a runbook");
    let rehearsal = subject.rehearse(&app, &given, field("render") != "yes").await?;
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let title = format!("Plan · {}", text::visible(&subject.version.runbook.title));
    let frame = page::frame(&app, &mut tx, &me, title, Place::Runbooks, now).await?;
    let form = PlanForm::of(&subject, Some(&given), field("labels"));
    let report = Some(Report::of(&rehearsal, now));
    Ok(Html(PlanPage::of(frame, &subject, form, report).render()?))
}

/// One `name=value` a line.
fn labels(text: &str) -> Result<BTreeMap<String, String>, WebError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let labels = lines
        .map(|line| {
            let pair = line.split_once('=').filter(|(name, _)| !name.trim().is_empty());
            let (name, value) = pair.ok_or_else(|| {
                WebError::unreadable(format!(
                    "Labels are written name=value, one a line, and not \"{line}\"."
                ))
            })?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect::<Result<BTreeMap<_, _>, WebError>>()?;
    match labels.len() > LABELS_MAX {
        true => Err(WebError::unreadable(format!(
            "At most {LABELS_MAX} labels can be given."
        ))),
        false => Ok(labels),
    }
}
