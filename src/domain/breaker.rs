//! The circuit of one target: whether steps may be sent to it. Five failures in a row open it; then one try every ten
//! seconds is let through until one is answered. People can open it by hand; then only people close it.

use chrono::{DateTime, Utc};

use super::span::Span;

/// Failures in a row that open a circuit.
pub const OPEN_AFTER: u32 = 5;
/// The pause before the next try of an open circuit.
pub const PROBE_EVERY: Span = Span::from_secs(10);
/// How long a try may stay without a word before another one may go out: its worker is dead or its target hangs. As
/// long as a step may take unless its runbook says otherwise; an answer that comes later still counts.
pub const PROBE_LASTS: Span = Span::from_secs(30);
/// The longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 300;

/// Where a circuit stands. Only [`BreakerState::after`] makes the next state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything may be sent.
    Closed {
        /// Failures in a row, fewer than [`OPEN_AFTER`].
        failures: u32,
    },
    /// Nothing is sent until the next try is due.
    Open {
        /// When it opened; tries that fail do not change it.
        since: DateTime<Utc>,
        /// How the target failed last, one line.
        reason: String,
        /// When one try may go out.
        retry_at: DateTime<Utc>,
    },
    /// One try is under way.
    HalfOpen {
        /// When it opened.
        since: DateTime<Utc>,
        /// How the target failed last, one line.
        reason: String,
        /// When the try counts as lost and another may go out.
        probe_until: DateTime<Utc>,
    },
    /// A person holds it open: nothing is sent, not even a try, until a person closes it.
    ByHand {
        /// When it opened.
        since: DateTime<Utc>,
        /// Why, in their words, one line.
        reason: String,
    },
}

impl Default for BreakerState {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// What moves a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerInput<'a> {
    /// Somebody wants to send something.
    Asked,
    /// The target answered, if only to refuse: it lives.
    Answered,
    /// The target could not be reached, or its answer was lost; how.
    Unreachable(&'a str),
    /// Nothing could be sent for a reason of our own, which tells nothing of the target.
    NothingLearnt,
    /// A person opened it, and why.
    OpenedByHand(&'a str),
    /// A person closed it.
    ClosedByHand,
}

/// What a circuit says to somebody who wants to send something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Send.
    Free,
    /// A try is due: whoever moves the circuit with [`BreakerInput::Asked`] first may send it.
    Probe,
    /// Not before then.
    Held {
        /// When to ask again.
        until: DateTime<Utc>,
    },
}

/// Why nothing may be sent to a target now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Held {
    /// For the timeline and the page, one line.
    pub reason: String,
    /// When to ask again.
    pub retry_at: DateTime<Utc>,
}

impl BreakerState {
    /// The state after this happened: the whole table.
    pub fn after(self, input: BreakerInput<'_>, now: DateTime<Utc>) -> Self {
        use BreakerInput as In;
        match (self, input) {
            (_, In::ClosedByHand) => Self::default(),
            (
                Self::Open { since, .. } | Self::HalfOpen { since, .. } | Self::ByHand { since, .. },
                In::OpenedByHand(reason),
            ) => Self::ByHand {
                since,
                reason: one_line(reason),
            },
            (Self::Closed { .. }, In::OpenedByHand(reason)) => Self::ByHand {
                since: now,
                reason: one_line(reason),
            },
            // What is only read is still asked, so it may answer or not: neither is what the person waits for.
            (held @ Self::ByHand { .. }, _) => held,
            (_, In::Answered) => Self::default(),

            (Self::Closed { failures }, In::Unreachable(reason)) => match failures + 1 {
                OPEN_AFTER.. => Self::Open {
                    since: now,
                    reason: one_line(reason),
                    retry_at: now + PROBE_EVERY.as_delta(),
                },
                failures => Self::Closed { failures },
            },
            (Self::HalfOpen { since, .. }, In::Unreachable(reason)) => Self::Open {
                since,
                reason: one_line(reason),
                retry_at: now + PROBE_EVERY.as_delta(),
            },
            // Sent before it opened: its failure is no news and must not put the next try off.
            (open @ Self::Open { .. }, In::Unreachable(_)) => open,

            (Self::HalfOpen { since, reason, .. }, In::NothingLearnt) => Self::Open {
                since,
                reason,
                retry_at: now,
            },
            (state, In::NothingLearnt) => state,

            (state, In::Asked) => match (state.admission(now), state) {
                (
                    Admission::Probe,
                    Self::Open { since, reason, .. } | Self::HalfOpen { since, reason, .. },
                ) => Self::HalfOpen {
                    since,
                    reason,
                    probe_until: now + PROBE_LASTS.as_delta(),
                },
                (_, state) => state,
            },
        }
    }

