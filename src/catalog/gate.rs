//! The rule of a gate: who must approve, and in what time.

use std::ops::RangeInclusive;

use super::{document::Content, fields::Field, findings::Findings, step};
use crate::domain::{id::StepId, operator::Role, span::Span, step::GateRule, template::Template};

const APPROVALS: RangeInclusive<u32> = 1..=10;
const PEOPLE_MAX: usize = 50;
/// As long as the names people sign in with may be.
const NAME_CHARS_MAX: usize = 100;
const TIMES: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(30 * 24 * 3600);

/// Reads the value of `gate`; `impact` stands beside it.
pub(super) fn read(
    field: &Field<'_>,
    impact: Option<Template>,
    findings: &mut Findings<'_>,
) -> Option<GateRule> {
    let mut rule = GateRule {
        approvals: 1,
        roles: vec![Role::Approver],
        people: Vec::new(),
        requester_may_approve: false,
        decide_within: Span::from_secs(15 * 60),
        use_within: Span::from_secs(10 * 60),
        impact,
        on_expiry: None,
        break_glass: true,
    };
    let known = [
        "approvals",
        "roles",
        "people",
        "requester_may_approve",
        "decide_within",
        "use_within",
        "on_expiry",
        "break_glass",
    ];
    let fields = field.fields(&known, findings)?;
    if let Some(approvals) = fields
        .get("approvals")
        .and_then(|field| field.count(APPROVALS, findings))
    {
        rule.approvals = approvals;
    }
    if let Some(roles) = fields.get("roles") {
        rule.roles = read_roles(&roles, findings);
    }
    if let Some(people) = fields.get("people") {
        rule.people = read_people(&people, findings);
        let named = rule.people.len();
        if rule.approvals as usize > named && !findings.has_fault_under(&people.path) {
            let message = format!(
                "{} approvals cannot be given, because only {named} {} named in people",
                rule.approvals,
                if named == 1 { "person is" } else { "people are" }
            );
            let hint = "name more people, or ask for fewer approvals".to_owned();
            findings.fault_with_hint(&field.path.key("approvals"), message, hint);
        }
        if let Some(roles) = fields.get("roles") {
            findings.warn(
                &roles.path,
                "only the named people decide, whatever their role, so roles is not used",
            );
        }
    }
    for (key, flag) in [
        ("requester_may_approve", &mut rule.requester_may_approve),
        ("break_glass", &mut rule.break_glass),
    ] {
        if let Some(given) = fields.get(key).and_then(|field| field.flag(findings)) {
            *flag = given;
        }
    }
    for (key, span) in [
        ("decide_within", &mut rule.decide_within),
        ("use_within", &mut rule.use_within),
    ] {
        if let Some(given) = fields.get(key).and_then(|field| field.span(TIMES, findings)) {
            *span = given;
        }
    }
    rule.on_expiry = fields
        .get("on_expiry")
        .and_then(|field| read_on_expiry(&field, findings));
    Some(rule)
}

fn read_roles(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<Role> {
    let items = field.list(Role::ALL.len(), findings);
    if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        findings.fault(&field.path, "at least one role is needed");
    }
    let known: Vec<(&str, Role)> = Role::ALL.iter().map(|role| (role.name(), *role)).collect();
    let mut roles = Vec::new();
    for item in items {
        match item.choice(&known, findings) {
            Some(Role::Viewer) => findings.fault(&item.path, "a viewer only reads and cannot decide"),
            Some(role) if roles.contains(&role) => {
                findings.fault(&item.path, format!("{role} is named twice"))
            }
            Some(role) => roles.push(role),
            None => {}
        }
    }
    roles
}

fn read_people(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    let items = field.list(PEOPLE_MAX, findings);
    if matches!(&field.node.content, Content::List(items) if items.is_empty()) {
        let hint = "leave people out, and anybody with one of the roles decides".to_owned();
        findings.fault_with_hint(&field.path, "at least one name is needed", hint);
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

fn read_on_expiry(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<StepId> {
    if let Content::Text(text) = &field.node.content {
        findings.fault_with_hint(
            &field.path,
            format!("expected {{ go_to: id of a later step }}, found \"{text}\""),
            "without on_expiry the run ends when nobody decides in time".to_owned(),
        );
        return None;
    }
    step::read_go_to(field, findings)
}
