//! Times and lengths as people read them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A moment, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// For machines.
    pub iso: String,
    /// `03:14:07`, with the day in front when it is another one.
    pub clock: String,
    /// `21 Nov 2026 03:14:07 UTC`
    pub full: String,
    /// `4 min ago`, `in 2 min`
    pub relative: String,
}

impl When {
    /// The moment as seen from `now`.
    pub fn of(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let clock = if at.date_naive() == now.date_naive() {
            at.format("%H:%M:%S").to_string()
        } else {
            at.format("%-d %b %H:%M:%S").to_string()
        };
        Self {
            iso: at.to_rfc3339_opts(SecondsFormat::Millis, true),
            clock,
            full: at.format("%-d %b %Y %H:%M:%S UTC").to_string(),
            relative: relative(at - now),
        }
    }
}

fn relative(delta: TimeDelta) -> String {
    if delta.num_seconds().abs() < 2 {
        "now".to_owned()
    } else if delta < TimeDelta::zero() {
        format!("{} ago", rough(-delta))
    } else {
        format!("in {}", rough(delta))
    }
}

/// What is left: `4:12` below an hour, then as [`rough`]; `over` once there is nothing.
pub fn countdown(left: TimeDelta) -> String {
    match left.num_seconds() {
        ..=0 => "over".to_owned(),
        s @ 1..3600 => format!("{}:{:02}", s / 60, s % 60),
        _ => rough(left),
    }
}

/// A length in its one largest unit: `12 s`, `4 min`, `3 h`, `2 d`.
pub fn rough(delta: TimeDelta) -> String {
    let s = delta.num_seconds().max(0);
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..172_800 => format!("{} h", s / 3600),
        _ => format!("{} d", s / 86_400),
    }
}

/// A length in its two largest units: `850 ms`, `12 s`, `4 min 10 s`, `1 h 5 min`, `3 d 2 h`.
pub fn length(delta: TimeDelta) -> String {
    let ms = delta.num_milliseconds().max(0);
    let s = ms / 1000;
    let two = |big: i64, big_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        small => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match s {
        0 => format!("{ms} ms"),
        1..10 if ms % 1000 >= 100 => format!("{s}.{} s", ms % 1000 / 100),
        1..60 => format!("{s} s"),
        60..3600 => two(s / 60, "min", s % 60, "s"),
        3600..86_400 => two(s / 3600, "h", s % 3600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

/// A size: `812 B`, `4.1 kB`, `2.0 MB`.
pub fn size(bytes: i64) -> String {
    match bytes {
        ..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// `1,234,567`
pub fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::from(if n < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 alert`, `3 alerts`.
pub fn count(n: i64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_as_people_say_them() {
        for (ms, text) in [
            (0, "0 ms"),
            (850, "850 ms"),
            (1_000, "1 s"),
            (1_250, "1.2 s"),
            (12_900, "12 s"),
            (250_000, "4 min 10 s"),
            (240_000, "4 min"),
            (3_900_000, "1 h 5 min"),
            (266_400_000, "3 d 2 h"),
            (-5, "0 ms"),
        ] {
            assert_eq!(length(TimeDelta::milliseconds(ms)), text, "{ms}");
        }
    }

    #[test]
    fn moments_say_the_day_only_when_it_is_another_one() {
        let now: DateTime<Utc> = "2026-11-21T03:14:07Z".parse().unwrap();
        let when = When::of(now - TimeDelta::seconds(250), now);
        assert_eq!(
            (when.clock.as_str(), when.relative.as_str()),
            ("03:09:57", "4 min ago")
        );
        let when = When::of(now + TimeDelta::days(3), now);
        assert_eq!(
            (when.clock.as_str(), when.relative.as_str()),
            ("24 Nov 03:14:07", "in 3 d")
        );
        assert_eq!(when.iso, "2026-11-24T03:14:07.000Z");
        assert_eq!(When::of(now, now).relative, "now");
    }

    #[test]
    fn what_is_left_is_counted_in_seconds_near_the_end() {
        for (s, text) in [
            (-3, "over"),
            (0, "over"),
            (9, "0:09"),
            (252, "4:12"),
            (3599, "59:59"),
            (7200, "2 h"),
        ] {
            assert_eq!(countdown(TimeDelta::seconds(s)), text, "{s}");
        }
    }

    #[test]
    fn lists_and_counts_read_as_sentences() {
        assert_eq!(listed::<&str>(&[]), "");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        assert_eq!(count(1, "alert", "alerts"), "1 alert");
        assert_eq!(size(4_100), "4.1 kB");
    }
}
