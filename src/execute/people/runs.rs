//! What people do to whole runs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PeopleError, lock, moved, record, refused};
use crate::{
    domain::{
        event::{Event, NewEvent},
        id::{IncidentId, RunId, StepId, VersionId},
        operator::Operator,
        run::{RunFact, RunResult},
        runbook::{Runbook, StartMode},
        state::{RunState, StepState},
        step::{Effect, StepKind},
    },
    execute::start::{StartError, Starter, begin},
    store::{StoreError, events, incidents, runbooks, runs as rows},
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
    let (incident, state) = lock(conn, run).await?;
    may_stop(&state)?;
    let reason = said(reason, || format!("stopped by {}", by.name));
    record(
        conn,
        incident,
        run,
        vec![RunFact::StopRequested { reason }],
        by,
        now,
    )
    .await
}

/// A person wants the run to stop, and what it did to be taken back in reverse order, under the same gates.
pub async fn undo(
    conn: &mut PgConnection,
    run: RunId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state) = lock(conn, run).await?;
    may_stop(&state)?;
    let reason = said(reason, || format!("taken back by {}", by.name));
    record(
        conn,
        incident,
        run,
        vec![RunFact::UndoRequested { reason }],
        by,
        now,
    )
    .await
}

fn may_stop(state: &RunState) -> Result<(), PeopleError> {
    match (&state.stop_requested, &state.ending) {
        (Some(_), _) => Err(moved("the run is stopping already")),
        (None, Some(_)) => Err(moved("the run is ending already")),
        (None, None) => Ok(()),
    }
}

/// A person wants nothing new to begin. What is on its way ends; clocks of gates run on.
pub async fn pause(
    conn: &mut PgConnection,
    run: RunId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state) = lock(conn, run).await?;
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
    let (incident, state) = lock(conn, run).await?;
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

/// How a run goes on where another one ended.
#[derive(Clone, Debug, Default)]
pub struct Resumption {
    /// The version to go on with, of the same runbook.
    pub version: Option<VersionId>,
    /// Steps a person vouches for: they are done, whatever the run before knew of them.
    pub done: Vec<StepId>,
    /// Steps whose outcome was unknown and that were not done.
    pub not_done: Vec<StepId>,
    /// Steps that need not be done.
    pub skip: Vec<StepId>,
    /// Why, or how they know.
    pub reason: String,
}

