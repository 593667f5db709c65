//! Going on where a run ended: the form, and the new run.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, Redirect},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Runs,
    controls,
    error::WebError,
    extract::Path,
    page, runs as run_page,
    state::AppState,
    view::{
        layout::Place,
        resume::{ResumeChoice, ResumePage},
    },
};
use crate::{
    domain::{
        id::{RunId, StepId, VersionId},
        run::RunResult,
    },
    execute::people::{self, Resumption},
    store::{self, StoreError, runbooks, runs},
};

/// Which version to go on with.
#[derive(Debug, Default, Deserialize)]
pub struct ResumeQuery {
    /// Its number; the run's own version without it.
    version: Option<i32>,
}

/// `GET /runs/{id}/resume`
pub async fn form(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Query(query): Query<ResumeQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let record = run_page::load(&mut tx, &app.standing, id)
        .await?
        .ok_or_else(|| WebError::not_found("run"))?;
    let back = (format!("/runs/{id}"), format!("Back to run {id}"));
    let refusal = match (record.run.result, record.continued_by) {
        (None, _) => Some("The run is not over. Stop it first, or let it go on.".to_owned()),
        (Some(RunResult::Succeeded), _) => Some("The run succeeded. Start a new one instead.".to_owned()),
        (Some(_), Some(next)) => Some(format!("Run {next} has gone on from here already.")),
        (Some(_), None) if !record.incident.state.is_open() => {
            Some(format!("The incident is {}.", record.incident.state))
        }
        (Some(_), None) => None,
    };
    if let Some(refusal) = refusal {
        return Err(WebError::refused(refusal).with_next(back.0, back.1));
    }
    let slug = &record.version.runbook.slug;
    let source = runbooks::find_source(&mut tx, record.version.id)
        .await?
        .unwrap_or_default();
    let newest = runbooks::find_newest(&mut tx, slug)
        .await?
        .filter(|(newest, _)| newest.id != record.version.id);
    let chosen = match query.version {
        None => (record.version.clone(), source.clone()),
        Some(number) => runbooks::find_numbered(&mut tx, slug, number)
            .await?
            .ok_or_else(|| WebError::not_found("version of this runbook").with_next(back.0, back.1))?,
    };
    let choice = ResumeChoice {
        chosen: &chosen,
        newest: newest.as_ref().map(|(newest, _)| newest),
        source: &source,
    };
    let title = format!("Go on where run {id} ended");
    let frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now)
        .await?
        .of_drill(record.incident.drill);
    Ok(Html(ResumePage::of(frame, &record, &choice, now).render()?))
}

/// `POST /runs/{id}/resume`: `op`, `seen`, `version`, `reason` and a field `step.<name>` for each step that a person
/// says something of: `do`, `done`, `not_done` or `skip`.
pub async fn resume(
    State(app): State<AppState>,
    Runs(me): Runs,
    Path(id): Path<RunId>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Redirect, WebError> {
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    };
    let Some(op) = field("op").and_then(|op| Uuid::parse_str(op).ok()) else {
        return Err(WebError::unreadable("The form lacks its operation id."));
    };
    let seen = field("seen").and_then(|seen| seen.parse().ok());
    let version = match field("version") {
        None | Some("") => None,
        Some(version) => {
            Some(VersionId(version.parse().map_err(|_| {
                WebError::unreadable("The form's version cannot be read.")
            })?))
        }
    };
    let said = |fate: &str| -> Vec<StepId> {
        let named = fields.iter().filter(|(_, value)| value == fate);
        named
            .filter_map(|(name, _)| name.strip_prefix("step.").map(StepId::from))
            .collect()
    };
    let how = Resumption {
        version,
        done: said("done"),
        not_done: said("not_done"),
        skip: said("skip"),
        reason: field("reason").unwrap_or_default().to_owned(),
    };
    let Some(mut act) = Act::begin(&app, op, &me).await? else {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        let next = runs::find_continuation(&mut conn, id).await?.unwrap_or(id);
        return Ok(see(format!("/runs/{next}")));
    };
    let now = act.now;
    match people::resume(act.conn(), id, &how, &me, now).await {
        Ok(next) => {
            act.commit().await?;
            Ok(see(format!("/runs/{next}")))
        }
        Err(error) => {
            drop(act);
            let fault = WebError::from(error).with_next(format!("/runs/{id}"), format!("Back to run {id}"));
            Err(controls::explain(&app, fault, id, seen).await)
        }
    }
}
