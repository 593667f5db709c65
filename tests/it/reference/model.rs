//! The rules of a receiver, written down a second time from what is known of senders, as a few maps and nothing clever.
//! Numbers in brackets are those of the acceptance rules for a receiver of Alertmanager and Prometheus. Nothing of the
//! program's own code is used but the types that carry a body.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    domain::alert::{AlertReport, AlertStatus},
    intake::Delivery,
};

type Time = DateTime<Utc>;

const HOLD_DOWN: TimeDelta = TimeDelta::seconds(60);
const DOUBT: TimeDelta = TimeDelta::seconds(60);
const REOPEN_WITHIN: TimeDelta = TimeDelta::seconds(600);
const LEASE_GRACE: TimeDelta = TimeDelta::seconds(60);
const CLOCK_AHEAD: TimeDelta = TimeDelta::minutes(10);

/// A time during which an alert fired, by its sender's word.
#[derive(Clone, Debug)]
struct Period {
    alert: String,
    incident: usize,
    start: Time,
    end: Option<Time>,
    /// Ended, and said to fire: believed at this time.
    doubted_until: Option<Time>,
    /// What ended up to here ended before what fires now.
    old_until: Option<Time>,
    lease: Option<Time>,
}

#[derive(Clone, Debug)]
struct Incident {
    group: String,
    /// When it was over, if it is.
    over_since: Option<Time>,
    recover_at: Option<Time>,
    last_end: Option<Time>,
    came_back: u32,
    hidden: i32,
    seen_from: Time,
}

/// All that one source has led to.
#[derive(Clone, Debug, Default)]
pub struct Model {
    heard: BTreeMap<String, Time>,
    latest: BTreeMap<String, usize>,
    periods: Vec<Period>,
    incidents: Vec<Incident>,
}

impl Model {
    /// A body that arrived at `arrived` is applied at `now`.
    pub fn hear(&mut self, body: &Delivery, arrived: Time, now: Time) {
        let mut begun = Vec::new();
        let mut spoken_of = Vec::new();
        for report in &body.alerts {
            let name = report.title();
            // [13] in order of arrival.
            if self.heard.get(&name).is_some_and(|heard| arrived < *heard) {
                continue;
            }
            self.heard.insert(name.clone(), arrived);
            spoken_of.push(name.clone());
            let period = self.latest.get(&name).map(|at| &mut self.periods[*at]);
            let home = period.as_ref().map(|period| period.incident);
            let is_open = home.is_some_and(|at| self.incidents[at].over_since.is_none());
            let is_new = match report.status {
                AlertStatus::Firing => fires(period, report, is_open, now),
                AlertStatus::Resolved => {
                    ends(period, report, arrived);
                    false
                }
            };
            // [10] quietly: while it is not settled nothing recovers, and nothing has come back.
            if let Some(at) = self.latest.get(&name) {
                let period = &self.periods[*at];
                if period.doubted_until.is_some() || period.end.is_none() {
                    self.incidents[period.incident].recover_at = None;
                }
            }
            if is_new {
                begun.push((name, report));
            }
        }
        // [7] one that is in an open incident stays there; the others go where their group goes.
        let mut place = None;
        for (name, report) in begun {
            let before = self.latest.get(&name).map(|at| self.periods[*at].incident);
            let incident = match before.filter(|at| self.incidents[*at].over_since.is_none()) {
                Some(at) => at,
                None => *place.get_or_insert_with(|| {
                    let at = self.place(&body.group_key, report.start_seen(now), now);
                    self.join(at);
                    at
                }),
            };
            if before == Some(incident) {
                self.join(incident);
            }
            self.begin(name, incident, report, now);
        }
        // [9] what was left out may fire still.
        for name in spoken_of {
            if let Some(at) = self.latest.get(&name) {
                let incident = &mut self.incidents[self.periods[*at].incident];
                if incident.over_since.is_none() {
                    incident.hidden = incident.hidden.max(body.truncated);
                }
            }
        }
        self.settle(now);
    }

    /// Every timer that is due by `now`, again and again until there is none.
    pub fn tick(&mut self, now: Time) {
        while self.tick_once(now) {}
    }

