//! The rule of a gate: who must approve, and in what time.

use std::ops::RangeInclusive;

use super::{document::Content, fields::Field, findings::Findings};
use crate::domain::{operator::Role, span::Span, step::GateRule, template::Template};

const APPROVALS: RangeInclusive<u32> = 1..=10;
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
        "requester_may_approve",
        "decide_within",
        "use_within",
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
    if let Some(flag) = fields
        .get("requester_may_approve")
        .and_then(|field| field.flag(findings))
    {
        rule.requester_may_approve = flag;
    }
    if let Some(span) = fields
        .get("decide_within")
        .and_then(|field| field.span(TIMES, findings))
    {
        rule.decide_within = span;
    }
    if let Some(span) = fields
        .get("use_within")
        .and_then(|field| field.span(TIMES, findings))
    {
        rule.use_within = span;
    }
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
