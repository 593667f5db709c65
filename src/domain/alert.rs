//! One alert as a sender reports it, and what a new report of it means against what is known.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::labels::Labels;

/// How far a sender's clock may be ahead of ours; a start later than that is no time anything began.
const CLOCK_AHEAD_MAX: TimeDelta = TimeDelta::minutes(10);
/// Characters of a summary that become an incident's title.
const HEADLINE_CHARS_MAX: usize = 200;

/// The identity of a label set: 64 bits, written as 16 hex digits. It names the alert, not one occurrence of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Fingerprint {
    /// Reads 16 hex digits; `None` for anything else, so that a malformed one is computed anew.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16)
            .then(|| u64::from_str_radix(text, 16).ok().map(Self))
            .flatten()
    }
}

/// Whether an entry says that the alert is there or that it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// It is there.
    Firing,
    /// It is over.
    Resolved,
}

/// One entry of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertReport {
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// There or over.
    pub status: AlertStatus,
    /// What it is about.
    pub labels: Labels,
    /// What it says.
    pub annotations: Labels,
    /// When the rule began to fire, by the sender.
    pub starts_at: DateTime<Utc>,
    /// When it ended, by the sender; `None` while firing.
    pub ends_at: Option<DateTime<Utc>>,
    /// When a firing report runs out unless it is made again; `None` when the sender will say that it is over.
    pub lease_until: Option<DateTime<Utc>>,
    /// Where the rule can be seen; any text.
    pub generator_url: String,
}

impl AlertReport {
    /// What people call the alert: its name, or the start of its labels when it has none.
    pub fn title(&self) -> String {
        title(&self.labels)
    }
}

/// What an incident that such an alert opens is called: its summary, or the alert's own name.
pub fn headline(labels: &Labels, annotations: &Labels) -> String {
    match annotations.get("summary") {
        "" => title(labels),
        summary => summary.chars().take(HEADLINE_CHARS_MAX).collect(),
    }
}

/// What people call an alert with these labels.
pub fn title(labels: &Labels) -> String {
    let name = labels.get("alertname");
    if !name.is_empty() {
        return name.to_owned();
    }
    let pairs: Vec<String> = labels
        .0
        .iter()
        .take(3)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    match pairs.is_empty() {
        true => "Alert without labels".to_owned(),
        false => pairs.join(", "),
    }
}

/// What is known of an alert's latest firing period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownEpisode {
    /// Start as last reported.
    pub starts_at: DateTime<Utc>,
    /// End, once its own resolve has come.
    pub ends_at: Option<DateTime<Utc>>,
    /// When a firing report that came for the ended episode is believed, if one waits for that.
    pub refire_due: Option<DateTime<Utc>>,
    /// The latest start named while it fired, or an end that was not believed: an end named for before that is old.
    pub last_start: Option<DateTime<Utc>>,
    /// When it ends unless it is reported again; `None` when its sender says so itself.
    pub lease_until: Option<DateTime<Utc>>,
}

impl KnownEpisode {
    /// An episode that this report begins.
    pub fn begun_by(report: &AlertReport) -> Self {
        Self {
            starts_at: report.starts_at,
            ends_at: None,
            refire_due: None,
            last_start: None,
            lease_until: report.lease_until,
        }
    }

    /// Whether an end at `end`, heard of at `received_at`, is one of an earlier period. A start that still lies ahead by
    /// then is no honest clock's: it must not keep the alert from ever ending.
    fn is_after(&self, end: DateTime<Utc>, received_at: DateTime<Utc>) -> bool {
        let is_sound = |start: DateTime<Utc>| start <= received_at + CLOCK_AHEAD_MAX;
        // A sender with leases goes on repeating an end that was not believed; a node of a cluster that was behind may
        // yet repeat it rightly.
        let is_old = |last: DateTime<Utc>| end < last || end == last && self.lease_until.is_some();
        (end < self.starts_at && is_sound(self.starts_at))
            || self.last_start.is_some_and(|last| is_old(last) && is_sound(last))
    }

    /// Whether it has ended by an end that was not believed before: then a firing report need not wait again.
    pub fn has_doubtful_end(&self) -> bool {
        self.ends_at.is_some() && self.ends_at == self.last_start
    }

