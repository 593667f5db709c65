//! What a game day is played on: real targets of a drill environment, and how its world is measured on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Assignment, At};
use crate::domain::{step::Request, template::Expression};

/// The ground of a game day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GameDay {
    /// Where it stands.
    pub at: At,
    /// The real target behind each name that the runbooks use. Nothing else can be reached.
    pub targets: BTreeMap<String, String>,
    /// What is asked to learn how the world is.
    pub measures: Vec<Measure>,
    /// What must be true before the first fault, and again when all of them are taken back.
    pub steady: Expression,
}

/// One question that changes nothing, and what its answer says of the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Where it stands.
    pub at: At,
    /// What is asked; its target is a name that the runbooks use.
    pub ask: Request,
    /// The variables that follow; values may read `result`.
    pub set: Vec<Assignment>,
}

impl Measure {
    /// The name of the target that is asked.
    pub fn target(&self) -> &str {
        self.ask.with["target"].as_str().unwrap_or_default()
    }
}
