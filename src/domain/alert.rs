//! One alert as a sender reports it, and what a new report of it means against what is known.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::labels::Labels;

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
    /// A firing report came for the ended episode and waits to be believed.
    pub refire_pending: bool,
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
    /// Fires with the start of an episode that has ended: a late, repeated or honest re-fire; believed when it lasts.
    RefirePending,
    /// Fires with the start of an episode older than the latest one.
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
        (AlertStatus::Firing, Some(end)) if report.starts_at > end => Reading::NewEpisode,
        (AlertStatus::Firing, Some(_)) if report.starts_at < known.starts_at => Reading::OldFiring,
        (AlertStatus::Firing, Some(_)) => Reading::RefirePending,
        (AlertStatus::Resolved, None) if report.ends_at.is_some_and(|end| end < known.starts_at) => {
            Reading::OldResolve
        }
        (AlertStatus::Resolved, None) => Reading::Ended,
        (AlertStatus::Resolved, Some(_)) if known.refire_pending => Reading::RefireWithdrawn,
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
        let known = |starts: i64, ends: Option<i64>, refire_pending| {
            Some(KnownEpisode {
                starts_at: at(starts),
                ends_at: ends.map(at),
                refire_pending,
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
                Reading::OldFiring,
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
        let late = read(
            known(10, None, false).as_ref(),
            &report(Resolved, 10, Some(20)),
            at(40),
            at(50),
        );
        assert_eq!(late, Reading::Superseded);
    }
}
