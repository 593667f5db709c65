//! The desk: what is known of the alerts, groups and incidents that a batch of deliveries speaks of, and what the batch
//! changes about it. Pure: reports are taken in one after the other, in the order they arrived, and nothing is written
//! until all have been.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::{
    Patience,
    rules::{KeyHolder, Placement, place},
};
use crate::domain::{
    alert::{AlertReport, Fingerprint, KnownEpisode, Reading, headline, read},
    digest::Digest,
    event::{IncidentFact, NewEvent},
    id::{AlertId, EpisodeId, IncidentId, SourceId},
    incident::{IncidentMove, IncidentState, Severity},
    operator::Actor,
};

/// How many names an event about many alerts holds.
const NAMES_MAX: usize = 10;

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
    /// The latest start named while it fired.
    pub last_start: Option<DateTime<Utc>>,
    /// When it ends unless it is reported again.
    pub lease_until: Option<DateTime<Utc>>,
    /// Where it was placed.
    pub home: Home,
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

/// An incident, locked.
#[derive(Clone, Copy, Debug)]
pub struct IncidentNow {
    /// How it stands.
    pub state: IncidentState,
    /// End of the hold-down, if all its alerts have ended.
    pub recover_due: Option<DateTime<Utc>>,
    /// Alerts the sender left out.
    pub truncated: i32,
    /// Earliest start of its alerts.
    pub detected_at: DateTime<Utc>,
    /// Where it lives on, when it was merged.
    pub lives_in: Option<IncidentId>,
}

/// Everything that is known and may matter.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By source and fingerprint; every alert that is reported is here.
    pub alerts: HashMap<(SourceId, Fingerprint), AlertNow>,
    /// Alerts that were made for this batch, from the first report of them.
    pub made: HashSet<AlertId>,
    /// The newest incident of each group that was asked for.
    pub groups: HashMap<Digest, Option<KeyHolder>>,
    /// The incidents that were asked for.
    pub incidents: HashMap<IncidentId, IncidentNow>,
}

impl Known {
    /// Whether what was found for a group is not where the locked incidents say it is.
    pub fn has_moved(&self, key: &Digest) -> bool {
        let Some(Some(holder)) = self.groups.get(key) else {
            return false;
        };
        let lives_in = |id| self.incidents.get(&id).and_then(|now| now.lives_in);
        lives_in(holder.id).is_some()
            || holder
                .through
                .is_some_and(|through| lives_in(through) != Some(holder.id))
    }
}

/// What a batch needs to know and was not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Keys of groups.
    pub groups: BTreeSet<Digest>,
    /// Incidents.
    pub incidents: BTreeSet<IncidentId>,
}

impl Missing {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.incidents.is_empty()
    }
}

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
    pub worst: &'a AlertReport,
    /// Earliest start of its alerts.
    pub detected_at: DateTime<Utc>,
    /// The one before it with the same key.
    pub recurrence_of: Option<IncidentId>,
    /// Alerts the sender left out.
    pub truncated: i32,
}

/// An episode to be opened; it may be over by the end of the batch.
#[derive(Clone, Copy, Debug)]
pub struct NewEpisode {
    /// Which alert.
    pub alert: AlertId,
    /// Where it is placed.
    pub home: Home,
    /// Why there.
    pub reason: &'static str,
    /// How it stands at the end of the batch.
    pub now: EpisodeChange,
    /// Start by the sender's clock.
    pub starts_at: DateTime<Utc>,
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
#[derive(Clone, Copy, Debug)]
pub struct IncidentChange {
    /// How it stands.
    pub now: IncidentNow,
    /// How often it came back.
    pub reopened: i32,
}

/// An alert that fired anew in an incident.
#[derive(Clone, Copy, Debug)]
pub struct Fired<'a> {
    /// Where.
    pub home: Home,
    /// Which alert.
    pub alert: AlertId,
    /// What it said.
    pub report: &'a AlertReport,
}

/// What one delivery led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Incidents it opened, moved or added to.
    pub homes: BTreeSet<Home>,
    /// How many alerts it reported, by what each report meant.
    pub readings: BTreeMap<Reading, usize>,
}

