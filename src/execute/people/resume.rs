//! How a person lets a run go on where it ended: as a new run, which takes over what was done.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PeopleError, may_steer, moved, refused};
use crate::{
    domain::{
        event::{Event, IncidentFact, NewEvent},
        id::{RunId, StepId, VersionId},
        judge::settled_result,
        operator::{Operator, Role},
        run::{RunFact, RunResult},
        runbook::{Runbook, StartMode},
        state::{RunState, StepState},
        step::{Effect, StepKind},
    },
    store::{StoreError, attempts, events, incidents, runbooks, runs as rows},
};

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
    let before = runbooks::find_version(conn, old.version)
        .await?
        .ok_or(PeopleError::NotFound("runbook version"))?;
    may_steer(by, &before.runbook.access)?;
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
    let version = match how.version {
        None => before.clone(),
        Some(id) => runbooks::find_version(conn, id)
            .await?
            .ok_or(PeopleError::NotFound("runbook version"))?,
    };
    if version.runbook_id != before.runbook_id {
        return Err(refused("a run goes on with a version of its own runbook"));
    }
    may_steer(by, &version.runbook.access)?;
    let log = events::run_log(conn, run).await?;
    let state = RunState::fold(log.iter().map(|(at, fact)| (*at, fact)))
        .map_err(|error| StoreError::corrupt("events", "body", error))?;
    let reason = how.reason.trim();
    if reason.is_empty() && !(how.done.is_empty() && how.skip.is_empty() && how.not_done.is_empty()) {
        return Err(refused("say how you know, or why these need not be done"));
    }
    let mut facts = carried(run, &log, &state, &version.runbook, how)?;
    let is_free_to_send = |step: &&StepId| {
        let act = version.runbook.find(step).and_then(|found| found.act);
        act.is_some_and(|act| act.effect != Effect::Safe) && version.runbook.gate_over(step).is_none()
    };
    if by.role < Role::Approver
        && let Some(step) = how.not_done.iter().find(is_free_to_send)
    {
        return Err(refused(format!(
            "{step} would be sent again without a gate; an approver has to say that it was not done"
        )));
    }
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
    // What a person vouches for has that for a result, as later steps and gates read it.
    let is_known = |step: &StepId| matches!(state.step(step), StepState::Succeeded | StepState::Satisfied);
    for fact in &mut facts {
        if let RunFact::StepCarried { step, from } = fact
            && how.done.contains(step)
            && !is_known(step)
        {
            *from = next;
            attempts::insert_vouched(conn, next, step, &settled_result(reason), reason, now).await?;
        }
    }
    let started = RunFact::RunStarted {
        runbook: version.runbook.slug.clone(),
        version: version.number,
        digest: version.digest,
        mode: StartMode::Manual,
        inputs,
        continues: Some(run),
    };
    let mut events: Vec<NewEvent> = std::iter::once(started)
        .chain(facts)
        .map(|fact| NewEvent::by(by.actor(), Event::Run(next, fact), now))
        .collect();
    if let Some(text) = vouched(next, how) {
        events.push(NewEvent::by(
            by.actor(),
            IncidentFact::Note { text, tag: None },
            now,
        ));
    }
    events::append(conn, old.incident, &events, now).await?;
    Ok(next)
}

/// What a run leaves to the one that goes on where it ended.
#[derive(Clone, Copy, Debug)]
pub struct Legacy<'a> {
    /// Where every step stood when it ended.
    pub state: &'a RunState,
    /// Steps a person vouches for.
    pub done: &'a [StepId],
    /// Steps that need not be done.
    pub skip: &'a [StepId],
}

impl Legacy<'_> {
    /// Whether a step, an item or an undo is done: by the run before, and not taken back since, or by a person's word.
    pub fn is_done(&self, id: &StepId) -> bool {
        if self.done.contains(id) {
            return true;
        }
        if let StepState::Listed { items } = self.state.step(id) {
            return (0..items.len()).all(|index| self.is_done(&id.item(index)));
        }
        let is_there = matches!(self.state.step(id), StepState::Succeeded | StepState::Satisfied);
        is_there && (id.undone().is_some() || !self.is_done(&id.undo()))
    }

    /// Whether nobody need be asked at this gate: everything below it is done, or need not be.
    pub fn is_passed(&self, runbook: &Runbook, gate: &StepId) -> bool {
        let mut under = runbook
            .steps_under(gate)
            .filter(|step| step.effect() != Effect::Safe)
            .peekable();
        under.peek().is_some() && under.all(|step| self.is_done(&step.id) || self.skip.contains(&step.id))
    }
}

