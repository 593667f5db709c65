//! A length of time as people write it in a runbook: `250ms`, `5s`, `15m`, `1h30m`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A length of time with millisecond precision, at most 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    ms: u64,
}

/// Why a text is not a [`Span`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpanError {
    /// The text does not read as number and unit, repeated.
    #[error("\"{0}\" is not a length of time; write it like 250ms, 5s, 15m or 1h30m")]
    Unreadable(String),
    /// Longer than any wait Muster keeps.
    #[error("\"{0}\" is longer than 30 days")]
    TooLong(String),
}

const LONGEST_MS: u64 = 30 * 24 * 3_600_000;

impl Span {
    /// So many milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self { ms }
    }

    /// So many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self { ms: secs * 1000 }
    }

    /// The same length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.ms
    }

    /// The same length for timers of the standard library.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// The same length for calendar arithmetic.
    pub fn as_delta(self) -> chrono::TimeDelta {
        // The bound of 30 days keeps this inside an i64.
        chrono::TimeDelta::milliseconds(self.ms as i64)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let unreadable = || SpanError::Unreadable(text.to_owned());
        let mut rest = text.trim();
        let mut ms: u64 = 0;
        if rest.is_empty() {
            return Err(unreadable());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(unreadable)?;
            let number: u64 = rest[..digits].parse().map_err(|_| unreadable())?;
            rest = &rest[digits..];
            let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let factor = match &rest[..unit] {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(unreadable()),
            };
            rest = &rest[unit..];
            ms = number
                .checked_mul(factor)
                .and_then(|part| ms.checked_add(part))
                .filter(|ms| *ms <= LONGEST_MS)
                .ok_or_else(|| SpanError::TooLong(text.to_owned()))?;
        }
        Ok(Self { ms })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ms = self.ms;
        if ms == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1000),
            ("ms", 1),
        ] {
            if ms >= factor {
                write!(f, "{}{unit}", ms / factor)?;
                ms %= factor;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, ms) in [
            ("250ms", 250),
            ("5s", 5000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_millis(), ms, "{text}");
            assert_eq!(span.to_string(), text);
        }
        for text in ["", "5", "s", "5 s", "-1s", "five", "1.5s"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::Unreadable(text.to_owned())));
        }
        for text in ["31d", "99999999999999999d"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::TooLong(text.to_owned())));
        }
    }
}