    fn tick_once(&mut self, now: Time) -> bool {
        let mut has_changed = false;
        for period in &mut self.periods {
            if let (None, Some(lease)) = (period.end, period.lease)
                && lease < now - LEASE_GRACE
            {
                period.end = Some(lease.max(period.start));
                has_changed = true;
            }
        }
        self.settle(now);
        let is_due = |period: &Period| period.doubted_until.is_some_and(|until| until <= now);
        let mut due: Vec<usize> = (0..self.periods.len())
            .filter(|at| is_due(&self.periods[*at]))
            .collect();
        due.sort_by_key(|at| self.periods[*at].doubted_until);
        for at in due {
            self.believe(at, now);
            self.settle(now);
            has_changed = true;
        }
        for incident in &mut self.incidents {
            if incident.over_since.is_none() && incident.recover_at.is_some_and(|at| at <= now) {
                (incident.over_since, incident.recover_at) = (Some(now), None);
                has_changed = true;
            }
        }
        has_changed
    }

    /// [10] it still fires after the short window: the end was none.
    fn believe(&mut self, at: usize, now: Time) {
        let home = self.periods[at].incident;
        let group = self.incidents[home].group.clone();
        let is_open = self.incidents[home].over_since.is_none();
        if is_open || self.newest_of(&group, now) == Some(home) {
            let fires = self
                .periods
                .iter()
                .any(|period| period.incident == home && period.end.is_none());
            let incident = &mut self.incidents[home];
            if !is_open || !fires && incident.hidden == 0 {
                incident.came_back += 1;
            }
            incident.over_since = None;
            let period = &mut self.periods[at];
            period.old_until = period.old_until.max(period.end);
            (period.end, period.doubted_until) = (None, None);
            return;
        }
        self.periods[at].doubted_until = None;
        let Period {
            alert, start, lease, ..
        } = self.periods[at].clone();
        let incident = self.place(&group, start.min(now), now);
        self.join(incident);
        self.incidents[incident].seen_from = self.incidents[incident].seen_from.min(start.min(now));
        self.latest.insert(alert.clone(), self.periods.len());
        self.periods.push(Period {
            alert,
            incident,
            start,
            end: None,
            doubted_until: None,
            old_until: None,
            lease,
        });
    }

    /// The group's incident that new alerts go to, if there is one.
    fn newest_of(&self, group: &str, now: Time) -> Option<usize> {
        let of_group = |incident: &Incident| incident.group == group;
        let newest = self.incidents.iter().rposition(of_group)?;
        let open = self
            .incidents
            .iter()
            .rposition(|incident| of_group(incident) && incident.over_since.is_none());
        let is_fresh = self.incidents[newest]
            .over_since
            .is_none_or(|since| now - since <= REOPEN_WITHIN);
        open.or(Some(newest).filter(|_| is_fresh))
    }

    fn place(&mut self, group: &str, seen_from: Time, now: Time) -> usize {
        self.newest_of(group, now).unwrap_or_else(|| {
            self.incidents.push(Incident {
                group: group.to_owned(),
                over_since: None,
                recover_at: None,
                last_end: None,
                came_back: 0,
                hidden: 0,
                seen_from,
            });
            self.incidents.len() - 1
        })
    }

    /// Something fires in it: it comes back when it was over or about to be.
    fn join(&mut self, at: usize) {
        let incident = &mut self.incidents[at];
        if incident.over_since.take().is_some() || incident.recover_at.take().is_some() {
            incident.came_back += 1;
        }
    }

    fn begin(&mut self, alert: String, incident: usize, report: &AlertReport, now: Time) {
        if let Some(before) = self.latest.insert(alert.clone(), self.periods.len()) {
            self.periods[before].doubted_until = None;
        }
        let seen_from = &mut self.incidents[incident].seen_from;
        *seen_from = report.start_seen(now).min(*seen_from);
        self.periods.push(Period {
            alert,
            incident,
            start: report.starts_at,
            end: None,
            doubted_until: None,
            old_until: None,
            lease: report.lease_until,
        });
    }

    /// [8] an open incident recovers exactly when each of its alerts has ended by its own entry, none of them is said to
    /// fire again, and nothing was left out.
    fn settle(&mut self, now: Time) {
        for (at, incident) in self.incidents.iter_mut().enumerate() {
            if incident.over_since.is_some() {
                incident.recover_at = None;
                continue;
            }
            let mut members = self.periods.iter().filter(|period| period.incident == at);
            let is_quiet = incident.hidden == 0
                && members.all(|period| period.end.is_some() && period.doubted_until.is_none());
            let members = self.periods.iter().filter(|period| period.incident == at);
            match (is_quiet, incident.recover_at) {
                (true, None) => {
                    incident.recover_at = Some(now + HOLD_DOWN);
                    incident.last_end = members.filter_map(|period| period.end).max();
                }
                (true, Some(_)) => {}
                (false, _) => (incident.recover_at, incident.last_end) = (None, None),
            }
        }
    }

