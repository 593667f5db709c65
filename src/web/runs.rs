//! Runs: starting one, looking at it, and what people do to it by form.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::{self, Act, see},
    error::WebError,
    extract::Path,
    page,
    session::{Responder, Viewer},
    state::AppState,
    view::{
        layout::Place,
        parts::said,
        plan,
        run::{RunPage, RunPart, RunRecord, RunView},
        start::{Choice, ChoosePage, StartForm, StartPage},
        text,
    },
};
use crate::{
    domain::{
        id::{IncidentId, RunId, StepId, VersionId},
        operator::Role,
        run::UnknownChoice,
        state::{RunState, StepState},
    },
    execute::people::{self, PeopleError},
    store::{self, StoreError, approvals, attempts, events, incidents, matches, operators, runbooks, runs},
};

/// Attempts shown of a run.
const ATTEMPTS_MAX: i64 = 500;

/// `GET /runs/{id}`
pub async fn show(
    State(app): State<AppState>,
    Viewer(me): Viewer,
    Path(id): Path<RunId>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let record = load(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("run"))?;
    let incident = record.run.incident;
    let seq = incidents::find(&mut tx, incident)
        .await?
        .map_or(0, |incident| incident.last_seq);
    let title = format!("Run {id} · {}", text::visible(&record.version.runbook.title));
    let mut frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now).await?;
    if record.run.finished_at.is_none() {
        frame = frame.live(text::with_query(
            "/live",
            &[("scope", &format!("run:{id}")), ("after", &seq.to_string())],
        ));
    }
    let run = RunView::of(&record, now);
    let page = RunPage {
        part: RunPart {
            run: run.clone(),
            may_act: frame.may_act(),
        },
        frame,
        run,
        incident: incident.0,
    };
    Ok(Html(page.render()?))
}

/// Everything known of a run.
pub async fn load(conn: &mut PgConnection, id: RunId) -> Result<Option<RunRecord>, StoreError> {
    let Some(run) = runs::find(conn, id).await? else {
        return Ok(None);
    };
    let version = runbooks::find_version(conn, run.version)
        .await?
        .ok_or_else(|| StoreError::corrupt("runs", "version_id", run.version))?;
    let facts = events::run_log(conn, id).await?;
    let state = RunState::fold(facts.iter().map(|(at, fact)| (*at, fact)))
        .map_err(|error| StoreError::corrupt("events", "body", error))?;
    let mut promised = BTreeMap::new();
    for step in state.steps.values() {
        let (StepState::GateOpen { approval, .. } | StepState::Approved { approval, .. }) = step else {
            continue;
        };
        if let Some(approval) = approvals::find(conn, *approval).await? {
            promised.extend(
                approval
                    .bound
                    .steps
                    .into_iter()
                    .map(|step| (step.step, step.command)),
            );
        }
    }
    let requested_by = match run.requested_by {
        Some(person) => operators::find_name(conn, person).await?,
        None => None,
    };
    Ok(Some(RunRecord {
        context: run.context.clone(),
        attempts: attempts::list(conn, id, ATTEMPTS_MAX).await?,
        version,
        requested_by,
        facts,
        state,
        promised,
        run,
    }))
}

/// Which runbook to start.
#[derive(Debug, Default, Deserialize)]
pub struct NewQuery {
    #[serde(default)]
    runbook: String,
}

/// `GET /incidents/{id}/runs/new`: the form for one runbook, or the choice of one.
pub async fn new_form(
    State(app): State<AppState>,
    Responder(me): Responder,
    Path(id): Path<IncidentId>,
    Query(query): Query<NewQuery>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let incident = incidents::find(&mut tx, id)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let current = runbooks::list_current(&mut tx).await?;
    let chosen = current
        .iter()
        .find(|version| version.runbook.slug == query.runbook);
    let frame = page::frame(&app, &mut tx, &me, "Start a runbook", Place::Incidents, now).await?;
    let Some(version) = chosen else {
        let page = ChoosePage {
            frame,
            incident: id.0,
            incident_title: said(&incident.title),
            choices: current.iter().map(|version| Choice::of(id.0, version)).collect(),
        };
        return Ok(Html(page.render()?).into_response());
    };
    let context = matches::run_context(&mut tx, id, version.id).await?;
    let page = StartPage {
        frame,
        incident: id.0,
        incident_title: said(&incident.title),
        plan: plan::address(&version.runbook.slug, id, version.number),
        form: StartForm::of(id.0, version, &context),
        summary: said(&version.runbook.summary),
    };
    Ok(Html(page.render()?).into_response())
}

