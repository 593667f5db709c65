//! `world`: the services with what they begin as, and the rules by which they change.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        document::Content,
        fields::{Field, Fields},
        findings::{Findings, Path},
        runbook::unknown,
    },
    at,
    names::{Names, Place, WORKS},
};
use crate::domain::{
    names,
    scenario::{Model, RESULT, Rule, Service, Start, TOLD},
    template::Expression,
};

const SERVICES_MAX: usize = 50;
/// Variables of one service.
const VARIABLES_MAX: usize = 50;
/// Rules of one list.
const RULES_MAX: usize = 100;
/// Drawn numbers are from minus this to this.
const DRAWN_MAX: i64 = 1_000_000_000_000;
const NAME_BYTES_MAX: usize = 63;
/// Names that would be taken for something else, besides those that are told.
const RESERVED: [&str; 3] = ["connectors", RESULT, WORKS];

/// The services without the expressions in them, which can only be read once all names are known.
pub(super) fn services(world: &Fields<'_>, findings: &mut Findings<'_>) -> Option<BTreeMap<String, Service>> {
    let field = world.need("services", findings)?;
    let fields = field.entries(findings)?;
    let mut services = BTreeMap::new();
    for (name, field) in fields.all() {
        if services.len() == SERVICES_MAX {
            findings.fault(&field.path, format!("at most {SERVICES_MAX} are allowed"));
            break;
        }
        if let Err(message) = service_name(name) {
            fields.fault_at_key(name, message, None, findings);
        }
        services.insert(name.to_owned(), service(&field, findings));
    }
    if services.is_empty() {
        findings.fault(&field.path, "at least one service is needed");
        return None;
    }
    Some(services)
}

fn service(field: &Field<'_>, findings: &mut Findings<'_>) -> Service {
    let mut service = Service::default();
    let Some(fields) = field.fields(&["needs", "works", "state"], findings) else {
        return service;
    };
    if let Some(needs) = fields.get("needs") {
        let items = needs.list(SERVICES_MAX, findings);
        let texts = items.iter().filter_map(|item| item.text(findings));
        service.needs = texts.map(str::to_owned).collect();
    }
    let Some(state) = fields.get("state") else {
        return service;
    };
    let Some(state) = state.entries(findings) else {
        return service;
    };
    for (name, value) in state.all() {
        if service.state.len() == VARIABLES_MAX {
            findings.fault(&value.path, format!("at most {VARIABLES_MAX} are allowed"));
            break;
        }
        let problem = match name {
            WORKS => Some("every service has works already, and what it needs decides it".to_owned()),
            name => plain_name(name).err(),
        };
        if let Some(message) = problem {
            state.fault_at_key(name, message, None, findings);
        }
        if let Some(start) = start(&value, findings) {
            service.state.insert(name.to_owned(), start);
        }
    }
    service
}

/// The name of a service: nothing else an expression may mean by it.
fn service_name(name: &str) -> Result<(), String> {
    let is_taken = TOLD.contains(&name) || RESERVED.contains(&name) || names::KEYWORDS.contains(&name);
    match is_taken {
        true => Err(format!(
            "\"{name}\" means something else in expressions; call the service otherwise"
        )),
        false => plain_name(name),
    }
}

/// Names that can follow a dot in an expression.
fn plain_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    match starts && name.len() <= NAME_BYTES_MAX && name.chars().all(plain) {
        true => Ok(()),
        false => Err(format!(
            "\"{name}\" is not a name: lower-case letters, digits and _, that begins with a letter"
        )),
    }
}

