//! A rule about new episodes, and an alert that one holds.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::routing::{RoutingRule, Terms},
    store::held::Held,
};

/// A rule about what new episodes open.
#[derive(Serialize, ToSchema)]
pub struct RuleBody {
    /// Its number.
    pub id: i64,
    /// `maintenance`, `threshold`, `severity`
    pub kind: String,
    /// What people call it.
    pub title: String,
    /// For the alerts of this source; of every one when absent.
    pub source: Option<String>,
    /// Which alerts: all of these hold. None for every alert.
    pub matchers: Vec<String>,
    /// Where it stands among its kind, the smaller first.
    pub place: i32,
    /// What it says, in words.
    pub words: String,
    /// Until when a maintenance window that is open now stays open.
    pub open_until: Option<DateTime<Utc>>,
    /// How many alerts a threshold asks for.
    pub count: Option<u32>,
    /// Within which time, like `10m`.
    pub within: Option<String>,
    /// 1 is the worst, 4 the least.
    pub severity: Option<i16>,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl RuleBody {
    /// The rule as seen from `now`.
    pub fn of(rule: &RoutingRule, now: DateTime<Utc>) -> Self {
        let (open_until, threshold, severity) = match &rule.terms {
            Terms::Maintenance { schedule } => (schedule.open_until(now), None, None),
            Terms::Threshold { count, within } => (None, Some((*count, within.to_string())), None),
            Terms::Severity { severity } => (None, None, Some(severity.number())),
        };
        let (count, within) = threshold.unzip();
        Self {
            id: rule.id.0,
            kind: rule.terms.kind().to_owned(),
            title: rule.title.clone(),
            source: rule.source_name.clone(),
            matchers: rule.matchers.iter().map(ToString::to_string).collect(),
            place: rule.place,
            words: rule.terms.words(),
            open_until,
            count,
            within,
            severity,
            reason: rule.reason.clone(),
            created_by: rule.created_by.clone(),
            created_at: rule.created_at,
        }
    }
}

/// A rule to be made; what its kind does not need is left out.
#[derive(Deserialize, ToSchema)]
pub struct NewRuleBody {
    /// `maintenance`, `threshold`, `severity`
    pub kind: String,
    /// What people call it.
    pub title: String,
    /// Which alerts, one line in Alertmanager's syntax; all when absent.
    #[serde(default)]
    pub matchers: String,
    /// Of which source; of every one when absent.
    #[serde(default)]
    pub source: String,
    /// Where it stands among its kind, the smaller first; 100 when absent.
    pub place: Option<i32>,
    /// A window that comes once: from when; from now when absent.
    pub starts_at: Option<DateTime<Utc>>,
    /// A window that comes once: until when.
    pub ends_at: Option<DateTime<Utc>>,
    /// A window that comes every week: on which days, like `sat, sun`.
    #[serde(default)]
    pub days: String,
    /// From which time of the day, like `02:00`.
    #[serde(default)]
    pub at: String,
    /// For how long, like `2h`; 24 hours at most.
    #[serde(default)]
    pub length: String,
    /// By a clock that is so far ahead of UTC, like `+02:00`; UTC when absent.
    #[serde(default)]
    pub offset: String,
    /// A threshold: how many alerts of a group must fire.
    pub count: Option<u32>,
    /// A threshold: within which time they must have come, like `10m`.
    #[serde(default)]
    pub within: String,
    /// A severity: `sev1` to `sev4`.
    #[serde(default)]
    pub severity: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// The number of a rule.
#[derive(Serialize, ToSchema)]
pub struct RuleMade {
    /// It.
    pub id: i64,
}

/// A firing alert that a rule holds: it is in no incident.
#[derive(Serialize, ToSchema)]
pub struct HeldBody {
    /// What people call it; text from outside.
    pub title: String,
    /// What it is about; text from outside.
    pub labels: BTreeMap<String, String>,
    /// The sender's group; text from outside.
    pub group_key: String,
    /// The rule's number.
    pub rule: i64,
    /// What people call the rule.
    pub rule_title: String,
    /// Held to be counted, and not by a maintenance window.
    pub counts: bool,
    /// Since when.
    pub held_at: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
}

impl From<Held> for HeldBody {
    fn from(held: Held) -> Self {
        Self {
            title: held.report.title(),
            labels: held.report.labels.0.clone(),
            group_key: held.group_key,
            rule: held.rule.0,
            rule_title: held.rule_title,
            counts: held.counts,
            held_at: held.held_at,
            until: held.due,
        }
    }
}
