//! The simulated world of a drill: what is true in it at a moment, and how time and acts move it.
//!
//! It is a fold: the scenario, a seed and the acts so far, each with its time, give the same world on every replica
//! and after every restart. Chance is drawn from the seed by name and second, so it needs no memory of its own.

mod answer;
mod chance;
mod rules;
mod told;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use answer::{Found, Manner, ServerState, Standing};
pub use rules::Rules;
pub use told::{GateWord, StepWord, Told};

use super::{
    scenario::{At, Failing, Scenario, Start},
    span::Span,
    template::Scene,
};

/// How often the rules of `always` may follow from each other before the world counts as one that never comes to rest.
pub const ROUNDS_MAX: usize = 16;
/// Where the failures of connectors are kept among the services.
const CONNECTORS: &str = "connectors";

/// A new value of one variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Of which service.
    pub service: String,
    /// Which variable.
    pub variable: String,
    /// What it is now.
    pub to: Value,
}

impl Change {
    /// A target fails to be reached from now on, or no longer.
    pub fn connector(target: &str, fails: Option<Failing>) -> Self {
        Self {
            service: CONNECTORS.to_owned(),
            variable: target.to_owned(),
            to: fails.map_or(Value::Null, |fails| Value::from(fails.word())),
        }
    }
}

/// Why a world cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {message}, {second} s into the drill", at.line, at.column)]
pub struct WorldFault {
    /// The rule or answer that it is about.
    pub at: At,
    /// What is wrong.
    pub message: String,
    /// When.
    pub second: u64,
}

/// The world at one moment.
#[derive(Clone, Debug)]
pub struct Simulation {
    rules: Arc<Rules>,
    seed: u64,
    /// Whole seconds that have passed.
    second: u64,
    state: Map<String, Value>,
    scene: Scene,
    /// Since which second the condition of each alarm has held.
    held_since: Vec<Option<u64>>,
}

impl Simulation {
    /// The world as a drill of that seed begins.
    pub fn begin(rules: Arc<Rules>, seed: u64) -> Result<Self, WorldFault> {
        let mut state = Map::new();
        for (name, service) in &rules.scenario.model.services {
            let mut variables = Map::new();
            for (variable, start) in &service.state {
                let value = match start {
                    Start::Value(value) => value.clone(),
                    Start::Between(from, to) => chance::draw(seed, name, variable, 0, *from, *to).into(),
                    Start::Noise(from, to) => chance::draw(seed, name, variable, 0, *from, *to).into(),
                };
                variables.insert(variable.clone(), value);
            }
            variables.insert("works".to_owned(), Value::Bool(true));
            state.insert(name.clone(), Value::Object(variables));
        }
        state.insert(CONNECTORS.to_owned(), Value::Object(Map::new()));
        state.insert("t".to_owned(), Value::from(0));
        let scene = Scene::of(&Value::Object(state.clone()));
        let mut world = Self {
            held_since: vec![None; rules.scenario.alarms.len()],
            rules,
            seed,
            second: 0,
            state,
            scene,
        };
        world.settle()?;
        Ok(world)
    }

    /// What is simulated.
    pub fn scenario(&self) -> &Scenario {
        &self.rules.scenario
    }

    /// Whole seconds that have passed.
    pub fn second(&self) -> u64 {
        self.second
    }

    /// Services with their variables, and `t`.
    pub fn state(&self) -> &Map<String, Value> {
        &self.state
    }

    /// Whether each alarm of the scenario fires: its condition has held for long enough.
    pub fn firing(&self) -> Vec<bool> {
        let alarms = self.rules.scenario.alarms.iter().zip(&self.held_since);
        alarms
            .map(|(alarm, since)| {
                let lasting = alarm.lasting.as_millis().div_ceil(1000);
                since.is_some_and(|since| self.second - since >= lasting)
            })
            .collect()
    }

    /// The same for expressions.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// The same with what has been told besides.
    pub fn scene_with(&self, told: &Told) -> Scene {
        let mut all = self.state.clone();
        told.add_to(&mut all);
        Scene::of(&Value::Object(all))
    }

    /// Lets time pass, up to the last whole second of that age. An age that has passed changes nothing.
    pub fn advance(&mut self, age: Span) -> Result<(), WorldFault> {
        let until = age.as_millis() / 1000;
        if self.rules.stands_still() && until > self.second {
            self.second = until;
            self.set_time();
            return self.watch();
        }
        while self.second < until {
            self.second += 1;
            self.tick()?;
        }
        Ok(())
    }

    /// Something is done to it. A variable that is not there is passed over: the scenario may have changed since.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), WorldFault> {
        if self.put(changes) {
            self.refresh();
            self.settle()?;
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), WorldFault> {
        self.draw_noise();
        self.set_time();
        let rules = self.rules.clone();
        let mut changes = Vec::new();
        for rule in &rules.each_second {
            changes.extend(rule.follow(&self.scene).map_err(|fault| self.fault(fault))?);
        }
        let has_moved = self.put(&changes);
        if has_moved {
            self.refresh();
        }
        self.settle()
    }

