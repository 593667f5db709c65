//! Flapping: an incident that opens and comes back again and again. Pure.
//!
//! It flaps once it has opened or come back more than `over` times `within` a time. While it does, it stays open: each
//! coming and going is no new recovery and no new incident, and nothing starts by itself on it. It is calm again when it
//! has not come back for half of that time.

use chrono::{DateTime, Utc};

use super::span::Span;

/// The longest an incident must be quiet before it counts as calm, whatever the limits.
const CALM_MAX: Span = Span::from_secs(3600);
/// Times that are kept of an incident: enough to tell, however often it comes back.
pub const TIMES_MAX: usize = 64;

/// When something flaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlapLimits {
    /// More times than that; less than [`TIMES_MAX`].
    pub over: usize,
    /// Within this time.
    pub within: Span,
}

impl Default for FlapLimits {
    fn default() -> Self {
        Self {
            over: 5,
            within: Span::from_secs(3600),
        }
    }
}

/// What was seen of something that flaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flap {
    /// How often it opened or came back.
    pub times: usize,
    /// The first of these times.
    pub first_at: DateTime<Utc>,
    /// The last.
    pub last_at: DateTime<Utc>,
}

impl FlapLimits {
    /// Whether something that opened or came back at these times, in any order, flaps now.
    pub fn seen(&self, times: &[DateTime<Utc>], now: DateTime<Utc>) -> Option<Flap> {
        let since = now - self.within.as_delta();
        let lately = || times.iter().copied().filter(|at| *at > since && *at <= now);
        let (first_at, last_at) = (lately().min()?, lately().max()?);
        let times = lately().count();
        (times > self.over).then_some(Flap {
            times,
            first_at,
            last_at,
        })
    }

    /// How long it must not come back to be calm again.
    pub fn calm_after(&self) -> Span {
        Span::from_millis(self.within.as_millis() / 2).min(CALM_MAX)
    }

    /// How long every alert must stay ended before an incident that flaps recovers.
    pub fn hold_down(&self, usual: Span) -> Span {
        self.calm_after().max(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    #[test]
    fn it_flaps_when_it_came_more_often_than_allowed_within_the_time() {
        let limits = FlapLimits::default();
        for (minutes, now, seen) in [
            (vec![], 0, None),
            (vec![0, 10, 20, 30, 40], 40, None),
            (vec![0, 10, 20, 30, 40, 42], 42, Some((6, 0, 42))),
            // In any order, and what is too long ago does not count.
            (vec![42, 40, 0, 10, 30, 20, -30], 42, Some((6, 0, 42))),
            (vec![0, 10, 20, 30, 40, 60], 60, None),
            (vec![1, 10, 20, 30, 40, 60], 60, Some((6, 1, 60))),
            (vec![0, 0, 0, 0, 0, 0], 59, Some((6, 0, 0))),
            // A clock that was set back.
            (vec![0, 0, 0, 0, 0, 5], 4, None),
        ] {
            let times: Vec<DateTime<Utc>> = minutes.iter().map(|minute| at(*minute)).collect();
            let expected = seen.map(|(times, first, last)| Flap {
                times,
                first_at: at(first),
                last_at: at(last),
            });
            assert_eq!(limits.seen(&times, at(now)), expected, "{minutes:?} at {now}");
        }
    }

    #[test]
    fn it_is_calm_after_half_of_the_time_and_within_bounds() {
        for (within_s, usual_s, calm_s, hold_down_s) in [
            (3600, 60, 1800, 1800),
            (60, 60, 30, 60),
            (24 * 3600, 60, 3600, 3600),
        ] {
            let limits = FlapLimits {
                over: 5,
                within: Span::from_secs(within_s),
            };
            assert_eq!(limits.calm_after(), Span::from_secs(calm_s));
            assert_eq!(
                limits.hold_down(Span::from_secs(usual_s)),
                Span::from_secs(hold_down_s)
            );
        }
    }
}
