//! The circuit of a target, as its pages show it.

use chrono::{DateTime, Utc};

use super::parts::{Ago, At, Badge, Said, ago, at, said};
use crate::{
    domain::breaker::{BreakerState, OPEN_AFTER},
    store::breakers::Breaker,
};

/// A circuit, in a word and a few more.
#[derive(Clone, Debug)]
pub struct CircuitPart {
    /// Its state.
    pub badge: Badge,
    /// Since when it is not closed.
    pub since: Option<(At, Ago)>,
    /// Why it is not.
    pub reason: Said,
    /// Failures in a row, or what comes next.
    pub words: String,
    /// When that comes.
    pub next: Option<Ago>,
}

impl CircuitPart {
    /// The circuit of a target; `None` for one that did not fail lately.
    pub fn of(breaker: Option<&Breaker>, now: DateTime<Utc>) -> Self {
        let when = |since: &DateTime<Utc>| Some((at(*since, now), ago(*since, now)));
        match breaker.map(|breaker| &breaker.state) {
            None => Self {
                badge: Badge::new("done", "check", "Closed"),
                since: None,
                reason: said(""),
                words: "no failure lately".to_owned(),
                next: None,
            },
            Some(BreakerState::Closed { failures }) => Self {
                badge: Badge::new("sev3", "circle-open", "Closed"),
                since: None,
                reason: said(""),
                words: format!("{failures} of {OPEN_AFTER} failures in a row"),
                next: None,
            },
            Some(BreakerState::HalfOpen { since, reason, .. }) => Self {
                badge: Badge::new("sev3", "clock", "Half-open"),
                since: when(since),
                reason: said(reason),
                words: "one try is under way".to_owned(),
                next: None,
            },
            Some(BreakerState::ByHand { since, reason }) => Self {
                badge: Badge::new("sev1", "barred", "Held open"),
                since: when(since),
                reason: said(reason),
                words: "somebody has to close it".to_owned(),
                next: None,
            },
            Some(BreakerState::Open {
                since,
                reason,
                retry_at,
            }) => Self {
                badge: Badge::new("sev1", "barred", "Open"),
                since: when(since),
                reason: said(reason),
                words: match *retry_at > now {
                    true => "next try".to_owned(),
                    false => "the next step that needs it tries it".to_owned(),
                },
                next: (*retry_at > now).then(|| ago(*retry_at, now)),
            },
        }
    }
}