fn start(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Start> {
    match &field.node.content {
        Content::Map(_) => drawn(field, findings),
        Content::Null | Content::List(_) => {
            let message = "expected a text, a number, a boolean, { between: [0, 9] } or { noise: [0, 9] }";
            findings.fault(&field.path, message);
            None
        }
        Content::Text(text) if text.contains("{{") => {
            findings.fault(
                &field.path,
                "what a variable begins as is not filled in; write a value",
            );
            None
        }
        _ => Some(Start::Value(field.to_value())),
    }
}

fn drawn(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Start> {
    let fields = field.fields(&["between", "noise"], findings)?;
    let (between, noise) = (fields.get("between"), fields.get("noise"));
    match (between, noise) {
        (Some(range), None) => bounds(&range, findings).map(|(from, to)| Start::Between(from, to)),
        (None, Some(range)) => bounds(&range, findings).map(|(from, to)| Start::Noise(from, to)),
        (Some(_), Some(_)) => {
            let message = "drawn once is between, drawn each second is noise; a variable is one of them";
            fields.fault_at_key("noise", message.to_owned(), None, findings);
            None
        }
        (None, None) => {
            if !findings.has_fault_under(&field.path) {
                findings.fault(
                    &field.path,
                    "expected between or noise, each with two whole numbers",
                );
            }
            None
        }
    }
}

/// Two whole numbers, the smaller first.
fn bounds(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<(i64, i64)> {
    let numbers: Option<Vec<i64>> = match &field.node.content {
        Content::List(items) => items.iter().map(|item| item.to_value().as_i64()).collect(),
        _ => None,
    };
    let is_drawn = |number: &i64| (-DRAWN_MAX..=DRAWN_MAX).contains(number);
    match numbers.as_deref() {
        Some([from, to]) if from <= to && is_drawn(from) && is_drawn(to) => Some((*from, *to)),
        _ => {
            let message = format!(
                "expected two whole numbers, the smaller first, from -{DRAWN_MAX} to {DRAWN_MAX}, like [0, 9]"
            );
            findings.fault(&field.path, message);
            None
        }
    }
}

/// The whole world: the services as they were read, now with what their expressions say.
pub(super) fn model(
    world: &Fields<'_>,
    mut services: BTreeMap<String, Service>,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Model {
    let written = world.get("services").and_then(|field| match &field.node.content {
        Content::Map(_) => field.entries(findings),
        _ => None,
    });
    for (name, field) in written.iter().flat_map(Fields::all) {
        if let (Some(service), Content::Map(_)) = (services.get_mut(name), &field.node.content)
            && let Some(fields) = field.entries(findings)
        {
            service.works = names.expression(fields.get("works"), Place::World, findings);
            needs(name, service, &field.path, names, findings);
        }
    }
    let order = order(&services, &world.path.key("services"), findings);
    Model {
        services,
        order,
        each_second: rules(world.get("each_second"), names, findings),
        always: rules(world.get("always"), names, findings),
    }
}

/// Every need is a service that is there.
fn needs(name: &str, service: &Service, path: &Path, names: &Names<'_>, findings: &mut Findings<'_>) {
    let Some(known) = names.services() else { return };
    for (i, need) in service.needs.iter().enumerate() {
        let path = path.key("needs").index(i);
        if need == name {
            findings.fault(&path, format!("{name} cannot need itself; take it away"));
        } else if !known.contains(&need.as_str()) {
            let (message, hint) = unknown("service", need, &known);
            findings.fault_with_hint(&path, message, hint);
        } else if service.needs[..i].contains(need) {
            findings.fault(&path, format!("{need} is there twice"));
        }
    }
}

fn rules(field: Option<Field<'_>>, names: &Names<'_>, findings: &mut Findings<'_>) -> Vec<Rule> {
    let items = field.map(|field| field.list(RULES_MAX, findings));
    let mut rules = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(fields) = item.fields(&["when", "set"], findings) else {
            continue;
        };
        let set = fields.need("set", findings);
        rules.push(Rule {
            at: at(&item),
            when: names.expression(fields.get("when"), Place::World, findings),
            set: names.set(set, Place::World, findings),
        });
    }
    rules
}

/// Every service after those whose working it rests on; a circle of them is a fault.
fn order(services: &BTreeMap<String, Service>, path: &Path, findings: &mut Findings<'_>) -> Vec<String> {
    let below: BTreeMap<&str, BTreeSet<&str>> = services
        .iter()
        .map(|(name, service)| (name.as_str(), rests_on(service, services)))
        .collect();
    let mut walk = Walk {
        below: &below,
        order: Vec::new(),
        way: Vec::new(),
        circle: None,
    };
    for name in below.keys() {
        walk.visit(name);
    }
    // That a service needs itself is said where it says so.
    if let Some(circle) = walk
        .circle
        .filter(|circle| circle.len() > 2 || !needs_itself(circle, services))
    {
        let first = circle.first().copied().unwrap_or_default();
        let needs = |service: &Service| {
            circle
                .get(1)
                .is_some_and(|next| service.needs.iter().any(|need| need == next))
        };
        let key = match services.get(first).is_some_and(needs) {
            true => "needs",
            false => "works",
        };
        let message = format!(
            "whether it works goes round in a circle: {}",
            circle.join(" needs ")
        );
        let hint = "take one of them away".to_owned();
        findings.fault_with_hint(&path.key(first).key(key), message, hint);
    }
    walk.order.into_iter().map(str::to_owned).collect()
}

fn needs_itself(circle: &[&str], services: &BTreeMap<String, Service>) -> bool {
    circle.first().is_some_and(|name| {
        let service = services.get(*name);
        service.is_some_and(|service| service.needs.iter().any(|need| need == name))
    })
}

/// The services it needs, and those whose `works` its own `works` reads.
fn rests_on<'a>(service: &'a Service, services: &'a BTreeMap<String, Service>) -> BTreeSet<&'a str> {
    let read = service.works.iter().flat_map(works_read);
    let named = service.needs.iter().cloned().chain(read);
    named
        .filter_map(|name| services.get_key_value(&name).map(|(name, _)| name.as_str()))
        .collect()
}

fn works_read(expression: &Expression) -> Vec<String> {
    let chains = names::read(expression.source()).chains.into_iter();
    chains
        .filter(|chain| chain.below.first().is_some_and(|below| below == WORKS))
        .map(|chain| chain.root)
        .collect()
}

/// A walk down from service to service.
struct Walk<'a> {
    below: &'a BTreeMap<&'a str, BTreeSet<&'a str>>,
    order: Vec<&'a str>,
    /// Those that are being walked through.
    way: Vec<&'a str>,
    circle: Option<Vec<&'a str>>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, name: &'a str) {
        if self.order.contains(&name) {
            return;
        }
        if let Some(start) = self.way.iter().position(|step| *step == name) {
            let circle = || self.way[start..].iter().copied().chain([name]).collect();
            self.circle = self.circle.take().or_else(|| Some(circle()));
            return;
        }
        self.way.push(name);
        let below = self.below;
        for next in below.get(name).into_iter().flatten() {
            self.visit(next);
        }
        self.way.pop();
        self.order.push(name);
    }
}