    /// An alert's period in a group's incident, in few words.
    pub fn brief(alert: &str, group: &str, start: Time, end: Option<Time>, is_doubted: bool) -> String {
        format!(
            "{alert} in {group} {start}..{end:?}{}",
            if is_doubted { "?" } else { "" }
        )
    }

    /// All periods in few words.
    pub fn briefs(&self) -> Vec<String> {
        let brief = |period: &Period| {
            Self::brief(
                &period.alert,
                &self.incidents[period.incident].group,
                period.start,
                period.end,
                period.doubted_until.is_some(),
            )
        };
        let mut briefs: Vec<String> = self.periods.iter().map(brief).collect();
        briefs.sort();
        briefs
    }

    /// Every incident with everything in it, as text, in an order that does not hang on numbers.
    pub fn lines(&self) -> Vec<String> {
        let line = |(at, incident): (usize, &Incident)| {
            let members = self.periods.iter().enumerate();
            let members = members.filter(|(_, period)| period.incident == at);
            super::incident_line(
                &incident.group,
                match incident.over_since {
                    None => "triggered",
                    Some(_) => "resolved",
                },
                incident.recover_at,
                incident.last_end,
                i64::from(incident.came_back),
                incident.hidden,
                incident.seen_from,
                members
                    .map(|(number, period)| {
                        super::period_line(
                            &period.alert,
                            period.start,
                            period.end,
                            period.doubted_until,
                            period.old_until,
                            period.lease,
                            self.latest.get(&period.alert) == Some(&number),
                        )
                    })
                    .collect(),
            )
        };
        let mut lines: Vec<String> = self.incidents.iter().enumerate().map(line).collect();
        lines.extend(
            self.heard
                .iter()
                .map(|(name, at)| format!("heard {name} {}", at.timestamp())),
        );
        lines.sort();
        lines
    }
}

trait Seen {
    fn start_seen(&self, now: Time) -> Time;
}

impl Seen for AlertReport {
    /// [14] nothing is seen before it begins, whatever the sender's clock says.
    fn start_seen(&self, now: Time) -> Time {
        self.starts_at.min(now)
    }
}

/// Whether a firing entry begins a period.
fn fires(period: Option<&mut Period>, report: &AlertReport, is_open: bool, now: Time) -> bool {
    let Some(period) = period else { return true };
    let renews = match (period.lease, report.lease_until) {
        (Some(seen), Some(lease)) => lease > seen,
        _ => true,
    };
    if let Some(end) = period.end {
        // A lease no longer than one that is known: the push came twice.
        if !renews {
            return false;
        }
        let is_known_start = report.starts_at == period.start || Some(report.starts_at) == period.old_until;
        // [10] a start after the end is a new period; any other waits to be believed.
        if report.starts_at > end && !is_known_start {
            return true;
        }
        if is_open && period.old_until == Some(end) {
            // That end was not believed once already.
            (period.end, period.doubted_until) = (None, None);
        } else {
            period.doubted_until = period.doubted_until.or(Some(now + DOUBT));
        }
    } else if report.starts_at > period.start {
        // [12] the sender restarted; it never stopped.
        period.old_until = period.old_until.max(Some(report.starts_at));
    }
    if period.lease.is_some() && renews {
        period.lease = report.lease_until.or(period.lease);
    }
    false
}

/// What a resolved entry does. [11] one that ended before what is known began, one for an unknown alert and one that
/// comes again do nothing.
fn ends(period: Option<&mut Period>, report: &AlertReport, arrived: Time) {
    let (Some(period), Some(end)) = (period, report.ends_at) else {
        return;
    };
    // [14] a start in the far future is no reason to hear nothing.
    let counts = |start: Time| start <= arrived + CLOCK_AHEAD;
    match period.end {
        None => {
            let is_old = |old: Time| counts(old) && (end < old || end == old && period.lease.is_some());
            let is_old = end < period.start && counts(period.start) || period.old_until.is_some_and(is_old);
            if !is_old {
                period.end = Some(end);
            }
        }
        Some(known) => {
            // With leases each sender repeats its own ends, whatever the other sees.
            if period.doubted_until.is_some() && (period.lease.is_none() || end > known) {
                period.doubted_until = None;
                period.end = Some(known.max(end));
            }
        }
    }
}
