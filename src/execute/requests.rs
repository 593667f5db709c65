//! Requests for a decision, as the engine makes and closes them; people decide in [`super::people`].

use chrono::{DateTime, Utc};

use super::{
    draft::Draft,
    drive::{Driver, Flow},
    gate,
};
use crate::{
    domain::{
        approval::ApprovalState,
        attempt::unusable,
        event::NewEvent,
        id::{ApprovalId, StepId},
        run::RunFact,
        state::Try,
        step::StepKind,
    },
    store::{
        StoreError,
        approvals::{self, NewApproval},
        events,
        queue::{self, Hold},
        turns::Then,
    },
};

/// Asks people at a gate, or before what was done under it is taken back.
pub(super) async fn open(driver: &mut Driver, id: &StepId, now: DateTime<Utc>) -> Result<Flow, StoreError> {
    let version = driver.view.version.clone();
    let view = &driver.view;
    let Some(step) = version.runbook.step(id) else {
        return Err(StoreError::corrupt("events", "step", id));
    };
    let StepKind::Gate(rule) = &step.kind else {
        return Err(StoreError::corrupt("events", "step", "not a gate"));
    };
    let context = view.context(id);
    let impact = rule
        .impact
        .as_ref()
        .map_or(Ok(String::new()), |impact| impact.render(&context));
    let targets = driver.ground.targets.clone();
    let asked = gate::bound(&targets, view, id).and_then(|bound| {
        let impact = impact.map_err(|error| error.to_string())?;
        Ok((bound, impact))
    });
    let (bound, impact) = match asked {
        Ok(asked) => asked,
        Err(problem) => {
            let mut draft = Draft::default();
            draft.fact(&mut driver.view, unusable(id.clone(), Try::FIRST, problem), now)?;
            return driver.write(draft, Then::Hold, now).await;
        }
    };
    let decide_by = now + rule.decide_within.as_delta();
    let title = match id.undone() {
        None => view.title(step, &context),
        Some(_) => format!("Take back what was done under: {}", view.title(step, &context)),
    };
    let claim = view.claim;
    let new = NewApproval {
        run: claim.run,
        incident: claim.incident,
        step: id,
        title: &title,
        impact: &impact,
        bound: &bound,
        rule,
        requester: view.requester,
        decide_by,
    };
    let mut tx = driver.engine.pool.begin().await?;
    if queue::hold(&mut tx, claim, view.acts).await? == Hold::Moved {
        tx.rollback().await?;
        driver.reload().await?;
        return Ok(Flow::Again);
    }
    let approval = approvals::insert(&mut tx, &new, now).await?;
    let fact = RunFact::GateOpened {
        step: id.clone(),
        approval,
        digest: bound.digest(),
        decide_by,
        needed: rule.approvals,
    };
    let event = NewEvent::of_run(claim.run, fact.clone(), now);
    events::append(&mut tx, claim.incident, &[event], now).await?;
    driver.engine.commit(tx, &format!("gate-opened/{id}")).await?;
    applied(driver, &fact, now)
}

/// Closes a request whose clock ran out, or whose subject has changed.
pub(super) async fn close(
    driver: &mut Driver,
    approval: ApprovalId,
    fact: RunFact,
    now: DateTime<Utc>,
) -> Result<Flow, StoreError> {
    let (from, to) = match &fact {
        RunFact::GateExpired { unused: false, .. } => (ApprovalState::Pending, ApprovalState::Expired),
        RunFact::GateExpired { unused: true, .. } => (ApprovalState::Approved, ApprovalState::Expired),
        _ => (ApprovalState::Approved, ApprovalState::Void),
    };
    let claim = driver.view.claim;
    let mut tx = driver.engine.pool.begin().await?;
    if queue::hold(&mut tx, claim, driver.view.acts).await? == Hold::Moved {
        tx.rollback().await?;
        driver.reload().await?;
        return Ok(Flow::Again);
    }
    if !approvals::set_state(&mut tx, approval, from, to, None, now).await? {
        return Err(StoreError::corrupt(
            "approvals",
            "state",
            format!("{approval} is not {}", from.name()),
        ));
    }
    let event = NewEvent::of_run(claim.run, fact.clone(), now);
    events::append(&mut tx, claim.incident, &[event], now).await?;
    driver.engine.commit(tx, "gate-closed").await?;
    applied(driver, &fact, now)
}

/// What was just committed is true of the view as well.
fn applied(driver: &mut Driver, fact: &RunFact, now: DateTime<Utc>) -> Result<Flow, StoreError> {
    driver
        .view
        .apply(now, fact)
        .map_err(|error| StoreError::corrupt("events", "body", error))?;
    Ok(Flow::Again)
}
