//! Playing a real incident again: the scenario is made of what is kept of it, for today's runbooks, and the drill is
//! compared with the real night.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{DrillError, happen, score};
use crate::{
    catalog::scenario::{self, reenact::Written},
    domain::{
        audit::{Act, ActKind, Object},
        drill::DrillFact,
        event::Recorded,
        id::{DrillId, IncidentId, ScenarioVersionId},
        incident::IncidentState,
        night::{Compared, Night, Side, compare},
        operator::Actor,
        runbook::Runbook,
        scenario::Scenario,
        score::{Observed, observe},
        target::Targets,
    },
    store::{
        StoreError, audit, events, incidents,
        incidents::Incident,
        reenact as rows,
        runbooks::{self, Version},
        runs, scenarios,
    },
};

/// Firings of an incident that are read.
const FIRINGS_MAX: i64 = 500;
/// Runs of an incident that are read, the newest.
const RUNS_MAX: i64 = 50;
/// Attempts, and as many probe answers, of all its runs.
const ASKED_MAX: i64 = 2000;
/// Events of an incident.
const EVENTS_MAX: i64 = 10_000;
/// Faults that a refusal names.
const FAULTS_MAX: usize = 3;

/// Everything kept of a real incident that is over.
async fn night(conn: &mut PgConnection, id: IncidentId) -> Result<Night, DrillError> {
    let incident = incidents::find(conn, id)
        .await?
        .ok_or(DrillError::NotFound("incident"))?;
    let resolved_at = playable(&incident).map_err(DrillError::Refused)?;
    let mut asked = Vec::new();
    let mut runbooks = Vec::new();
    let mut left_out = Vec::new();
    let mut all = runs::list_of_incident(conn, id, RUNS_MAX + 1).await?;
    bound("runs", "newest", RUNS_MAX, &mut all, &mut left_out);
    for run in all {
        let left = ASKED_MAX + 1 - asked.len() as i64;
        asked.extend(rows::asked(conn, run.id, left.max(0)).await?);
        if !runbooks.contains(&run.slug) {
            runbooks.push(run.slug);
        }
    }
    // What was asked by the newest runs counts most: it was read first.
    bound(
        "questions to targets",
        "newest",
        ASKED_MAX,
        &mut asked,
        &mut left_out,
    );
    asked.sort_by_key(|asking| asking.answered_at);
    let mut alerts = rows::fired(conn, id, FIRINGS_MAX + 1).await?;
    bound(
        "firings of alerts",
        "first",
        FIRINGS_MAX,
        &mut alerts,
        &mut left_out,
    );
    let mut events = events::list_after(conn, id, 0, EVENTS_MAX + 1).await?;
    bound("events", "first", EVENTS_MAX, &mut events, &mut left_out);
    Ok(Night {
        incident: id,
        opened_at: incident.opened_at,
        mitigated_at: incident.mitigated_at,
        resolved_at,
        alerts,
        asked,
        observed: observe(&events),
        runbooks,
        left_out,
        title: incident.title,
    })
}

/// Keeps no more than `most` of what was read, and says so when there was more.
fn bound<T>(what: &str, which: &str, most: i64, list: &mut Vec<T>, left_out: &mut Vec<String>) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if list.len() > most {
        left_out.push(format!(
            "there are more than {most} {what}, and only the {which} {most} were read"
        ));
        list.truncate(most);
    }
}

/// When it was over, if it can be played again at all.
fn playable(incident: &Incident) -> Result<DateTime<Utc>, String> {
    let id = incident.id;
    if incident.drill.is_some() {
        return Err(format!("INC-{id} was practice itself; plan its scenario again"));
    }
    match (incident.state, incident.resolved_at) {
        (IncidentState::Resolved | IncidentState::Closed, Some(at)) => Ok(at),
        _ => Err(format!(
            "INC-{id} is {}; it is played again once it is resolved",
            incident.state
        )),
    }
}

async fn seen(conn: &mut PgConnection, id: IncidentId) -> Result<Vec<Observed>, StoreError> {
    let events: Vec<Recorded> = events::list_after(conn, id, 0, EVENTS_MAX).await?;
    Ok(observe(&events))
}

