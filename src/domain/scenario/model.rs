//! The world of a scenario: services with state, what they need of each other, and the rules by which they change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::At;
use crate::domain::template::Expression;

/// Everything that is simulated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The services, by name.
    pub services: BTreeMap<String, Service>,
    /// Every service after those it needs.
    pub order: Vec<String>,
    /// What time does, once each second.
    pub each_second: Vec<Rule>,
    /// What follows at once from whatever has changed, until nothing changes any more.
    pub always: Vec<Rule>,
}

/// One service, or anything else that has state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Services without which this one does not work.
    pub needs: Vec<String>,
    /// Whether it works by itself; it does when this is absent.
    pub works: Option<Expression>,
    /// Its variables with what they begin as. Expressions also see `works`.
    pub state: BTreeMap<String, Start>,
}

/// What a variable begins as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Start {
    /// This.
    Value(Value),
    /// A whole number from one to the other, drawn once from the seed of the drill.
    Between(i64, i64),
    /// The same, drawn anew each second.
    Noise(i64, i64),
}

/// One change of the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Where it stands.
    pub at: At,
    /// Under which condition; under any when absent.
    pub when: Option<Expression>,
    /// What it changes. All rules of a round read the same moment.
    pub set: Vec<Assignment>,
}

/// A variable and its new value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Of which service.
    pub service: String,
    /// Which variable.
    pub variable: String,
    /// A value, or a text with `{{ }}`; one that is a single `{{ }}` keeps the type of its value.
    pub to: Value,
}
