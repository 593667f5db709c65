//! `game_day`: the real targets of a drill environment that are behind the names of the runbooks, what is measured on
//! them, and what must be true before anything is broken.

use std::collections::BTreeMap;

use super::{
    super::{
        document::Content,
        fields::{Field, Fields},
        findings::{Findings, Path},
        request,
        runbook::unknown,
    },
    at,
    names::{Names, Place},
    script::INJECTS_MAX,
};
use crate::domain::{
    id::is_slug,
    scenario::{GameDay, Happening, Measure, Scenario, Start},
    step::ActWord,
    target::{Target, Targets},
};

const TARGETS_MAX: usize = 100;
/// Questions asked each second.
const MEASURES_MAX: usize = 20;
/// What measures nothing by itself: it has parts of a simulated world.
const SIMULATED: [&str; 2] = ["each_second", "always"];

/// Reads the section.
pub(super) fn read(
    field: &Field<'_>,
    names: &Names<'_>,
    known: Option<&Targets>,
    findings: &mut Findings<'_>,
) -> Option<GameDay> {
    let fields = field.fields(&["targets", "measures", "steady"], findings)?;
    let targets = fields
        .need("targets", findings)
        .map(|field| targets(&field, known, findings));
    let targets = targets.unwrap_or_default();
    let measures = fields
        .need("measures", findings)
        .map(|field| measures(&field, &targets, known, names, findings));
    let steady = fields.need("steady", findings);
    let steady = names.expression(steady, Place::World, findings);
    Some(GameDay {
        at: at(field),
        targets,
        measures: measures.unwrap_or_default(),
        steady: steady?,
    })
}

fn targets(
    field: &Field<'_>,
    known: Option<&Targets>,
    findings: &mut Findings<'_>,
) -> BTreeMap<String, String> {
    let mut targets = BTreeMap::new();
    let Some(fields) = field.entries(findings) else {
        return targets;
    };
    for (name, value) in fields.all() {
        if targets.len() == TARGETS_MAX {
            findings.fault(&value.path, format!("at most {TARGETS_MAX} are allowed"));
            break;
        }
        if !is_slug(name) {
            let message = format!("\"{name}\" is not the name of a target");
            fields.fault_at_key(name, message, None, findings);
        }
        let Some(real) = value.text(findings) else {
            continue;
        };
        if let Some(Err(problem)) = known.map(|known| known.find_drill(real)) {
            findings.fault(&value.path, problem);
        }
        targets.insert(name.to_owned(), real.to_owned());
    }
    if matches!(&field.node.content, Content::Map(entries) if entries.is_empty()) {
        findings.fault(&field.path, "at least one target is needed");
    }
    targets
}

fn measures(
    field: &Field<'_>,
    targets: &BTreeMap<String, String>,
    known: Option<&Targets>,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Vec<Measure> {
    let items = field.list(MEASURES_MAX, findings);
    if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        findings.fault(
            &field.path,
            "nothing is measured, so nobody would know that anything is broken",
        );
    }
    let mut measures = Vec::new();
    for item in items {
        let Some(fields) = item.fields(&["check", "with", "set"], findings) else {
            continue;
        };
        let action = fields
            .need("check", findings)
            .and_then(|field| request::action(ActWord::Check, &field, findings));
        let ask = request::read(ActWord::Check, &fields, action, findings);
        let set = names.set(fields.need("set", findings), Place::Measured, findings);
        let Some(ask) = ask else { continue };
        let measure = Measure {
            at: at(&item),
            ask,
            set,
        };
        whom(&measure, &fields, targets, known, findings);
        measures.push(measure);
    }
    measures
}

/// A measure asks a target that is there and that can answer it.
fn whom(
    measure: &Measure,
    fields: &Fields<'_>,
    targets: &BTreeMap<String, String>,
    known: Option<&Targets>,
    findings: &mut Findings<'_>,
) {
    let path = fields.path.key("with").key("target");
    if findings.has_fault_under(&path) {
        return;
    }
    let Some(real) = targets.get(measure.target()) else {
        let known: Vec<&str> = targets.keys().map(String::as_str).collect();
        let (message, hint) = unknown("target", measure.target(), &known);
        findings.fault_with_hint(&path, message, hint);
        return;
    };
    let target = known.and_then(|known| known.find_drill(real).ok());
    if let Some(target) = target.filter(|target| !target.takes(measure.ask.action)) {
        let (kind, action) = (target.kind().name(), measure.ask.action.name());
        findings.fault(&path, format!("target {real} is of kind {kind}, not {action}"));
    }
}

/// What is behind each name, as far as it may be.
pub(super) fn known<'a>(day: &'a GameDay, known: &'a Targets) -> BTreeMap<&'a str, &'a Target> {
    let targets = day.targets.iter();
    targets
        .filter_map(|(name, real)| Some((name.as_str(), known.find_drill(real).ok()?)))
        .collect()
}

/// Refuses what only a simulated world has, and faults that are not allowed where they are to be caused.
pub(super) fn check(
    scenario: &Scenario,
    root: &Fields<'_>,
    known: Option<&Targets>,
    findings: &mut Findings<'_>,
) {
    let Some(day) = &scenario.game_day else { return };
    let world = Path::default().key("world");
    for key in SIMULATED {
        if findings.has_value(&world.key(key)) {
            let message = format!("the world of a game day is measured; nothing happens in it by {key}");
            findings.fault(&world.key(key), message);
        }
    }
    for (name, service) in &scenario.model.services {
        for (variable, start) in &service.state {
            if !matches!(start, Start::Value(_)) {
                let path = world.key("services").key(name).key("state").key(variable);
                findings.fault(
                    &path,
                    "the world of a game day is measured; chance has no part in it",
                );
            }
        }
    }
    let items = root.get("injects").map(|field| field.list(INJECTS_MAX, findings));
    for item in items.unwrap_or_default() {
        if let Some(known) = known {
            allowed(&item, scenario, day, known, findings);
        }
    }
}

/// Whether the fault of an inject is one that its target allows.
fn allowed(
    item: &Field<'_>,
    scenario: &Scenario,
    day: &GameDay,
    known: &Targets,
    findings: &mut Findings<'_>,
) {
    let inject = scenario.injects.iter().find(|inject| inject.at == at(item));
    let faults = inject.into_iter().flat_map(|inject| &inject.then);
    for happening in faults {
        let Happening::Fault {
            target,
            cause,
            lasting,
        } = happening
        else {
            continue;
        };
        let real = day
            .targets
            .get(target)
            .and_then(|real| known.find_drill(real).ok());
        let Some(real) = real else { continue };
        let path = item.path.key("fault");
        match real.faults.get(cause) {
            None => {
                let causes: Vec<&str> = real.faults.keys().map(String::as_str).collect();
                let hint = match causes.is_empty() {
                    true => "add it to the faults of that target, in the targets file".to_owned(),
                    false => format!("it allows {}", causes.join(", ")),
                };
                let message = format!("target {} does not allow the fault {cause}", real.name);
                findings.fault_with_hint(&path.key("cause"), message, Some(hint));
            }
            Some(fault) if *lasting > fault.stands_max => {
                let message = format!(
                    "target {} allows {cause} for at most {}",
                    real.name, fault.stands_max
                );
                findings.fault(&path.key("for"), message);
            }
            Some(_) => {}
        }
    }
}
