//! One look at a game day: what was measured becomes its world, and says whether it may begin and whether it is as it was.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{DrillError, acts, unworkable};
use crate::{
    domain::{
        drill::{DrillFact, EndKind, Logged, has_begun_steady},
        simulation::{Change, Rules, Simulation, WorldFault},
    },
    store::{
        drills::{self, Drill},
        game_days,
    },
};

/// How soon it must be steady again once nothing is broken any more.
const STEADY_AGAIN: TimeDelta = TimeDelta::seconds(120);
/// The most that is told of what was measured.
const MEASURED_CHARS_MAX: usize = 600;

/// A look at one game day, which the caller has locked.
pub(super) struct Day {
    pub drill: Drill,
    pub rules: Arc<Rules>,
    pub log: Vec<Logged>,
    pub world: Simulation,
    pub now: DateTime<Utc>,
}

impl Day {
    /// Takes in what was measured; at the beginning, whether it may go on. Says whether anything is new.
    pub async fn go_on(
        &mut self,
        conn: &mut PgConnection,
        answers: &[Value],
        refusals: &[String],
    ) -> Result<bool, DrillError> {
        let has_changed = match self.take_in(conn, answers).await {
            Ok(has_changed) => has_changed,
            Err(DrillError::Fault(fault)) => {
                acts::end(
                    conn,
                    self.drill.id,
                    EndKind::Fault,
                    &fault.to_string(),
                    None,
                    self.now,
                )
                .await?;
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        if has_begun_steady(&self.log) {
            if has_changed {
                drills::set_due(conn, self.drill.id, self.now).await?;
            }
            return Ok(has_changed);
        }
        let is_steady = self.is_steady()?;
        let measured = self.measured();
        let holds = is_steady && refusals.is_empty();
        let reason = match is_steady {
            true => refusals.join("; "),
            false => format!("it is not steady, so nothing was broken: {measured}"),
        };
        self.note(conn, DrillFact::Steady { holds, measured }).await?;
        if !holds {
            acts::end(conn, self.drill.id, EndKind::NotSteady, &reason, None, self.now).await?;
        }
        Ok(true)
    }

    /// Once nothing is broken any more: whether it is steady again, and the end of it.
    pub async fn close(
        &mut self,
        conn: &mut PgConnection,
        answers: &[Value],
        clean_since: Option<DateTime<Utc>>,
    ) -> Result<bool, DrillError> {
        let Some(since) = clean_since else {
            return Ok(false);
        };
        if has_begun_steady(&self.log) {
            // What cannot be worked out is not steady.
            let is_taken_in = self.take_in(conn, answers).await.is_ok();
            let holds = is_taken_in && self.is_steady().unwrap_or(false);
            if !holds && self.now - since < STEADY_AGAIN {
                return Ok(is_taken_in);
            }
            let measured = self.measured();
            self.note(conn, DrillFact::Steady { holds, measured }).await?;
        }
        Ok(game_days::close(conn, self.drill.id, self.now).await?)
    }

    async fn take_in(&mut self, conn: &mut PgConnection, answers: &[Value]) -> Result<bool, DrillError> {
        let mut set: Vec<Change> = Vec::new();
        for (index, answer) in answers.iter().enumerate() {
            let changes = self.rules.measured(index, answer, self.world.state());
            let at = self
                .rules
                .scenario
                .game_day
                .iter()
                .flat_map(|day| &day.measures)
                .nth(index);
            set.extend(changes.map_err(|error| WorldFault {
                at: at.map(|measure| measure.at).unwrap_or_default(),
                message: format!("what this measure says cannot be worked out: {error}"),
                second: self.world.second(),
            })?);
        }
        set.retain(|change| {
            self.world
                .state()
                .get(&change.service)
                .and_then(|state| state.get(&change.variable))
                != Some(&change.to)
        });
        if set.is_empty() {
            return Ok(false);
        }
        self.world.apply(&set)?;
        self.note(conn, DrillFact::Measured { set }).await?;
        Ok(true)
    }

    fn is_steady(&self) -> Result<bool, DrillError> {
        self.rules.is_steady(self.world.scene()).map_err(unworkable)
    }

    /// What is measured, in words.
    fn measured(&self) -> String {
        let day = self.rules.scenario.game_day.iter();
        let set = day.flat_map(|day| &day.measures).flat_map(|measure| &measure.set);
        let words: Vec<String> = set
            .map(|one| {
                let value = self
                    .world
                    .state()
                    .get(&one.service)
                    .and_then(|state| state.get(&one.variable));
                let value = value.map_or_else(|| "unknown".to_owned(), Value::to_string);
                format!("{}.{} is {value}", one.service, one.variable)
            })
            .collect();
        words.join(", ").chars().take(MEASURED_CHARS_MAX).collect()
    }

    async fn note(&self, conn: &mut PgConnection, fact: DrillFact) -> Result<(), DrillError> {
        let age = acts::age(&self.drill, self.now);
        Ok(drills::append(conn, self.drill.id, age, None, &[fact], self.now).await?)
    }
}
