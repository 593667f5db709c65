//! Runs: starting one, and looking at it. What people do to it stands in [`super::controls`].

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
    act::{Act, see},
    caller::{Reads, Runs},
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        layout::Place,
        parts::said,
        plan,
        record::{Promise, RunLog, RunRecord},
        run::{RunPage, RunPart, RunView},
        start::{Choice, ChoosePage, StartForm, StartPage},
        text,
    },
};
use crate::{
    domain::{
        access::may_within,
        id::{IncidentId, RunId, VersionId},
        permission::Permission,
        run::RunFact,
        state::{RunState, StepState},
    },
    execute::{people, standing::Standing},
    store::{
        self, StoreError, approvals, attempts, events, incidents, locks, matches, operators, outputs,
        preflights, queue, runbooks, runs,
    },
};

/// Attempts shown of a run.
pub const ATTEMPTS_MAX: i64 = 500;
/// Acts of people shown of a run.
const ACTS_MAX: i64 = 200;

/// `GET /runs/{id}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<RunId>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let record = load(&mut tx, &app.standing, id)
        .await?
        .ok_or_else(|| WebError::not_found("run"))?;
    let seq = record.incident.last_seq;
    let title = format!("Run {id} · {}", text::visible(&record.version.runbook.title));
    let mut frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now)
        .await?
        .of_drill(record.incident.drill);
    if record.run.finished_at.is_none() {
        frame = frame.live(text::with_query(
            "/live",
            &[("scope", &format!("run:{id}")), ("after", &seq.to_string())],
        ));
    }
    let page = RunPage {
        part: RunPart::of(&record, &me, now),
        frame,
        run: RunView::of(&RunLog::of(&record, now), "run"),
        incident: record.run.incident.0,
    };
    Ok(Html(page.render()?))
}

/// Everything known of a run, but for what came back from targets: a page of one step has that.
pub async fn load(
    conn: &mut PgConnection,
    standing: &Standing,
    id: RunId,
) -> Result<Option<RunRecord>, StoreError> {
    let Some(run) = runs::find(conn, id).await? else {
        return Ok(None);
    };
    let version = runbooks::find_version(conn, run.version)
        .await?
        .ok_or_else(|| StoreError::corrupt("runs", "version_id", run.version))?;
    let incident = incidents::find(conn, run.incident)
        .await?
        .ok_or_else(|| StoreError::corrupt("runs", "incident_id", run.incident))?;
    let facts = events::run_log(conn, id).await?;
    let state = RunState::fold(facts.iter().map(|(at, fact)| (*at, fact)))
        .map_err(|error| StoreError::corrupt("events", "body", error))?;
    let mut promised = BTreeMap::new();
    for step in state.steps.values() {
        let (StepState::GateOpen { approval, .. } | StepState::Approved { approval, .. }) = step else {
            continue;
        };
        if let Some(approval) = approvals::find(conn, *approval).await? {
            promised.extend(approval.bound.steps.into_iter().map(|step| {
                let promise = Promise {
                    command: step.command,
                    undo: step.undo,
                    target: step.request.target,
                };
                (step.step, promise)
            }));
        }
    }
    let requested_by = match run.requested_by {
        Some(person) => operators::find_name(conn, person).await?,
        None => None,
    };
    let awaited = facts.iter().rev().find_map(|(_, fact)| match fact {
        RunFact::LockAwaited { lock, .. } => Some(lock.as_str()),
        _ => None,
    });
    let holder = match awaited.filter(|_| state.lock_awaited.is_some()) {
        Some(lock) => locks::find_holder(conn, lock).await?,
        None => None,
    };
    let continued_by = match run.finished_at {
        Some(_) => runs::find_continuation(conn, id).await?,
        None => None,
    };
    let fault = match run.finished_at {
        Some(_) => None,
        None => queue::find_fault(conn, id).await?,
    };
    Ok(Some(RunRecord {
        tails: match run.finished_at {
            Some(_) => Vec::new(),
            None => outputs::tails(conn, run.incident, Some(id)).await?,
        },
        fault,
        acts: events::run_acts(conn, id, ACTS_MAX).await?,
        attempts: attempts::list_heads(conn, id, None, ATTEMPTS_MAX).await?,
        standing: standing.clone(),
        holder: holder.filter(|holder| holder.run != id),
        version,
        incident,
        requested_by,
        facts,
        state,
        promised,
        continued_by,
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
    Runs(me): Runs,
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
    let frame = page::frame(&app, &mut tx, &me, "Start a runbook", Place::Incidents, now)
        .await?
        .of_drill(incident.drill);
    if let Some(version) = chosen {
        // Told before anything is typed.
        may_within(&me, Permission::Run, &version.runbook.access.start)
            .map_err(|denial| WebError::denied(Permission::Run, &denial))?;
    }
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
    let missing = preflights::missing(&mut tx, version.id).await?;
    let missing = missing.as_ref().map(|(what, at)| (what.as_str(), *at));
    let page = StartPage {
        frame,
        incident: id.0,
        incident_title: said(&incident.title),
        plan: plan::address(&version.runbook.slug, id, version.number),
        form: StartForm::of(id.0, version, &context, missing, now).practised(incident.drill.is_some()),
        summary: said(&version.runbook.summary),
    };
    Ok(Html(page.render()?).into_response())
}

/// `POST /incidents/{id}/runs`: `op`, `version` and a field `input.<name>` for each input; `despite`, where a credential
/// was missing at the last look.
pub async fn start(
    State(app): State<AppState>,
    Runs(me): Runs,
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
    if field("despite") != Some("yes")
        && let Some((what, _)) = preflights::missing(act.conn(), VersionId(version)).await?
    {
        let slug = runbooks::find_version(act.conn(), VersionId(version)).await?;
        let slug = slug.map_or_else(String::new, |version| version.runbook.slug);
        let form = text::with_query(&format!("/incidents/{id}/runs/new"), &[("runbook", &slug)]);
        return Err(WebError::refused(format!(
            "a credential was missing when Muster last looked: {what}. Nothing was started; say that you want it all the same"
        ))
        .with_next(form, "Back to the start"));
    }
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
