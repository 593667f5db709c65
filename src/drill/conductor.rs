//! The conductor: lets things happen in the drills that go on. It takes no input but the database, on any replica; a drill is
//! held by one of them at a time, and everything a look leads to is written with the look.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    DrillError, INCIDENTS_MAX, acts,
    happen::{self, Stage},
    look::Look,
    score, unworkable,
};
use crate::{
    clock::Clock,
    domain::{
        drill::{DrillFact, DrillState, EndKind, Logged},
        event::Recorded,
        id::{DrillId, IncidentId},
        score::{observe, take_in},
        simulation::{Rules, Simulation, Told},
        span::Span,
    },
    pipeline::Patience,
    simulate::{Simulator, WorldError},
    store::{
        drills::{self, Drill},
        events,
        runbooks::Version,
        wake::Wake,
    },
};

/// How often a drill that goes on is looked at.
const LOOK: Span = Span::from_secs(1);
/// Drills looked at in one pass.
const PASS_MAX: usize = 50;
/// How long a drill goes on while who leads it is gone and others play.
const LEADER_AWAY: Span = Span::from_secs(60);
/// How long after its time a drill may still begin; later nobody expects it any more.
const LATE_MAX: Span = Span::from_secs(30 * 60);
/// Drills of which is kept what was heard; those that another replica has ended are forgotten by and by.
const HEARD_MAX: usize = 64;
/// Events read at once.
const PAGE: i64 = 1000;

/// Lets things happen. Clones share what they remember.
#[derive(Clone)]
pub struct Conductor {
    /// Connections.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Tells others that something changed.
    pub wake: Wake,
    /// The worlds.
    pub simulator: Simulator,
    /// The runbooks that matching uses; `None` until they are known.
    pub shelf: watch::Receiver<Option<Arc<Vec<Version>>>>,
    /// How long Muster waits before it believes.
    pub patience: Patience,
    memory: Arc<Mutex<BTreeMap<DrillId, Heard>>>,
}

/// What has been heard of a drill, so that its log and the timelines of its incidents are read once.
#[derive(Clone, Debug)]
struct Heard {
    told: Told,
    seqs: BTreeMap<IncidentId, i64>,
    log: Vec<Logged>,
}

impl Heard {
    /// All that has been told: what people and runs did, and what has come.
    fn told(mut self) -> Told {
        for logged in self.log {
            if let DrillFact::InjectSent { inject, .. } = logged.fact {
                self.told.injects.insert(inject, true);
            }
        }
        self.told
    }
}

/// What one look at a drill led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// Something happened.
    Happened,
    /// Nothing did.
    Quiet {
        /// When the clock alone lets something happen next.
        until: Option<DateTime<Utc>>,
    },
    /// It is over.
    Over,
}

impl Conductor {
    /// One that remembers nothing yet.
    pub fn new(
        pool: PgPool,
        clock: Clock,
        wake: Wake,
        simulator: Simulator,
        shelf: watch::Receiver<Option<Arc<Vec<Version>>>>,
        patience: Patience,
    ) -> Self {
        Self {
            pool,
            clock,
            wake,
            simulator,
            shelf,
            patience,
            memory: Arc::default(),
        }
    }

