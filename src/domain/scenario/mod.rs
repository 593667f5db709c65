//! A scenario: what a drill simulates, what happens in it, and what good people would do.
//!
//! It is read from YAML by the catalog and never changes afterwards. What is true at a moment of a drill is in
//! [`super::simulation`].

mod deed;
mod game_day;
mod model;
mod pattern;
mod script;
mod twin;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{drill::Depth, id::IncidentId, span::Span, template::Expression};

pub use deed::{Deed, Expected, Wrong};
pub use game_day::{GameDay, Measure};
pub use model::{Assignment, Model, Rule, Service, Start};
pub use pattern::Pattern;
pub use script::{Alarm, Failing, Happening, Hint, Inject, Objectives, StopRule};
pub use twin::{Answer, Server, Twin};

/// The longest a drill may be planned for.
pub const LENGTH_MAX: Span = Span::from_secs(8 * 60 * 60);

/// Names that expressions of a scenario read besides the services of its world.
///
/// `t` is the age of the drill in whole seconds. `gates` holds, by step, `none`, `open`, `approved`, `rejected` or
/// `expired`; `steps`, by step, `waiting`, `running`, `succeeded`, `failed`, `skipped` or `unknown`; `injects`, by
/// name, whether it has happened; `incident` whether it is `open`, `acknowledged`, `mitigated` and `resolved`.
pub const TOLD: [&str; 5] = ["t", "gates", "steps", "injects", "incident"];
/// Those of them that rules of the world may read too: the world knows nothing of people.
pub const TOLD_WORLD: [&str; 1] = ["t"];

/// What the assignments of a measure read besides: the answer to its question.
pub const RESULT: &str = "result";

/// A place in the scenario's text, so that what goes wrong later can still name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// What it is called in addresses and commands.
    pub slug: String,
    /// One line for people.
    pub title: String,
    /// The real incident that it plays again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reenacts: Option<IncidentId>,
    /// What it leaves out of that incident, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
    /// What it trains.
    pub summary: String,
    /// What the players are told when it begins.
    pub brief: String,
    /// How long it is planned to take; it ends by itself at twice that.
    pub length: Span,
    /// Slugs of the runbooks it trains.
    pub runbooks: Vec<String>,
    /// The parts that players take.
    pub roles: Vec<String>,
    /// What is simulated.
    pub model: Model,
    /// What stands in for each target, by the target's name.
    pub twins: BTreeMap<String, Twin>,
    /// What a game day is played on; then there are no twins, and the world is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub game_day: Option<GameDay>,
    /// What monitoring reports, and when.
    pub alarms: Vec<Alarm>,
    /// The surprises, in the order of the file.
    pub injects: Vec<Inject>,
    /// What good people would do, in order.
    pub expected: Vec<Expected>,
    /// What they would not.
    pub wrong: Vec<Wrong>,
    /// How fast is good.
    pub objectives: Objectives,
    /// What the trainer may tell, in order.
    pub hints: Vec<Hint>,
    /// What ends it early.
    pub stops: Vec<StopRule>,
    /// When the harm is over.
    pub mitigated: Option<Expression>,
}

impl Scenario {
    /// The longest it may go on.
    pub fn longest(&self) -> Span {
        Span::from_millis(self.length.as_millis() * 2)
    }

    /// How deep it can be played.
    pub fn depths(&self) -> &'static [Depth] {
        match self.game_day {
            Some(_) => &[Depth::GameDay],
            None => &[Depth::Simulated, Depth::Tabletop],
        }
    }

    /// The inject of that name.
    pub fn inject(&self, id: &str) -> Option<&Inject> {
        self.injects.iter().find(|inject| inject.id == id)
    }
}
