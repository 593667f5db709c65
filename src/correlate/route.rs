//! Where new episodes go: into the incident they are in already, held by a rule of people, or into an incident of their
//! group. Pure, at the desk.
//!
//! A new episode is held while a maintenance window is open for its alert, and otherwise while its group has no open
//! incident and fewer alerts of it fire than a threshold asks for. What is held is in no incident: it starts nothing,
//! matches nothing, and its end opens nothing. It is let go by its group, when that opens an incident, or by its time:
//! what a window held is placed as if it came now, what was held to be counted opens an incident.

use std::{borrow::Cow, ops::Deref, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    change::{EpisodeChange, Fired, GroupName, NewEpisode, Routed},
    desk::Desk,
    known::{EpisodeNow, EpisodeRef, Home},
    rules::Placement,
};
use crate::{
    domain::{
        alert::{AlertReport, KnownEpisode},
        id::{AlertId, IncidentId, RoutingRuleId},
        operator::Actor,
        routing::{Rules, Threshold},
    },
    store::held::Held,
};

/// Why an episode is held, kept with it.
const IN_WINDOW: &str = "held by a maintenance window";
/// The same, for one that is counted.
const TOO_FEW: &str = "held until enough alerts of its group fire";
/// Why an alert stays where it is.
const AT_HOME: &str = "it is in this open incident already";

/// What an alert said: now, or when it was held.
#[derive(Clone, Debug)]
pub enum Word<'a> {
    /// In this batch.
    Said(&'a AlertReport),
    /// Before.
    Kept(Arc<AlertReport>),
}

impl Deref for Word<'_> {
    type Target = AlertReport;

    fn deref(&self) -> &AlertReport {
        match self {
            Self::Said(report) => report,
            Self::Kept(report) => report,
        }
    }
}

/// An alert that fires and needs a place.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// Which.
    pub alert: AlertId,
    /// What it said.
    pub word: Word<'a>,
    /// Its episode, when it was held; a new one otherwise.
    held: Option<EpisodeRef>,
    /// Why it is let go now, when it was held.
    because: Option<Cow<'static, str>>,
    /// Whether it was held for as long as a threshold may.
    was_counted: bool,
    /// Alerts the sender left out then.
    truncated: i32,
}

/// Where an alert begins to fire.
struct Settled {
    home: Option<Home>,
    held_by: Option<RoutingRuleId>,
    reason: Cow<'static, str>,
    came_from: Option<IncidentId>,
}

/// An episode to be held.
#[derive(Clone, Debug)]
pub struct Hold<'a> {
    /// Which.
    pub at: EpisodeRef,
    /// Of which alert.
    pub alert: AlertId,
    /// The sender's group, with the alerts the sender left out.
    pub group: GroupName<'a>,
    /// Which rule.
    pub rule: RoutingRuleId,
    /// To be counted, and not by a window.
    pub counts: bool,
    /// When it is held no longer.
    pub due: DateTime<Utc>,
}

/// An episode that is held to be counted.
#[derive(Clone, Debug)]
pub struct Waiting<'a> {
    at: EpisodeRef,
    alert: AlertId,
    word: Word<'a>,
    truncated: i32,
    due: DateTime<Utc>,
}

