//! The world of one drill in memory, brought up to what is stored of it.

use std::sync::Arc;

use sqlx::PgConnection;

use crate::{
    domain::{
        drill::Logged,
        id::DrillId,
        simulation::{Change, Rules, Simulation, WorldFault},
        span::Span,
    },
    store::{StoreError, drills},
};

/// Facts read at once.
const PAGE: i64 = 1000;

/// Why a world cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// It cannot go on.
    #[error(transparent)]
    Fault(#[from] WorldFault),
    /// The database did not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A world with what it was made from.
#[derive(Debug)]
pub struct Live {
    rules: Arc<Rules>,
    seed: u64,
    world: Simulation,
    /// The newest fact it has taken in.
    seq: i64,
    /// What changed it, with the age, so that it can be made anew.
    changes: Vec<(Span, Vec<Change>)>,
}

impl Live {
    /// As it begins.
    pub fn begin(rules: Arc<Rules>, seed: u64) -> Result<Self, WorldFault> {
        Ok(Self {
            world: Simulation::begin(rules.clone(), seed)?,
            rules,
            seed,
            seq: 0,
            changes: Vec::new(),
        })
    }

    /// Takes in what is stored and lets time pass up to that age.
    pub async fn catch_up(
        &mut self,
        conn: &mut PgConnection,
        drill: DrillId,
        age: Span,
    ) -> Result<&Simulation, WorldError> {
        loop {
            let facts = drills::log_after(conn, drill, self.seq, PAGE).await?;
            let is_all = (facts.len() as i64) < PAGE;
            for fact in facts {
                self.take_in(&fact)?;
            }
            if is_all {
                break;
            }
        }
        self.world.advance(age)?;
        Ok(&self.world)
    }

    fn take_in(&mut self, logged: &Logged) -> Result<(), WorldFault> {
        self.seq = logged.seq;
        let set = logged.fact.changes();
        if set.is_empty() {
            return Ok(());
        }
        self.changes.push((logged.age, set.to_vec()));
        if logged.age.as_millis() / 1000 < self.world.second() {
            // Another replica was a moment behind: as everybody else will see it, this came before.
            return self.make_anew();
        }
        self.world.advance(logged.age)?;
        self.world.apply(set)
    }

    fn make_anew(&mut self) -> Result<(), WorldFault> {
        let mut world = Simulation::begin(self.rules.clone(), self.seed)?;
        for (age, set) in &self.changes {
            world.advance(*age)?;
            world.apply(set)?;
        }
        self.world = world;
        Ok(())
    }
}
