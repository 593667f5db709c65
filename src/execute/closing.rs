//! The end of a run: its last fact, its locks, whatever it still asked.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    drive::{Driver, Flow},
    view::View,
};
use crate::{
    domain::{
        event::{IncidentFact, NewEvent},
        id::StepId,
        incident::IncidentMove,
        run::{RunFact, RunResult},
        state::StepState,
        step::{Phase, StepKind},
    },
    store::{
        StoreError, approvals, events, incidents, locks,
        queue::{self, Hold},
        runs,
    },
};

/// Whether nothing but the run itself ends with it, so that its end can be written with others.
pub(super) fn is_plain(view: &View, result: RunResult) -> bool {
    let runbook = &view.version.runbook;
    let asks = |kind: &StepKind| matches!(kind, StepKind::Gate(_));
    runbook.locks.is_empty()
        && !runbook.steps.iter().any(|step| asks(&step.kind))
        && !(result == RunResult::Succeeded && has_verified(view))
}

/// Ends the run. A run whose last phase proved that the service is back marks the incident as mitigated. `Again` when
/// a person acted meanwhile.
pub(super) async fn finish(
    driver: &mut Driver,
    result: RunResult,
    reason: String,
    now: DateTime<Utc>,
) -> Result<Flow, StoreError> {
    let claim = driver.view.claim;
    let mut tx = driver.engine.pool.begin().await?;
    if queue::hold(&mut tx, claim, driver.view.acts).await? == Hold::Moved {
        tx.rollback().await?;
        driver.reload().await?;
        return Ok(Flow::Again);
    }
    let event = NewEvent::of_run(claim.run, RunFact::RunFinished { result, reason }, now);
    events::append(&mut tx, claim.incident, &[event], now).await?;
    runs::finish(&mut tx, claim.run, result, now).await?;
    approvals::void_all(&mut tx, claim.run, now).await?;
    queue::delete(&mut tx, claim).await?;
    locks::free(&mut tx, claim.run, now).await?;
    if result == RunResult::Succeeded && has_verified(&driver.view) {
        mitigate(&mut tx, &driver.view, now).await?;
    }
    driver.engine.commit(tx, "finish").await?;
    Ok(Flow::Through)
}

fn has_verified(view: &View) -> bool {
    let mut proofs = view
        .version
        .runbook
        .steps
        .iter()
        .filter(|step| step.phase == Some(Phase::Verify))
        .peekable();
    let is_done = |id: &StepId| matches!(view.state.step(id), StepState::Succeeded | StepState::Satisfied);
    proofs.peek().is_some()
        && proofs.all(|step| match view.state.step(&step.id) {
            StepState::Listed { items } => (0..items.len()).all(|index| is_done(&step.id.item(index))),
            _ => is_done(&step.id),
        })
}

async fn mitigate(conn: &mut PgConnection, view: &View, now: DateTime<Utc>) -> Result<(), StoreError> {
    let id = view.claim.incident;
    let Some(incident) = incidents::lock(conn, id).await? else {
        return Ok(());
    };
    let Some(state) = incident.state.after(IncidentMove::Mitigate) else {
        return Ok(());
    };
    incidents::set_state(conn, id, state, None, now).await?;
    let reason = format!(
        "{} v{} verified it",
        view.version.runbook.slug, view.version.number
    );
    let fact = IncidentFact::Mitigated { reason };
    events::append(conn, id, &[NewEvent::automatic(fact, now)], now).await?;
    Ok(())
}
