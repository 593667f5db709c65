//! Scenarios of drills as people write them, one a file in the folder `drills` beside the runbooks.
//!
//! A scenario is read against the runbooks it trains: a target without a twin, a gate that was renamed, an inject that can
//! never happen are found here, and not in front of people who have come to a drill.

mod answers;
mod asked;
mod deeds;
mod game_day;
mod impossible;
mod names;
mod script;
mod twins;
mod world;

pub mod folder;
pub mod reenact;

use std::collections::BTreeMap;

use super::{
    Fault, document,
    document::{Content, Node},
    fields::{Field, Fields},
    findings::{Findings, Path},
    nearest,
    runbook::{slug, text, title},
};
use crate::domain::{
    id::IncidentId,
    runbook::Runbook,
    scenario::{At, LENGTH_MAX, Model, Objectives, Scenario},
    span::Span,
    target::Targets,
};
use names::{Names, Place};

const KEYS: [&str; 19] = [
    "scenario",
    "reenacts",
    "gaps",
    "title",
    "summary",
    "brief",
    "length",
    "runbooks",
    "roles",
    "world",
    "twins",
    "game_day",
    "alerts",
    "injects",
    "expected",
    "wrong",
    "objectives",
    "hints",
    "stop",
];
const WORLD_KEYS: [&str; 4] = ["services", "each_second", "always", "mitigated"];
const RUNBOOKS_MAX: usize = 10;
const ROLES_MAX: usize = 10;
/// Lines that say what a scenario leaves out of the incident that it plays again.
const GAPS_MAX: usize = 50;
const LENGTH_MIN: Span = Span::from_secs(60);

/// A scenario without faults, and what its author should still look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The scenario.
    pub scenario: Scenario,
    /// Legal, but probably not what was meant.
    pub warnings: Vec<Fault>,
}

/// Reads one scenario that trains some of these runbooks. Every fault that can be told from the others is reported, in
/// the order of the file.
pub fn parse(source: &str, runbooks: &[&Runbook]) -> Result<Parsed, Vec<Fault>> {
    parse_with(source, runbooks, None)
}

/// The same, where the targets are known that a game day may name.
pub fn parse_with(
    source: &str,
    runbooks: &[&Runbook],
    targets: Option<&Targets>,
) -> Result<Parsed, Vec<Fault>> {
    let root = document::read(source).map_err(|fault| vec![fault])?;
    let mut findings = Findings::new(&root);
    let scenario = scenario(&root, runbooks, targets, &mut findings);
    findings
        .finish(scenario)
        .map(|(scenario, warnings)| Parsed { scenario, warnings })
}

fn empty() -> Scenario {
    Scenario {
        slug: String::new(),
        title: String::new(),
        reenacts: None,
        gaps: Vec::new(),
        summary: String::new(),
        brief: String::new(),
        length: LENGTH_MAX,
        runbooks: Vec::new(),
        roles: Vec::new(),
        model: Model::default(),
        twins: BTreeMap::new(),
        game_day: None,
        alarms: Vec::new(),
        injects: Vec::new(),
        expected: Vec::new(),
        wrong: Vec::new(),
        objectives: Objectives::default(),
        hints: Vec::new(),
        stops: Vec::new(),
        mitigated: None,
    }
}

/// Reads the whole document. What is wrong is left out of the scenario, so it only counts when nothing was found.
fn scenario(
    root: &Node,
    known: &[&Runbook],
    targets: Option<&Targets>,
    findings: &mut Findings<'_>,
) -> Scenario {
    let mut scenario = empty();
    if matches!(root.content, Content::Null) {
        findings.fault(&Path::default(), "the file is empty");
        return scenario;
    }
    let Some(fields) = Field::root(root).fields(&KEYS, findings) else {
        return scenario;
    };
    head(&mut scenario, &fields, findings);
    let trained = runbooks(&mut scenario, &fields, known, findings);
    let world = fields
        .need("world", findings)
        .and_then(|field| field.fields(&WORLD_KEYS, findings));
    let services = world.as_ref().and_then(|world| world::services(world, findings));
    let inject_ids = script::names_of(fields.get("injects").as_ref());
    let names = Names::new(services.as_ref(), &trained, inject_ids.iter().cloned().collect());
    if let Some(world) = &world {
        scenario.model = world::model(world, services.unwrap_or_default(), &names, findings);
        scenario.mitigated = names.expression(world.get("mitigated"), Place::World, findings);
    }
    match (fields.get("twins"), fields.get("game_day")) {
        (Some(_), Some(_)) => {
            let message = "a scenario is simulated with twins, or is a game_day; not both".to_owned();
            fields.fault_at_key("game_day", message, None, findings);
        }
        (None, Some(field)) => scenario.game_day = game_day::read(&field, &names, targets, findings),
        (_, None) => {
            if let Some(field) = fields.need("twins", findings) {
                scenario.twins = twins::read(&field, &names, scenario.reenacts.is_some(), findings);
            }
        }
    }
    scenario.alarms = script::alarms(fields.get("alerts"), &names, findings);
    let mut ids = Ids::default();
    let cast = script::Cast {
        length: scenario.length,
        roles: &scenario.roles,
        twins: &scenario.twins,
        targets: scenario.game_day.as_ref().map(|day| &day.targets),
    };
    scenario.injects = script::injects(fields.get("injects"), &names, &cast, &mut ids, findings);
    if let Some(field) = fields.need("expected", findings) {
        scenario.expected = deeds::expected(&field, &names, &inject_ids, &mut ids, findings);
    }
    let expected_ids = script::names_of(fields.get("expected").as_ref());
    scenario.wrong = deeds::wrong(fields.get("wrong"), &names, &expected_ids, &mut ids, findings);
    scenario.objectives = script::objectives(fields.get("objectives"), findings);
    scenario.hints = script::hints(fields.get("hints"), findings);
    scenario.stops = script::stops(fields.get("stop"), &names, findings);
    has_an_alert(&scenario, &fields, findings);
    impossible::check(&scenario, findings);
    game_day::check(&scenario, &fields, targets, findings);
    asked::check(&scenario, &trained, targets, findings);
    scenario
}