impl<'a> Desk<'a> {
    /// Puts new episodes where they belong; `None` when all of them are held.
    pub(super) fn place(
        &mut self,
        home: Option<Home>,
        group: GroupName<'a>,
        alerts: Vec<(AlertId, &'a AlertReport)>,
        actor: &Actor,
    ) -> Option<Home> {
        let arrivals: Vec<Arrival<'a>> = alerts
            .into_iter()
            .map(|(alert, report)| Arrival {
                alert,
                word: Word::Said(report),
                held: None,
                because: None,
                was_counted: false,
                truncated: 0,
            })
            .collect();
        match home {
            Some(home) => {
                self.settle_in((home, None), Cow::Borrowed(AT_HOME), group, arrivals, actor);
                Some(home)
            }
            None => self.route(group, arrivals, actor),
        }
    }

    /// Lets a held episode go, whose time has come. Its alert is known and its episode fires.
    pub fn let_go(&mut self, group: GroupName<'a>, held: &Held) {
        let at = EpisodeRef::Known(held.episode);
        if let Some(waiting) = self.waiting.get_mut(&group.key) {
            waiting.retain(|waiting| waiting.at != at);
        }
        if self.routed.contains_key(&held.episode) {
            // Another one of its group has taken it along.
            return;
        }
        let because = match held.counts {
            true => format!(
                "it still fires; the threshold \"{}\" waits no longer",
                held.rule_title
            ),
            false => format!(
                "it still fires at the end of the maintenance window \"{}\"",
                held.rule_title
            ),
        };
        let arrival = Arrival {
            alert: held.alert,
            word: Word::Kept(Arc::clone(&held.report)),
            held: Some(at),
            because: Some(Cow::Owned(because)),
            was_counted: held.counts,
            truncated: held.truncated,
        };
        self.route(group, vec![arrival], &Actor::Automation);
    }

    /// What people decide about new episodes; none until that is known.
    pub(super) fn rules(&mut self) -> Arc<Rules> {
        match &self.known.rules {
            Some(rules) => Arc::clone(rules),
            None => {
                self.missing.rules = true;
                Arc::default()
            }
        }
    }

    fn route(&mut self, group: GroupName<'a>, arrivals: Vec<Arrival<'a>>, actor: &Actor) -> Option<Home> {
        let rules = self.rules();
        let (mut free, mut counted) = (Vec::new(), Vec::new());
        for arrival in arrivals {
            let labels = &arrival.word.labels;
            if let Some((rule, until)) = rules.window(group.source, labels, self.now) {
                self.hold(group, arrival, rule, None, until);
                continue;
            }
            match rules.threshold(group.source, labels) {
                Some(threshold) if !arrival.was_counted => counted.push((arrival, threshold)),
                _ => free.push(arrival),
            }
        }
        if free.is_empty() && counted.is_empty() {
            return None;
        }
        let waiting = match rules.counts(group.source) {
            true => self.waiting(group),
            false => Vec::new(),
        };
        let due_later = waiting.iter().filter(|waiting| waiting.due > self.now).count();
        let count = counted.len() + due_later;
        let reached = counted
            .iter()
            .map(|(_, threshold)| *threshold)
            .find(|threshold| count >= threshold.count as usize);
        let is_open = self.has_open(group.key);
        if free.is_empty() && !is_open && reached.is_none() {
            for (arrival, threshold) in counted {
                let due = self.now + threshold.within.as_delta();
                self.hold(group, arrival, threshold.rule, Some(actor), due);
            }
            return None;
        }
        let opens = reached.filter(|_| free.is_empty() && !is_open);
        Some(self.come_in(group, free, counted, waiting, opens, actor))
    }

    /// Everything of a group that waits for a place comes into one incident.
    fn come_in(
        &mut self,
        group: GroupName<'a>,
        free: Vec<Arrival<'a>>,
        counted: Vec<(Arrival<'a>, Threshold<'_>)>,
        waiting: Vec<Waiting<'a>>,
        reached: Option<Threshold<'_>>,
        actor: &Actor,
    ) -> Home {
        let along = waiting.into_iter().map(|waiting| Arrival {
            alert: waiting.alert,
            word: waiting.word,
            held: Some(waiting.at),
            because: None,
            was_counted: true,
            truncated: waiting.truncated,
        });
        let mut arrivals: Vec<Arrival<'a>> = free;
        arrivals.extend(counted.into_iter().map(|(arrival, _)| arrival));
        let (of_old, new): (Vec<_>, Vec<_>) = arrivals
            .into_iter()
            .partition(|arrival| arrival.because.is_some());
        let along: Vec<Arrival<'a>> = along.collect();
        let all: Vec<Word<'a>> = new
            .iter()
            .chain(&of_old)
            .chain(&along)
            .map(|arrival| arrival.word.clone())
            .collect();
        let hidden = of_old.iter().chain(&along).map(|arrival| arrival.truncated).max();
        let (home, placed) = self.find_home(group, &all, actor);
        let through = self.through(group.key, home);
        let placed = through.map_or(placed, |_| Placement::THROUGH);
        let way = (home, through);
        let (first, then) = match reached {
            Some(threshold) => {
                let words = format!(
                    "{} alerts of its group fire within {}: the threshold \"{}\" is reached",
                    threshold.count, threshold.within, threshold.title
                );
                (Cow::Owned(words.clone()), Cow::Owned(words))
            }
            None => (
                Cow::Borrowed(placed),
                Cow::Borrowed("its group has an incident now; it was held to be counted"),
            ),
        };
        self.settle_in(way, first, group, new, actor);
        self.settle_in(way, then, group, along, actor);
        for arrival in of_old {
            let because = arrival.because.clone().unwrap_or(Cow::Borrowed(placed));
            self.settle_in(way, because, group, vec![arrival], actor);
        }
        if let Some(hidden) = hidden.filter(|hidden| *hidden > 0) {
            self.note_truncation(home, hidden);
        }
        home
    }

    /// Places alerts in an incident, to which a merged one may have led.
    fn settle_in(
        &mut self,
        (home, through): (Home, Option<IncidentId>),
        reason: Cow<'static, str>,
        group: GroupName<'a>,
        arrivals: Vec<Arrival<'a>>,
        actor: &Actor,
    ) {
        self.join(home, &reason, &arrivals, actor);
        for arrival in arrivals {
            let key = (group.source, arrival.word.fingerprint);
            let alert = self.known.alerts.get_mut(&key);
            let episode = alert.and_then(|alert| alert.episode.as_mut());
            match arrival.held {
                None => {
                    let before = episode.filter(|before| before.home == Some(home));
                    let came_from = through.or(before.and_then(|before| before.came_from));
                    let place = Settled {
                        home: Some(home),
                        held_by: None,
                        reason: reason.clone(),
                        came_from,
                    };
                    self.begin(group, &arrival, place);
                }
                Some(at) => {
                    if let Some(episode) = episode {
                        (episode.home, episode.home_is_open) = (Some(home), true);
                        episode.came_from = through;
                    }
                    match at {
                        EpisodeRef::Known(id) => {
                            let routed = Routed {
                                home,
                                reason: reason.clone(),
                                came_from: through,
                            };
                            self.routed.insert(id, routed);
                        }
                        EpisodeRef::New(at) => {
                            let episode = &mut self.episodes[at];
                            (episode.home, episode.reason) = (Some(home), reason.clone());
                            episode.came_from = through;
                        }
                    }
                }
            }
            self.fired.push(Fired {
                home,
                alert: arrival.alert,
                report: arrival.word,
            });
        }
    }

    /// An alert begins to fire, in an incident or held.
    fn begin(&mut self, group: GroupName<'a>, arrival: &Arrival<'a>, place: Settled) {
        let report = &arrival.word;
        let episode = EpisodeNow {
            at: EpisodeRef::New(self.episodes.len()),
            known: KnownEpisode::begun_by(report),
            home: place.home,
            home_is_open: place.home.is_some(),
            came_from: place.came_from,
        };
        if let Some(alert) = self.known.alerts.get_mut(&(group.source, report.fingerprint)) {
            alert.episode = Some(episode);
        }
        self.episodes.push(NewEpisode {
            alert: arrival.alert,
            home: place.home,
            held_by: place.held_by,
            reason: place.reason,
            came_from: place.came_from,
            now: EpisodeChange {
                lease_until: report.lease_until,
                ..EpisodeChange::default()
            },
            starts_at: report.starts_at,
        });
    }

    /// Holds an alert until `due`; to be counted when `counted` says who reported it, by a window otherwise.
    fn hold(
        &mut self,
        group: GroupName<'a>,
        arrival: Arrival<'a>,
        rule: RoutingRuleId,
        counted: Option<&Actor>,
        due: DateTime<Utc>,
    ) {
        let counts = counted.is_some();
        let at = arrival.held.unwrap_or(EpisodeRef::New(self.episodes.len()));
        if arrival.held.is_none() {
            let reason = if counts { TOO_FEW } else { IN_WINDOW };
            let place = Settled {
                home: None,
                held_by: Some(rule),
                reason: Cow::Borrowed(reason),
                came_from: None,
            };
            self.begin(group, &arrival, place);
        }
        let truncated = group.truncated.max(arrival.truncated);
        self.holds.push(Hold {
            at,
            alert: arrival.alert,
            group: GroupName { truncated, ..group },
            rule,
            counts,
            due,
        });
        if counts {
            let waiting = self.waiting.entry(group.key).or_default();
            waiting.push(Waiting {
                at,
                alert: arrival.alert,
                word: arrival.word,
                truncated,
                due,
            });
        }
    }

    /// Takes what is held to be counted with a group and still fires: whoever asks puts it somewhere, or asks again.
    fn waiting(&mut self, group: GroupName<'a>) -> Vec<Waiting<'a>> {
        if !self.known.waiting.contains_key(&group.key) {
            self.missing.waiting.insert(group.key);
        }
        let before = self.known.waiting.get(&group.key).into_iter().flatten();
        let before = before.map(|held| Waiting {
            at: EpisodeRef::Known(held.episode),
            alert: held.alert,
            word: Word::Kept(Arc::clone(&held.report)),
            truncated: held.truncated,
            due: held.due,
        });
        let of_batch = self.waiting.get(&group.key).into_iter().flatten().cloned();
        before
            .chain(of_batch)
            .filter(|waiting| {
                let alert = self.known.alerts.get(&(group.source, waiting.word.fingerprint));
                alert.and_then(|alert| alert.episode.as_ref()).is_some_and(|now| {
                    now.at == waiting.at && now.home.is_none() && now.known.ends_at.is_none()
                })
            })
            .collect()
    }
}
