//! A scenario made ready to run: every expression read once.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Change;
use crate::domain::{
    scenario::{Assignment, At, RESULT, Rule, Scenario, Start},
    template::{Expression, Prepared, Scene, Template, TemplateError},
};

/// A scenario with all its expressions read.
#[derive(Clone, Debug)]
pub struct Rules {
    /// As it is written.
    pub scenario: Scenario,
    pub(super) each_second: Vec<PreparedRule>,
    pub(super) always: Vec<PreparedRule>,
    pub(super) works: BTreeMap<String, Prepared>,
    /// Service, variable and bounds of what is drawn each second.
    pub(super) noise: Vec<(String, String, i64, i64)>,
    pub(super) twins: BTreeMap<String, PreparedTwin>,
    alarms: Vec<Prepared>,
    injects: Vec<Option<Prepared>>,
    stops: Vec<Prepared>,
    wrong: Vec<Option<Prepared>>,
    mitigated: Option<Prepared>,
    /// What each measure of a game day says of the world.
    measures: Vec<Vec<PreparedAssignment>>,
    steady: Option<Prepared>,
}

/// A rule with its conditions and values read.
#[derive(Clone, Debug)]
pub(super) struct PreparedRule {
    pub at: At,
    when: Option<Prepared>,
    set: Vec<PreparedAssignment>,
}

#[derive(Clone, Debug)]
pub(super) struct PreparedAssignment {
    service: String,
    variable: String,
    to: Says,
}

#[derive(Clone, Debug)]
pub(super) struct PreparedTwin {
    pub up: Option<Prepared>,
    pub hangs: Option<Prepared>,
    pub answers: Vec<PreparedAnswer>,
    pub servers: BTreeMap<(String, String), Prepared>,
}

#[derive(Clone, Debug)]
pub(super) struct PreparedAnswer {
    pub when: Option<Prepared>,
    pub set: Vec<PreparedAssignment>,
    pub says: Says,
    pub status: Option<Says>,
    pub fails: Option<Says>,
    pub lost: Option<Prepared>,
}

/// A value in which every `{{ }}` has been read.
#[derive(Clone, Debug)]
pub(super) enum Says {
    Plain(Value),
    /// One `{{ }}` and nothing else: the value keeps its type.
    Value(Prepared),
    /// Text around places.
    Text(Vec<Piece>),
    List(Vec<Says>),
    Map(Vec<(String, Says)>),
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Text(String),
    Place(Prepared),
}

impl Rules {
    /// Makes a scenario ready; or says what in it cannot be read.
    pub fn of(scenario: Scenario) -> Result<Self, TemplateError> {
        let model = &scenario.model;
        let mut works = BTreeMap::new();
        let mut noise = Vec::new();
        for (name, service) in &model.services {
            if let Some(expression) = &service.works {
                works.insert(name.clone(), Prepared::of(expression)?);
            }
            for (variable, start) in &service.state {
                if let Start::Noise(from, to) = start {
                    noise.push((name.clone(), variable.clone(), *from, *to));
                }
            }
        }
        let mut twins = BTreeMap::new();
        for (name, twin) in &scenario.twins {
            let mut answers = Vec::new();
            for answer in &twin.answers {
                answers.push(PreparedAnswer {
                    when: option(answer.when.as_ref())?,
                    set: assignments(&answer.set)?,
                    says: Says::of(&answer.says)?,
                    status: answer.status.as_ref().map(Says::of).transpose()?,
                    fails: answer
                        .fails
                        .as_ref()
                        .map(|text| Says::of(&Value::from(text.source())))
                        .transpose()?,
                    lost: option(answer.lost.as_ref())?,
                });
            }
            let mut servers = BTreeMap::new();
            for (backend, of_backend) in &twin.backends {
                for (server, state) in of_backend {
                    servers.insert((backend.clone(), server.clone()), Prepared::of(&state.up)?);
                }
            }
            let prepared = PreparedTwin {
                up: option(twin.up.as_ref())?,
                hangs: option(twin.hangs.as_ref())?,
                answers,
                servers,
            };
            twins.insert(name.clone(), prepared);
        }
        Ok(Self {
            each_second: prepared(&model.each_second)?,
            always: prepared(&model.always)?,
            works,
            noise,
            twins,
            alarms: all(scenario.alarms.iter().map(|alarm| &alarm.fires_while))?,
            injects: options(scenario.injects.iter().map(|inject| inject.when.as_ref()))?,
            stops: all(scenario.stops.iter().map(|stop| &stop.when))?,
            wrong: options(scenario.wrong.iter().map(|wrong| wrong.when.as_ref()))?,
            mitigated: option(scenario.mitigated.as_ref())?,
            measures: scenario
                .game_day
                .iter()
                .flat_map(|day| &day.measures)
                .map(|measure| assignments(&measure.set))
                .collect::<Result<_, _>>()?,
            steady: option(scenario.game_day.as_ref().map(|day| &day.steady))?,
            scenario,
        })
    }

    /// Whether time alone changes nothing in it.
    pub(super) fn stands_still(&self) -> bool {
        self.each_second.is_empty()
            && self.noise.is_empty()
            && self.always.is_empty()
            && self.works.is_empty()
    }

    /// Whether the condition of each alarm holds, in the order of the scenario; or which cannot be worked out.
    pub(super) fn alarms(&self, scene: &Scene) -> Result<Vec<bool>, (usize, TemplateError)> {
        let holds = |(index, alarm): (usize, &Prepared)| alarm.holds(scene).map_err(|error| (index, error));
        self.alarms.iter().enumerate().map(holds).collect()
    }

