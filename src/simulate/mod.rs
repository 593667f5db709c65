//! The worlds of drills: where a drill's runs act. Each replica that carries out a step of a drill opens the twins it needs
//! on its own loopback; what is true in their world is worked out from the drill's log, so that all replicas have the same
//! world and none of them has to be there.
//!
//! The world of a game day is measured instead, on real targets that are there to be broken: its `field`.
//!
//! Nothing of a drill leaves: a request goes to a twin of its own drill or nowhere, its hall leads it there, and the way
//! out it uses is caged to the sockets of twins ([`crate::actions::Cage`]).

mod field;
mod hall;
mod reply;
mod world;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use tokio::sync::OnceCell;

use crate::{
    actions::{Bounds, Cage, Ground, Grounds, Hold, Outside},
    clock::Clock,
    domain::{
        drill::{Depth, DrillState, name},
        fault::{Fault, Order},
        id::DrillId,
        scenario::{GameDay, Happening, Scenario},
        simulation::{Rules, Simulation},
        span::Span,
    },
    store::{StoreError, drills, scenarios},
    twins::Closed,
};
use field::Field;
pub use field::Outdoors;
use hall::Hall;
pub use world::{Live, WorldError};

/// Drills whose twins one replica keeps open; the oldest are closed for a new one.
const HALLS_MAX: usize = 16;
/// Where faults keep what they must remember, below the folder of their drill.
const FAULTS_FOLDER: &str = "faults";

/// A fault that a scenario would really cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// By which surprise.
    pub inject: String,
    /// On which real target.
    pub target_name: String,
    /// Which of the faults it allows.
    pub cause: String,
    /// For how long at most, by the scenario.
    pub lasting: Span,
    /// What the target allows, or why it does not.
    pub fault: Result<Fault, String>,
}

/// What simulating needs.
#[derive(Clone)]
pub struct SimulatorParts {
    /// Connections.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Where twins that are files are kept.
    pub folder: PathBuf,
    /// The program Muster itself, which the stand-ins of programs call.
    pub relay: PathBuf,
    /// Whether time is compressed: then nobody waits for an answer that never comes, it has not come at once.
    pub is_compressed: bool,
    /// What game days are played with; `None` where there are none.
    pub outdoors: Option<Outdoors>,
}

/// Knows the grounds of drills. Clones share them.
#[derive(Clone)]
pub struct Simulator(Arc<Shared>);

struct Shared {
    parts: SimulatorParts,
    cage: Cage,
    outside: Outside,
    halls: Mutex<HashMap<DrillId, Arc<OnceCell<Arc<Hall>>>>>,
}

impl Simulator {
    /// Begins with no drill.
    pub fn new(parts: SimulatorParts) -> Self {
        let cage = Cage::new(parts.folder.clone());
        Self(Arc::new(Shared {
            outside: Outside::caged(Bounds::default(), cage.clone()),
            cage,
            parts,
            halls: Mutex::default(),
        }))
    }

    /// The rules of a drill.
    pub async fn rules(&self, conn: &mut PgConnection, drill: DrillId) -> Result<Arc<Rules>, StoreError> {
        Ok(self.hall(conn, drill).await?.rules().clone())
    }

    /// The world of a drill as it is now, by everything that is stored of it. The caller has locked the drill, or takes
    /// that more may just be happening.
    pub async fn world(&self, conn: &mut PgConnection, drill: DrillId) -> Result<Simulation, WorldError> {
        self.hall(conn, drill).await?.world(conn).await
    }

    /// What this machine is called as one that plays game days; `None` when it does not.
    pub fn host(&self) -> Option<&str> {
        self.parts()
            .outdoors
            .as_ref()
            .map(|outdoors| outdoors.host.as_str())
    }

    /// What a game day's targets answer to what is measured, in the order of its scenario.
    pub async fn measure(&self, drill: DrillId, rules: &Rules) -> Result<Vec<Value>, StoreError> {
        match self.field(drill, rules) {
            Ok(field) => Ok(field.measure().await),
            Err(why) => Err(StoreError::corrupt("drills", "depth", why)),
        }
    }

    /// Everything that it takes to cause a fault and to take it back, as its target allows it now, with how long it may
    /// stand at the most; or why not.
    pub fn order(
        &self,
        drill: DrillId,
        rules: &Rules,
        (inject, target, cause): (&str, &str, &str),
    ) -> Result<(Order, Span), String> {
        let fault = self.field(drill, rules)?.fault(target, cause)?;
        let order = Order {
            harm: fault.harm,
            folder: self
                .parts()
                .folder
                .join(name(drill))
                .join(FAULTS_FOLDER)
                .join(inject),
        };
        Ok((order, fault.stands_max))
    }

