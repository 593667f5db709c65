//! What people decide about new episodes, and what is held.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    format,
    layout::Frame,
    parts::{At, Badge, Hidden, Said, at, hidden, said},
    rule_form::{Refused, RuleFormPart},
    standing::MAY_RELEASE,
};
use crate::{
    domain::{
        id::RoutingRuleId,
        operator::Operator,
        routing::{RoutingRule, Rules, Terms},
    },
    store::held::Held,
};

/// What the page is made of, as the store gives it.
pub struct RoutingFacts {
    /// Rules that stand.
    pub rules: Rules,
    /// Alerts that are held; one more than `rows_max` when there are more.
    pub held: Vec<Held>,
    /// Rows that are shown of them.
    pub rows_max: usize,
    /// Names of all sources.
    pub sources: Vec<String>,
    /// The form that was not accepted.
    pub refused: Option<Refused>,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "routing/show.html")]
pub struct RoutingPage {
    frame: Frame,
    may_change: bool,
    held: Vec<HeldRow>,
    more_held: bool,
    windows: Vec<RuleRow>,
    thresholds: Vec<RuleRow>,
    ruled: Vec<RuleRow>,
    /// Those that make rules; `None` for who may not.
    forms: Option<[RuleFormPart; 4]>,
}

impl RoutingPage {
    /// The page as this person may use it.
    pub fn of(frame: Frame, facts: &RoutingFacts, me: &Operator, now: DateTime<Utc>) -> Self {
        let rows = |kind: &str| {
            let of_kind = facts.rules.iter().filter(|rule| rule.terms.kind() == kind);
            of_kind.map(|rule| RuleRow::of(rule, now)).collect()
        };
        Self {
            frame,
            may_change: me.role >= MAY_RELEASE,
            held: facts
                .held
                .iter()
                .take(facts.rows_max)
                .map(|held| HeldRow::of(held, now))
                .collect(),
            more_held: facts.held.len() > facts.rows_max,
            windows: rows("maintenance"),
            thresholds: rows("threshold"),
            ruled: rows("severity"),
            forms: (me.role >= MAY_RELEASE)
                .then(|| RuleFormPart::all(&facts.sources, facts.refused.as_ref())),
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }
}

/// One rule.
#[derive(Clone, Debug)]
struct RuleRow {
    id: RoutingRuleId,
    title: Said,
    badge: Badge,
    words: String,
    /// Until when a window that is open stays open.
    until: Option<At>,
    source: Option<String>,
    matchers: Vec<Said>,
    /// Where it stands, for a kind of which the first decides.
    place: Option<i32>,
    by: Said,
    reason: Said,
}

impl RuleRow {
    fn of(rule: &RoutingRule, now: DateTime<Utc>) -> Self {
        let until = match &rule.terms {
            Terms::Maintenance { schedule } => schedule.open_until(now),
            _ => None,
        };
        let badge = match (&rule.terms, until) {
            (Terms::Maintenance { .. }, Some(_)) => Badge::new("running", "lock", "Open"),
            (Terms::Maintenance { .. }, None) => Badge::new("quiet", "clock", "Planned"),
            (Terms::Severity { severity }, _) => (*severity).into(),
            (Terms::Threshold { .. }, _) => Badge::new("running", "check", "On"),
        };
        Self {
            id: rule.id,
            title: said(&rule.title),
            badge,
            words: match &rule.terms {
                // The badge says it.
                Terms::Severity { .. } => String::new(),
                terms => terms.words(),
            },
            until: until.map(|until| at(until, now)),
            source: rule.source_name.clone(),
            matchers: rule
                .matchers
                .iter()
                .map(|matcher| said(&matcher.to_string()))
                .collect(),
            place: (!matches!(rule.terms, Terms::Maintenance { .. })).then_some(rule.place),
            by: said(&rule.created_by),
            reason: said(&rule.reason),
        }
    }
}

/// One alert that is held.
#[derive(Clone, Debug)]
struct HeldRow {
    title: Said,
    why: &'static str,
    rule: Said,
    since: At,
    until: At,
    group: Said,
    labels: Vec<Said>,
    hidden: Option<String>,
}

impl HeldRow {
    fn of(held: &Held, now: DateTime<Utc>) -> Self {
        Self {
            title: said(&held.report.title()),
            why: match held.counts {
                true => "Held to be counted by the threshold",
                false => "Held by the maintenance window",
            },
            rule: said(&held.rule_title),
            since: at(held.held_at, now),
            until: at(held.due, now),
            group: said(&held.group_key),
            labels: held
                .report
                .labels
                .0
                .iter()
                .map(|(name, value)| said(&format!("{name}={value}")))
                .collect(),
            hidden: (held.truncated > 0)
                .then(|| format::count(i64::from(held.truncated), "more alert", "more alerts")),
        }
    }
}