/// The desk.
pub struct Desk<'a> {
    known: Known,
    patience: Patience,
    now: DateTime<Utc>,
    /// What it was not told.
    pub missing: Missing,
    /// Alerts spoken of: the newest word, when it came, and how many there were.
    spoken: BTreeMap<AlertId, (&'a AlertReport, DateTime<Utc>, usize)>,
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
            let words = self.spoken.get(&alert.id).map_or(0, |(_, _, words)| *words);
            self.spoken.insert(alert.id, (report, received_at, words + 1));
            if let Some(episode) = alert.episode.as_ref().filter(|episode| episode.home_is_open) {
                touched.insert(episode.home);
            }
            // What must be renewed was: the lease of two senders that take turns is the longer one.
            if let (Reading::StillFiring | Reading::StartMoved, Some(episode), Some(lease)) =
                (reading, &mut alert.episode, report.lease_until)
                && episode.lease_until.is_some_and(|before| before < lease)
            {
                episode.lease_until = Some(lease);
                note(&mut self.changed, &mut self.episodes, episode, None);
            }
            match (reading, &mut alert.episode) {
                (Reading::NewEpisode, episode) => {
                    let home = episode
                        .as_ref()
                        .filter(|episode| episode.home_is_open)
                        .map(|episode| episode.home);
                    if let Some(old) = episode.as_mut().filter(|old| old.known.refire_pending) {
                        // The new start settles the old word.
                        old.known.refire_pending = false;
                        note(&mut self.changed, &mut self.episodes, old, None);
                    }
                    fresh.entry(home).or_default().push((alert.id, report));
                }
                (Reading::Ended, Some(episode)) => {
                    episode.known.ends_at = report.ends_at;
                    note(&mut self.changed, &mut self.episodes, episode, None);
                    over.entry(episode.home).or_default().push(report);
                    self.eased.insert(episode.home);
                }
                (Reading::EndedAgain, Some(episode)) => _ = self.eased.insert(episode.home),
                (Reading::RefireWithdrawn, Some(episode)) => {
                    episode.known.refire_pending = false;
                    note(&mut self.changed, &mut self.episodes, episode, None);
                    self.eased.insert(episode.home);
                }
                (Reading::RefirePending, Some(episode)) if !episode.known.refire_pending => {
                    episode.known.refire_pending = true;
                    let due = self.now + self.patience.refire.as_delta();
                    note(&mut self.changed, &mut self.episodes, episode, Some(due));
                    pending.entry(episode.home).or_default().push(report);
                }
                (Reading::StartMoved, Some(episode))
                    if episode.last_start.is_none_or(|last| last < report.starts_at) =>
                {
                    episode.last_start = Some(report.starts_at);
                    note(&mut self.changed, &mut self.episodes, episode, None);
                    let fact = IncidentFact::StartMoved {
                        name: report.title(),
                        from: episode.known.starts_at,
                        to: report.starts_at,
                    };
                    let event = NewEvent::by(actor.clone(), fact, self.now);
                    self.facts.entry(episode.home).or_default().push(event);
                    effect.homes.insert(episode.home);
                }
                _ => {}
            }
        }
        for (home, reports) in over {
            self.leave(home, &reports, actor);
            effect.homes.insert(home);
        }
        for (home, reports) in pending {
            let fact = IncidentFact::RefirePending {
                count: reports.len(),
                names: names(&reports),
                due: self.now + self.patience.refire.as_delta(),
            };
            self.tell(home, fact);
            effect.homes.insert(home);
        }
        for (home, alerts) in fresh {
            let home = self.place(home, group, &alerts, actor);
            effect.homes.insert(home);
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

    fn tell(&mut self, home: Home, fact: IncidentFact) {
        let event = NewEvent::automatic(fact, self.now);
        self.facts.entry(home).or_default().push(event);
    }

    /// An incident as it stands now; one it was not told of is missed and taken for one in which nothing happens.
    fn incident(&mut self, id: IncidentId) -> IncidentChange {
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
                lives_in: None,
            }
        });
        IncidentChange { now, reopened: 0 }
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

    /// Puts new episodes where they belong.
    fn place(
        &mut self,
        home: Option<Home>,
        group: GroupName<'a>,
        alerts: &[(AlertId, &'a AlertReport)],
        actor: &Actor,
    ) -> Home {
        let (home, reason, through) = match home {
            Some(home) => (home, "it is in this open incident already", None),
            None => {
                let (home, reason) = self.find_home(group, alerts, actor);
                match self.through(group.key, home) {
                    Some(through) => (home, Placement::THROUGH, Some(through)),
                    None => (home, reason, None),
                }
            }
        };
        self.join(home, reason, alerts, actor);
        for (id, report) in alerts {
            let known = KnownEpisode {
                starts_at: report.starts_at,
                ends_at: None,
                refire_pending: false,
            };
            let alert = self.known.alerts.get_mut(&(group.source, report.fingerprint));
            let before = alert.as_ref().and_then(|alert| alert.episode);
            let came_from = through.or_else(|| before.filter(|before| before.home == home)?.came_from);
            let episode = EpisodeNow {
                at: EpisodeRef::New(self.episodes.len()),
                known,
                last_start: None,
                lease_until: report.lease_until,
                home,
                home_is_open: true,
                came_from,
            };
            if let Some(alert) = alert {
                alert.episode = Some(episode);
            }
            self.episodes.push(NewEpisode {
                alert: *id,
                home,
                reason,
                now: EpisodeChange {
                    lease_until: report.lease_until,
                    ..EpisodeChange::default()
                },
                starts_at: report.starts_at,
                came_from,
            });
            self.fired.push(Fired {
                home,
                alert: *id,
                report,
            });
        }
        home
    }

    /// The merged incident that leads a group to this home.
    fn through(&self, key: Digest, home: Home) -> Option<IncidentId> {
        let holder = self.known.groups.get(&key)?.as_ref()?;
        holder.through.filter(|_| home == Home::Known(holder.id))
    }

    fn find_home(
        &mut self,
        group: GroupName<'a>,
        alerts: &[(AlertId, &'a AlertReport)],
        actor: &Actor,
    ) -> (Home, &'static str) {
        let at = self
            .opened
            .iter()
            .rposition(|opened| opened.group.key == group.key);
        if let Some(at) = at {
            return (Home::New(at), Placement::JOINED);
        }
        let holder = match self.known.groups.get(&group.key) {
            Some(holder) => holder.as_ref().copied(),
            None => {
                self.missing.groups.insert(group.key);
                None
            }
        };
        // The lock is newer than the look.
        let holder = holder.map(|holder| KeyHolder {
            state: self.incident(holder.id).now.state,
            ..holder
        });
        let placement = place(holder.as_ref(), self.patience.reopen_within, self.now);
        let reason = placement.reason();
        let recurrence_of = match placement {
            Placement::Join(id) | Placement::Reopen(id) => return (Home::Known(id), reason),
            Placement::Open { recurrence_of } => recurrence_of,
        };
        let home = Home::New(self.opened.len());
        let worst = alerts
            .iter()
            .map(|(_, report)| *report)
            .min_by_key(|report| Severity::of(&report.labels));
        let Some(worst) = worst else {
            return (home, reason);
        };
        let (title, severity) = (
            headline(&worst.labels, &worst.annotations),
            Severity::of(&worst.labels),
        );
        let opened = IncidentFact::Opened {
            title: title.clone(),
            severity,
            reason: reason.to_owned(),
        };
        let mut facts = vec![NewEvent::by(actor.clone(), opened, self.now)];
        facts.extend(recurrence_of.map(|of| NewEvent::automatic(IncidentFact::Recurrence { of }, self.now)));
        self.facts.insert(home, facts);
        self.opened.push(Opening {
            group,
            title,
            severity,
            worst,
            detected_at: worst.starts_at,
            recurrence_of,
            truncated: 0,
        });
        (home, reason)
    }

    /// Lets an incident know of alerts that fire in it. One that was recovering, or was over a moment ago, comes back.
    fn join(
        &mut self,
        home: Home,
        reason: &'static str,
        alerts: &[(AlertId, &'a AlertReport)],
        actor: &Actor,
    ) {
        let reports: Vec<&AlertReport> = alerts.iter().map(|(_, report)| *report).collect();
        let Some(earliest) = reports.iter().map(|report| report.starts_at).min() else {
            return;
        };
        match home {
            Home::New(at) => {
                let opening = &mut self.opened[at];
                opening.detected_at = opening.detected_at.min(earliest);
            }
            Home::Known(id) => {
                let mut change = self.incident(id);
                let name = reports[0].title();
                if let Some(state) = change.now.state.after(IncidentMove::Reopen) {
                    change.now.state = state;
                    change.now.recover_due = None;
                    change.reopened += 1;
                    self.tell(home, IncidentFact::Reopened { name });
                } else if change.now.recover_due.take().is_some() {
                    change.reopened += 1;
                    self.tell(home, IncidentFact::RecoveryBroken { name });
                }
                change.now.detected_at = change.now.detected_at.min(earliest);
                self.incidents.insert(id, change);
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
    fn note_truncation(&mut self, home: Home, hidden: i32) -> bool {
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
            old.known.refire_pending = false;
            note(&mut self.changed, &mut self.episodes, old, None);
        }
        self.place(None, group, &[(id, report)], &Actor::Automation);
    }

    /// Alerts of which there is a newer word than what is stored of them.
    pub fn news(&self) -> Vec<(AlertId, &'a AlertReport, DateTime<Utc>)> {
        self.spoken
            .iter()
            .filter(|(id, (_, _, words))| *words > 1 || !self.known.made.contains(id))
            .map(|(id, (report, at, _))| (*id, *report, *at))
            .collect()
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
                lives_in: None,
            },
            None => *self.known.incidents.get(&id)?,
        };
        Some((id, IncidentChange { now, reopened: 0 }))
    }
}

/// Keeps what has become of an episode. `due` is set with a re-fire and kept until it is settled.
fn note(
    changed: &mut BTreeMap<EpisodeId, EpisodeChange>,
    opened: &mut [NewEpisode],
    episode: &EpisodeNow,
    due: Option<DateTime<Utc>>,
) {
    let change = match episode.at {
        EpisodeRef::Known(id) => changed.entry(id).or_default(),
        EpisodeRef::New(at) => &mut opened[at].now,
    };
    change.ends_at = episode.known.ends_at;
    change.last_start = episode.last_start;
    change.lease_until = episode.lease_until;
    change.refire_due = match episode.known.refire_pending {
        true => due.or(change.refire_due),
        false => None,
    };
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
