//! Freezes: a time in which nothing starts by itself on alerts with certain labels.

use chrono::{DateTime, TimeDelta, Utc};

use super::{id::FreezeId, labels::Labels, matcher::Matcher};

/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 100;
/// The longest line of matchers, in characters.
pub const MATCHERS_CHARS_MAX: usize = 1000;
/// The most matchers in a line.
const MATCHERS_MAX: usize = 20;
/// The longest freeze: one that is forgotten ends by itself.
pub const LENGTH_MAX: TimeDelta = TimeDelta::days(92);
/// How far ahead one may be planned.
const AHEAD_MAX: TimeDelta = TimeDelta::days(366);

/// What a person asks to be frozen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedFreeze {
    /// What people call it.
    pub title: String,
    /// Which alerts, one line in Alertmanager's syntax.
    pub matchers: String,
    /// From when; from now when absent.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when; needed.
    pub ends_at: Option<DateTime<Utc>>,
}

/// A freeze that may be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFreeze {
    /// What people call it.
    pub title: String,
    /// Which alerts: all of these hold.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when, not included.
    pub ends_at: DateTime<Utc>,
}

/// Why a freeze cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreezeFault {
    /// It has no title, or too long a one.
    #[error("the title must have 1 to {TITLE_CHARS_MAX} characters in one line")]
    Title,
    /// The matchers are more than one line, or too many.
    #[error(
        "the matchers must be one line of at most {MATCHERS_CHARS_MAX} characters and {MATCHERS_MAX} matchers"
    )]
    Line,
    /// The matchers cannot be read.
    #[error("the matchers cannot be read, {0}")]
    Matchers(String),
    /// It does not say when it ends.
    #[error("say when it ends")]
    Endless,
    /// It ends before it starts, or has ended already.
    #[error("it must end after it starts, and after now")]
    Order,
    /// It lasts too long.
    #[error("it may last {} days at most and start within {} days", LENGTH_MAX.num_days(),
            AHEAD_MAX.num_days())]
    Length,
}

impl AskedFreeze {
    /// The freeze, or the first thing that is wrong with it.
    pub fn check(&self, now: DateTime<Utc>) -> Result<NewFreeze, FreezeFault> {
        let title = self.title.trim();
        if title.is_empty() || title.chars().count() > TITLE_CHARS_MAX || title.contains(char::is_control) {
            return Err(FreezeFault::Title);
        }
        let line = self.matchers.trim();
        if line.chars().count() > MATCHERS_CHARS_MAX || line.contains(char::is_control) {
            return Err(FreezeFault::Line);
        }
        let matchers = Matcher::parse_list(line).map_err(|fault| FreezeFault::Matchers(fault.to_string()))?;
        if matchers.len() > MATCHERS_MAX {
            return Err(FreezeFault::Line);
        }
        let starts_at = self.starts_at.unwrap_or(now);
        let ends_at = self.ends_at.ok_or(FreezeFault::Endless)?;
        if ends_at <= starts_at || ends_at <= now {
            return Err(FreezeFault::Order);
        }
        if ends_at - starts_at > LENGTH_MAX || starts_at - now > AHEAD_MAX {
            return Err(FreezeFault::Length);
        }
        Ok(NewFreeze {
            title: title.to_owned(),
            matchers,
            starts_at,
            ends_at,
        })
    }
}

/// The matchers as one line, which reads back as the same.
pub fn line(matchers: &[Matcher]) -> String {
    let texts: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
    texts.join(", ")
}

/// A freeze that was made and that no person has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Freeze {
    /// Its number.
    pub id: FreezeId,
    /// What people call it.
    pub title: String,
    /// Which alerts: all of these hold.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when, not included.
    pub ends_at: DateTime<Utc>,
    /// Why, in the words of who made it.
    pub reason: String,
    /// Name of who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Freeze {
    /// Whether its time is now.
    pub fn is_on(&self, now: DateTime<Utc>) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether it keeps runbooks from starting by themselves on an alert with these labels.
    pub fn holds(&self, labels: &Labels, now: DateTime<Utc>) -> bool {
        self.is_on(now) && self.matchers.iter().all(|matcher| matcher.holds(labels))
    }

    /// Why nothing starts by itself, for the timeline, one line.
    pub fn why(&self) -> String {
        format!(
            "the freeze \"{}\" of {} holds until {}: {}",
            self.title,
            self.created_by,
            self.ends_at.format("%-d %b %Y %H:%M:%S UTC"),
            self.reason
        )
    }
}

