//! One step of a run: its page.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    act::see,
    caller::Reads,
    error::WebError,
    extract::Path,
    output, page, runs as run_page,
    state::AppState,
    view::{
        layout::Place,
        log::Asked,
        step,
        step_page::{self, StepPage, StepPart, StepRecord, StepRest, Written},
        text,
    },
};
use crate::{
    domain::id::{RunId, StepId},
    execute::standing::Standing,
    store::{self, StoreError, attempts, events, queue},
};

/// Attempts of one step that are listed.
const ATTEMPTS_MAX: i64 = 200;
/// Events of one step that are listed.
const EVENTS_MAX: i64 = 300;
/// Characters that are looked for at most.
const FIND_CHARS_MAX: usize = 200;

/// Which attempt, and what of its output.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StepQuery {
    /// The attempt's number; the newest when absent.
    pub attempt: Option<i32>,
    /// The last line that is shown.
    pub to: Option<usize>,
    /// Only lines that hold this.
    #[serde(default)]
    pub find: String,
    /// `yes`: long lines are left long.
    #[serde(default)]
    pub wide: String,
}

impl StepQuery {
    /// The same for the pane of its output.
    pub fn asked(&self) -> Asked {
        Asked {
            to: self.to,
            find: self.find.trim().chars().take(FIND_CHARS_MAX).collect(),
            is_wide: self.wide == "yes",
        }
    }
}

/// `GET /runs/{run}/steps/{step}`; a number leads to the step in that place.
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path((run, step)): Path<(RunId, StepId)>,
    Query(query): Query<StepQuery>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let record = load(&mut tx, &app.standing, run, &step, &query)
        .await?
        .ok_or_else(|| WebError::not_found("run"))?;
    if let Some(named) = numbered(&record, &step) {
        return Ok(see(step::href(run, &named)).into_response());
    }
    let Some(part) = StepPart::of(&record, &me, now) else {
        return Err(WebError::not_found("step of this run").with_next(format!("/runs/{run}"), "The run"));
    };
    let mut frame = page::frame(
        &app,
        &mut tx,
        &me,
        StepPart::title(&record),
        Place::Incidents,
        now,
    )
    .await?
    .of_drill(record.run.incident.drill);
    if StepPart::is_live(&record) {
        let seq = cursor(&record);
        let attempt = query
            .attempt
            .map_or_else(String::new, |attempt| attempt.to_string());
        let (scope, to) = (
            format!("step:{run}:{step}"),
            query.to.map_or_else(String::new, |to| to.to_string()),
        );
        let asked = [
            ("scope", scope.as_str()),
            ("attempt", &attempt),
            ("to", &to),
            ("find", &query.find),
            ("wide", &query.wide),
            ("after", &seq),
        ];
        frame = frame.live(text::with_query("/live", &asked));
    }
    let page = StepPage {
        log: step_page::log(&record, now),
        rest: StepRest::of(&record, &part, now),
        frame,
        part,
    };
    Ok(Html(page.render()?).into_response())
}

/// Where a page stands: the newest event, the attempt that is shown, and the last line of what it wrote.
pub fn cursor(record: &StepRecord) -> String {
    let attempt = record.chosen.as_ref().map_or(0, |chosen| chosen.row.attempt);
    let line = match &record.written {
        Written::Lines(window, _) => window.total,
        Written::Nothing | Written::Unreadable => 0,
    };
    format!("{}.{attempt}.{line}", record.run.incident.last_seq)
}

/// The step at that number, when `step` is a number and no name of a step.
fn numbered(record: &StepRecord, step: &StepId) -> Option<StepId> {
    let runbook = &record.run.version.runbook;
    if runbook.step(step).is_some() {
        return None;
    }
    let number: usize = step.0.parse().ok()?;
    let found = runbook.all_steps().nth(number.checked_sub(1)?)?;
    Some(found.id.clone())
}

/// Everything known of a step.
pub async fn load(
    conn: &mut PgConnection,
    standing: &Standing,
    run: RunId,
    step: &StepId,
    query: &StepQuery,
) -> Result<Option<StepRecord>, StoreError> {
    let Some(mut record) = run_page::load(conn, standing, run).await? else {
        return Ok(None);
    };
    // The page of a run has the newest attempts of all its steps; this one has those of its own.
    record.attempts = attempts::list_heads(conn, run, Some(step), ATTEMPTS_MAX).await?;
    let chosen = attempts::find(conn, run, step, query.attempt).await?;
    let before = match &chosen {
        Some(chosen) if chosen.row.attempt > 1 => {
            attempts::find(conn, run, step, Some(chosen.row.attempt - 1)).await?
        }
        _ => None,
    };
    let asked = query.asked();
    Ok(Some(StepRecord {
        before,
        lease: queue::find_lease(conn, run).await?,
        events: events::step_log(conn, run, step, EVENTS_MAX).await?,
        // The page stands without it.
        written: match &chosen {
            Some(chosen) => output::load(conn, run, step, chosen.row.attempt, &asked).await,
            None => Written::Nothing,
        },
        chosen,
        asked,
        step: step.clone(),
        run: record,
    }))
}
