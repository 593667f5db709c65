//! Drills: a scenario played through the same intake, matching, engine, gates and pages as the real thing.
//!
//! `acts` is what a trainer does. `conductor` lets things happen: on any replica, one at a time for each drill, it looks at
//! the drill, and a `look` at its world lets alerts fire, surprises come, and the drill end. `score` reads what became of
//! it, `coverage` what it has exercised of runbooks. `autopilot` plays the people of an unattended drill. `game_day`
//! measures the worlds of game days, `breaking` is its hand on real faults, `declare` is a person's word where that cannot
//! know. `reenact` makes a scenario of a real incident, `items` is what is to be done after one. Nothing here is kept in
//! memory that is not in the database as well.

pub mod acts;
pub mod autopilot;
pub mod conductor;
pub mod declare;
pub mod game_day;
pub mod items;
pub mod reenact;

mod breaking;
mod coverage;
mod day;
mod happen;
mod look;
mod report;
mod score;

pub use acts::{NewPlan, end, note, pause, plan, resume, send_inject, skip_inject, start, tell_hint};
pub use happen::{Stage, log};
pub use score::{Card, score};

use crate::{
    domain::{drill::name, id::DrillId, simulation::WorldFault, template::TemplateError},
    simulate::WorldError,
    store::StoreError,
};

/// Incidents of a drill that are read.
const INCIDENTS_MAX: i64 = 50;

/// Why something about a drill was not done.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Somebody or something was faster; nothing was done.
    #[error("{0}")]
    Moved(String),
    /// A rule does not allow it.
    #[error("{0}")]
    Refused(String),
    /// The world cannot go on.
    #[error(transparent)]
    Fault(#[from] WorldFault),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WorldError> for DrillError {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::Fault(fault) => Self::Fault(fault),
            WorldError::Store(error) => Self::Store(error),
        }
    }
}

impl From<sqlx::Error> for DrillError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

fn unworkable(error: TemplateError) -> DrillError {
    DrillError::Refused(format!("it cannot be worked out: {error}"))
}

fn is_over(drill: DrillId) -> DrillError {
    DrillError::Moved(format!("{} is over", name(drill)))
}
