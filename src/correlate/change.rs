//! What a batch of deliveries makes of its alerts and incidents, before it is written.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Utc};

use super::{
    known::{Home, IncidentNow},
    route::Word,
};
use crate::domain::{
    alert::{AlertReport, Reading},
    digest::Digest,
    id::{AlertId, IncidentId, RoutingRuleId, SourceId},
    incident::Severity,
};

/// A sender's group, as one delivery names it.
#[derive(Clone, Copy, Debug)]
pub struct GroupName<'a> {
    /// Who sends.
    pub source: SourceId,
    /// The sender's receiver, raw.
    pub receiver: &'a str,
    /// The sender's group key, raw.
    pub group_key: &'a str,
    /// Where it is found again.
    pub key: Digest,
    /// Alerts the sender left out.
    pub truncated: i32,
}

/// An incident to be opened.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    /// For which group.
    pub group: GroupName<'a>,
    /// What people call it.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// The worst alert it opens with: what runbooks take their inputs from.
    pub worst: Word<'a>,
    /// Earliest start of its alerts.
    pub detected_at: DateTime<Utc>,
    /// The one before it with the same key.
    pub recurrence_of: Option<IncidentId>,
    /// Alerts the sender left out.
    pub truncated: i32,
    /// Whether its group flaps.
    pub flaps: bool,
}

/// An episode to be opened; it may be over by the end of the batch.
#[derive(Clone, Debug)]
pub struct NewEpisode {
    /// Which alert.
    pub alert: AlertId,
    /// Where it is placed; `None` when it is held.
    pub home: Option<Home>,
    /// The rule that holds or held it.
    pub held_by: Option<RoutingRuleId>,
    /// Why there.
    pub reason: Cow<'static, str>,
    /// How it stands at the end of the batch.
    pub now: EpisodeChange,
    /// Start by the sender's clock.
    pub starts_at: DateTime<Utc>,
    /// The incident its group has, when that one is merged into this one.
    pub came_from: Option<IncidentId>,
}

/// Where a held episode comes to.
#[derive(Clone, Debug)]
pub struct Routed {
    /// Which incident.
    pub home: Home,
    /// Why that one.
    pub reason: Cow<'static, str>,
    /// The incident its group has, when that one is merged into this one.
    pub came_from: Option<IncidentId>,
}

/// What a batch makes of an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpisodeChange {
    /// Its end, when it has one now.
    pub ends_at: Option<DateTime<Utc>>,
    /// When its re-fire is believed, when one is pending.
    pub refire_due: Option<DateTime<Utc>>,
    /// The latest start named while it fired.
    pub last_start: Option<DateTime<Utc>>,
    /// When it ends unless it is reported again.
    pub lease_until: Option<DateTime<Utc>>,
}

/// What a batch makes of an incident that existed before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentChange {
    /// How it stands.
    pub now: IncidentNow,
    /// How often it came back.
    pub reopened: i32,
    /// Whether it came back in a way that counts for flapping.
    pub came_back: bool,
}

impl IncidentChange {
    /// Nothing has become of it yet.
    pub(super) fn none(now: IncidentNow) -> Self {
        Self {
            now,
            reopened: 0,
            came_back: false,
        }
    }
}

/// An alert that fired anew in an incident.
#[derive(Clone, Debug)]
pub struct Fired<'a> {
    /// Where.
    pub home: Home,
    /// Which alert.
    pub alert: AlertId,
    /// What it said.
    pub report: Word<'a>,
}

/// What was said of an alert, and when that arrived.
pub type Spoken<'a> = (&'a AlertReport, DateTime<Utc>);

/// What one delivery led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Incidents it opened, moved or added to.
    pub homes: BTreeSet<Home>,
    /// How many alerts it reported, by what each report meant.
    pub readings: BTreeMap<Reading, usize>,
}
