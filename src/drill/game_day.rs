//! The keeper of game days on one machine: it measures their worlds, sees that they are steady before anything is broken
//! and again at the end, causes faults and takes them back.
//!
//! Every fault is written down before it is caused and is over only when it was seen to be. It stands as long as its
//! process says that it lives; then another keeper of this machine takes it back, and the fault's own guard did so before.
//! A pause of the drill stretches no fault: what is broken for real knows nothing of the drill's clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{DrillError, acts, conductor::Conductor, day::Day, happen};
use crate::{
    chaos::{self, guard::Guard},
    domain::{
        backoff,
        drill::{DrillFact, DrillState, has_begun_steady},
        fault::{FaultState, Order},
        id::DrillId,
        scenario::Happening,
        simulation::Rules,
        span::Span,
        step::Retry,
    },
    simulate::WorldError,
    store::{
        StoreError, drills,
        game_days::{self, Due, Next},
    },
};

/// How often everything is measured.
const LOOK: Duration = Duration::from_secs(1);
/// Game days that one machine plays at once.
const DAYS_MAX: i64 = 20;
/// Faults seen to in one pass.
const FAULTS_MAX: usize = 50;
/// How long a process that is not heard of is believed to live.
const HOLD: TimeDelta = TimeDelta::seconds(15);
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

/// Keeps the game days of this machine. Without a name for it, it does nothing.
#[derive(Clone)]
pub struct Keeper {
    conductor: Conductor,
    /// This process.
    owner: Uuid,
    guards: Arc<std::sync::Mutex<BTreeMap<(DrillId, String), Guard>>>,
}

impl Keeper {
    /// One that has caused nothing yet.
    pub fn new(conductor: Conductor) -> Self {
        Self {
            conductor,
            owner: Uuid::new_v4(),
            guards: Arc::default(),
        }
    }

    /// Keeps them until `stop`; what then still stands is taken back by its guard.
    pub async fn run(self, stop: CancellationToken) {
        let Some(host) = self.conductor.simulator.host().map(str::to_owned) else {
            return;
        };
        // What takes its time to break or to mend must not keep anybody from seeing how it is.
        let measuring = async {
            while !stop.is_cancelled() {
                told(self.look(&host).await);
                self.rest(&stop).await;
            }
        };
        let mending = async {
            while !stop.is_cancelled() {
                for _ in 0..FAULTS_MAX {
                    if told(self.see_to_one(&host).await) != Some(true) {
                        break;
                    }
                }
                self.rest(&stop).await;
            }
        };
        // What answers slowly must not look as if nobody held the faults any more.
        let holding = async {
            while !stop.is_cancelled() {
                told(self.hold().await);
                self.rest(&stop).await;
            }
        };
        tokio::join!(measuring, mending, holding);
    }

