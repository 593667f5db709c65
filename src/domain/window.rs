//! When a maintenance window is open: once, or every week on certain days at a certain time. Less than RFC 5545 on
//! purpose: days of the week, a time of day, a length and a fixed distance from UTC can be said in one line and checked
//! by eye. A zone that changes its clock needs a person twice a year.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Utc, Weekday};
use serde::{Deserialize, Serialize};

use super::span::Span;

/// The longest window, so that one that is forgotten does not hide a sender for ever.
pub const ONCE_MAX: TimeDelta = TimeDelta::days(92);
/// The longest window of those that come again; windows of two days may then touch, but never overlap twice.
pub const WEEKLY_MAX: Span = Span::from_secs(24 * 3600);
/// How far ahead one may be planned.
const AHEAD_MAX: TimeDelta = TimeDelta::days(366);
/// The furthest a place is from UTC, in minutes.
const OFFSET_MINUTES_MAX: i32 = 14 * 60;

/// When a window is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "every", rename_all = "snake_case")]
pub enum Schedule {
    /// From one moment to another, the second not included.
    Once {
        /// From when.
        starts_at: DateTime<Utc>,
        /// Until when, not included.
        ends_at: DateTime<Utc>,
    },
    /// On certain days of every week.
    Week {
        /// Which days, by the clock of the place; in order, each once.
        days: Vec<Weekday>,
        /// From which time of such a day, to the minute.
        at: NaiveTime,
        /// How long; it may end on the next day.
        length: Span,
        /// How far the place's clock is ahead of UTC, in minutes.
        offset_minutes: i32,
    },
}

/// Why a schedule is none; in words for who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScheduleFault {
    /// Which part of it: `ends_at`, `days`, `at`, `length` or `offset`.
    pub field: &'static str,
    /// What is wrong, and what to write instead.
    pub message: String,
}

fn fault<T>(field: &'static str, words: impl Into<String>) -> Result<T, ScheduleFault> {
    Err(ScheduleFault {
        field,
        message: words.into(),
    })
}

impl Schedule {
    /// A window that comes once.
    pub fn once(
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Self, ScheduleFault> {
        if ends_at <= starts_at || ends_at <= now {
            return fault("ends_at", "it must end after it starts, and after now");
        }
        if ends_at - starts_at > ONCE_MAX || starts_at - now > AHEAD_MAX {
            return fault(
                "ends_at",
                format!(
                    "it may last {} days at most and start within {} days",
                    ONCE_MAX.num_days(),
                    AHEAD_MAX.num_days()
                ),
            );
        }
        Ok(Self::Once { starts_at, ends_at })
    }

    /// A window that comes every week, from texts like `sat, sun`, `02:00`, `2h` and `+02:00`.
    pub fn weekly(days: &str, at: &str, length: &str, offset: &str) -> Result<Self, ScheduleFault> {
        let mut named: Vec<Weekday> = Vec::new();
        for day in days
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|day| !day.is_empty())
        {
            let Ok(day) = day.parse() else {
                return fault(
                    "days",
                    format!("\"{day}\" is no day; write days like mon, wed, sun"),
                );
            };
            named.push(day);
        }
        named.sort_by_key(|day| day.num_days_from_monday());
        named.dedup();
        if named.is_empty() {
            return fault("days", "say on which days, like sat, sun");
        }
        let Ok(at) = NaiveTime::parse_from_str(at.trim(), "%H:%M") else {
            return fault("at", "the time of day must be like 02:00");
        };
        let length: Span = match length.parse() {
            Ok(length) => length,
            Err(error) => return fault("length", format!("how long: {error}")),
        };
        if length < Span::from_secs(60) || length > WEEKLY_MAX {
            return fault(
                "length",
                format!("it may last a minute at least and {WEEKLY_MAX} at most"),
            );
        }
        Ok(Self::Week {
            days: named,
            at,
            length,
            offset_minutes: offset_minutes(offset)?,
        })
    }

    /// When the window that is open now closes; `None` when none is.
    pub fn open_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Once { starts_at, ends_at } => (*starts_at <= now && now < *ends_at).then_some(*ends_at),
            Self::Week {
                days,
                at,
                length,
                offset_minutes,
            } => {
                let offset = TimeDelta::minutes(i64::from(*offset_minutes));
                let local = now.naive_utc() + offset;
                // None is longer than a day, so an open one began today or yesterday.
                (0..=1)
                    .filter_map(|back| local.date().checked_sub_days(chrono::Days::new(back)))
                    .filter(|day| days.contains(&day.weekday()))
                    .map(|day| day.and_time(*at))
                    .filter(|start| *start <= local && local < *start + length.as_delta())
                    .map(|start| (start + length.as_delta() - offset).and_utc())
                    .max()
            }
        }
    }

    /// When it ends for good; `None` for one that comes again and again.
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Once { ends_at, .. } => Some(*ends_at),
            Self::Week { .. } => None,
        }
    }
}

