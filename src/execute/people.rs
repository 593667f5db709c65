//! What people do to a run: start it, decide at its gates, do its manual steps, settle what nobody knows, stop it.
//!
//! Each act locks the run's queue row first, so that it and the worker's writes come one after the other, and the
//! loser of a race is told what is true now.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        approval::{ApprovalState, Refusal, Verdict, may_decide},
        attempt::AttemptEnd,
        digest::Digest,
        event::{Event, NewEvent},
        id::{ApprovalId, IncidentId, RunId, StepId, VersionId},
        judge::settled_result,
        operator::Operator,
        run::{RunFact, UnknownChoice},
        state::{RunState, StepState},
        step::StepKind,
    },
    execute::start::{StartError, Starter, begin},
    store::{
        StoreError, approvals,
        attempts::{self, Conclusion},
        events, incidents, queue, runbooks, runs,
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
    /// This person may not.
    #[error(transparent)]
    Forbidden(#[from] Refusal),
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

/// A person approves or rejects. `digest` is the hash of what they saw; when it is not the one the gate holds now,
/// nothing is decided.
pub async fn decide(
    conn: &mut PgConnection,
    id: ApprovalId,
    digest: Digest,
    verdict: Verdict,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<ApprovalState, PeopleError> {
    let found = approvals::find(conn, id)
        .await?
        .ok_or(PeopleError::NotFound("approval"))?;
    if !queue::lock_for_person(conn, found.run).await? {
        return Err(moved("the run is over; nothing was decided"));
    }
    // Read again under the lock: whoever held it before may have decided.
    let approval = approvals::find(conn, id)
        .await?
        .ok_or(PeopleError::NotFound("approval"))?;
    if approval.state != ApprovalState::Pending {
        let last = approvals::votes(conn, id).await?.pop();
        let who = last.map_or_else(String::new, |vote| format!(" by {}", vote.name));
        return Err(moved(format!(
            "this request is {}{who}; nothing was decided",
            approval.state.name()
        )));
    }
    if approval.decide_by <= now {
        return Err(moved("the time to decide is over; nothing was decided"));
    }
    if approval.digest != digest {
        return Err(moved(
            "what would be done has changed since you looked; nothing was decided",
        ));
    }
    may_decide(&approval.rule, by, approval.requester)?;
    let reason = reason.trim();
    if verdict == Verdict::Reject && reason.is_empty() {
        return Err(refused("say in a few words why you reject"));
    }
    if !approvals::insert_vote(conn, id, by.id, verdict, reason, now).await? {
        return Err(moved("you have decided here already"));
    }
    let given = approvals::votes(conn, id)
        .await?
        .iter()
        .filter(|vote| vote.verdict == "approve")
        .count() as u32;
    let needed = approval.rule.approvals;
    let step = approval.step.clone();
    let reason = reason.to_owned();
    let mut facts = Vec::new();
    let state = match verdict {
        Verdict::Reject => {
            facts.push(RunFact::GateRejected {
                step,
                approval: id,
                reason,
            });
            ApprovalState::Rejected
        }
        Verdict::Approve => {
            facts.push(RunFact::GateApproval {
                step: step.clone(),
                approval: id,
                reason,
                given,
                needed,
            });
            match given >= needed {
                true => {
                    let use_by = now + approval.rule.use_within.as_delta();
                    facts.push(RunFact::GateApproved {
                        step,
                        approval: id,
                        use_by,
                    });
                    ApprovalState::Approved
                }
                false => ApprovalState::Pending,
            }
        }
    };
    if state != ApprovalState::Pending {
        let use_by = (state == ApprovalState::Approved).then(|| now + approval.rule.use_within.as_delta());
        approvals::set_state(conn, id, ApprovalState::Pending, state, use_by, now).await?;
    }
    record(conn, approval.incident, approval.run, facts, by, now).await?;
    Ok(state)
}

/// A person says that a manual step is done.
pub async fn manual_done(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    note: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state) = lock(conn, run).await?;
    match state.step(step) {
        StepState::ManualOpen { .. } => {}
        StepState::Succeeded => return Err(moved("this step is done already")),
        _ => return Err(moved("this step does not wait for a person")),
    }
    let fact = RunFact::ManualDone {
        step: step.clone(),
        note: note.trim().to_owned(),
    };
    record(conn, incident, run, vec![fact], by, now).await
}

/// A person decides about a step whose outcome nobody knows.
pub async fn decide_unknown(
    conn: &mut PgConnection,
    run: RunId,
    step: &StepId,
    choice: UnknownChoice,
    evidence: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state) = lock(conn, run).await?;
    if !matches!(state.step(step), StepState::Unknown { .. }) {
        return Err(moved(
            "the outcome of this step is not unknown any more; nothing was decided",
        ));
    }
    let kept = runs::find(conn, run).await?.ok_or(PeopleError::NotFound("run"))?;
    let version = runbooks::find_version(conn, kept.version)
        .await?
        .ok_or(PeopleError::NotFound("runbook version"))?;
    let has_probe = version
        .runbook
        .step(step)
        .is_some_and(|step| matches!(&step.kind, StepKind::Act(act) if act.verify.is_some()));
    match choice {
        UnknownChoice::RunCheck if !has_probe => {
            return Err(refused(
                "this step has no verify probe to run; look at the target yourself",
            ));
        }
        UnknownChoice::MarkDone | UnknownChoice::MarkNotDone if evidence.trim().is_empty() => {
            return Err(refused("say how you know"));
        }
        _ => {}
    }
    if let (UnknownChoice::MarkDone, StepState::Unknown { made, .. }) = (choice, state.step(step)) {
        // Later steps and gates read a person's word as they read a target's answer.
        let conclusion = Conclusion {
            end: AttemptEnd::Succeeded,
            result: Some(&settled_result(evidence.trim())),
            summary: evidence.trim(),
        };
        attempts::finish(conn, run, step, made.attempt, conclusion, now).await?;
    }
    let fact = RunFact::UnknownDecided {
        step: step.clone(),
        choice,
        evidence: evidence.trim().to_owned(),
    };
    record(conn, incident, run, vec![fact], by, now).await
}

/// A person wants the run to stop. What is on its way is settled first.
pub async fn stop(
    conn: &mut PgConnection,
    run: RunId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (incident, state) = lock(conn, run).await?;
    if state.stop_requested.is_some() {
        return Err(moved("the run is stopping already"));
    }
    let reason = match reason.trim() {
        "" => format!("stopped by {}", by.name),
        reason => reason.to_owned(),
    };
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

/// Locks a live run and folds its facts.
async fn lock(conn: &mut PgConnection, run: RunId) -> Result<(IncidentId, RunState), PeopleError> {
    let kept = runs::find(conn, run).await?.ok_or(PeopleError::NotFound("run"))?;
    if !queue::lock_for_person(conn, run).await? {
        return Err(moved("the run is over"));
    }
    let (_, facts) = events::run_log(conn, run).await?;
    let state = RunState::fold(facts.iter().map(|(at, fact)| (*at, fact)))
        .map_err(|error| StoreError::corrupt("events", "body", error))?;
    Ok((kept.incident, state))
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
