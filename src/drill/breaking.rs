//! The keeper's hand on real faults: looked at, written down, guarded, caused, and taken back.

use std::{collections::BTreeMap, sync::PoisonError};

use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    DrillError, acts,
    game_day::{HOLD, Keeper},
    happen,
};
use crate::{
    chaos::{self, Uncaused, guard::Guard},
    domain::{
        backoff,
        drill::DrillFact,
        fault::{ACTS_ON_BYTES_MAX, FaultState, Order},
        id::DrillId,
        scenario::Happening,
        simulation::Rules,
        span::Span,
        step::Retry,
    },
    store::{
        StoreError, drills,
        faults::Way,
        game_days::{self, Beginning, Due, Next, Settled},
    },
};

/// How long seeing to one fault may take: longer than any of them does.
const IN_HAND: TimeDelta = TimeDelta::seconds(120);
/// What a guard waits beyond the time of its fault, so that it comes after its Muster.
const GUARD_GRACE: Span = Span::from_secs(30);
/// The pauses between tries to take a fault back.
const AGAIN: Retry = Retry {
    attempts: u32::MAX,
    initial: Span::from_secs(2),
    max: Span::from_secs(60),
};

impl Keeper {
    /// Lets the guards go whose faults are over by another's word: one of another process, or of a person. One that only
    /// has changed hands is still guarded.
    pub(super) async fn relieve(&self) -> Result<(), DrillError> {
        let watched: Vec<(DrillId, String)> = self.guards().keys().cloned().collect();
        if watched.is_empty() {
            return Ok(());
        }
        let mut conn = self.conductor.pool.acquire().await?;
        let open = game_days::standing(&mut conn, &watched).await?;
        drop(conn);
        for key in watched.into_iter().filter(|key| !open.contains(key)) {
            self.dismiss(&key).await;
        }
        Ok(())
    }

    async fn dismiss(&self, key: &(DrillId, String)) {
        let guard = self.guards().remove(key);
        if let Some(guard) = guard {
            guard.dismiss().await;
        }
    }

    /// Why the faults of a scenario could not be caused here.
    pub(super) async fn refusals(
        &self,
        id: DrillId,
        rules: &Rules,
        host: &str,
    ) -> Result<Vec<String>, DrillError> {
        let mut refusals = Vec::new();
        for inject in &rules.scenario.injects {
            for happening in &inject.then {
                let Happening::Fault { target, cause, .. } = happening else {
                    continue;
                };
                let order = self
                    .conductor
                    .simulator
                    .order(id, rules, (&inject.id, target, cause));
                let refusal = match order {
                    Ok((order, _)) => self.refusal(&order, host).await?,
                    Err(why) => Some(why),
                };
                refusals.extend(refusal.map(|why| format!("{cause} of {target}: {why}")));
            }
        }
        Ok(refusals)
    }

    /// Why a fault could not be caused here now.
    async fn refusal(&self, order: &Order, host: &str) -> Result<Option<String>, DrillError> {
        let acts_on = chaos::acts_on(order);
        if acts_on.len() > ACTS_ON_BYTES_MAX {
            return Ok(Some(format!(
                "{} has a longer path than {ACTS_ON_BYTES_MAX} bytes",
                order.harm.kind()
            )));
        }
        match self.in_the_way(host, &acts_on).await? {
            Some(why) => Ok(Some(why)),
            None => Ok(chaos::check(order).await.err()),
        }
    }

    async fn in_the_way(&self, host: &str, acts_on: &str) -> Result<Option<String>, DrillError> {
        let mut conn = self.conductor.pool.acquire().await?;
        Ok(happen::in_the_way(&mut conn, Way::Thing { host, acts_on }).await?)
    }

    /// Sees to one fault that is due, if there is one; whether there was.
    pub(super) async fn see_to_one(&self, host: &str) -> Result<bool, DrillError> {
        let now = self.conductor.clock.now();
        let mut conn = self.conductor.pool.acquire().await?;
        let Some(due) = game_days::claim(&mut conn, host, self.owner, now, now + IN_HAND).await? else {
            return Ok(false);
        };
        let rules = self.conductor.simulator.rules(&mut conn, due.drill).await?;
        drop(conn);
        match (&due.order, due.is_planned) {
            (_, true) if due.is_drill_over => {
                let why = "its drill was over before";
                self.settle(&due, Next::Over(FaultState::Failed), why).await?;
            }
            (_, true) => self.cause(&due, &rules, host).await?,
            (Some(order), false) => self.undo(&due, order, "").await?,
            (None, false) => return Err(StoreError::corrupt("drill_faults", "what", &due.inject).into()),
        }
        Ok(true)
    }

