//! The desk: where a batch of deliveries is judged. Pure: reports are taken in one after the other, in the order they
//! arrived, and nothing is written until all have been.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::{
    Patience,
    change::{Effect, EpisodeChange, Fired, GroupName, IncidentChange, NewEpisode, Opening, Routed, Spoken},
    known::{EpisodeNow, EpisodeRef, Home, IncidentNow, Known, Missing, Newcomer},
    route::{Arrival, Hold, Waiting},
    rules::Placement,
};
use crate::domain::{
    alert::{AlertReport, Reading, read},
    digest::Digest,
    event::{IncidentFact, NewEvent, Tail},
    id::{AlertId, EpisodeId, IncidentId},
    incident::IncidentState,
    operator::Actor,
};

/// How many names an event about many alerts holds.
const NAMES_MAX: usize = 10;

/// The desk.
pub struct Desk<'a> {
    pub(super) known: Known,
    pub(super) patience: Patience,
    pub(super) now: DateTime<Utc>,
    /// What it was not told.
    pub missing: Missing,
    /// Alerts spoken of: the newest word, and when it came.
    spoken: BTreeMap<AlertId, Spoken<'a>>,
    /// Incidents to be opened.
    pub opened: Vec<Opening<'a>>,
    /// Episodes to be opened.
    pub episodes: Vec<NewEpisode>,
    /// Episodes that change.
    pub changed: BTreeMap<EpisodeId, EpisodeChange>,
    /// Incidents that change.
    pub incidents: BTreeMap<IncidentId, IncidentChange>,
    /// What the timelines say.
    pub facts: BTreeMap<Home, Vec<NewEvent>>,
    /// Alerts that fired anew.
    pub fired: Vec<Fired<'a>>,
    /// Episodes that a rule holds from now on. One that the batch let go again has a home.
    pub holds: Vec<Hold<'a>>,
    /// Episodes that were held and are let go, each into an incident with a reason.
    pub routed: BTreeMap<EpisodeId, Routed>,
    /// What waits to be counted with its group, by group.
    pub(super) waiting: HashMap<Digest, Vec<Waiting<'a>>>,
    /// Incidents in which an alert is over.
    eased: BTreeSet<Home>,
    /// Those of them that may recover, if nothing fires in them.
    pub may_recover: Vec<Home>,
}

impl<'a> Desk<'a> {
    /// A desk with this knowledge.
    pub fn new(known: Known, patience: Patience, now: DateTime<Utc>) -> Self {
        Self {
            known,
            patience,
            now,
            missing: Missing::default(),
            spoken: BTreeMap::new(),
            opened: Vec::new(),
            episodes: Vec::new(),
            changed: BTreeMap::new(),
            incidents: BTreeMap::new(),
            facts: BTreeMap::new(),
            fired: Vec::new(),
            holds: Vec::new(),
            routed: BTreeMap::new(),
            waiting: HashMap::new(),
            eased: BTreeSet::new(),
            may_recover: Vec::new(),
        }
    }

