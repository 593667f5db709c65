//! The rule of a gate: who must approve, and in what time.

use std::ops::RangeInclusive;

use super::{
    access::{read_people, read_roles, read_teams},
    document::Content,
    fields::Field,
    findings::Findings,
    step,
};
use crate::domain::{
    id::StepId,
    operator::Role,
    span::Span,
    step::{EVIDENCE_WITHIN, GateRule},
    template::Template,
};

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
        teams: Vec::new(),
        people: Vec::new(),
        requester_may_approve: false,
        decide_within: Span::from_secs(15 * 60),
        use_within: Span::from_secs(10 * 60),
        evidence_within: EVIDENCE_WITHIN,
        impact,
        on_expiry: None,
        break_glass: true,
    };
    let known = [
        "approvals",
        "roles",
        "teams",
        "people",
        "requester_may_approve",
        "decide_within",
        "use_within",
        "evidence_within",
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
        if matches!(&roles.node.content, Content::List(items) if items.is_empty()) {
            findings.fault(&roles.path, "at least one role is needed");
        }
    }
    if let Some(teams) = fields.get("teams") {
        rule.teams = read_teams(&teams, findings);
    }
    if let Some(people) = fields.get("people") {
        let hint = "leave people out, and anybody with one of the roles decides";
        rule.people = read_people(&people, hint, findings);
        let named = rule.people.len();
        // How many are in a team is not known here.
        let may_be_short = rule.teams.is_empty() && !findings.has_fault_under(&people.path);
        if may_be_short && rule.approvals as usize > named {
            let message = format!(
                "{} approvals cannot be given, because only {named} {} named in people",
                rule.approvals,
                if named == 1 { "person is" } else { "people are" }
            );
            let hint = "name more people, or ask for fewer approvals".to_owned();
            findings.fault_with_hint(&field.path.key("approvals"), message, hint);
        }
    }
    let named = match (rule.teams.is_empty(), rule.people.is_empty()) {
        (true, true) => None,
        (true, false) => Some("people"),
        (false, true) => Some("teams"),
        (false, false) => Some("teams and people"),
    };
    if let (Some(named), Some(roles)) = (named, fields.get("roles")) {
        let message = format!("only the named {named} decide, whatever their role, so roles is not used");
        findings.warn(&roles.path, message);
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
        ("evidence_within", &mut rule.evidence_within),
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