    /// What it says to somebody who wants to send something now.
    pub fn admission(&self, now: DateTime<Utc>) -> Admission {
        match *self {
            Self::Closed { .. } => Admission::Free,
            Self::ByHand { .. } => Admission::Held {
                until: now + PROBE_EVERY.as_delta(),
            },
            Self::Open { retry_at: due, .. } | Self::HalfOpen { probe_until: due, .. } if due <= now => {
                Admission::Probe
            }
            Self::Open { retry_at: until, .. }
            | Self::HalfOpen {
                probe_until: until, ..
            } => Admission::Held { until },
        }
    }

    /// Why nothing may be sent to `target`, which is the target of this circuit; `None` while it is closed.
    pub fn why(&self, target: &str, now: DateTime<Utc>) -> Option<String> {
        let (since, reason, next) = match self {
            Self::Closed { .. } => return None,
            Self::Open {
                since,
                reason,
                retry_at,
            } => (since, reason, format!("next try {}", clock(*retry_at, now))),
            Self::HalfOpen { since, reason, .. } => (since, reason, "one try is under way".to_owned()),
            Self::ByHand { since, reason } => {
                let since = clock(*since, now);
                return Some(format!(
                    "the circuit of {target} is held open by hand since {since}: {reason}; somebody has to close it"
                ));
            }
        };
        let since = clock(*since, now);
        Some(format!(
            "the circuit of {target} is open since {since}: {reason}; {next}"
        ))
    }

    /// What it says to somebody who is not let through; `None` when a try is due or it is closed.
    pub fn holds(&self, target: &str, now: DateTime<Utc>) -> Option<Held> {
        match self.admission(now) {
            Admission::Held { until } => self.why(target, now).map(|reason| Held {
                reason,
                retry_at: until,
            }),
            Admission::Free | Admission::Probe => None,
        }
    }
}

/// `03:12:07`, with the day in front when it is another one.
fn clock(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let form = match at.date_naive() == now.date_naive() {
        true => "%H:%M:%S",
        false => "%-d %b %H:%M:%S",
    };
    at.format(form).to_string()
}