    async fn rest(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.conductor.clock.sleep(LOOK) => {}
        }
    }

    /// Says that this process is alive and has its faults in hand.
    async fn hold(&self) -> Result<(), DrillError> {
        let until = self.conductor.clock.now() + HOLD;
        let mut conn = self.conductor.pool.acquire().await?;
        Ok(game_days::hold(&mut conn, self.owner, until).await?)
    }

    /// Measures every game day of this machine.
    async fn look(&self, host: &str) -> Result<(), DrillError> {
        let mut conn = self.conductor.pool.acquire().await?;
        let days = game_days::take(&mut conn, host, DAYS_MAX).await?;
        drop(conn);
        for day in days {
            told(self.measure(day).await);
        }
        Ok(())
    }

    /// Measures one. What a target answers slowly is not waited for with the drill locked.
    async fn measure(&self, id: DrillId) -> Result<(), DrillError> {
        let Conductor {
            pool,
            clock,
            simulator,
            ..
        } = &self.conductor;
        let mut conn = pool.acquire().await?;
        let rules = simulator.rules(&mut conn, id).await?;
        let Some(drill) = drills::find(&mut conn, id).await? else {
            return Ok(());
        };
        let clean_since = game_days::clean_since(&mut conn, id).await?;
        let is_closing = drill.state == DrillState::Ended && clean_since.is_some();
        if drill.state != DrillState::Running && !is_closing {
            return Ok(());
        }
        let log = happen::log(&mut conn, id).await?;
        let is_begin = drill.state == DrillState::Running && !has_begun_steady(&log);
        // Nobody waits for a connection while targets are asked.
        drop(conn);
        let answers = simulator.measure(id, &rules).await?;
        let refusals = match is_begin {
            true => self.refusals(id, &rules).await,
            false => Vec::new(),
        };

        let now = clock.now();
        let mut tx = pool.begin().await?;
        let Some(drill) = drills::lock(&mut tx, id).await? else {
            return Ok(());
        };
        let mut day = Day {
            log: happen::log(&mut tx, id).await?,
            rules,
            now,
            world: match simulator.world(&mut tx, id).await {
                Ok(world) => world,
                Err(WorldError::Store(error)) => return Err(error.into()),
                Err(WorldError::Fault(_)) => {
                    // The conductor ends it for that, and nothing can be seen to be steady in such a world.
                    if is_closing && game_days::close(&mut tx, id, now).await? {
                        tx.commit().await?;
                        simulator.close(id);
                    }
                    return Ok(());
                }
            },
            drill,
        };
        let has_moved = match day.drill.state {
            DrillState::Running => day.go_on(&mut tx, &answers, &refusals).await?,
            DrillState::Ended => day.close(&mut tx, &answers, clean_since).await?,
            DrillState::Planned | DrillState::Paused => false,
        };
        tx.commit().await?;
        if has_moved {
            self.conductor.wake.changed();
            if is_closing {
                simulator.close(id);
            }
        }
        Ok(())
    }

    /// Why the faults of a scenario could not be caused here.
    async fn refusals(&self, id: DrillId, rules: &Rules) -> Vec<String> {
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
                let checked = match order {
                    Ok((order, _)) => chaos::check(&order).await,
                    Err(why) => Err(why),
                };
                refusals.extend(checked.err().map(|why| format!("{cause} of {target}: {why}")));
            }
        }
        refusals
    }

    /// Sees to one fault that is due, if there is one; whether there was.
    async fn see_to_one(&self, host: &str) -> Result<bool, DrillError> {
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
                self.settle(&due, Next::Over(FaultState::Failed), None, why)
                    .await?;
            }
            (_, true) => self.cause(&due, &rules).await?,
            (Some(order), false) => self.undo(&due, order, "").await?,
            (None, false) => return Err(StoreError::corrupt("drill_faults", "what", &due.inject).into()),
        }
        Ok(true)
    }

    async fn cause(&self, due: &Due, rules: &Rules) -> Result<(), DrillError> {
        let simulator = &self.conductor.simulator;
        let named = (due.inject.as_str(), due.target.as_str(), due.cause.as_str());
        let checked = match simulator.order(due.drill, rules, named) {
            Ok((order, most)) => chaos::check(&order)
                .await
                .map(|()| (order, due.lasting.min(most))),
            Err(why) => Err(why),
        };
        // The target may allow less than when the scenario was published.
        let (order, lasting) = match checked {
            Ok(checked) => checked,
            // Nothing was touched, so nothing is taken back: what was down before stays so.
            Err(why) => return self.settle(due, Next::Over(FaultState::Failed), None, &why).await,
        };
        self.settle(due, Next::Begins, Some(&order), "").await?;
        let within = Span::from_millis(lasting.as_millis() + GUARD_GRACE.as_millis());
        let caused = match Guard::start(simulator.program(), &order, within).await {
            Ok(guard) => {
                self.guards().insert((due.drill, due.inject.clone()), guard);
                chaos::cause(&order).await
            }
            Err(error) => Err(format!("no guard could be started beside it: {error}")),
        };
        let now = self.conductor.clock.now();
        match caused {
            Ok(()) => {
                let next = Next::Stands {
                    ends_at: now + lasting.as_delta(),
                    held_until: now + HOLD,
                };
                self.settle(due, next, None, "").await
            }
            // Some of it may stand all the same.
            Err(why) => self.undo(due, &order, &why).await,
        }
    }

    /// Takes a fault back; `why` it could not be caused, if that is the reason.
    async fn undo(&self, due: &Due, order: &Order, why: &str) -> Result<(), DrillError> {
        let next = match chaos::undo(order).await {
            Ok(()) if why.is_empty() => (Next::Over(FaultState::Undone), String::new()),
            Ok(()) => (Next::Over(FaultState::Failed), why.to_owned()),
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
        self.settle(due, next.0, None, &next.1).await?;
        if matches!(next.0, Next::Over(_)) {
            let guard = self.guards().remove(&(due.drill, due.inject.clone()));
            if let Some(guard) = guard {
                guard.dismiss().await;
            }
        }
        Ok(())
    }

    /// Writes down how a fault stands, in the journal and in the drill's log.
    async fn settle(
        &self,
        due: &Due,
        next: Next,
        order: Option<&Order>,
        error: &str,
    ) -> Result<(), DrillError> {
        let now = self.conductor.clock.now();
        let state = match next {
            Next::Begins => FaultState::Causing,
            Next::Stands { .. } => FaultState::Caused,
            Next::Again(_) => FaultState::Undoing,
            Next::Over(state) => state,
        };
        let mut tx = self.conductor.pool.begin().await?;
        let Some(drill) = drills::lock(&mut tx, due.drill).await? else {
            return Ok(());
        };
        let place = (due.drill, due.inject.as_str());
        if !game_days::settle(&mut tx, place, self.owner, next, order, error, now).await? {
            return Err(DrillError::Moved(format!(
                "the fault {} on {} is in another process's hand",
                due.cause, due.target
            )));
        }
        let is_told = state == FaultState::Causing || state == FaultState::Undoing && error == due.error;
        if !is_told {
            let fact = DrillFact::Fault {
                inject: due.inject.clone(),
                target: due.target.clone(),
                cause: due.cause.clone(),
                state,
                error: error.to_owned(),
            };
            drills::append(&mut tx, due.drill, acts::age(&drill, now), None, &[fact], now).await?;
        }
        tx.commit().await?;
        self.conductor.wake.changed();
        Ok(())
    }

    fn guards(&self) -> std::sync::MutexGuard<'_, BTreeMap<(DrillId, String), Guard>> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told<T>(done: Result<T, DrillError>) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a game day could not be seen to; it will be again"
            );
            None
        }
    }
}
