//! Whom a runbook or a gate names: roles, teams and people.

use std::ops::RangeInclusive;

use super::{document::Content, fields::Field, findings::Findings, runbook};
use crate::domain::{
    access::{Access, Circle},
    operator::Role,
};

/// How many others may be asked to look at a version; 0 asks nobody.
const REVIEWERS: RangeInclusive<u32> = 0..=10;
const TEAMS_MAX: usize = 50;
const PEOPLE_MAX: usize = 50;
/// As long as the names people sign in with may be.
const NAME_CHARS_MAX: usize = 100;

/// Reads the value of `access`.
pub(super) fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Access {
    let mut access = Access::default();
    let Some(fields) = field.fields(&["start", "publish"], findings) else {
        return access;
    };
    for (key, circle) in [("start", &mut access.start), ("publish", &mut access.publish)] {
        if let Some(field) = fields.get(key) {
            *circle = read_circle(&field, key, findings);
        }
    }
    access
}

/// Reads the value of `review`.
pub(super) fn read_review(field: &Field<'_>, findings: &mut Findings<'_>) -> u32 {
    field.count(REVIEWERS, findings).unwrap_or_default()
}

fn read_circle(field: &Field<'_>, key: &str, findings: &mut Findings<'_>) -> Circle {
    let mut circle = Circle::default();
    let Some(fields) = field.fields(&["roles", "teams", "people"], findings) else {
        return circle;
    };
    if let Some(roles) = fields.get("roles") {
        circle.roles = read_roles(&roles, findings);
    }
    if let Some(teams) = fields.get("teams") {
        circle.teams = read_teams(&teams, findings);
    }
    if let Some(people) = fields.get("people") {
        circle.people = read_people(&people, "leave people out", findings);
    }
    if circle.is_open() && !findings.has_fault_under(&field.path) {
        let hint = format!("leave {key} out, and the role alone decides");
        findings.fault_with_hint(&field.path, "it names nobody", hint);
    }
    circle
}

/// Reads a list of roles that do more than read.
pub(super) fn read_roles(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<Role> {
    let known: Vec<(&str, Role)> = Role::ALL.iter().map(|role| (role.name(), *role)).collect();
    let mut roles = Vec::new();
    for item in field.list(Role::ALL.len(), findings) {
        match item.choice(&known, findings) {
            Some(Role::Viewer) => findings.fault(&item.path, "a viewer only reads and cannot decide"),
            Some(role) if roles.contains(&role) => {
                findings.fault(&item.path, format!("{role} is named twice"));
            }
            Some(role) => roles.push(role),
            None => {}
        }
    }
    roles
}

/// Reads a list of teams, of which there is at least one.
pub(super) fn read_teams(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    let items = field.list(TEAMS_MAX, findings);
    if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        findings.fault(&field.path, "at least one team is needed");
    }
    let mut teams: Vec<String> = Vec::new();
    for item in items {
        let Some(name) = runbook::slug(&item, findings) else {
            continue;
        };
        match teams.contains(&name) {
            true => findings.fault(&item.path, format!("{name} is named twice")),
            false => teams.push(name),
        }
    }
    teams
}

/// Reads a list of people, of whom there is at least one.
pub(super) fn read_people(field: &Field<'_>, hint: &str, findings: &mut Findings<'_>) -> Vec<String> {
    let items = field.list(PEOPLE_MAX, findings);
    if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        findings.fault_with_hint(&field.path, "at least one name is needed", hint.to_owned());
    }
    let mut people: Vec<String> = Vec::new();
    for item in items {
        let Some(name) = item.text(findings) else { continue };
        if name.chars().count() > NAME_CHARS_MAX {
            findings.fault(
                &item.path,
                format!("a name has at most {NAME_CHARS_MAX} characters"),
            );
        } else if people.iter().any(|other| other == name) {
            findings.fault(&item.path, format!("{name} is named twice"));
        } else {
            people.push(name.to_owned());
        }
    }
    people
}