/// `POST /incidents/{id}/runs`: `op`, `version` and a field `input.<name>` for each input.
pub async fn start(
    State(app): State<AppState>,
    Responder(me): Responder,
    Path(id): Path<IncidentId>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Redirect, WebError> {
    let field = |name: &str| {
        fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    };
    let op = field("op").and_then(|op| Uuid::parse_str(op).ok());
    let version = field("version").and_then(|version| version.parse().ok());
    let (Some(op), Some(version)) = (op, version) else {
        return Err(WebError::unreadable(
            "The form lacks its version or its operation id.",
        ));
    };
    let given: BTreeMap<String, String> = fields
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("input.")?.to_owned(), value.clone())))
        .collect();
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        return Ok(see(format!("/incidents/{id}#runs")));
    };
    let now = act.now;
    match people::start(act.conn(), id, VersionId(version), &given, &me, now).await {
        Ok(_) => {
            act.commit().await?;
            Ok(see(format!("/incidents/{id}#runs")))
        }
        Err(error) => {
            Err(WebError::from(error).with_next(format!("/incidents/{id}"), format!("Back to INC-{id}")))
        }
    }
}

/// The fields of the forms on a run; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct RunForm {
    op: Uuid,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    evidence: String,
    choice: Option<UnknownChoice>,
}

/// `POST /runs/{id}/stop`
pub async fn stop(
    State(app): State<AppState>,
    Responder(me): Responder,
    Path(id): Path<RunId>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return incident_of(&app, id).await;
    };
    let now = act.now;
    let done = people::stop(act.conn(), id, &form.reason, &me, now).await;
    end(&app, act, done, id).await
}

/// `POST /runs/{id}/steps/{step}/done`
pub async fn manual_done(
    State(app): State<AppState>,
    Responder(me): Responder,
    Path((id, step)): Path<(RunId, StepId)>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return incident_of(&app, id).await;
    };
    let now = act.now;
    let done = people::manual_done(act.conn(), id, &step, &form.note, &me, now).await;
    end(&app, act, done, id).await
}

/// `POST /runs/{id}/steps/{step}/unknown`. Sending again is a decision like a gate's, so it needs an approver.
pub async fn decide_unknown(
    State(app): State<AppState>,
    Responder(me): Responder,
    Path((id, step)): Path<(RunId, StepId)>,
    Form(form): Form<RunForm>,
) -> Result<Redirect, WebError> {
    let choice = form
        .choice
        .ok_or_else(|| WebError::unreadable("The form says no choice."))?;
    if choice == UnknownChoice::RetrySameKey && me.role < Role::Approver {
        return Err(WebError::forbidden(
            "Sending it again needs the role approver. You can run the check, or say what you know.",
        ));
    }
    let Some(mut act) = Act::begin(&app, form.op, &me).await? else {
        return incident_of(&app, id).await;
    };
    let now = act.now;
    let done = people::decide_unknown(act.conn(), id, &step, choice, &form.evidence, &me, now).await;
    end(&app, act, done, id).await
}

async fn end(
    app: &AppState,
    act: Act,
    done: Result<(), PeopleError>,
    id: RunId,
) -> Result<Redirect, WebError> {
    if let Err(error) = done {
        drop(act);
        return Err(WebError::from(error).with_next(format!("/runs/{id}"), format!("Back to run {id}")));
    }
    act.commit().await?;
    incident_of(app, id).await
}

/// The page a person works on: the incident's.
async fn incident_of(app: &AppState, id: RunId) -> Result<Redirect, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let run = runs::find(&mut conn, id)
        .await?
        .ok_or_else(|| WebError::not_found("run"))?;
    Ok(act::see(format!("/incidents/{}#runs", run.incident)))
}