/// Goes on where a run ended, as a new run: what was done is carried over, the step that failed is tried again, gates
/// ask again. A step whose outcome nobody knows must be named as done or not done. A run is continued once.
pub async fn resume(
    conn: &mut PgConnection,
    run: RunId,
    how: &Resumption,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<RunId, PeopleError> {
    let old = rows::find(conn, run).await?.ok_or(PeopleError::NotFound("run"))?;
    let incident = incidents::lock(conn, old.incident)
        .await?
        .ok_or(PeopleError::NotFound("incident"))?;
    if !incident.state.is_open() {
        return Err(moved(format!(
            "the incident is {}; nothing was started",
            incident.state
        )));
    }
    match old.result {
        None => return Err(moved("the run is not over; stop it first, or let it go on")),
        Some(RunResult::Succeeded) => return Err(refused("the run succeeded; start a new one instead")),
        Some(_) => {}
    }
    let before = runbooks::find_version(conn, old.version)
        .await?
        .ok_or(PeopleError::NotFound("runbook version"))?;
    let version = match how.version {
        None => before.clone(),
        Some(id) => runbooks::find_version(conn, id)
            .await?
            .ok_or(PeopleError::NotFound("runbook version"))?,
    };
    if version.runbook_id != before.runbook_id {
        return Err(refused("a run goes on with a version of its own runbook"));
    }
    let log = events::run_log(conn, run).await?;
    let state = RunState::fold(log.iter().map(|(at, fact)| (*at, fact)))
        .map_err(|error| StoreError::corrupt("events", "body", error))?;
    let reason = how.reason.trim();
    if reason.is_empty() && !(how.done.is_empty() && how.skip.is_empty() && how.not_done.is_empty()) {
        return Err(refused("say how you know, or why these need not be done"));
    }
    let facts = carried(run, &log, &state, &version.runbook, how)?;
    let inputs = version
        .runbook
        .resolve_inputs(&old.inputs, &old.context)
        .map_err(|missing| refused(missing.to_string()))?;
    let new = rows::NewRun {
        incident: old.incident,
        runbook_id: version.runbook_id,
        version: version.id,
        requested_by: Some(by.id),
        inputs: &inputs,
        context: &old.context,
        continues: Some(run),
    };
    let Some(next) = rows::insert(conn, &new, now).await? else {
        return Err(moved("this run has been continued already"));
    };
    let started = RunFact::RunStarted {
        runbook: version.runbook.slug.clone(),
        version: version.number,
        digest: version.digest,
        mode: StartMode::Manual,
        inputs,
        continues: Some(run),
    };
    let events: Vec<NewEvent> = std::iter::once(started)
        .chain(facts)
        .map(|fact| NewEvent::by(by.actor(), Event::Run(next, fact), now))
        .collect();
    events::append(conn, old.incident, &events, now).await?;
    Ok(next)
}

/// What the run before leaves to the one that continues it.
fn carried(
    run: RunId,
    log: &[(DateTime<Utc>, RunFact)],
    state: &RunState,
    runbook: &Runbook,
    how: &Resumption,
) -> Result<Vec<RunFact>, PeopleError> {
    for step in how.done.iter().chain(&how.not_done).chain(&how.skip) {
        if runbook.find(step).is_none() {
            return Err(refused(format!("the runbook has no step {step}")));
        }
    }
    for (step, stands) in &state.steps {
        let is_settled = how.done.contains(step) || how.not_done.contains(step);
        if matches!(stands, StepState::Unknown { .. }) && !is_settled {
            return Err(refused(format!(
                "nobody knows whether {step} was done; say whether it was before the run goes on"
            )));
        }
    }
    // What was itself carried over was found by the run that really did it.
    let roots: BTreeMap<&StepId, RunId> = log
        .iter()
        .filter_map(|(_, fact)| match fact {
            RunFact::StepCarried { step, from } => Some((step, *from)),
            _ => None,
        })
        .collect();
    let is_done = |id: &StepId| {
        let stands = state.step(id);
        matches!(stands, StepState::Succeeded | StepState::Satisfied) || how.done.contains(id)
    };
    let carry = |id: &StepId| RunFact::StepCarried {
        step: id.clone(),
        from: roots.get(id).copied().unwrap_or(run),
    };
    let mut facts = Vec::new();
    for step in &runbook.steps {
        let id = &step.id;
        if how.skip.contains(id) {
            if matches!(step.kind, StepKind::Gate(_)) {
                return Err(refused(
                    "a gate cannot be skipped: have it approved, or break the glass",
                ));
            }
            facts.push(RunFact::StepSkipped {
                step: id.clone(),
                reason: how.reason.trim().to_owned(),
            });
            continue;
        }
        match (&step.kind, state.step(id)) {
            (StepKind::Gate(_), _) => {
                // Nobody need be asked about what is done.
                let mut under = runbook
                    .steps_under(id)
                    .filter(|step| step.effect() != Effect::Safe)
                    .peekable();
                let all_done = under.peek().is_some() && under.all(|step| is_done(&step.id));
                if all_done {
                    facts.push(carry(id));
                }
            }
            (_, StepState::Listed { items }) if step.for_each.is_some() => {
                facts.push(RunFact::ItemsListed {
                    step: id.clone(),
                    items: items.clone(),
                });
                let items = (0..items.len()).map(|index| id.item(index));
                facts.extend(items.filter(|item| is_done(item)).map(|item| carry(&item)));
            }
            _ if is_done(id) => facts.push(carry(id)),
            _ => {}
        }
    }
    Ok(facts)
}