    async fn cause(&self, due: &Due, rules: &Rules, host: &str) -> Result<(), DrillError> {
        let simulator = &self.conductor.simulator;
        let named = (due.inject.as_str(), due.target.as_str(), due.cause.as_str());
        let not_caused = Next::Over(FaultState::Failed);
        // The target may allow less than when the scenario was published.
        let (mut order, most) = match simulator.order(due.drill, rules, named) {
            Ok(allowed) => allowed,
            Err(why) => return self.settle(due, not_caused, &why).await,
        };
        // Nothing of another fault is ever found there, whatever became of the database.
        order.folder.push(Uuid::new_v4().to_string());
        // Nothing was touched, so nothing is taken back: what was down before stays so.
        if let Some(why) = self.refusal(&order, host).await? {
            return self.settle(due, not_caused, &why).await;
        }
        let lasting = due.lasting.min(most);
        let acts_on = chaos::acts_on(&order);
        let beginning = Beginning {
            order: &order,
            host,
            acts_on: &acts_on,
        };
        match self.write(due, Next::Begins(beginning), "").await? {
            Settled::Done => {}
            // Somebody was faster by less than the look above.
            Settled::Taken => {
                let why = self.in_the_way(host, &acts_on).await?;
                let why = why.unwrap_or_else(|| format!("{acts_on} was under another fault until just now"));
                return self.settle(due, not_caused, &why).await;
            }
            // What is not in the journal is not caused.
            Settled::Lost => return Err(moved(due)),
        }
        let within = Span::from_millis(lasting.as_millis() + GUARD_GRACE.as_millis());
        let caused = match Guard::start(simulator.program(), &order, within).await {
            Ok(guard) => {
                self.guards().insert((due.drill, due.inject.clone()), guard);
                chaos::cause(&order).await
            }
            Err(error) => Err(Uncaused {
                why: format!("no guard could be started beside it: {error}"),
                may_stand: false,
            }),
        };
        let now = self.conductor.clock.now();
        match caused {
            Ok(()) => {
                let next = Next::Stands {
                    ends_at: now + lasting.as_delta(),
                    held_until: now + HOLD,
                };
                if self.write(due, next, "").await? == Settled::Done {
                    return Ok(());
                }
                // Whoever has it in hand by now may not have known that it would still be caused.
                match chaos::undo(&order).await {
                    Ok(_) => Err(moved(due)),
                    Err(error) => Err(DrillError::Refused(error)),
                }
            }
            Err(Uncaused { why, may_stand: true }) => self.undo(due, &order, &why).await,
            Err(Uncaused { why, .. }) => {
                // Told before its fault is over in the journal, so that it takes nothing back that is another's.
                self.dismiss(&(due.drill, due.inject.clone())).await;
                self.settle(due, not_caused, &why).await
            }
        }
    }

    /// Takes a fault back; `why` it could not be caused, if that is the reason.
    async fn undo(&self, due: &Due, order: &Order, why: &str) -> Result<(), DrillError> {
        let (next, said) = match chaos::undo(order).await {
            Ok(note) if why.is_empty() => (Next::Over(FaultState::Undone), note.unwrap_or_default()),
            Ok(_) => (Next::Over(FaultState::Failed), why.to_owned()),
            Err(error) => {
                tracing::error!(
                    drill.id = due.drill.0,
                    target = due.target,
                    fault = due.cause,
                    error,
                    "a fault of a game day cannot be taken back; it is tried again"
                );
                let pause = backoff::pause(&AGAIN, due.tries, 1.0).as_delta();
                (Next::Again(self.conductor.clock.now() + pause), error)
            }
        };
        self.settle(due, next, &said).await?;
        if matches!(next, Next::Over(_)) {
            self.dismiss(&(due.drill, due.inject.clone())).await;
        }
        Ok(())
    }

    /// Writes down how a fault stands; it is an error when it has been taken out of this hand.
    async fn settle(&self, due: &Due, next: Next<'_>, said: &str) -> Result<(), DrillError> {
        match self.write(due, next, said).await? {
            Settled::Done => Ok(()),
            Settled::Lost | Settled::Taken => Err(moved(due)),
        }
    }

    /// Writes down how a fault stands, in the journal and in the drill's log.
    async fn write(&self, due: &Due, next: Next<'_>, said: &str) -> Result<Settled, DrillError> {
        let now = self.conductor.clock.now();
        let state = next.state();
        let mut tx = self.conductor.pool.begin().await?;
        let Some(drill) = drills::lock(&mut tx, due.drill).await? else {
            return Ok(Settled::Lost);
        };
        let place = (due.drill, due.inject.as_str());
        let settled = game_days::settle(&mut tx, place, self.owner, next, said, now).await?;
        if settled != Settled::Done {
            return Ok(settled);
        }
        let is_told = state == FaultState::Causing || state == FaultState::Undoing && said == due.error;
        if !is_told {
            let fact = DrillFact::Fault {
                inject: due.inject.clone(),
                target: due.target.clone(),
                cause: due.cause.clone(),
                state,
                error: said.to_owned(),
            };
            drills::append(&mut tx, due.drill, acts::age(&drill, now), None, &[fact], now).await?;
        }
        tx.commit().await?;
        self.conductor.wake.changed();
        Ok(settled)
    }

    fn guards(&self) -> std::sync::MutexGuard<'_, BTreeMap<(DrillId, String), Guard>> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn moved(due: &Due) -> DrillError {
    DrillError::Moved(format!(
        "the fault {} on {} is in another's hand",
        due.cause, due.target
    ))
}
