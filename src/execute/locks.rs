//! Target locks of a run: all or none, in one order everywhere; a wait in line, told once, with an end.

use super::{
    closing,
    drive::{Driver, Flow},
};
use crate::{
    domain::{
        drill,
        event::NewEvent,
        id::DrillId,
        run::{RunFact, RunResult},
        span::Span,
    },
    store::{
        StoreError, events, locks,
        queue::{self, Hold},
    },
};

/// How often a run that waits for a lock looks again; the end of the lock wakes it before.
const LOCK_POLL: Span = Span::from_secs(5);

/// Takes the run's locks. `Through`: another run holds one, and this one has been let go until later, or is over.
pub(super) async fn take(driver: &mut Driver) -> Result<Flow, StoreError> {
    let version = driver.view.version.clone();
    if version.runbook.locks.is_empty() || driver.view.state.finished.is_some() {
        return Ok(Flow::Again);
    }
    let context = driver.view.context(&"".into());
    let names = match version.runbook.lock_names(&context) {
        Ok(names) => apart(names, driver.view.claim.drill),
        Err(reason) => return over(driver, RunResult::Failed, reason).await,
    };
    loop {
        let now = driver.engine.clock.now();
        let claim = driver.view.claim;
        let mut tx = driver.engine.pool.begin().await?;
        if queue::hold(&mut tx, claim, driver.view.acts).await? == Hold::Moved {
            tx.rollback().await?;
            driver.reload().await?;
            continue;
        }
        let Some(holder) = locks::take_all(&mut tx, claim.run, &names, now).await? else {
            driver.engine.commit(tx, "locks").await?;
            return Ok(Flow::Again);
        };
        tx.rollback().await?;
        let held_by = match holder.is_in_line {
            false => format!("run {} of INC-{}", holder.run, holder.incident),
            true => format!(
                "run {} of INC-{}, which is next in line",
                holder.run, holder.incident
            ),
        };
        if let Some(reason) = driver.view.state.stop_requested.clone() {
            return over(driver, RunResult::Stopped, reason).await;
        }
        let wait_max = driver.engine.limits.lock_wait;
        let since = driver.view.state.lock_awaited;
        if since.is_some_and(|since| since + wait_max.as_delta() <= now) {
            let reason = format!(
                "waited {wait_max} for the lock {}, held by {held_by}; stop that run or wait for it, then start this one again",
                holder.lock
            );
            return over(driver, RunResult::Failed, reason).await;
        }
        let mut tx = driver.engine.pool.begin().await?;
        if queue::hold(&mut tx, claim, driver.view.acts).await? == Hold::Moved {
            tx.rollback().await?;
            driver.reload().await?;
            continue;
        }
        locks::wait_for(&mut tx, claim.run, &holder.lock, now).await?;
        let awaited = RunFact::LockAwaited {
            lock: holder.lock,
            holder: held_by,
        };
        if driver.view.last_fact.as_ref() != Some(&awaited) {
            let event = NewEvent::of_run(claim.run, awaited, now);
            events::append(&mut tx, claim.incident, &[event], now).await?;
        }
        queue::release(&mut tx, claim, now + LOCK_POLL.as_delta()).await?;
        driver.engine.commit(tx, "lock-awaited").await?;
        return Ok(Flow::Through);
    }
}

/// What a drill locks are its twins: it never waits for the real thing, nor that for it.
fn apart(names: Vec<String>, drill: Option<DrillId>) -> Vec<String> {
    match drill {
        None => names,
        Some(drill) => names
            .into_iter()
            .map(|name| format!("{} {name}", drill::name(drill)))
            .collect(),
    }
}

/// A run without its locks ends without another step, and says so even when a person acts at the same moment.
async fn over(driver: &mut Driver, result: RunResult, reason: String) -> Result<Flow, StoreError> {
    loop {
        let now = driver.engine.clock.now();
        if closing::finish(driver, result, reason.clone(), now).await? == Flow::Through {
            return Ok(Flow::Through);
        }
    }
}