    /// Whether the condition of an inject has come true; never for one without.
    pub fn inject_is_due(&self, index: usize, scene: &Scene) -> Result<bool, TemplateError> {
        match self.injects.get(index) {
            Some(Some(when)) => when.holds(scene),
            _ => Ok(false),
        }
    }

    /// The first rule that ends the drill now.
    pub fn stop(&self, scene: &Scene) -> Result<Option<usize>, TemplateError> {
        for (index, stop) in self.stops.iter().enumerate() {
            if stop.holds(scene)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Whether a deed is wrong while this is true.
    pub fn is_wrong(&self, index: usize, scene: &Scene) -> Result<bool, TemplateError> {
        match self.wrong.get(index) {
            Some(Some(when)) => when.holds(scene),
            Some(None) => Ok(true),
            None => Ok(false),
        }
    }

    /// What an answer says of the world.
    pub fn measured(
        &self,
        index: usize,
        result: &Value,
        state: &Map<String, Value>,
    ) -> Result<Vec<Change>, TemplateError> {
        let mut names = state.clone();
        names.insert(RESULT.to_owned(), result.clone());
        let scene = Scene::of(&Value::Object(names));
        let set = self.measures.get(index).into_iter().flatten();
        set.map(|one| one.change(&scene)).collect()
    }

    /// Whether what a game day is played on is well; yes, where that was not asked.
    pub fn is_steady(&self, scene: &Scene) -> Result<bool, TemplateError> {
        self.steady
            .as_ref()
            .map_or(Ok(true), |steady| steady.holds(scene))
    }

    /// Whether the harm is over; `None` when the scenario does not say how to see it.
    pub fn is_mitigated(&self, scene: &Scene) -> Result<Option<bool>, TemplateError> {
        self.mitigated.as_ref().map(|when| when.holds(scene)).transpose()
    }
}

impl PreparedRule {
    /// What follows from it now.
    pub fn follow(&self, scene: &Scene) -> Result<Vec<Change>, (At, String)> {
        let told = |error: TemplateError| (self.at, error.to_string());
        if let Some(when) = &self.when
            && !when.holds(scene).map_err(told)?
        {
            return Ok(Vec::new());
        }
        self.set
            .iter()
            .map(|one| one.change(scene).map_err(told))
            .collect()
    }
}

impl PreparedAssignment {
    pub fn change(&self, scene: &Scene) -> Result<Change, TemplateError> {
        Ok(Change {
            service: self.service.clone(),
            variable: self.variable.clone(),
            to: self.to.fill(scene)?,
        })
    }
}

impl Says {
    pub fn of(value: &Value) -> Result<Self, TemplateError> {
        Ok(match value {
            Value::String(text) => {
                let template = Template::parse(text)?;
                match template.expressions().as_slice() {
                    [] => Self::Plain(value.clone()),
                    [only] if template.is_one_place() => Self::Value(Prepared::of(only)?),
                    _ => Self::Text(pieces(&template)?),
                }
            }
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect::<Result<_, _>>()?),
            Value::Object(map) => {
                let pairs = map.iter().map(|(key, value)| Ok((key.clone(), Self::of(value)?)));
                Self::Map(pairs.collect::<Result<_, TemplateError>>()?)
            }
            plain => Self::Plain(plain.clone()),
        })
    }

    pub fn fill(&self, scene: &Scene) -> Result<Value, TemplateError> {
        Ok(match self {
            Self::Plain(value) => value.clone(),
            Self::Value(place) => place.evaluate(scene)?,
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(plain) => text.push_str(plain),
                        Piece::Place(place) => match place.evaluate(scene)? {
                            Value::String(value) => text.push_str(&value),
                            other => text.push_str(&other.to_string()),
                        },
                    }
                }
                Value::String(text)
            }
            Self::List(items) => Value::Array(
                items
                    .iter()
                    .map(|item| item.fill(scene))
                    .collect::<Result<_, _>>()?,
            ),
            Self::Map(pairs) => {
                let filled = pairs
                    .iter()
                    .map(|(key, says)| Ok((key.clone(), says.fill(scene)?)));
                Value::Object(filled.collect::<Result<Map<_, _>, TemplateError>>()?)
            }
        })
    }
}

fn pieces(template: &Template) -> Result<Vec<Piece>, TemplateError> {
    template
        .pieces()?
        .into_iter()
        .map(|piece| match piece {
            Ok(expression) => Prepared::of(&expression).map(Piece::Place),
            Err(text) => Ok(Piece::Text(text)),
        })
        .collect()
}

fn option(expression: Option<&Expression>) -> Result<Option<Prepared>, TemplateError> {
    expression.map(Prepared::of).transpose()
}

fn options<'a>(
    expressions: impl Iterator<Item = Option<&'a Expression>>,
) -> Result<Vec<Option<Prepared>>, TemplateError> {
    expressions.map(option).collect()
}

fn all<'a>(expressions: impl Iterator<Item = &'a Expression>) -> Result<Vec<Prepared>, TemplateError> {
    expressions.map(Prepared::of).collect()
}

fn prepared(rules: &[Rule]) -> Result<Vec<PreparedRule>, TemplateError> {
    let prepare = |rule: &Rule| {
        Ok(PreparedRule {
            at: rule.at,
            when: option(rule.when.as_ref())?,
            set: assignments(&rule.set)?,
        })
    };
    rules.iter().map(prepare).collect()
}

/// Assignments with their values read.
pub(super) fn assignments(set: &[Assignment]) -> Result<Vec<PreparedAssignment>, TemplateError> {
    let prepare = |one: &Assignment| {
        Ok(PreparedAssignment {
            service: one.service.clone(),
            variable: one.variable.clone(),
            to: Says::of(&one.to)?,
        })
    };
    set.iter().map(prepare).collect()
}