    /// Whether a firing report is a push that came twice: each renewal of a lease ends later than those before it.
    fn has_seen(&self, report: &AlertReport) -> bool {
        match (self.lease_until, report.lease_until) {
            (Some(seen), Some(lease)) => lease <= seen,
            _ => false,
        }
    }
}

/// What one report means for one alert; each is a reason fit for a page and a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Fires and was not known, or began after the known end: a new episode.
    NewEpisode,
    /// Fires and is known to: a heartbeat; texts are brought up to date.
    StillFiring,
    /// Fires with a later start than known though it never stopped: the sender restarted.
    StartMoved,
    /// Fires with a start before the known end: a late, repeated or honest re-fire; believed when it lasts.
    RefirePending,
    /// Fires after its end by a lease that was known before the end: an old push.
    OldFiring,
    /// Is over: the episode ends.
    Ended,
    /// Is over, was over already.
    EndedAgain,
    /// Is over after a re-fire that was not yet believed: it never counted.
    RefireWithdrawn,
    /// Is over, but before the current episode began.
    OldResolve,
    /// Is over and was never known to fire.
    UnknownResolve,
    /// Came in a delivery that arrived before one already applied.
    Superseded,
}

impl Reading {
    /// As answers to senders name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewEpisode => "new",
            Self::StillFiring => "still_firing",
            Self::StartMoved => "start_moved",
            Self::RefirePending => "refire_pending",
            Self::OldFiring => "old_firing",
            Self::Ended => "ended",
            Self::EndedAgain => "ended_again",
            Self::RefireWithdrawn => "refire_withdrawn",
            Self::OldResolve => "old_resolve",
            Self::UnknownResolve => "unknown_resolve",
            Self::Superseded => "superseded",
        }
    }
}