    fn set_time(&mut self) {
        self.state.insert("t".to_owned(), Value::from(self.second));
        self.refresh();
    }

    fn draw_noise(&mut self) {
        let rules = self.rules.clone();
        for (service, variable, from, to) in &rules.noise {
            let value = chance::draw(self.seed, service, variable, self.second, *from, *to);
            if let Some(Value::Object(variables)) = self.state.get_mut(service) {
                variables.insert(variable.clone(), Value::from(value));
            }
        }
    }

    /// Follows what follows, until nothing does.
    fn settle(&mut self) -> Result<(), WorldFault> {
        let rules = self.rules.clone();
        let mut mover = At::default();
        for _ in 0..ROUNDS_MAX {
            let mut has_moved = self.find_out_what_works(&rules)?;
            let mut changes = Vec::new();
            for rule in &rules.always {
                let of_rule = rule.follow(&self.scene).map_err(|fault| self.fault(fault))?;
                if of_rule.iter().any(|change| !self.is(change)) {
                    mover = rule.at;
                }
                changes.extend(of_rule);
            }
            if self.put(&changes) {
                self.refresh();
                has_moved = true;
            }
            if !has_moved {
                return self.watch();
            }
        }
        Err(WorldFault {
            at: mover,
            message: format!(
                "the world does not come to rest: after {ROUNDS_MAX} rounds this rule still changes something; rules \
                 that undo each other go into each_second, or need a condition"
            ),
            second: self.second,
        })
    }

    /// Notes since when the conditions of alarms have held.
    fn watch(&mut self) -> Result<(), WorldFault> {
        let holding = self.rules.alarms(&self.scene).map_err(|(index, error)| {
            let at = self.rules.scenario.alarms.get(index).map(|alarm| alarm.at);
            self.fault((
                at.unwrap_or_default(),
                format!("whether this alert fires: {error}"),
            ))
        })?;
        for (since, holds) in self.held_since.iter_mut().zip(holding) {
            *since = holds.then(|| since.unwrap_or(self.second));
        }
        Ok(())
    }

    /// A service works when it does by itself and all that it needs works.
    fn find_out_what_works(&mut self, rules: &Rules) -> Result<bool, WorldFault> {
        let mut has_moved = false;
        for name in &rules.scenario.model.order {
            let Some(service) = rules.scenario.model.services.get(name) else {
                continue;
            };
            let by_itself = match rules.works.get(name) {
                None => true,
                Some(works) => works.holds(&self.scene).map_err(|error| {
                    let message = format!("whether {name} works: {error}");
                    self.fault((At::default(), message))
                })?,
            };
            let works = by_itself && service.needs.iter().all(|needed| self.works(needed));
            if self.works(name) != works {
                if let Some(Value::Object(variables)) = self.state.get_mut(name) {
                    variables.insert("works".to_owned(), Value::Bool(works));
                }
                has_moved = true;
            }
        }
        if has_moved {
            self.refresh();
        }
        Ok(has_moved)
    }

    fn works(&self, service: &str) -> bool {
        let works = self.state.get(service).and_then(|service| service.get("works"));
        works.and_then(Value::as_bool).unwrap_or_default()
    }

    fn is(&self, change: &Change) -> bool {
        let service = self.state.get(&change.service);
        service.and_then(|service| service.get(&change.variable)) == Some(&change.to)
    }

    /// Whether anything is different afterwards.
    fn put(&mut self, changes: &[Change]) -> bool {
        let mut has_moved = false;
        for change in changes {
            let Some(Value::Object(variables)) = self.state.get_mut(&change.service) else {
                continue;
            };
            let is_open = change.service == CONNECTORS;
            match variables.get_mut(&change.variable) {
                Some(value) if *value != change.to => {
                    *value = change.to.clone();
                    has_moved = true;
                }
                None if is_open => {
                    variables.insert(change.variable.clone(), change.to.clone());
                    has_moved = true;
                }
                Some(_) | None => {}
            }
        }
        has_moved
    }

    fn refresh(&mut self) {
        self.scene = Scene::of(&Value::Object(self.state.clone()));
    }

    fn fault(&self, (at, message): (At, String)) -> WorldFault {
        WorldFault {
            at,
            message,
            second: self.second,
        }
    }

    /// How a target fails to be reached because somebody wants it to.
    fn connector(&self, target: &str) -> Option<Failing> {
        let word = self.state.get(CONNECTORS)?.get(target)?.as_str()?;
        let known = Failing::WORDS.iter().find(|(name, _)| *name == word);
        known.map(|(_, failing)| *failing)
    }
}

#[cfg(test)]
mod tests;
