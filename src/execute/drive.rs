//! One claimed run, driven until it has to wait, is over, or its claim is.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::{attempt, engine::Engine, gate, view::View};
use crate::{
    domain::{
        attempt::AttemptEnd,
        event::{IncidentFact, NewEvent},
        id::StepId,
        incident::IncidentMove,
        plan::{self, INTERRUPTIONS_MAX, Move},
        run::{RunFact, RunResult},
        span::Span,
        state::StepState,
        step::{Effect, Phase, StepKind},
    },
    store::{
        StoreError, approvals,
        attempts::{self, Conclusion},
        events, incidents, locks,
        queue::{self, Claim},
        runs,
    },
};

/// How often a run that waits for a lock looks again.
const LOCK_POLL: Span = Span::from_secs(2);
/// A run that waits for a person without a deadline is looked at this often, in case a wake-up was lost.
const PERSON_POLL: Span = Span::from_secs(3600);

/// Drives the run of a claim. Returns when the run waits, is over, or the process stops.
pub(super) async fn drive(engine: &Engine, claim: Claim) -> Result<(), StoreError> {
    let mut view = View::load(engine, claim).await?;
    if !take_locks(engine, claim, &view).await? {
        return Ok(());
    }
    loop {
        let now = engine.clock.now();
        let plan = plan::next(&view.version.runbook, &view.state, &Default::default(), now);
        let next = plan.moves.into_iter().next();
        tracing::debug!(?next, "planned");
        if !engine.may_begin(claim) {
            let mut tx = engine.begin(claim).await?;
            queue::release(&mut tx, claim, now).await?;
            return engine.commit(tx, "hand-back").await;
        }
        match next {
            Some(Move::Act { step, next, gate }) => {
                attempt::make(engine, claim, &view, &step, next.attempt, next.permit, gate).await?;
            }
            Some(Move::Interrupted { step, made, effect }) => {
                interrupted(engine, claim, &view, &step, made.attempt, effect).await?;
            }
            Some(Move::Settle { step, made }) => {
                attempt::settle(engine, claim, &view, &step, made.attempt).await?
            }
            Some(Move::OpenGate { step }) => gate::open(engine, claim, &view, &step).await?,
            Some(Move::ExpireGate {
                step,
                approval,
                unused,
            }) => {
                gate::expire(engine, claim, &view, &step, approval, unused).await?;
            }
            Some(Move::AskManual { step }) => ask_manual(engine, claim, &view, &step).await?,
            Some(Move::BeginWait { step }) => begin_wait(engine, claim, &view, &step, now).await?,
            Some(Move::EndWait { step }) => {
                record(engine, claim, &view, RunFact::WaitOver { step }, "wait-over").await?;
            }
            None | Some(_) if !matches!(next, Some(Move::Finish { .. })) => {
                let until = plan.due.unwrap_or(now + PERSON_POLL.as_delta());
                if let_go(engine, claim, &view, until).await? {
                    return Ok(());
                }
            }
            None | Some(_) => {
                let Some(Move::Finish { result, reason }) = next else {
                    continue;
                };
                if finish(engine, claim, &view, result, reason).await? {
                    return Ok(());
                }
            }
        }
        view = View::load(engine, claim).await?;
    }
}

/// Writes one fact of the run, unless a person was faster; the caller plans anew either way.
pub(super) async fn record(
    engine: &Engine,
    claim: Claim,
    view: &View,
    fact: RunFact,
    name: &str,
) -> Result<(), StoreError> {
    let Some(mut tx) = engine.begin_unless_moved(claim, view.seen).await? else {
        return Ok(());
    };
    append(&mut tx, claim, fact, engine.clock.now()).await?;
    engine.commit(tx, name).await
}

/// Appends one fact of the run in a write of its claim.
pub(super) async fn append(
    conn: &mut PgConnection,
    claim: Claim,
    fact: RunFact,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    events::append(
        conn,
        claim.incident,
        &[NewEvent::of_run(claim.run, fact, now)],
        now,
    )
    .await?;
    Ok(())
}