/// Reads `+02:00`, `-3:30`, `UTC`; nothing is UTC.
fn offset_minutes(text: &str) -> Result<i32, ScheduleFault> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
        return Ok(0);
    }
    let read = || {
        let (sign, rest) = match text.split_at_checked(1)? {
            ("+", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
        let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
        let total = i32::from(hours) * 60 + i32::from(minutes);
        (minutes < 60 && total <= OFFSET_MINUTES_MAX).then_some(sign * total)
    };
    match read() {
        Some(minutes) => Ok(minutes),
        None => fault("offset", "the distance from UTC must be like +02:00 or -03:30"),
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once { starts_at, ends_at } => {
                let form = "%-d %b %Y %H:%M";
                write!(
                    f,
                    "once, {} to {} UTC",
                    starts_at.format(form),
                    ends_at.format(form)
                )
            }
            Self::Week {
                days,
                at,
                length,
                offset_minutes,
            } => {
                let days: Vec<String> = days.iter().map(Weekday::to_string).collect();
                write!(
                    f,
                    "every {} at {} for {length}, UTC",
                    days.join(", "),
                    at.format("%H:%M")
                )?;
                let away = offset_minutes.abs();
                match offset_minutes {
                    0 => Ok(()),
                    minutes if *minutes < 0 => write!(f, "-{:02}:{:02}", away / 60, away % 60),
                    _ => write!(f, "+{:02}:{:02}", away / 60, away % 60),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    #[test]
    fn a_weekly_window_is_open_on_its_days_by_the_clock_of_its_place() {
        // 21 November 2026 is a Saturday.
        let utc = Schedule::weekly("sat", "02:00", "2h", "").unwrap();
        let over_midnight = Schedule::weekly("Sat, sun", "23:00", "3h", "utc").unwrap();
        let all_day = Schedule::weekly("sat sunday", "00:00", "24h", "").unwrap();
        let in_india = Schedule::weekly("sun", "01:00", "1h", "+05:30").unwrap();
        let in_newfoundland = Schedule::weekly("fri", "23:00", "1h", "-3:30").unwrap();
        for (schedule, now, until) in [
            (&utc, "21T01:59", None),
            (&utc, "21T02:00", Some("21T04:00")),
            (&utc, "21T03:59", Some("21T04:00")),
            (&utc, "21T04:00", None),
            (&utc, "22T02:00", None),
            (&utc, "28T02:00", Some("28T04:00")),
            (&over_midnight, "21T23:00", Some("22T02:00")),
            (&over_midnight, "22T01:59", Some("22T02:00")),
            (&over_midnight, "22T02:00", None),
            (&over_midnight, "23T01:00", Some("23T02:00")),
            (&over_midnight, "24T01:00", None),
            (&all_day, "21T23:59", Some("22T00:00")),
            (&all_day, "22T00:00", Some("23T00:00")),
            (&in_india, "21T19:29", None),
            (&in_india, "21T19:30", Some("21T20:30")),
            (&in_india, "22T01:00", None),
            (&in_newfoundland, "21T02:30", Some("21T03:30")),
            (&in_newfoundland, "21T02:29", None),
        ] {
            assert_eq!(schedule.open_until(at(now)), until.map(at), "{schedule} at {now}");
        }
        assert_eq!(in_india.to_string(), "every Sun at 01:00 for 1h, UTC+05:30");
        let json = serde_json::to_value(&over_midnight).unwrap();
        assert_eq!(serde_json::from_value::<Schedule>(json).unwrap(), over_midnight);
    }

    #[test]
    fn a_window_that_comes_once_is_open_until_its_end() {
        let once = Schedule::once(at("21T02:00"), at("21T04:00"), at("21T01:00")).unwrap();
        for (now, until) in [
            ("21T01:59", None),
            ("21T02:00", Some("21T04:00")),
            ("21T04:00", None),
        ] {
            assert_eq!(once.open_until(at(now)), until.map(at), "{now}");
        }
        assert!(Schedule::once(at("21T04:00"), at("21T04:00"), at("21T01:00")).is_err());
        assert!(Schedule::once(at("21T01:00"), at("21T02:00"), at("21T02:00")).is_err());
        let far = at("21T01:00") + ONCE_MAX;
        assert!(Schedule::once(at("21T01:00"), far, at("21T01:00")).is_ok());
        assert!(Schedule::once(at("21T01:00"), far + TimeDelta::seconds(1), at("21T01:00")).is_err());
    }

    #[test]
    fn what_cannot_be_a_week_is_refused_in_words() {
        for (days, time, length, offset, words) in [
            ("", "02:00", "2h", "", "on which days"),
            ("caturday", "02:00", "2h", "", "is no day"),
            ("sat", "2 am", "2h", "", "like 02:00"),
            ("sat", "24:00", "2h", "", "like 02:00"),
            ("sat", "02:00", "two", "", "length of time"),
            ("sat", "02:00", "25h", "", "1d at most"),
            ("sat", "02:00", "30s", "", "a minute at least"),
            ("sat", "02:00", "2h", "Paris", "distance from UTC"),
            ("sat", "02:00", "2h", "+14:01", "distance from UTC"),
            ("sat", "02:00", "2h", "+01:60", "distance from UTC"),
            ("sat", "02:00", "2h", "é", "distance from UTC"),
        ] {
            let fault = Schedule::weekly(days, time, length, offset)
                .unwrap_err()
                .to_string();
            assert!(fault.contains(words), "{fault}");
        }
    }
}
