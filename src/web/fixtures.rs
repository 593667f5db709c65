//! A run that is over, saved as a fixture of its runbook.

use std::{collections::BTreeMap, fmt::Write as _};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use sqlx::PgConnection;

use super::{caller::Runs, error::WebError, extract::Path, state::AppState};
use crate::{
    catalog::fixture,
    domain::{
        drill::name,
        fixture::Fixture,
        id::{DrillId, RunId, StepId},
        labels::Labels,
    },
    fixtures::{
        differences, play,
        record::{self, Kept, Recording, Unrecordable},
    },
    store::{
        self, StoreError, attempts, events, incidents,
        runbooks::{self, Version},
        runs::{self, Run},
    },
};

/// Attempts that are read of a run: more than its steps and their retries come to.
const ATTEMPTS_MAX: i64 = 20_000;

/// `GET /runs/{id}/fixture`: the file to be put into the folder `tests` beside the runbooks.
pub async fn save(
    State(app): State<AppState>,
    Runs(_): Runs,
    Path(id): Path<RunId>,
) -> Result<Response, WebError> {
    let mut tx = store::begin_reading(&app.db).await?;
    let file = make(&mut tx, id).await?;
    let attachment = format!("attachment; filename=\"{}\"", file.name);
    let head = [
        (header::CONTENT_TYPE, "application/yaml; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, attachment),
    ];
    Ok((head, file.text).into_response())
}

struct File {
    name: String,
    text: String,
}

async fn make(conn: &mut PgConnection, id: RunId) -> Result<File, WebError> {
    let run = runs::find(conn, id)
        .await?
        .ok_or_else(|| WebError::not_found("run"))?;
    let version = runbooks::find_version(conn, run.version)
        .await?
        .ok_or_else(|| StoreError::corrupt("runs", "version_id", run.version))?;
    let incident = incidents::find(conn, run.incident)
        .await?
        .ok_or_else(|| StoreError::corrupt("runs", "incident_id", run.incident))?;
    let facts = events::run_log(conn, id).await?;
    let attempts: BTreeMap<(StepId, u32), Kept> = attempts::list(conn, id, ATTEMPTS_MAX)
        .await?
        .into_iter()
        .map(|row| {
            let kept = Kept {
                result: row.result,
                summary: row.summary.unwrap_or_default(),
            };
            ((StepId(row.step), row.attempt as u32), kept)
        })
        .collect();
    let labels = |name: &str| {
        let labels = run.context.get(name).cloned().unwrap_or_default();
        serde_json::from_value::<Labels>(labels).unwrap_or_default()
    };
    let recording = Recording {
        test: format!("what run {id} did on {}", run.started_at.format("%Y-%m-%d")),
        runbook: &version.runbook,
        labels: labels("labels"),
        annotations: labels("annotations"),
        title: &incident.title,
        severity: incident.severity,
        inputs: &run.inputs,
        facts: &facts,
        attempts: &attempts,
    };
    let saved = record::fixture(&recording).map_err(refusal)?;
    Ok(File {
        name: format!("{}-run-{id}.yaml", version.runbook.slug),
        text: written(&saved, &run, &version, incident.drill)?,
    })
}

/// The file, with where it comes from and whether it comes out as the run did.
fn written(
    saved: &Fixture,
    run: &Run,
    version: &Version,
    drill: Option<DrillId>,
) -> Result<String, WebError> {
    let text = fixture::write(saved);
    let read = fixture::parse(&text, &[&version.runbook]).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        WebError::refused(format!(
            "What this run heard and did does not fit into a fixture: {first}."
        ))
    })?;
    let played = play(&read, &version.runbook, None);
    let found = differences(&read, &version.runbook, &played);
    let practice = drill.map_or_else(String::new, |drill| format!(" ({})", name(drill)));
    let mut head = format!(
        "# Saved from run {} of INC-{}{practice}: {} v{}, started {} UTC.\n",
        run.id,
        run.incident,
        version.runbook.slug,
        version.number,
        run.started_at.format("%Y-%m-%d %H:%M:%S")
    );
    match found.is_empty() {
        true => head.push_str("# Played when it was saved, it came out as the run did.\n"),
        false => head.push_str(
            "# Played when it was saved, it did not come out as the run did: look at it before you keep it.\n",
        ),
    }
    for difference in &found {
        let told = format!(
            "{}: the run {}, the fixture {}",
            difference.what, difference.expected, difference.got
        );
        // A message of a target must not end the comment.
        let told: String = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(head, "#   {told}");
    }
    Ok(head + &text)
}

fn refusal(why: Unrecordable) -> WebError {
    match why {
        Unrecordable::Live => WebError::moved(format!("Nothing was saved: {why}.")),
        Unrecordable::Continues(_) => WebError::refused(format!("Nothing was saved: {why}.")),
        Unrecordable::Broken(_) => WebError::bug("a run cannot be read", why),
    }
}
