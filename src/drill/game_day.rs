//! The keeper of game days on one machine: it measures their worlds, sees that they are steady before anything is broken
//! and again at the end, causes faults and takes them back.
//!
//! Every fault is written down before it is caused and is over only when it was seen to be. It stands as long as its
//! process says that it lives; then another keeper of this machine takes it back, and the fault's own guard did so before.
//! A pause of the drill stretches no fault: what is broken for real knows nothing of the drill's clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{DrillError, conductor::Conductor, day::Day, happen};
use crate::{
    chaos::guard::Guard,
    domain::{
        drill::{DrillState, has_begun_steady},
        id::DrillId,
    },
    simulate::WorldError,
    store::{drills, game_days},
};

/// How often everything is measured.
const LOOK: Duration = Duration::from_secs(1);
/// Game days that one machine plays at once.
const DAYS_MAX: i64 = 20;
/// Faults seen to in one pass.
const FAULTS_MAX: usize = 50;
/// How long a process that is not heard of is believed to live.
pub(super) const HOLD: TimeDelta = TimeDelta::seconds(15);

/// Keeps the game days of this machine. Without a name for it, it does nothing.
#[derive(Clone)]
pub struct Keeper {
    pub(super) conductor: Conductor,
    /// This process.
    pub(super) owner: Uuid,
    pub(super) guards: Arc<Mutex<BTreeMap<(DrillId, String), Guard>>>,
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
                told(self.relieve().await);
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
            told(self.measure(day, host).await);
        }
        Ok(())
    }

    /// Measures one. What a target answers slowly is not waited for with the drill locked.
    async fn measure(&self, id: DrillId, host: &str) -> Result<(), DrillError> {
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
            true => self.refusals(id, &rules, host).await?,
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