/// What the scenario says of itself.
fn head(scenario: &mut Scenario, fields: &Fields<'_>, findings: &mut Findings<'_>) {
    if let Some(field) = fields.need("scenario", findings) {
        scenario.slug = slug(&field, findings).unwrap_or_default();
    }
    if let Some(field) = fields.need("title", findings) {
        scenario.title = title(&field, findings).unwrap_or_default();
    }
    scenario.reenacts = fields
        .get("reenacts")
        .and_then(|field| field.parsed(incident, findings));
    let gaps = fields.get("gaps").map(|field| field.list(GAPS_MAX, findings));
    for item in gaps.unwrap_or_default() {
        scenario.gaps.extend(text(Some(item), findings));
    }
    scenario.summary = text(fields.need("summary", findings), findings).unwrap_or_default();
    scenario.brief = text(fields.need("brief", findings), findings).unwrap_or_default();
    if let Some(field) = fields.need("length", findings)
        && let Some(length) = field.span(LENGTH_MIN..=LENGTH_MAX, findings)
    {
        scenario.length = length;
    }
    let roles = fields.get("roles").map(|field| field.list(ROLES_MAX, findings));
    for item in roles.unwrap_or_default() {
        let Some(role) = slug(&item, findings) else {
            continue;
        };
        match scenario.roles.contains(&role) {
            true => findings.fault(&item.path, format!("{role} is there twice")),
            false => scenario.roles.push(role),
        }
    }
}

/// An incident as people write it.
fn incident(text: &str) -> Result<IncidentId, String> {
    let number = text.strip_prefix("INC-").and_then(|number| number.parse().ok());
    number
        .filter(|number| *number > 0)
        .map(IncidentId)
        .ok_or_else(|| format!("\"{text}\" is not an incident; write it like INC-198"))
}

/// The runbooks it trains; `None` in the place of one that is not there.
fn runbooks<'a>(
    scenario: &mut Scenario,
    fields: &Fields<'_>,
    known: &[&'a Runbook],
    findings: &mut Findings<'_>,
) -> Vec<Option<&'a Runbook>> {
    let Some(field) = fields.need("runbooks", findings) else {
        return Vec::new();
    };
    let items = field.list(RUNBOOKS_MAX, findings);
    if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        findings.fault(&field.path, "at least one runbook is needed");
    }
    let mut found = Vec::new();
    for item in items {
        let slug = slug(&item, findings).unwrap_or_default();
        let runbook = known.iter().find(|runbook| runbook.slug == slug).copied();
        if scenario.runbooks.contains(&slug) {
            findings.fault(&item.path, format!("{slug} is there twice"));
        } else if runbook.is_none() && !slug.is_empty() {
            let hint = nearest::hint(&slug, known.iter().map(|runbook| runbook.slug.as_str()));
            let message = format!("there is no runbook \"{slug}\" without faults in this folder");
            findings.fault_with_hint(&item.path, message, hint);
        }
        found.push(runbook);
        scenario.runbooks.push(slug);
    }
    found
}

/// Without an alert nothing ever begins.
fn has_an_alert(scenario: &Scenario, fields: &Fields<'_>, findings: &mut Findings<'_>) {
    let is_alert = |field: &Field<'_>| match &field.node.content {
        Content::List(items) => items.iter().any(|item| match &item.content {
            Content::Map(entries) => entries.iter().any(|entry| entry.key == "alert"),
            _ => false,
        }),
        _ => false,
    };
    let is_list =
        |field: &Field<'_>| matches!(&field.node.content, Content::List(items) if !items.is_empty());
    let is_there = !scenario.alarms.is_empty()
        || fields.get("alerts").is_some_and(|field| is_list(&field))
        || fields.get("injects").is_some_and(|field| is_alert(&field));
    if !is_there {
        let message =
            "no alert ever comes, so nothing begins: at least one is needed under alerts, or in an inject";
        findings.fault(&Path::default(), message);
    }
}

fn at(field: &Field<'_>) -> At {
    let place = field.node.place;
    At {
        line: place.line,
        column: place.column,
    }
}

/// The names of injects and deeds, each of which is there once.
#[derive(Default)]
struct Ids(BTreeMap<String, u32>);

impl Ids {
    /// Reads `id`.
    fn read(&mut self, fields: &Fields<'_>, findings: &mut Findings<'_>) -> Option<String> {
        let field = fields.need("id", findings)?;
        let id = slug(&field, findings)?;
        match self.0.get(&id) {
            Some(line) => findings.fault(&field.path, format!("\"{id}\" is in line {line} already")),
            None => _ = self.0.insert(id.clone(), field.node.place.line),
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests;
