//! The way of one delivery as a person sees it: its stages at the counter, then what followed in the incidents.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{error::WebError, state::AppState};
use crate::{
    domain::{drill, id::IncidentId, sentence},
    receive::{
        Receiver,
        counter::{Handed, Stage, Verdict, Went},
    },
    store::{
        StoreError, drills, events, incidents, matches,
        sources::{self, Source},
    },
};

/// Incidents that are followed; a body that moved more has the others on its own page.
const INCIDENTS_MAX: usize = 5;
/// Newest entries of a timeline that are looked at.
const ENTRIES_MAX: i64 = 30;

/// The counter, when an intake runs in this process.
pub fn counter(app: &AppState) -> Result<&Receiver, WebError> {
    let receiver = app.receiver.as_ref().filter(|receiver| receiver.is_ready());
    receiver.ok_or_else(|| WebError::unavailable("The intake is starting; try again in a moment."))
}

/// A source as it is now, if somebody may send in its name: never that of a drill.
pub async fn open_source(conn: &mut PgConnection, name: &str) -> Result<Arc<Source>, WebError> {
    let source = sources::find_by_name(conn, name)
        .await?
        .ok_or_else(|| WebError::not_found("source"))?;
    if let Some(drill) = drills::of_source(conn, source.id).await? {
        return Err(WebError::refused(format!(
            "This is what monitoring reports in {}, which nobody sends but the drill itself.",
            drill::name(drill)
        )));
    }
    match source.disabled_at {
        None => Ok(Arc::new(source)),
        Some(_) => Err(WebError::refused(
            "The source is disabled, so nothing of it is taken. Enable it first.",
        )),
    }
}

/// Adds what followed since `began` in the incidents of a delivery: what their timelines say, and which runbooks apply.
pub async fn follow(
    conn: &mut PgConnection,
    handed: &mut Handed,
    began: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Verdict::Stored(outcome, _) = &handed.verdict else {
        return Ok(());
    };
    let incidents: Vec<IncidentId> = outcome.incidents.iter().copied().take(INCIDENTS_MAX).collect();
    if incidents.is_empty() {
        handed.stages.push(stage(
            "Incident",
            Went::LeftOut,
            "none: nothing in it opens, moves or adds to one",
        ));
    }
    for id in incidents {
        let Some(incident) = incidents::find(conn, id).await? else {
            continue;
        };
        let after = incident.last_seq - ENTRIES_MAX;
        let told = events::list_after(conn, id, after, ENTRIES_MAX).await?;
        let told: Vec<String> = told
            .iter()
            .filter(|entry| entry.recorded_at >= began)
            .map(|entry| sentence::sentence(&entry.event))
            .collect();
        let told = match told.is_empty() {
            true => "nothing new in its timeline".to_owned(),
            false => told.join("; "),
        };
        let said = format!("INC-{id} “{}”: {told}", incident.title);
        handed.stages.push(stage("Incident", Went::Well, said));
        let matched = matches::list(conn, id).await?;
        let matched: Vec<String> = matched
            .iter()
            .map(|found| format!("{} version {}", found.slug, found.number))
            .collect();
        handed.stages.push(match matched.is_empty() {
            true => stage("Runbooks", Went::LeftOut, format!("none applies to INC-{id}")),
            false => stage(
                "Runbooks",
                Went::Well,
                format!("for INC-{id}: {}", matched.join(", ")),
            ),
        });
    }
    Ok(())
}

/// A stage that is not timed.
pub fn stage(name: &'static str, went: Went, said: impl Into<String>) -> Stage {
    Stage {
        name,
        went,
        took: None,
        said: said.into(),
    }
}
