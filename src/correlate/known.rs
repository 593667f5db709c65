//! What is known of the alerts, groups and incidents that a batch of deliveries speaks of, and what is not and matters.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::rules::KeyHolder;
use crate::{
    domain::{
        alert::{Fingerprint, KnownEpisode},
        digest::Digest,
        event::Tail,
        id::{AlertId, EpisodeId, IncidentId, SourceId},
        incident::IncidentState,
        routing::Rules,
    },
    store::held::Held,
};

/// An incident as the desk knows it: one that exists, or one that the batch opens, by its place among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Home {
    /// It exists.
    Known(IncidentId),
    /// The batch opens it.
    New(usize),
}

/// An episode, in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EpisodeRef {
    /// It exists.
    Known(EpisodeId),
    /// The batch opens it.
    New(usize),
}

/// An alert's latest firing period.
#[derive(Clone, Copy, Debug)]
pub struct EpisodeNow {
    /// Which.
    pub at: EpisodeRef,
    /// Its times.
    pub known: KnownEpisode,
    /// Where it was placed; `None` while a rule holds it, and when it ended before it was let go.
    pub home: Option<Home>,
    /// Whether that incident is open.
    pub home_is_open: bool,
    /// The incident its group has, when that one is merged into this one.
    pub came_from: Option<IncidentId>,
}

/// An alert.
#[derive(Clone, Copy, Debug)]
pub struct AlertNow {
    /// Its number.
    pub id: AlertId,
    /// Arrival of the newest delivery that was applied to it.
    pub last_received_at: DateTime<Utc>,
    /// Its latest firing period, if it ever fired.
    pub episode: Option<EpisodeNow>,
}

/// An alert of which there is nothing yet but its number.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer {
    /// Who reports it.
    pub source: SourceId,
    /// Arrival of the delivery that spoke of it first.
    pub first_received_at: DateTime<Utc>,
    /// A number for a firing period.
    pub episode: EpisodeId,
}

/// An incident, locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentNow {
    /// How it stands.
    pub state: IncidentState,
    /// End of the hold-down, if all its alerts have ended.
    pub recover_due: Option<DateTime<Utc>>,
    /// Alerts the sender left out.
    pub truncated: i32,
    /// Earliest start of its alerts.
    pub detected_at: DateTime<Utc>,
    /// Since when it flaps.
    pub flapping_since: Option<DateTime<Utc>>,
    /// Where its timeline ends.
    pub tail: Tail,
}

/// Everything that is known and may matter.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By source and fingerprint; every alert that is reported is here.
    pub alerts: HashMap<(SourceId, Fingerprint), AlertNow>,
    /// Alerts that no delivery spoke of before: they have their number, and are written when the batch is.
    pub unwritten: HashMap<AlertId, Newcomer>,
    /// The newest incident of each group that was asked for.
    pub groups: HashMap<Digest, Option<KeyHolder>>,
    /// The incidents that were asked for.
    pub incidents: HashMap<IncidentId, IncidentNow>,
    /// When incidents that were asked for, and those before them, opened and came back.
    pub histories: HashMap<IncidentId, Vec<DateTime<Utc>>>,
    /// What people decide about new episodes, once that was asked for.
    pub rules: Option<Arc<Rules>>,
    /// What is held and counted with each group that was asked for; its alerts are known.
    pub waiting: HashMap<Digest, Vec<Held>>,
}

/// What a batch needs to know and was not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Keys of groups.
    pub groups: BTreeSet<Digest>,
    /// Incidents.
    pub incidents: BTreeSet<IncidentId>,
    /// Incidents of which it matters how often they came back.
    pub histories: BTreeSet<IncidentId>,
    /// What people decide about new episodes.
    pub rules: bool,
    /// Keys of groups whose held alerts are counted.
    pub waiting: BTreeSet<Digest>,
}

impl Missing {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
            && self.incidents.is_empty()
            && self.histories.is_empty()
            && !self.rules
            && self.waiting.is_empty()
    }
}
