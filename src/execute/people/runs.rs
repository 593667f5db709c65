//! What people do to whole runs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PeopleError, may_steer, moved, record, refused, steer};
use crate::{
    domain::{
        approval::ApprovalState,
        id::{IncidentId, RunId, VersionId},
        operator::Operator,
        run::RunFact,
        state::{RunState, StepState},
    },
    execute::start::{StartError, Starter, begin},
    store::{approvals, incidents, runbooks},
};

/// Starts a run of a version on an open incident. `given` are the inputs a person typed.
pub async fn start(
    conn: &mut PgConnection,
    incident: IncidentId,
    version: VersionId,
    given: &BTreeMap<String, String>,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<RunId, PeopleError> {
    let version = runbooks::find_version(conn, version)
        .await?
        .ok_or(PeopleError::NotFound("runbook version"))?;
    may_steer(by, &version.runbook.access)?;
    let locked = incidents::lock(conn, incident)
        .await?
        .ok_or(PeopleError::NotFound("incident"))?;
    if !locked.state.is_open() {
        return Err(moved(format!(
            "the incident is {}; nothing was started",
            locked.state
        )));
    }
    match begin(conn, incident, &version, given, Starter::Person(by), now).await {
        Ok(Some(run)) => Ok(run),
        Ok(None) => Err(moved("this run was started already")),
        Err(StartError::Inputs(missing)) => Err(refused(missing.to_string())),
        Err(StartError::Store(error)) => Err(error.into()),
    }
}

/// A person wants the run to stop. What is on its way is waited for; what nobody knows stays named in the run's end.
pub async fn stop(
    conn: &mut PgConnection,
    run: RunId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state, _) = steer(conn, run, by).await?;
    match (&state.stop_requested, &state.ending) {
        (Some(_), _) => return Err(moved("the run is stopping already")),
        (None, Some(_)) => return Err(moved("the run is ending already")),
        (None, None) => {}
    }
    let reason = said(reason, || format!("stopped by {}", by.name));
    let mut facts = vec![RunFact::StopRequested { reason }];
    facts.extend(ask_no_more(conn, &state, now).await?);
    record(conn, incident, run, facts, by, now).await
}

/// A person wants the run to stop, and what it did to be taken back in reverse order, under the same gates. Whoever
/// asked it to stop before may still want that, until it is over.
pub async fn undo(
    conn: &mut PgConnection,
    run: RunId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state, _) = steer(conn, run, by).await?;
    match (state.undo_requested, &state.ending) {
        (true, _) => return Err(moved("the run is taking back what it did already")),
        (false, Some(_)) => return Err(moved("the run is ending already")),
        (false, None) => {}
    }
    let reason = said(reason, || format!("taken back by {}", by.name));
    let mut facts = vec![RunFact::UndoRequested { reason }];
    facts.extend(ask_no_more(conn, &state, now).await?);
    record(conn, incident, run, facts, by, now).await
}

/// Voids what the steps of a run still ask: nothing would follow from a decision.
async fn ask_no_more(
    conn: &mut PgConnection,
    state: &RunState,
    now: DateTime<Utc>,
) -> Result<Vec<RunFact>, PeopleError> {
    let mut facts = Vec::new();
    for (step, stands) in &state.steps {
        if let StepState::GateOpen { approval, .. } = stands {
            let (from, to) = (ApprovalState::Pending, ApprovalState::Void);
            approvals::set_state(conn, *approval, from, to, None, now).await?;
            facts.push(RunFact::GateVoided {
                step: step.clone(),
                approval: *approval,
                why: "the run is to stop".to_owned(),
            });
        }
    }
    Ok(facts)
}

/// A person wants nothing new to begin. What is on its way ends; clocks of gates run on.
pub async fn pause(
    conn: &mut PgConnection,
    run: RunId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state, _) = steer(conn, run, by).await?;
    if state.paused.is_some() {
        return Err(moved("the run is paused already"));
    }
    let reason = said(reason, || format!("paused by {}", by.name));
    record(
        conn,
        incident,
        run,
        vec![RunFact::PauseRequested { reason }],
        by,
        now,
    )
    .await
}

/// A person lets a paused run go on.
pub async fn go_on(
    conn: &mut PgConnection,
    run: RunId,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state, _) = steer(conn, run, by).await?;
    if state.paused.is_none() {
        return Err(moved("the run is not paused"));
    }
    record(conn, incident, run, vec![RunFact::PauseEnded], by, now).await
}

fn said(reason: &str, otherwise: impl FnOnce() -> String) -> String {
    match reason.trim() {
        "" => otherwise(),
        reason => reason.to_owned(),
    }
}