/// Checks that a person named what is there, and left nothing open.
fn check(state: &RunState, runbook: &Runbook, how: &Resumption) -> Result<(), PeopleError> {
    let is_unknown = |step: &StepId| state.in_doubt().any(|doubtful| doubtful == step);
    let is_part = |step: &StepId| {
        let is_item = step.index().is_none_or(
            |index| matches!(state.step(&step.base().into()), StepState::Listed { items } if index < items.len()),
        );
        step.undone().is_none() && is_item && runbook.steps.iter().any(|other| other.id.0 == step.base())
    };
    let named = how.done.iter().chain(&how.skip);
    if let Some(step) = named
        .chain(&how.not_done)
        .find(|step| !is_part(step) && !is_unknown(step))
    {
        return Err(refused(format!("the runbook has no step {step}")));
    }
    let is_gate = |step: &StepId| {
        runbook
            .step(step)
            .is_some_and(|step| matches!(step.kind, StepKind::Gate(_)))
    };
    if how.skip.iter().chain(&how.done).any(is_gate) {
        return Err(refused(
            "a gate cannot be skipped: have it approved, or break the glass",
        ));
    }
    let is_settled = |step: &StepId| how.done.contains(step) || how.not_done.contains(step);
    if let Some(step) = state
        .steps
        .keys()
        .find(|step| is_unknown(step) && !is_settled(step))
    {
        return Err(refused(format!(
            "nobody knows whether {step} was done; say whether it was before the run goes on"
        )));
    }
    Ok(())
}

/// What the run before leaves to the one that continues it.
fn carried(
    run: RunId,
    log: &[(DateTime<Utc>, RunFact)],
    state: &RunState,
    runbook: &Runbook,
    how: &Resumption,
) -> Result<Vec<RunFact>, PeopleError> {
    check(state, runbook, how)?;
    // What was itself carried over was found by the run that really did it.
    let roots: BTreeMap<&StepId, RunId> = log
        .iter()
        .filter_map(|(_, fact)| match fact {
            RunFact::StepCarried { step, from } => Some((step, *from)),
            _ => None,
        })
        .collect();
    let legacy = Legacy {
        state,
        done: &how.done,
        skip: &how.skip,
    };
    let carry = |id: &StepId| RunFact::StepCarried {
        step: id.clone(),
        from: roots.get(id).copied().unwrap_or(run),
    };
    let let_be = |id: &StepId| RunFact::StepSkipped {
        step: id.clone(),
        reason: how.reason.trim().to_owned(),
    };
    let mut facts = Vec::new();
    for step in &runbook.steps {
        let id = &step.id;
        if how.skip.contains(id) {
            facts.push(let_be(id));
            continue;
        }
        match (&step.kind, state.step(id)) {
            (StepKind::Gate(_), _) if legacy.is_passed(runbook, id) => facts.push(carry(id)),
            (StepKind::Gate(_), _) => {}
            (_, StepState::Listed { items }) if step.for_each.is_some() && !how.done.contains(id) => {
                let items_of = (0..items.len()).map(|index| id.item(index));
                let settled: Vec<RunFact> = items_of
                    .filter_map(|item| match how.skip.contains(&item) {
                        true => Some(let_be(&item)),
                        false => legacy.is_done(&item).then(|| carry(&item)),
                    })
                    .collect();
                // A list of which nothing is done is made anew: it may be another one by now.
                if !settled.is_empty() {
                    facts.push(RunFact::ItemsListed {
                        step: id.clone(),
                        items: items.clone(),
                    });
                    facts.extend(settled);
                }
            }
            _ if legacy.is_done(id) => facts.push(carry(id)),
            _ => {}
        }
    }
    Ok(facts)
}

/// What a person vouched for, for the timeline: who reads it later wants to know how they knew.
fn vouched(next: RunId, how: &Resumption) -> Option<String> {
    let named = |steps: &[StepId]| {
        let names: Vec<&str> = steps.iter().map(|step| step.0.as_str()).collect();
        names.join(", ")
    };
    let parts: Vec<String> = [
        ("done", &how.done),
        ("not done", &how.not_done),
        ("let be", &how.skip),
    ]
    .into_iter()
    .filter(|(_, steps)| !steps.is_empty())
    .map(|(word, steps)| format!("{word}: {}", named(steps)))
    .collect();
    let reason = how.reason.trim();
    match (parts.is_empty(), reason.is_empty()) {
        (true, true) => None,
        (true, false) => Some(format!("Run {next} goes on: {reason}")),
        (false, _) => Some(format!("Run {next} goes on, {}: {reason}", parts.join("; "))),
    }
}
