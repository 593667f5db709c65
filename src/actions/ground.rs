//! Where a run acts: on the real things, or on what stands in for them in a drill. A run has one ground, and it is found
//! by its incident and by nothing else.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::World;
use crate::domain::{id::DrillId, target::Targets};

/// What a run can name, and what carries its requests out.
#[derive(Clone)]
pub struct Ground {
    /// The targets there are.
    pub targets: Arc<Targets>,
    /// What carries requests to them.
    pub world: Arc<dyn World>,
    /// Why nothing may be begun now, if that is so.
    pub held: Option<Hold>,
}

/// Why nothing may be begun on a ground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It may be again later: a drill stands still, or is only talked through.
    Waits(String),
    /// Never again: the drill is over.
    Over(String),
}

/// Knows the grounds of drills.
pub trait Grounds: Send + Sync {
    /// The ground of a drill; or why there is none.
    fn of(&self, drill: DrillId) -> BoxFuture<'_, Result<Ground, String>>;
}

/// No drills are played here: whatever belongs to one is not carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDrills;

impl Grounds for NoDrills {
    fn of(&self, drill: DrillId) -> BoxFuture<'_, Result<Ground, String>> {
        Box::pin(async move { Err(format!("DRILL-{drill} is not played by this process")) })
    }
}
