//! Boots: what a starting Muster finds of those before it, and how long nobody was there.
//!
//! An outage is measured by leases, which run by the database's clock, and laid on the clock that due times are written
//! by: it ends at the start, and is as long as nobody renewed a lease.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    id::{BootId, ReplicaId},
    overdue::Report,
    span::Span,
};

/// An outage from this length on is told to every open incident and shown on the list; a shorter one is a restart.
pub const OUTAGE_MIN: Span = Span::from_secs(30);

/// What a starting process finds of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether any lease runs.
    pub any_lease: bool,
    /// Those whose lease runs and on whom no earlier boot waits.
    pub rivals: Vec<ReplicaId>,
    /// The one heard of last; `None` when nobody is known.
    pub last: Option<LastHeard>,
}

/// The last sign of anybody before a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastHeard {
    /// How long ago, by the database's clock.
    pub ago: TimeDelta,
    /// Whether it was a stop that gave everything back.
    pub stopped: bool,
}

/// Who else was there at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Company {
    /// Nobody: the time since the last sign of anybody is an outage.
    Alone,
    /// Somebody whose lease still runs, which it does for seconds after a kill. Settled once they are heard of again,
    /// or are not.
    Unsettled,
    /// Somebody at work: nothing stood still.
    Beside,
}

impl Company {
    /// Its name in the database and the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Unsettled => "unsettled",
            Self::Beside => "beside",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Alone, Self::Unsettled, Self::Beside]
            .into_iter()
            .find(|company| company.name() == name)
    }
}

impl Found {
    /// Whether this start ends an outage. Of several that start at once the first is alone, and the others find its
    /// lease.
    pub fn company(&self) -> Company {
        match (self.any_lease, self.rivals.is_empty()) {
            (false, _) => Company::Alone,
            (true, false) => Company::Unsettled,
            // Their earlier boot tells of them, whichever way it turns out.
            (true, true) => Company::Beside,
        }
    }
}

/// One process start.
#[derive(Clone, Debug, PartialEq)]
pub struct Boot {
    /// Its number.
    pub id: BootId,
    /// The replica it became.
    pub replica: ReplicaId,
    /// When.
    pub started_at: DateTime<Utc>,
    /// When anybody was last heard of before; `None` when nobody is known.
    pub last_alive_at: Option<DateTime<Utc>>,
    /// Whether the last one stopped by itself.
    pub clean_stop: bool,
    /// Who else was there.
    pub company: Company,
    /// What was overdue.
    pub report: Report,
}

impl Boot {
    /// How long nobody was there; `None` while that is open and when nobody was before.
    pub fn away(&self) -> Option<TimeDelta> {
        match self.company {
            Company::Alone => self.last_alive_at.map(|last| self.started_at - last),
            Company::Unsettled => None,
            Company::Beside => Some(TimeDelta::zero()),
        }
    }

    /// Whether it ends an outage that is worth telling everybody.
    pub fn is_outage(&self) -> bool {
        self.away().is_some_and(|away| away >= OUTAGE_MIN.as_delta())
    }

    /// How long nobody was there, in the words of [`Boot::sentence`].
    pub fn length(&self) -> Option<String> {
        self.away()?;
        Some(length(self.last_alive_at?, self.started_at))
    }

    /// What happened, as one sentence.
    pub fn sentence(&self) -> String {
        let at = clock(self.started_at, self.started_at);
        match (self.company, self.last_alive_at) {
            (Company::Alone, Some(last)) => {
                format!("{}.", away(last, self.started_at, self.clean_stop))
            }
            (Company::Alone, None) => {
                format!("Muster started at {at} UTC, and nothing is known of a Muster before it.")
            }
            (Company::Unsettled, _) => format!(
                "Muster started at {at} UTC. Whether another was at work then shows in a few seconds, when its lease \
                 is renewed or runs out."
            ),
            (Company::Beside, _) => {
                format!("Muster started at {at} UTC beside another that was at work: nothing stood still.")
            }
        }
    }
}