    /// Looks again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            for _ in 0..PASS_MAX {
                match self.pass().await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a drill could not be looked at; it will be again"
                        );
                        break;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep(LOOK.as_duration()) => {}
            }
        }
    }

    /// Looks at one drill that is due, if there is one; whether there was.
    pub async fn pass(&self) -> Result<bool, DrillError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        let Some(id) = drills::lock_due(&mut tx, now).await? else {
            return Ok(false);
        };
        let went = self.look(&mut tx, id, now).await?;
        if went != Went::Over {
            drills::set_due(&mut tx, id, now + LOOK.as_delta()).await?;
        }
        tx.commit().await?;
        self.after(id, went);
        Ok(true)
    }

    /// Looks at this drill, whether it is due or not.
    pub async fn look_at(&self, id: DrillId) -> Result<Went, DrillError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        drills::lock(&mut tx, id).await?;
        let went = self.look(&mut tx, id, now).await?;
        tx.commit().await?;
        self.after(id, went);
        Ok(went)
    }

    /// Until when the world of a drill goes on without making anything happen, looking no further ahead than that.
    pub async fn quiet_until(&self, id: DrillId, ahead: DateTime<Utc>) -> Result<DateTime<Utc>, DrillError> {
        let mut conn = self.pool.acquire().await?;
        let Some(clock) = drills::find(&mut conn, id).await?.and_then(|drill| drill.clock) else {
            return Ok(ahead);
        };
        let mut world = self.simulator.world(&mut conn, id).await?;
        let rules = self.simulator.rules(&mut conn, id).await?;
        drop(conn);
        let heard = self.memory().get(&id).cloned();
        let told = heard.map(Heard::told).unwrap_or_default();
        let before = signs(&rules, &world, &told)?;
        let end = clock.age(ahead);
        let mut second = clock.age(self.clock.now()).as_millis() / 1000 + 1;
        while Span::from_secs(second) <= end {
            // One that cannot go on is found so by the look at that time.
            if world.advance(Span::from_secs(second)).is_err() || signs(&rules, &world, &told)? != before {
                return Ok(clock.when(Span::from_secs(second)));
            }
            second += 1;
        }
        Ok(ahead)
    }

    fn after(&self, id: DrillId, went: Went) {
        match went {
            Went::Quiet { .. } => {}
            Went::Happened => self.wake.changed(),
            Went::Over => {
                self.simulator.close(id);
                self.memory().remove(&id);
                self.wake.changed();
            }
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, BTreeMap<DrillId, Heard>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(
        &self,
        conn: &mut PgConnection,
        id: DrillId,
        now: DateTime<Utc>,
    ) -> Result<Went, DrillError> {
        let Some(drill) = drills::find(conn, id).await? else {
            return Ok(Went::Over);
        };
        match drill.state {
            DrillState::Planned => return begin(conn, &drill, now).await,
            DrillState::Running => {}
            // Nothing happens in one that stands still.
            DrillState::Paused | DrillState::Ended => return Ok(Went::Over),
        }
        if is_left_alone(conn, &drill, now).await? {
            let why = format!("who leads it was at no page for {LEADER_AWAY}");
            acts::pause(conn, id, &why, None, now).await?;
            return Ok(Went::Happened);
        }
        let world = match self.simulator.world(conn, id).await {
            Ok(world) => world,
            Err(WorldError::Fault(fault)) => {
                acts::end(conn, id, EndKind::Fault, &fault.to_string(), None, now).await?;
                return Ok(Went::Over);
            }
            Err(WorldError::Store(error)) => return Err(error.into()),
        };
        let shelf = self.shelf.borrow().clone().unwrap_or_default();
        let heard = self.hear(conn, id).await?;
        let look = Look {
            stage: Stage {
                simulator: &self.simulator,
                shelf: &shelf,
                patience: &self.patience,
            },
            rules: self.simulator.rules(conn, id).await?,
            age: acts::age(&drill, now),
            log: heard.log,
            told: heard.told,
            drill,
            world,
            now,
        };
        look.look(conn).await
    }

    /// Takes in what is new in the log and in the timelines.
    async fn hear(&self, conn: &mut PgConnection, id: DrillId) -> Result<Heard, DrillError> {
        let kept = self.memory().get(&id).cloned();
        let mut heard = match kept {
            Some(heard) => heard,
            None => {
                let rules = self.simulator.rules(conn, id).await?;
                Heard {
                    told: score::untold(conn, &rules).await?,
                    seqs: BTreeMap::new(),
                    log: Vec::new(),
                }
            }
        };
        for incident in drills::incidents(conn, id, INCIDENTS_MAX).await? {
            loop {
                let after = heard.seqs.get(&incident).copied().unwrap_or_default();
                let new: Vec<Recorded> = events::list_after(conn, incident, after, PAGE).await?;
                let Some(last) = new.last() else { break };
                heard.seqs.insert(incident, last.seq);
                for one in observe(&new) {
                    take_in(&mut heard.told, &one.seen);
                }
            }
        }
        let last = heard.log.last().map_or(0, |logged| logged.seq);
        heard.log.extend(happen::log_after(conn, id, last).await?);
        let mut memory = self.memory();
        memory.insert(id, heard.clone());
        if memory.len() > HEARD_MAX {
            memory.pop_first();
        }
        drop(memory);
        Ok(heard)
    }
}

/// Begins a drill whose time has come. While something real is as bad as it gets it waits, and not for ever.
async fn begin(conn: &mut PgConnection, drill: &Drill, now: DateTime<Utc>) -> Result<Went, DrillError> {
    let late = drill.planned_for.map(|planned| now - planned).unwrap_or_default();
    if late >= LATE_MAX.as_delta() {
        let why = format!("it could not begin within {LATE_MAX} of its time");
        acts::end(conn, drill.id, EndKind::Cancelled, &why, None, now).await?;
        return Ok(Went::Over);
    }
    match acts::start(conn, drill.id, None, now).await {
        Ok(()) => Ok(Went::Happened),
        Err(DrillError::Refused(_)) => Ok(Went::Quiet { until: None }),
        Err(error) => Err(error),
    }
}

/// Whether others play and who leads them has been at a page of Muster and is not any more.
async fn is_left_alone(
    conn: &mut PgConnection,
    drill: &Drill,
    now: DateTime<Utc>,
) -> Result<bool, DrillError> {
    match drill.leader_seen_at {
        Some(seen) if now - seen >= LEADER_AWAY.as_delta() => {
            let players = drills::players(conn, drill.id).await?;
            Ok(players.iter().any(|player| Some(player.id) != drill.trainer))
        }
        _ => Ok(false),
    }
}

/// What of a world makes things happen by itself, as long as nothing else is told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signs {
    firing: Vec<bool>,
    is_mitigated: Option<bool>,
    stop: Option<usize>,
    due_injects: Vec<bool>,
}

fn signs(rules: &Rules, world: &Simulation, told: &Told) -> Result<Signs, DrillError> {
    let scene = world.scene_with(told);
    let injects = 0..rules.scenario.injects.len();
    Ok(Signs {
        firing: world.firing(),
        is_mitigated: rules.is_mitigated(world.scene()).map_err(unworkable)?,
        // What cannot be worked out is told by the next look.
        stop: rules.stop(&scene).unwrap_or(None),
        due_injects: injects
            .map(|index| rules.inject_is_due(index, &scene).unwrap_or(false))
            .collect(),
    })
}