/// The freeze that holds for these labels; of several the one that holds longest.
pub fn holding<'a>(freezes: &'a [Freeze], labels: &Labels, now: DateTime<Utc>) -> Option<&'a Freeze> {
    freezes
        .iter()
        .filter(|freeze| freeze.holds(labels, now))
        .max_by_key(|freeze| (freeze.ends_at, std::cmp::Reverse(freeze.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: u32) -> DateTime<Utc> {
        format!("2026-11-21T{hour:02}:00:00Z").parse().unwrap()
    }

    fn asked(matchers: &str, starts: Option<u32>, ends: Option<u32>) -> AskedFreeze {
        AskedFreeze {
            title: " Release week ".to_owned(),
            matchers: matchers.to_owned(),
            starts_at: starts.map(at),
            ends_at: ends.map(at),
        }
    }

    fn freeze(id: i64, matchers: &str, starts: u32, ends: u32) -> Freeze {
        Freeze {
            id: FreezeId(id),
            title: "Release week".to_owned(),
            matchers: Matcher::parse_list(matchers).unwrap(),
            starts_at: at(starts),
            ends_at: at(ends),
            reason: "no surprises".to_owned(),
            created_by: "ana".to_owned(),
            created_at: at(1),
        }
    }

    #[test]
    fn it_holds_in_its_time_for_its_labels() {
        let shop = freeze(1, r#"env=~"prod|staging", team="shop""#, 4, 6);
        let labels = Labels::from([("env", "prod"), ("team", "shop"), ("pod", "a")]);
        let others = Labels::from([("env", "prod"), ("team", "search")]);
        for (labels, hour, holds) in [
            (&labels, 3, false),
            (&labels, 4, true),
            (&labels, 5, true),
            (&labels, 6, false),
            (&others, 5, false),
        ] {
            assert_eq!(shop.holds(labels, at(hour)), holds, "{labels:?} at {hour}");
        }
        assert_eq!(
            shop.why(),
            "the freeze \"Release week\" of ana holds until 21 Nov 2026 06:00:00 UTC: no surprises"
        );
        let all = [
            freeze(1, "env=prod", 1, 5),
            freeze(2, "env=prod", 1, 8),
            freeze(3, "env=prod", 1, 8),
            freeze(4, "env=dev", 1, 9),
            freeze(5, "env=prod", 6, 9),
        ];
        let found = |hour| holding(&all, &labels, at(hour)).map(|freeze| freeze.id.0);
        assert_eq!((found(2), found(7), found(9)), (Some(2), Some(5), None));
    }

    #[test]
    fn only_a_whole_and_bounded_one_can_be_made() {
        let made = asked("{env=prod,}", None, Some(5)).check(at(3)).unwrap();
        assert_eq!(
            (made.title.as_str(), line(&made.matchers).as_str(), made.starts_at),
            ("Release week", "env=\"prod\"", at(3))
        );
        let later = asked("env=prod", Some(4), Some(5)).check(at(3)).unwrap();
        assert_eq!((later.starts_at, later.ends_at), (at(4), at(5)));

        let many = vec!["a=b"; MATCHERS_MAX + 1].join(",");
        let wide = format!("a={}", "b".repeat(MATCHERS_CHARS_MAX));
        for (asked, fault) in [
            (asked("env=prod", None, None), FreezeFault::Endless),
            (asked("env=prod", None, Some(3)), FreezeFault::Order),
            (asked("env=prod", Some(1), Some(2)), FreezeFault::Order),
            (asked("env=prod", Some(5), Some(5)), FreezeFault::Order),
            (asked("env=prod\nteam=shop", None, Some(5)), FreezeFault::Line),
            (asked(&many, None, Some(5)), FreezeFault::Line),
            (asked(&wide, None, Some(5)), FreezeFault::Line),
        ] {
            assert_eq!(asked.check(at(3)), Err(fault), "{asked:?}");
        }
        let unreadable = asked("env", None, Some(5)).check(at(3)).unwrap_err().to_string();
        assert!(unreadable.contains("at character 4"), "{unreadable}");

        let mut long = asked("env=prod", None, Some(5));
        long.ends_at = Some(at(3) + LENGTH_MAX);
        assert!(long.check(at(3)).is_ok(), "to the last moment");
        long.starts_at = Some(at(2));
        assert_eq!(long.check(at(3)), Err(FreezeFault::Length));
        long.starts_at = Some(at(3) + AHEAD_MAX + TimeDelta::seconds(1));
        long.ends_at = long.starts_at.map(|start| start + TimeDelta::seconds(60));
        assert_eq!(long.check(at(3)), Err(FreezeFault::Length));
        for title in ["", " ", "a\u{7}b", &"a".repeat(TITLE_CHARS_MAX + 1)] {
            let mut nameless = asked("env=prod", None, Some(5));
            nameless.title = title.to_owned();
            assert_eq!(nameless.check(at(3)), Err(FreezeFault::Title), "{title:?}");
        }
    }
}