/// The first line, cut, without what Postgres refuses to keep.
fn one_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.replace('\0', "\u{2400}")
        .chars()
        .take(REASON_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: &str = "2026-11-21T03:12:07Z";

    fn at(seconds: i64) -> DateTime<Utc> {
        OPENED.parse::<DateTime<Utc>>().unwrap() + chrono::TimeDelta::seconds(seconds)
    }

    fn closed(failures: u32) -> BreakerState {
        BreakerState::Closed { failures }
    }

    fn open(reason: &str, retry_at: i64) -> BreakerState {
        BreakerState::Open {
            since: at(0),
            reason: reason.to_owned(),
            retry_at: at(retry_at),
        }
    }

    fn half_open(probe_until: i64) -> BreakerState {
        BreakerState::HalfOpen {
            since: at(0),
            reason: "refused".to_owned(),
            probe_until: at(probe_until),
        }
    }

    fn by_hand() -> BreakerState {
        BreakerState::ByHand {
            since: at(0),
            reason: "it is being moved".to_owned(),
        }
    }

    #[test]
    fn every_state_meets_every_input() {
        use BreakerInput::*;
        let failed = Unreachable("timed out");
        let table = [
            // Closed.
            (closed(0), Asked, 5, closed(0)),
            (closed(4), Asked, 5, closed(4)),
            (closed(0), failed, 5, closed(1)),
            (closed(3), failed, 5, closed(4)),
            (closed(4), failed, 0, open("timed out", 10)),
            (closed(4), Answered, 5, closed(0)),
            (closed(4), NothingLearnt, 5, closed(4)),
            (closed(4), ClosedByHand, 5, closed(0)),
            // Open.
            (open("refused", 10), Asked, 9, open("refused", 10)),
            (open("refused", 10), Asked, 10, half_open(40)),
            (open("refused", 10), Asked, 99, half_open(129)),
            (open("refused", 10), failed, 5, open("refused", 10)),
            (open("refused", 10), failed, 15, open("refused", 10)),
            (open("refused", 10), Answered, 5, closed(0)),
            (open("refused", 10), NothingLearnt, 5, open("refused", 10)),
            (open("refused", 10), ClosedByHand, 5, closed(0)),
            // Half-open: one try is out until 40.
            (half_open(40), Asked, 39, half_open(40)),
            (half_open(40), Asked, 40, half_open(70)),
            (half_open(40), failed, 12, open("timed out", 22)),
            (half_open(40), Answered, 12, closed(0)),
            (half_open(40), NothingLearnt, 12, open("refused", 12)),
            (half_open(40), ClosedByHand, 12, closed(0)),
            // Held open by hand: only a person closes it.
            (closed(4), OpenedByHand("it is being moved"), 0, by_hand()),
            (
                open("refused", 10),
                OpenedByHand("it is being moved"),
                99,
                by_hand(),
            ),
            (half_open(40), OpenedByHand("it is being moved"), 12, by_hand()),
            (by_hand(), Asked, 99, by_hand()),
            (by_hand(), failed, 99, by_hand()),
            (by_hand(), Answered, 99, by_hand()),
            (by_hand(), NothingLearnt, 99, by_hand()),
            (by_hand(), ClosedByHand, 99, closed(0)),
        ];
        for (state, input, seconds, expected) in table {
            let was = format!("{state:?} after {input:?} at {seconds}");
            assert_eq!(state.after(input, at(seconds)), expected, "{was}");
        }
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        use BreakerInput::*;
        let fold = |inputs: &[BreakerInput<'_>]| {
            inputs
                .iter()
                .fold(BreakerState::default(), |state, input| state.after(*input, at(0)))
        };
        let failed = Unreachable("refused");
        assert_eq!(fold(&[failed; 5]), open("refused", 10));
        let broken = [
            failed, failed, failed, failed, Answered, failed, failed, failed, failed,
        ];
        assert_eq!(fold(&broken), closed(4));
        let not_ours = [failed, failed, failed, failed, NothingLearnt, failed];
        assert_eq!(fold(&not_ours), open("refused", 10));
    }

    #[test]
    fn it_says_who_may_send_and_why_not() {
        let held = |until| Admission::Held { until: at(until) };
        for (state, seconds, admission) in [
            (closed(4), 0, Admission::Free),
            (open("refused", 10), 9, held(10)),
            (open("refused", 10), 10, Admission::Probe),
            (half_open(40), 39, held(40)),
            (half_open(40), 40, Admission::Probe),
            (by_hand(), 99, held(109)),
        ] {
            assert_eq!(state.admission(at(seconds)), admission, "{state:?} at {seconds}");
        }
        let reason = |state: &BreakerState, seconds| state.holds("lb", at(seconds)).map(|held| held.reason);
        assert_eq!(
            reason(&open("connection refused", 10), 2).unwrap(),
            "the circuit of lb is open since 03:12:07: connection refused; next try 03:12:17"
        );
        assert_eq!(
            reason(&half_open(40), 12).unwrap(),
            "the circuit of lb is open since 03:12:07: refused; one try is under way"
        );
        assert_eq!(reason(&open("refused", 10), 10), None, "a try is due");
        assert_eq!(
            reason(&by_hand(), 99).unwrap(),
            "the circuit of lb is held open by hand since 03:12:07: it is being moved; somebody has to close it"
        );
        assert_eq!(reason(&closed(4), 0), None);
        let next_day = open("refused", 10).why("lb", at(86_400)).unwrap();
        assert!(next_day.contains("since 21 Nov 03:12:07"), "{next_day}");
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let long = format!("a\0{}\nsecond line", "ä".repeat(1000));
        let BreakerState::Open { reason, .. } = closed(4).after(BreakerInput::Unreachable(&long), at(0))
        else {
            panic!("it opens");
        };
        assert!(reason.starts_with("a\u{2400}ä") && reason.chars().count() == REASON_CHARS_MAX);
    }
}