/// Writes the scenario of a real incident for the runbooks in use and these targets.
async fn write(
    conn: &mut PgConnection,
    id: IncidentId,
    targets: &Targets,
) -> Result<(Written, Vec<Version>), DrillError> {
    let night = night(conn, id).await?;
    let shelf = runbooks::list_current(conn).await?;
    let known = known(&shelf);
    match scenario::reenact::write(&night, &known, targets) {
        Ok(written) => Ok((written, shelf)),
        Err(why) => Err(DrillError::Refused(why.to_string())),
    }
}

fn known(shelf: &[Version]) -> Vec<&Runbook> {
    shelf.iter().map(|version| &version.runbook).collect()
}

/// Somebody makes it a version of its scenario, and the one in use. The same night and the same runbooks give the same
/// version, and leave no record.
pub async fn make(
    conn: &mut PgConnection,
    id: IncidentId,
    targets: &Targets,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<(ScenarioVersionId, Written), DrillError> {
    let (written, shelf) = write(conn, id, targets).await?;
    let parsed = scenario::parse(&written.text, &known(&shelf)).map_err(|faults| {
        let told: Vec<String> = faults.iter().take(FAULTS_MAX).map(ToString::to_string).collect();
        DrillError::Refused(format!(
            "what is kept of INC-{id} makes no good scenario: {}",
            told.join("; ")
        ))
    })?;
    let slug = &parsed.scenario.slug;
    if scenarios::find_retired(conn, slug).await?.is_some() {
        return Err(DrillError::Refused(format!(
            "scenario {slug} was taken out of use; an admin brings it back on its page"
        )));
    }
    let before = scenarios::find_current(conn, slug).await?;
    let version = scenarios::publish(conn, &parsed.scenario, &written.text, now).await?;
    rows::set_incident(conn, version, id).await?;
    if before.is_none_or(|before| before.id != version) {
        let act = Act::new(by.clone(), ActKind::ScenarioMade, Object::scenario(slug), "");
        audit::insert(conn, &act, now).await?;
    }
    Ok((version, written))
}

/// Somebody takes a scenario that was made of a real incident out of use, or brings it back. Drills of it that are planned
/// or go on are played.
pub async fn shelve(
    conn: &mut PgConnection,
    slug: &str,
    is_retired: bool,
    by: &Actor,
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let (is_done, kind) = match is_retired {
        true => (scenarios::retire(conn, slug).await?, ActKind::ScenarioRetired),
        false => (scenarios::restore(conn, slug).await?, ActKind::ScenarioRestored),
    };
    if !is_done {
        let words = if is_retired { "in use" } else { "out of use" };
        return Err(DrillError::Moved(format!(
            "no scenario {slug} that was made of an incident is {words}; one of a file is taken out of use with its file"
        )));
    }
    let act = Act::new(by.clone(), kind, Object::scenario(slug), "");
    audit::insert(conn, &act, now).await?;
    Ok(())
}

/// A drill that plays a real incident again, beside it; `None` for any other drill, or when there is no such incident here.
pub async fn compared(
    conn: &mut PgConnection,
    id: DrillId,
    scenario: &Scenario,
) -> Result<Option<(IncidentId, Compared)>, DrillError> {
    let Some(real) = scenario.reenacts else {
        return Ok(None);
    };
    let Some(incident) = incidents::find(conn, real)
        .await?
        .filter(|one| one.drill.is_none())
    else {
        return Ok(None);
    };
    let night = Night {
        incident: real,
        title: String::new(),
        opened_at: incident.opened_at,
        mitigated_at: incident.mitigated_at,
        resolved_at: incident.resolved_at.unwrap_or(incident.opened_at),
        alerts: rows::fired(conn, real, FIRINGS_MAX).await?,
        asked: Vec::new(),
        observed: seen(conn, real).await?,
        runbooks: Vec::new(),
        left_out: Vec::new(),
    };
    let log = happen::log(conn, id).await?;
    let began = log
        .iter()
        .find(|logged| logged.fact == DrillFact::Harm { works: false })
        .map(|logged| logged.at);
    let unrecorded = log.into_iter().filter_map(|logged| match logged.fact {
        DrillFact::NotRecorded { target, asked } => Some((target, asked)),
        _ => None,
    });
    let unrecorded: BTreeSet<(String, String)> = unrecorded.collect();
    let compared = compare(
        &Side::of(&night.observed, Some(night.began_at())),
        &Side::of(&score::observed(conn, id).await?, began),
        unrecorded.into_iter().collect(),
    );
    Ok(Some((real, compared)))
}