/// Takes the run's locks. `false`: another run holds one, and this one has been let go until later.
async fn take_locks(engine: &Engine, claim: Claim, view: &View) -> Result<bool, StoreError> {
    if view.version.runbook.locks.is_empty() || view.state.finished.is_some() {
        return Ok(true);
    }
    let context = view.context(claim);
    let mut names = Vec::new();
    for lock in &view.version.runbook.locks {
        match lock.render(&context) {
            Ok(name) => names.push(name),
            Err(error) => {
                let reason = format!("the lock {} has no name: {error}", lock.source());
                finish(engine, claim, view, RunResult::Failed, reason).await?;
                return Ok(false);
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    let now = engine.clock.now();
    let mut tx = engine.begin(claim).await?;
    let Some(holder) = locks::take_all(&mut tx, claim.run, &names, now).await? else {
        engine.commit(tx, "locks").await?;
        return Ok(true);
    };
    tx.rollback().await?;
    if let Some(reason) = &view.state.stop_requested {
        finish(engine, claim, view, RunResult::Stopped, reason.clone()).await?;
        return Ok(false);
    }
    let awaited = RunFact::LockAwaited {
        lock: holder.lock,
        holder: format!("run {} of INC-{}", holder.run, holder.incident),
    };
    let mut tx = engine.begin(claim).await?;
    if view.last_fact.as_ref() != Some(&awaited) {
        append(&mut tx, claim, awaited, now).await?;
    }
    queue::release(&mut tx, claim, now + LOCK_POLL.as_delta()).await?;
    engine.commit(tx, "lock-awaited").await?;
    Ok(false)
}

/// Lets the run go until `until`; `false` when a person acted meanwhile, so there is something to do.
async fn let_go(
    engine: &Engine,
    claim: Claim,
    view: &View,
    until: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let Some(mut tx) = engine.begin_unless_moved(claim, view.seen).await? else {
        return Ok(false);
    };
    queue::release(&mut tx, claim, until).await?;
    engine.commit(tx, "let-go").await?;
    Ok(true)
}

/// An attempt began and nothing says how it ended: its worker is gone. An effect that may not be repeated, or a step
/// that has cut its worker off too often, is left to its probe and then to a person.
async fn interrupted(
    engine: &Engine,
    claim: Claim,
    view: &View,
    step: &StepId,
    attempt: u32,
    effect: Effect,
) -> Result<(), StoreError> {
    let now = engine.clock.now();
    let cut_off = view.state.interruptions.get(step).copied().unwrap_or_default();
    let (fact, end) = match effect == Effect::Once || cut_off >= INTERRUPTIONS_MAX {
        true => {
            let reason = "Muster stopped after the attempt began and before its answer was stored".to_owned();
            (
                RunFact::OutcomeUnknown {
                    step: step.clone(),
                    attempt,
                    reason,
                },
                AttemptEnd::Unknown,
            )
        }
        false => (
            RunFact::StepInterrupted {
                step: step.clone(),
                attempt,
            },
            AttemptEnd::Interrupted,
        ),
    };
    let Some(mut tx) = engine.begin_unless_moved(claim, view.seen).await? else {
        return Ok(());
    };
    let conclusion = Conclusion {
        end,
        result: None,
        summary: "cut off by a stop of Muster",
    };
    attempts::finish(&mut tx, claim.run, step, attempt, conclusion, now).await?;
    append(&mut tx, claim, fact, now).await?;
    engine.commit(tx, "interrupted").await
}

async fn ask_manual(engine: &Engine, claim: Claim, view: &View, id: &StepId) -> Result<(), StoreError> {
    let step = view.step(id)?;
    let StepKind::Manual { instruction, .. } = &step.kind else {
        return Err(StoreError::corrupt("events", "step", "not a manual step"));
    };
    let context = view.context(claim);
    if !attempt::applies(engine, claim, view, step, 1, &context).await? {
        return Ok(());
    }
    let step = id.clone();
    let fact = match instruction.render(&context) {
        Ok(instruction) => RunFact::ManualAsked {
            step,
            instruction,
            due: None,
        },
        Err(error) => attempt::unusable(step, 1, error.to_string()),
    };
    record(engine, claim, view, fact, "manual-asked").await
}

async fn begin_wait(
    engine: &Engine,
    claim: Claim,
    view: &View,
    id: &StepId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let step = view.step(id)?;
    let StepKind::Wait { length } = &step.kind else {
        return Err(StoreError::corrupt("events", "step", "not a wait step"));
    };
    if !attempt::applies(engine, claim, view, step, 1, &view.context(claim)).await? {
        return Ok(());
    }
    let until = now + length.as_delta();
    record(
        engine,
        claim,
        view,
        RunFact::WaitBegan {
            step: id.clone(),
            until,
        },
        "wait-began",
    )
    .await
}

/// Ends the run: its last fact, its locks, whatever it still asked. A run whose last phase proved that the service is
/// back marks the incident as mitigated. `false` when a person acted meanwhile.
async fn finish(
    engine: &Engine,
    claim: Claim,
    view: &View,
    result: RunResult,
    reason: String,
) -> Result<bool, StoreError> {
    let now = engine.clock.now();
    let Some(mut tx) = engine.begin_unless_moved(claim, view.seen).await? else {
        return Ok(false);
    };
    append(&mut tx, claim, RunFact::RunFinished { result, reason }, now).await?;
    runs::finish(&mut tx, claim.run, result, now).await?;
    approvals::void_all(&mut tx, claim.run, now).await?;
    locks::free(&mut tx, claim.run).await?;
    queue::delete(&mut tx, claim).await?;
    if result == RunResult::Succeeded && has_verified(view) {
        mitigate(&mut tx, claim, view, now).await?;
    }
    engine.commit(tx, "finish").await?;
    Ok(true)
}

fn has_verified(view: &View) -> bool {
    let mut proofs = view
        .version
        .runbook
        .steps
        .iter()
        .filter(|step| step.phase == Some(Phase::Verify))
        .peekable();
    proofs.peek().is_some()
        && proofs.all(|step| {
            matches!(
                view.state.step(&step.id),
                StepState::Succeeded | StepState::Satisfied
            )
        })
}

async fn mitigate(
    conn: &mut PgConnection,
    claim: Claim,
    view: &View,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(incident) = incidents::lock(conn, claim.incident).await? else {
        return Ok(());
    };
    let Some(state) = incident.state.after(IncidentMove::Mitigate) else {
        return Ok(());
    };
    incidents::set_state(conn, claim.incident, state, None, now).await?;
    let reason = format!(
        "{} v{} verified it",
        view.version.runbook.slug, view.version.number
    );
    let fact = IncidentFact::Mitigated { reason };
    events::append(conn, claim.incident, &[NewEvent::automatic(fact, now)], now).await?;
    Ok(())
}

/// When a run whose worker failed unexpectedly is looked at again.
pub(super) fn after_fault(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::seconds(5)
}