    /// What the surprises of a scenario would really break as its targets allow it now, in their order; the reason where
    /// one would not be.
    pub fn faults(&self, scenario: &Scenario) -> Vec<Planned> {
        let field = |day: &GameDay| {
            let outdoors = self.parts().outdoors.clone();
            outdoors.map(|outdoors| Field::new(DrillId(0), day.clone(), outdoors))
        };
        let Some(field) = scenario.game_day.as_ref().and_then(field) else {
            return Vec::new();
        };
        let injects = scenario.injects.iter();
        let happenings = injects.flat_map(|inject| inject.then.iter().map(move |then| (inject, then)));
        let planned = happenings.filter_map(|(inject, then)| match then {
            Happening::Fault {
                target,
                cause,
                lasting,
            } => Some(Planned {
                inject: inject.id.clone(),
                target_name: field.real(target).unwrap_or(target).to_owned(),
                cause: cause.clone(),
                lasting: *lasting,
                fault: field.fault(target, cause),
            }),
            _ => None,
        });
        planned.collect()
    }

    /// The program that guards are started by.
    pub fn program(&self) -> &Path {
        &self.parts().relay
    }

    fn field(&self, drill: DrillId, rules: &Rules) -> Result<Field, String> {
        match (&rules.scenario.game_day, &self.parts().outdoors) {
            (Some(day), Some(outdoors)) => Ok(Field::new(drill, day.clone(), outdoors.clone())),
            (Some(_), None) => Err(format!(
                "no game days are played by this process, and {} is one",
                name(drill)
            )),
            (None, _) => Err(format!("{} is not a game day", name(drill))),
        }
    }

    /// Where a game day acts. One that this process does not play waits for another that does.
    fn on_field(&self, drill: DrillId, rules: &Rules, held: Option<Hold>) -> Ground {
        match self.field(drill, rules) {
            Ok(field) => Ground {
                targets: Arc::new(field.targets()),
                world: Arc::new(field),
                held,
            },
            Err(why) => Ground {
                targets: Arc::default(),
                world: Arc::new(self.0.outside.clone()),
                held: held.or(Some(Hold::Waits(why))),
            },
        }
    }

    /// Closes the twins of a drill that is over.
    pub fn close(&self, drill: DrillId) {
        self.halls().remove(&drill);
    }

    fn halls(&self) -> std::sync::MutexGuard<'_, HashMap<DrillId, Arc<OnceCell<Arc<Hall>>>>> {
        self.0.halls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn hall(&self, conn: &mut PgConnection, id: DrillId) -> Result<Arc<Hall>, StoreError> {
        let cell = {
            let mut halls = self.halls();
            if halls.len() >= HALLS_MAX
                && !halls.contains_key(&id)
                && let Some(oldest) = halls.keys().min().copied()
            {
                halls.remove(&oldest);
            }
            halls.entry(id).or_default().clone()
        };
        let hall = cell.get_or_try_init(|| self.open(conn, id)).await?;
        Ok(hall.clone())
    }

    async fn open(&self, conn: &mut PgConnection, id: DrillId) -> Result<Arc<Hall>, StoreError> {
        let corrupt = |detail: String| StoreError::corrupt("drills", "version_id", detail);
        let drill = drills::find(conn, id)
            .await?
            .ok_or_else(|| corrupt(format!("there is no {}", name(id))))?;
        let version = scenarios::find(conn, drill.version)
            .await?
            .ok_or_else(|| corrupt(format!("{} has no scenario", name(id))))?;
        let rules = Rules::of(version.scenario).map_err(|error| corrupt(error.to_string()))?;
        let closed = Closed::open().map_err(|error| StoreError::Database(sqlx::Error::Io(error)))?;
        let parts = &self.0.parts;
        let folder = parts.folder.join(name(id));
        std::fs::create_dir_all(&folder).map_err(|error| StoreError::Database(sqlx::Error::Io(error)))?;
        Ok(Arc::new(Hall::new(
            id,
            drill.seed,
            Arc::new(rules),
            closed,
            folder,
            self.clone(),
        )))
    }

    fn parts(&self) -> &SimulatorParts {
        &self.0.parts
    }
}

impl Grounds for Simulator {
    fn of(&self, drill: DrillId) -> BoxFuture<'_, Result<Ground, String>> {
        Box::pin(async move {
            let told = |error: StoreError| error.to_string();
            let mut conn = self
                .0
                .parts
                .pool
                .acquire()
                .await
                .map_err(|error| error.to_string())?;
            let hall = self.hall(&mut conn, drill).await.map_err(told)?;
            let found = drills::find(&mut conn, drill).await.map_err(told)?;
            let held = match found.map(|found| (found.state, found.depth)) {
                Some((DrillState::Running, Depth::Simulated | Depth::GameDay)) => None,
                Some((DrillState::Running, Depth::Tabletop)) => {
                    Some(Hold::Waits("a tabletop drill carries nothing out".to_owned()))
                }
                Some((DrillState::Paused, _)) => Some(Hold::Waits(format!("{} stands still", name(drill)))),
                _ => Some(Hold::Over(format!("{} is over", name(drill)))),
            };
            if hall.rules().scenario.game_day.is_some() {
                return Ok(self.on_field(drill, hall.rules(), held));
            }
            Ok(Ground {
                targets: hall.targets().clone(),
                world: Arc::new(hall.clone()),
                held,
            })
        })
    }
}

/// How often something that must be written is tried when others were in the way.
const TRIES_MAX: usize = 5;
/// The pause between two tries.
const TRY_PAUSE: Duration = Duration::from_millis(20);
