//! What the trainer of a drill has before them besides its players: surprises, hints, and the world.

use std::collections::BTreeMap;

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    super::parts::{At, Badge, Hidden, Said, at, hidden, said},
    clock, facts,
    scenario::{due, happenings},
};
use crate::domain::{
    drill::{DrillClock, DrillFact, Logged},
    scenario::Scenario,
    span::Span,
};

/// The surprises and the hints.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_injects.html")]
pub struct InjectsPart {
    id: i64,
    injects: Vec<InjectRow>,
    hints: Vec<HintRow>,
    /// Whether they can be sent.
    is_running: bool,
}

impl HtmlSafe for InjectsPart {}

#[derive(Clone, Debug)]
struct InjectRow {
    id: String,
    title: Said,
    badge: Badge,
    due: String,
    /// When that is by the wall clock, while it is to come.
    at: Option<At>,
    then: Vec<Said>,
    is_open: bool,
}

#[derive(Clone, Debug)]
struct HintRow {
    index: usize,
    text: Said,
    price: u32,
    told: Option<String>,
}

impl InjectsPart {
    /// What is to come and what has come.
    pub fn of(
        id: i64,
        scenario: &Scenario,
        log: &[Logged],
        (running, is_running): (Option<&DrillClock>, bool),
        now: DateTime<Utc>,
    ) -> Self {
        let (mut sent, mut skipped, mut told) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for logged in log {
            match &logged.fact {
                DrillFact::InjectSent { inject, .. } => _ = sent.insert(inject.as_str(), logged.age),
                DrillFact::InjectSkipped { inject } => _ = skipped.insert(inject.as_str(), logged.age),
                DrillFact::HintTold { hint } => _ = told.insert(*hint, logged.age),
                _ => {}
            }
        }
        let injects = scenario.injects.iter().map(|inject| {
            let badge = match (sent.get(inject.id.as_str()), skipped.get(inject.id.as_str())) {
                (Some(age), _) => Badge::new("done", "check", format!("Sent at {}", clock(*age))),
                (None, Some(age)) => Badge::new("quiet", "bent", format!("Passed over at {}", clock(*age))),
                (None, None) => Badge::new("quiet", "clock", "To come"),
            };
            let is_open = !sent.contains_key(inject.id.as_str()) && !skipped.contains_key(inject.id.as_str());
            let comes = |after: Span| {
                running
                    .filter(|_| is_running)
                    .map(|clock| at(clock.when(after), now))
            };
            InjectRow {
                id: inject.id.clone(),
                title: said(&inject.title),
                badge,
                due: due(inject),
                at: inject.after.filter(|_| is_open).and_then(comes),
                then: happenings(inject),
                is_open,
            }
        });
        let hints = scenario.hints.iter().enumerate().map(|(index, hint)| HintRow {
            index,
            text: said(&hint.text),
            price: hint.price,
            told: told.get(&index).map(|age| clock(*age)),
        });
        Self {
            id,
            injects: injects.collect(),
            hints: hints.collect(),
            is_running,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }
}

/// The world: services with their variables.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_world.html")]
pub struct WorldPart {
    rows: Vec<(Said, Vec<(Said, Said)>)>,
}

impl HtmlSafe for WorldPart {}

impl WorldPart {
    /// What is true of each service; what is no service is left out.
    pub fn of(state: &Map<String, Value>) -> Self {
        let variables = |state: &Map<String, Value>| {
            let variables = state.iter();
            variables
                .map(|(name, value)| (said(name), said(&facts::value(value))))
                .collect()
        };
        Self {
            rows: state
                .iter()
                .filter_map(|(name, value)| Some((said(name), value.as_object()?)))
                .filter(|(_, state)| !state.is_empty())
                .map(|(name, state)| (name, variables(state)))
                .collect(),
        }
    }
}