    /// Takes in one group of a delivery.
    pub fn take(
        &mut self,
        group: GroupName<'a>,
        actor: &Actor,
        reports: &'a [AlertReport],
        received_at: DateTime<Utc>,
        effect: &mut Effect,
    ) {
        let mut over: BTreeMap<Home, Vec<&'a AlertReport>> = BTreeMap::new();
        let mut pending: BTreeMap<Home, Vec<&'a AlertReport>> = BTreeMap::new();
        let mut fresh: BTreeMap<Option<Home>, Vec<(AlertId, &'a AlertReport)>> = BTreeMap::new();
        let mut touched: BTreeSet<Home> = BTreeSet::new();
        let mut taken_back: BTreeSet<Home> = BTreeSet::new();
        for report in reports {
            let Some(alert) = self.known.alerts.get_mut(&(group.source, report.fingerprint)) else {
                continue;
            };
            let episode = alert.episode.as_ref().map(|episode| &episode.known);
            let reading = read(episode, report, received_at, alert.last_received_at);
            *effect.readings.entry(reading).or_default() += 1;
            if reading == Reading::Superseded {
                continue;
            }
            alert.last_received_at = received_at;
            self.spoken.insert(alert.id, (report, received_at));
            // It may have come back for another delivery of the batch.
            if let Some(episode) = &mut alert.episode
                && let Some(Home::Known(id)) = episode.home
                && let Some(change) = self.incidents.get(&id)
            {
                episode.home_is_open = change.now.state.is_open();
            }
            if let Some(episode) = alert.episode.as_ref().filter(|episode| episode.home_is_open) {
                touched.extend(episode.home);
            }
            // What must be renewed was: the lease of two senders that take turns is the longer one.
            if let (
                Reading::StillFiring | Reading::StartMoved | Reading::RefirePending,
                Some(episode),
                Some(lease),
            ) = (reading, &mut alert.episode, report.lease_until)
                && episode.known.lease_until.is_some_and(|before| before < lease)
            {
                episode.known.lease_until = Some(lease);
                note(&mut self.changed, &mut self.episodes, episode);
            }
            match (reading, &mut alert.episode) {
                (Reading::NewEpisode, episode) => {
                    let home = episode
                        .as_ref()
                        .filter(|episode| episode.home_is_open)
                        .and_then(|episode| episode.home);
                    if let Some(old) = episode.as_mut().filter(|old| old.known.refire_due.is_some()) {
                        // The new start settles the old word.
                        old.known.refire_due = None;
                        note(&mut self.changed, &mut self.episodes, old);
                    }
                    fresh.entry(home).or_default().push((alert.id, report));
                }
                (Reading::Ended, Some(episode)) => {
                    episode.known.ends_at = report.ends_at;
                    note(&mut self.changed, &mut self.episodes, episode);
                    if let Some(home) = episode.home {
                        over.entry(home).or_default().push(report);
                    }
                    self.eased.extend(episode.home);
                }
                (Reading::EndedAgain, Some(episode)) => self.eased.extend(episode.home),
                (Reading::RefireWithdrawn, Some(episode)) => {
                    episode.known.refire_due = None;
                    // The later of two ends: until then somebody saw it fire.
                    episode.known.ends_at = episode.known.ends_at.max(report.ends_at);
                    note(&mut self.changed, &mut self.episodes, episode);
                    self.eased.extend(episode.home);
                }
                (Reading::RefirePending, Some(episode))
                    if episode.home_is_open && episode.known.has_doubtful_end() =>
                {
                    // The same story once more; it has been told.
                    (episode.known.ends_at, episode.known.refire_due) = (None, None);
                    note(&mut self.changed, &mut self.episodes, episode);
                    taken_back.extend(episode.home);
                }
                (Reading::RefirePending, Some(episode)) if episode.known.refire_due.is_none() => {
                    episode.known.refire_due = Some(self.now + self.patience.refire.as_delta());
                    note(&mut self.changed, &mut self.episodes, episode);
                    if let Some(home) = episode.home {
                        pending.entry(home).or_default().push(report);
                    }
                }
                (Reading::StartMoved, Some(episode))
                    if episode
                        .known
                        .last_start
                        .is_none_or(|last| last < report.starts_at) =>
                {
                    episode.known.last_start = Some(report.starts_at);
                    note(&mut self.changed, &mut self.episodes, episode);
                    if let Some(home) = episode.home {
                        let fact = IncidentFact::StartMoved {
                            name: report.title(),
                            from: episode.known.starts_at,
                            to: report.starts_at,
                        };
                        let event = NewEvent::by(actor.clone(), fact, self.now);
                        self.facts.entry(home).or_default().push(event);
                        effect.homes.insert(home);
                    }
                }
                _ => {}
            }
        }
        for (home, reports) in over {
            self.leave(home, &reports, actor);
            effect.homes.insert(home);
        }
        for home in taken_back {
            self.stop_recovery(home);
        }
        for (home, reports) in pending {
            if self.hold_recovery(home, &reports) {
                effect.homes.insert(home);
            }
        }
        for (home, alerts) in fresh {
            effect.homes.extend(self.place(home, group, alerts, actor));
        }
        touched.extend(&effect.homes);
        if group.truncated > 0 {
            for home in touched {
                if self.note_truncation(home, group.truncated) {
                    effect.homes.insert(home);
                }
            }
        }
    }

    pub(super) fn tell(&mut self, home: Home, fact: IncidentFact) {
        let event = NewEvent::automatic(fact, self.now);
        self.facts.entry(home).or_default().push(event);
    }

    /// An incident as it stands now; one it was not told of is missed and taken for one in which nothing happens.
    pub(super) fn incident(&mut self, id: IncidentId) -> IncidentChange {
        if let Some(change) = self.incidents.get(&id) {
            return *change;
        }
        let now = self.known.incidents.get(&id).copied().unwrap_or_else(|| {
            self.missing.incidents.insert(id);
            IncidentNow {
                state: IncidentState::Triggered,
                recover_due: None,
                truncated: 0,
                detected_at: DateTime::UNIX_EPOCH,
                flapping_since: None,
                tail: Tail::START,
            }
        });
        IncidentChange::none(now)
    }

    fn leave(&mut self, home: Home, reports: &[&'a AlertReport], actor: &Actor) {
        let Some(last) = reports.iter().filter_map(|report| report.ends_at).max() else {
            return;
        };
        let facts = self.facts.entry(home).or_default();
        if let Some(IncidentFact::AlertsResolved {
            count,
            names,
            last_ended_at,
        }) = same(facts, actor)
        {
            *count += reports.len();
            more(names, reports);
            *last_ended_at = last.max(*last_ended_at);
            let last = *last_ended_at;
            if let Some(event) = facts.last_mut() {
                event.occurred_at = last;
            }
            return;
        }
        let fact = IncidentFact::AlertsResolved {
            count: reports.len(),
            names: names(reports),
            last_ended_at: last,
        };
        facts.push(NewEvent {
            event: fact.into(),
            actor: actor.clone(),
            occurred_at: last,
        });
    }

    /// The merged incident that leads a group to this home.
    pub(super) fn through(&self, key: Digest, home: Home) -> Option<IncidentId> {
        let holder = self.known.groups.get(&key)?.as_ref()?;
        holder.through.filter(|_| home == Home::Known(holder.id))
    }

    /// Ends a hold-down without a word; whether there was one.
    fn stop_recovery(&mut self, home: Home) -> bool {
        let Home::Known(id) = home else { return false };
        let mut change = self.incident(id);
        let was_due = change.now.recover_due.take().is_some();
        if was_due {
            self.incidents.insert(id, change);
        }
        was_due
    }

    /// Alerts may fire again: until that is settled their incident does not recover. Told only where a recovery was under
    /// way; that a body came again is no news.
    fn hold_recovery(&mut self, home: Home, reports: &[&'a AlertReport]) -> bool {
        if !self.stop_recovery(home) {
            return false;
        }
        let fact = IncidentFact::RefirePending {
            count: reports.len(),
            names: names(reports),
            due: self.now + self.patience.refire.as_delta(),
        };
        self.tell(home, fact);
        true
    }

    /// Lets an incident know of alerts that fire in it. One that was recovering, or was over a moment ago, comes back.
    pub(super) fn join(&mut self, home: Home, reason: &str, arrivals: &[Arrival<'a>], actor: &Actor) {
        let reports: Vec<&AlertReport> = arrivals.iter().map(|arrival| &*arrival.word).collect();
        let Some(earliest) = reports.iter().map(|report| report.starts_at).min() else {
            return;
        };
        // Nothing is seen before it begins, whatever the sender's clock says.
        let earliest = earliest.min(self.now);
        match home {
            Home::New(at) => {
                let opening = &mut self.opened[at];
                opening.detected_at = opening.detected_at.min(earliest);
            }
            Home::Known(id) => {
                let before = self.incident(id);
                let mut change = before;
                let name = reports[0].title();
                self.come_back(id, &mut change, name);
                change.now.detected_at = change.now.detected_at.min(earliest);
                if change != before {
                    self.incidents.insert(id, change);
                }
            }
        }
        let facts = self.facts.entry(home).or_default();
        if let Some(IncidentFact::AlertsFired {
            count,
            names,
            reason: before,
        }) = same(facts, actor)
            && (*before == reason || *before == Placement::FIRST && reason == Placement::JOINED)
        {
            *count += reports.len();
            more(names, &reports);
            if let Some(event) = facts.last_mut() {
                event.occurred_at = event.occurred_at.min(earliest);
            }
            return;
        }
        let fact = IncidentFact::AlertsFired {
            count: reports.len(),
            names: names(&reports),
            reason: reason.to_owned(),
        };
        facts.push(NewEvent {
            event: fact.into(),
            actor: actor.clone(),
            occurred_at: earliest,
        });
    }

    /// A later body that is complete again does not bring back what an earlier one hid.
    pub(super) fn note_truncation(&mut self, home: Home, hidden: i32) -> bool {
        match home {
            Home::New(at) => {
                let opening = &mut self.opened[at];
                if opening.truncated >= hidden {
                    return false;
                }
                opening.truncated = hidden;
            }
            Home::Known(id) => {
                let mut change = self.incident(id);
                if change.now.truncated >= hidden || !change.now.state.is_open() {
                    return false;
                }
                change.now.truncated = hidden;
                change.now.recover_due = None;
                self.incidents.insert(id, change);
            }
        }
        self.tell(home, IncidentFact::Truncated { hidden });
        true
    }

    /// After the last delivery: which incidents may recover.
    pub fn settle(&mut self) {
        for home in std::mem::take(&mut self.eased) {
            let may_recover = match home {
                Home::New(at) => self.opened[at].truncated == 0,
                Home::Known(id) => {
                    let now = self.incident(id).now;
                    now.state.is_open() && now.recover_due.is_none() && now.truncated == 0
                }
            };
            if may_recover {
                self.may_recover.push(home);
            }
        }
    }

    /// Takes a re-fire that has lasted for a new episode, wherever its group goes now.
    pub fn believe(&mut self, group: GroupName<'a>, report: &'a AlertReport) {
        let Some(alert) = self.known.alerts.get_mut(&(group.source, report.fingerprint)) else {
            return;
        };
        let id = alert.id;
        if let Some(old) = &mut alert.episode {
            old.known.refire_due = None;
            note(&mut self.changed, &mut self.episodes, old);
        }
        self.spoken.insert(id, (report, alert.last_received_at));
        self.place(None, group, vec![(id, report)], &Actor::Automation);
    }

    /// Known alerts with the newest word of them.
    pub fn news(&self) -> impl Iterator<Item = (AlertId, Spoken<'a>)> {
        let unwritten = &self.known.unwritten;
        let spoken = self.spoken.iter().map(|(id, word)| (*id, *word));
        spoken.filter(|(id, _)| !unwritten.contains_key(id))
    }

    /// Alerts that are to be written, with the newest word of each.
    pub fn newcomers(&self) -> impl Iterator<Item = (AlertId, Newcomer, Spoken<'a>)> {
        let spoken = self.spoken.iter();
        spoken.filter_map(|(id, word)| Some((*id, *self.known.unwritten.get(id)?, *word)))
    }

    /// Whether an incident flaps once the batch is written, one that it opened included.
    pub fn flaps(&self, id: IncidentId, opened: &[IncidentId]) -> bool {
        let changed = self.incidents.get(&id).copied();
        let change = changed.or_else(|| self.stands(id, opened).map(|(_, change)| change));
        change.is_some_and(|change| change.now.flapping_since.is_some())
    }

    /// Where the timeline of an incident ends, if it was asked for.
    pub fn tail(&self, id: IncidentId) -> Option<Tail> {
        Some(self.known.incidents.get(&id)?.tail)
    }

    /// How an incident that the batch leaves as it was stands, one that it opened included.
    pub fn stands(&self, id: IncidentId, opened: &[IncidentId]) -> Option<(IncidentId, IncidentChange)> {
        let at = opened.iter().position(|new| *new == id);
        let now = match at.and_then(|at| self.opened.get(at)) {
            Some(opening) => IncidentNow {
                state: IncidentState::Triggered,
                recover_due: None,
                truncated: opening.truncated,
                detected_at: opening.detected_at,
                flapping_since: opening.flaps.then_some(self.now),
                tail: Tail::START,
            },
            None => *self.known.incidents.get(&id)?,
        };
        Some((id, IncidentChange::none(now)))
    }
}

/// Keeps what has become of an episode.
fn note(changed: &mut BTreeMap<EpisodeId, EpisodeChange>, opened: &mut [NewEpisode], episode: &EpisodeNow) {
    let change = match episode.at {
        EpisodeRef::Known(id) => changed.entry(id).or_default(),
        EpisodeRef::New(at) => &mut opened[at].now,
    };
    change.ends_at = episode.known.ends_at;
    change.last_start = episode.known.last_start;
    change.lease_until = episode.known.lease_until;
    change.refire_due = episode.known.refire_due;
}

/// The last fact, when the same sender said it.
fn same<'f>(facts: &'f mut [NewEvent], actor: &Actor) -> Option<&'f mut IncidentFact> {
    facts
        .last_mut()
        .filter(|event| event.actor == *actor)
        .and_then(|event| event.event.as_incident_mut())
}

/// The first names of many, for an event.
fn names(reports: &[&AlertReport]) -> Vec<String> {
    reports
        .iter()
        .take(NAMES_MAX)
        .map(|report| report.title())
        .collect()
}

fn more(names: &mut Vec<String>, reports: &[&AlertReport]) {
    let room = NAMES_MAX.saturating_sub(names.len());
    names.extend(reports.iter().take(room).map(|report| report.title()));
}