/// Reads one report against the alert's latest episode. `received_at` is the arrival of its delivery,
/// `last_received_at` that of the newest one applied to the alert.
///
/// Where senders leave room for doubt, the doubt is settled towards an alert that somebody sees:
///
/// - An alert that was unknown when its end came and is then said to fire is a new episode, even with a start before that
///   end. That may be a node's old word, and then its own next body ends it; were it held to be old and was true, nobody
///   would be told for the sender's whole repeat interval.
/// - A firing report over an end is never thrown away for an early start: of a pair of senders with different starts
///   one may still see what the other does not. It waits to be believed, and recovery waits with it.
/// - An end that comes again takes an unbelieved re-fire back when the sender words ends and fires in one body: a node of
///   a cluster that sent an old snapshot corrects itself so. Of senders with leases each repeats its own ends for
///   fifteen minutes whatever the other sees, so there only a later end counts.
pub fn read(
    known: Option<&KnownEpisode>,
    report: &AlertReport,
    received_at: DateTime<Utc>,
    last_received_at: DateTime<Utc>,
) -> Reading {
    if received_at < last_received_at {
        return Reading::Superseded;
    }
    let Some(known) = known else {
        return match report.status {
            AlertStatus::Firing => Reading::NewEpisode,
            AlertStatus::Resolved => Reading::UnknownResolve,
        };
    };
    match (report.status, known.ends_at) {
        (AlertStatus::Firing, None) if report.starts_at > known.starts_at => Reading::StartMoved,
        (AlertStatus::Firing, None) => Reading::StillFiring,
        (AlertStatus::Firing, Some(_)) if known.has_seen(report) => Reading::OldFiring,
        // A start that is known cannot be new, even when it was ahead of its own end.
        (AlertStatus::Firing, Some(end))
            if report.starts_at > end
                && report.starts_at != known.starts_at
                && known.last_start != Some(report.starts_at) =>
        {
            Reading::NewEpisode
        }
        (AlertStatus::Firing, Some(_)) => Reading::RefirePending,
        (AlertStatus::Resolved, None)
            if report.ends_at.is_some_and(|end| known.is_after(end, received_at)) =>
        {
            Reading::OldResolve
        }
        (AlertStatus::Resolved, None) => Reading::Ended,
        (AlertStatus::Resolved, Some(end))
            if known.refire_due.is_some()
                && (known.lease_until.is_none() || report.ends_at.is_some_and(|said| said > end)) =>
        {
            Reading::RefireWithdrawn
        }
        (AlertStatus::Resolved, Some(_)) => Reading::EndedAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn report(status: AlertStatus, starts: i64, ends: Option<i64>) -> AlertReport {
        let labels = Labels::from([("alertname", "Down")]);
        AlertReport {
            fingerprint: labels.fingerprint(),
            status,
            labels,
            annotations: Labels::default(),
            starts_at: at(starts),
            ends_at: ends.map(at),
            lease_until: None,
            generator_url: String::new(),
        }
    }

    #[test]
    fn every_report_has_one_reading() {
        use AlertStatus::{Firing, Resolved};
        let known = |starts: i64, ends: Option<i64>, refire_pending: bool| {
            Some(KnownEpisode {
                starts_at: at(starts),
                ends_at: ends.map(at),
                refire_due: refire_pending.then(|| at(80)),
                last_start: None,
                lease_until: None,
            })
        };
        for (known, report, reading) in [
            (None, report(Firing, 0, None), Reading::NewEpisode),
            (None, report(Resolved, 0, Some(9)), Reading::UnknownResolve),
            (
                known(10, None, false),
                report(Firing, 10, None),
                Reading::StillFiring,
            ),
            (
                known(10, None, false),
                report(Firing, 5, None),
                Reading::StillFiring,
            ),
            (
                known(10, None, false),
                report(Firing, 30, None),
                Reading::StartMoved,
            ),
            (
                known(10, None, false),
                report(Resolved, 10, Some(20)),
                Reading::Ended,
            ),
            (
                known(10, None, false),
                report(Resolved, 1, Some(8)),
                Reading::OldResolve,
            ),
            (
                known(10, Some(20), false),
                report(Resolved, 10, Some(20)),
                Reading::EndedAgain,
            ),
            (
                known(10, Some(20), false),
                report(Firing, 10, None),
                Reading::RefirePending,
            ),
            (
                known(10, Some(20), false),
                report(Firing, 21, None),
                Reading::NewEpisode,
            ),
            (
                known(10, Some(20), false),
                report(Firing, 5, None),
                Reading::RefirePending,
            ),
            (
                known(10, Some(20), true),
                report(Resolved, 10, Some(20)),
                Reading::RefireWithdrawn,
            ),
        ] {
            assert_eq!(
                read(known.as_ref(), &report, at(60), at(50)),
                reading,
                "{known:?} {report:?}"
            );
        }
        let year = 365 * 24 * 3600;
        let ahead = known(year, None, false);
        let over = known(year, Some(50), false);
        let moved = Some(KnownEpisode {
            last_start: Some(at(30)),
            ..ahead.unwrap()
        });
        for (known, report, reading) in [
            // A start in the far future does not outlive the word that it is over.
            (ahead, report(Resolved, 50, Some(50)), Reading::Ended),
            (over, report(Firing, year, None), Reading::RefirePending),
            (over, report(Firing, 55, None), Reading::NewEpisode),
            // The sender restarted at 30: what ended before that is not what fires now.
            (moved, report(Resolved, 10, Some(20)), Reading::OldResolve),
            (moved, report(Resolved, 10, Some(40)), Reading::Ended),
        ] {
            assert_eq!(
                read(known.as_ref(), &report, at(60), at(50)),
                reading,
                "{known:?} {report:?}"
            );
        }
        let late = read(
            known(10, None, false).as_ref(),
            &report(Resolved, 10, Some(20)),
            at(40),
            at(50),
        );
        assert_eq!(late, Reading::Superseded);
    }
    #[test]
    fn of_senders_with_leases_one_may_see_what_the_other_does_not() {
        use AlertStatus::{Firing, Resolved};
        let push = |starts: i64, lease: i64| AlertReport {
            lease_until: Some(at(lease)),
            ..report(Firing, starts, None)
        };
        let ended = KnownEpisode {
            ends_at: Some(at(20)),
            ..KnownEpisode::begun_by(&push(10, 100))
        };
        let pending = KnownEpisode {
            refire_due: Some(at(80)),
            ..ended
        };
        for (known, report, reading) in [
            (ended, push(13, 101), Reading::RefirePending),
            (ended, push(10, 100), Reading::OldFiring),
            (ended, push(21, 101), Reading::NewEpisode),
            (pending, report(Resolved, 10, Some(20)), Reading::EndedAgain),
            (pending, report(Resolved, 13, Some(22)), Reading::RefireWithdrawn),
        ] {
            assert_eq!(
                read(Some(&known), &report, at(60), at(50)),
                reading,
                "{known:?} {report:?}"
            );
        }
    }
}