/// That Muster was away, as a sentence without its dot.
pub fn away(since: DateTime<Utc>, until: DateTime<Utc>, clean_stop: bool) -> String {
    let how = if clean_stop {
        "it was stopped cleanly"
    } else {
        "it was killed"
    };
    format!(
        "Muster was away for {}, from {} to {} UTC ({how})",
        length(since, until),
        clock(since, until),
        clock(until, since)
    )
}

/// The time of day, with the day when the other one is on another.
fn clock(at: DateTime<Utc>, other: DateTime<Utc>) -> String {
    match at.date_naive() == other.date_naive() {
        true => at.format("%H:%M:%S").to_string(),
        false => at.format("%-d %b %H:%M:%S").to_string(),
    }
}

/// The time between, in its two largest units; of the whole seconds that are shown, so that a reader can check the sum.
fn length(since: DateTime<Utc>, until: DateTime<Utc>) -> String {
    let s = (until.timestamp() - since.timestamp()).max(0);
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        small => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match s {
        0 => "less than 1 s".to_owned(),
        1..60 => format!("{s} s"),
        60..3600 => two(s / 60, "min", s % 60, "s"),
        3600..86_400 => two(s / 3600, "h", s % 3600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn boot(last_alive_at: Option<&str>, clean_stop: bool, company: Company) -> Boot {
        Boot {
            id: BootId(1),
            replica: ReplicaId(1),
            started_at: at("2026-11-21T03:05:22.100Z"),
            last_alive_at: last_alive_at.map(at),
            clean_stop,
            company,
            report: Report::default(),
        }
    }

    #[test]
    fn who_is_alone_is_told_by_the_leases() {
        let found = |any_lease, rivals: &[i64]| Found {
            any_lease,
            rivals: rivals.iter().copied().map(ReplicaId).collect(),
            last: None,
        };
        assert_eq!(found(false, &[]).company(), Company::Alone);
        assert_eq!(found(true, &[3]).company(), Company::Unsettled);
        assert_eq!(found(true, &[]).company(), Company::Beside);
    }

    #[test]
    fn an_outage_is_a_long_time_alone() {
        for (last, company, away_s, is_outage) in [
            (Some("2026-11-21T03:01:10.900Z"), Company::Alone, Some(251), true),
            (Some("2026-11-21T03:04:52.100Z"), Company::Alone, Some(30), true),
            (Some("2026-11-21T03:04:52.200Z"), Company::Alone, Some(29), false),
            (None, Company::Alone, None, false),
            (Some("2026-11-21T03:01:10Z"), Company::Unsettled, None, false),
            (Some("2026-11-21T03:05:22.100Z"), Company::Beside, Some(0), false),
        ] {
            let boot = boot(last, false, company);
            assert_eq!(boot.away().map(|away| away.num_seconds()), away_s, "{boot:?}");
            assert_eq!(boot.is_outage(), is_outage, "{boot:?}");
        }
    }

    #[test]
    fn the_first_sentence_says_how_long_when_and_how() {
        let sentence = |last, clean| boot(Some(last), clean, Company::Alone).sentence();
        assert_eq!(
            sentence("2026-11-21T03:01:10.900Z", false),
            "Muster was away for 4 min 12 s, from 03:01:10 to 03:05:22 UTC (it was killed)."
        );
        assert_eq!(
            sentence("2026-11-20T23:05:20Z", true),
            "Muster was away for 4 h, from 20 Nov 23:05:20 to 21 Nov 03:05:22 UTC (it was stopped cleanly)."
        );
        for (seconds, text) in [
            (0, "less than 1 s"),
            (59, "59 s"),
            (3_725, "1 h 2 min"),
            (180_000, "2 d 2 h"),
            (-3, "less than 1 s"),
        ] {
            let since = at("2026-11-21T03:01:10Z");
            assert_eq!(length(since, since + TimeDelta::seconds(seconds)), text);
        }
        let first = boot(None, false, Company::Alone).sentence();
        assert!(
            first.contains("nothing is known of a Muster before it"),
            "{first}"
        );
    }
}
