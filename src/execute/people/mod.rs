//! What people do to a run: start it, decide at its gates, do its manual steps, settle what nobody knows, pause it,
//! stop it, go on where it ended.
//!
//! Each act locks the run's queue row first and raises its count of acts, so that it and the worker's writes come one
//! after the other: the worker's plan from before is refused, and the loser of a race is told what is true now.

mod gates;
mod links;
mod questions;
mod resume;
mod runs;
mod steps;

pub use gates::{BREAK_REASON_MIN, Word, break_glass, close_review, decide, read_again, send_back, withdraw};
pub use links::{LinkError, make_link, note_foreign_link, open_link, use_link};
pub use questions::ask;
pub use resume::{Legacy, Resumption, resume};
pub use runs::{go_on, pause, start, stop, undo};
pub use steps::{decide_unknown, manual_done, may_be_skipped, skip};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        access::{Access, Denial, may_within},
        approval::Refusal,
        event::{Event, NewEvent},
        id::{IncidentId, RunId, StepId},
        operator::Operator,
        permission::Permission,
        run::RunFact,
        runbook::Runbook,
        state::RunState,
    },
    store::{
        StoreError, events, operators, queue,
        runbooks::{self, Version},
        runs as rows,
    },
};

/// Why an act was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Somebody or something was faster; nothing was done.
    #[error("{message}")]
    Moved {
        /// What is true now.
        message: String,
    },
    /// A rule does not allow it.
    #[error("{message}")]
    Refused {
        /// Which, and the way out.
        message: String,
    },
    /// This person may not decide at a gate.
    #[error(transparent)]
    Forbidden(#[from] Refusal),
    /// Their role, or the runbook, does not let this person.
    #[error("you may not {}: {denial}", permission.words())]
    Denied {
        /// What they may not.
        permission: Permission,
        /// Why.
        denial: Denial,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn moved(message: impl Into<String>) -> PeopleError {
    PeopleError::Moved {
        message: message.into(),
    }
}

fn refused(message: impl Into<String>) -> PeopleError {
    PeopleError::Refused {
        message: message.into(),
    }
}

/// Refuses a word about a step whose turn will not come any more: the steps of the run are over, and only what takes
/// back and what runs at the end is still to come.
fn still_to_come(state: &RunState, runbook: &Runbook, step: &StepId) -> Result<(), PeopleError> {
    let is_usual = step.undone().is_none() && runbook.steps.iter().any(|other| other.id.0 == step.base());
    match state.ending.is_some() && is_usual {
        true => Err(moved(format!(
            "the steps of the run are over, so nothing waits for {step} any more"
        ))),
        false => Ok(()),
    }
}

/// Locks a live run and folds its facts.
async fn lock(conn: &mut PgConnection, run: RunId) -> Result<(IncidentId, RunState), PeopleError> {
    let kept = rows::find(conn, run).await?.ok_or(PeopleError::NotFound("run"))?;
    if !queue::lock_for_person(conn, run).await? {
        return Err(moved("the run is over"));
    }
    let facts = events::run_log(conn, run).await?;
    let state = RunState::fold(facts.iter().map(|(at, fact)| (*at, fact)))
        .map_err(|error| StoreError::corrupt("events", "body", error))?;
    Ok((kept.incident, state))
}

/// Refuses whom the role or the runbook does not let start and steer its runs.
fn may_steer(by: &Operator, access: &Access) -> Result<(), PeopleError> {
    let permission = Permission::Run;
    may_within(by, permission, &access.start).map_err(|denial| PeopleError::Denied { permission, denial })?;
    Ok(())
}

/// Locks a live run for somebody who steers it, and folds its facts. Whom the runbook names is asked of the version the
/// run is pinned to: a later one takes nobody's run away.
async fn steer(
    conn: &mut PgConnection,
    run: RunId,
    by: &Operator,
) -> Result<(IncidentId, RunState, Version), PeopleError> {
    let version = pinned(conn, run).await?;
    may_steer(by, &version.runbook.access)?;
    let (incident, state) = lock(conn, run).await?;
    Ok((incident, state, version))
}

/// The same person as the database has them now, locked: nobody changes what they may do until the act is done, and what
/// was changed while they came here counts. Taken before any run is locked, as whoever changes it does.
async fn as_they_are(conn: &mut PgConnection, by: &Operator) -> Result<Operator, PeopleError> {
    let found = operators::hold(conn, by.id).await?;
    let found = found.ok_or_else(|| refused("your account has been disabled; nothing was decided"))?;
    Ok(Operator {
        via: by.via.clone(),
        ..found
    })
}

/// The version a run is pinned to.
async fn pinned(conn: &mut PgConnection, run: RunId) -> Result<Version, PeopleError> {
    let kept = rows::find(conn, run).await?.ok_or(PeopleError::NotFound("run"))?;
    runbooks::find_version(conn, kept.version)
        .await?
        .ok_or(PeopleError::NotFound("runbook version"))
}

async fn record(
    conn: &mut PgConnection,
    incident: IncidentId,
    run: RunId,
    facts: Vec<RunFact>,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let facts: Vec<NewEvent> = facts
        .into_iter()
        .map(|fact| NewEvent::by(by.actor(), Event::Run(run, fact), now))
        .collect();
    events::append(conn, incident, &facts, now).await?;
    queue::wake(conn, run, now).await?;
    Ok(())
}
