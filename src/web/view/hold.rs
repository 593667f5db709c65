//! What keeps somebody who may decide at a gate from letting it through now, and the way on from there.

use chrono::{DateTime, TimeDelta, Utc};

use super::{approval::ApprovalRecord, text};
use crate::domain::proof::{self, Lack, Presence};

/// The longest time after which an open page is told that its evidence is old: a browser's timer reaches no further than
/// some weeks, and nobody leaves a gate open for longer than a day.
const WATCHED_MAX: TimeDelta = TimeDelta::days(1);

/// Why not now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// For people, one or two sentences.
    pub words: String,
    /// What helps.
    pub way: Way,
    /// It does not hold yet, but will after so many milliseconds.
    pub in_ms: Option<i64>,
}

/// What helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// The evidence is read again.
    ReadAgain,
    /// The run is paused and must go on first: its page.
    GoOn(String),
    /// Showing once more who one is: an address, and what its button says.
    Show(String, &'static str),
    /// Nothing that could be offered here.
    Nowhere,
}

impl Hold {
    /// What keeps this person from approving now, or will while the page is open. `back` is the page itself.
    pub fn of(record: &ApprovalRecord, presence: Presence, back: &str, now: DateTime<Utc>) -> Option<Self> {
        if let Some(old) = record.too_old(now) {
            return Some(Self::old(record, &old.to_string(), None));
        }
        if let Some(hold) = Self::proof(record, presence, back, now) {
            return Some(hold);
        }
        let left = record.good_until()? - now;
        let in_ms = (left < WATCHED_MAX).then_some(left.num_milliseconds())?;
        let within = record.approval.rule.evidence_within;
        let words = format!("the evidence is older than {within} by now; read it again first");
        Some(Self::old(record, &words, Some(in_ms)))
    }

    fn old(record: &ApprovalRecord, words: &str, in_ms: Option<i64>) -> Self {
        let run = record.approval.run;
        let (more, way) = match &record.run.state.paused {
            None if record.votes.is_empty() => ("", Way::ReadAgain),
            None => (" Approvals given so far end then.", Way::ReadAgain),
            Some(_) => (
                " The run is paused, so nothing is read before it goes on.",
                Way::GoOn(format!("/runs/{run}")),
            ),
        };
        Self {
            words: format!("{}.{more}", capital(words)),
            way,
            in_ms,
        }
    }

    /// The same for what cannot be taken back alone.
    pub fn proof(
        record: &ApprovalRecord,
        presence: Presence,
        back: &str,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        proof::irreversible(&record.approval.bound)?;
        let lack = presence.lacks(now)?;
        let address = || text::with_query("/login", &[("again", "yes"), ("next", back)]);
        let way = match lack {
            Lack::Passkey => Way::Show(address(), "Use your passkey"),
            Lack::SignIn => Way::Show(address(), "Sign in once more"),
            Lack::Person | Lack::Name { .. } => Way::Nowhere,
        };
        Some(Self {
            words: format!("{}.", capital(&lack.to_string())),
            way,
            in_ms: None,
        })
    }

    /// Whether it holds already.
    pub fn is_now(&self) -> bool {
        self.in_ms.is_none()
    }
}

/// The name to be typed, where what is let through cannot be taken back.
pub fn to_type(record: &ApprovalRecord) -> Option<String> {
    let step = proof::irreversible(&record.approval.bound)?;
    Some(text::visible(&step.request.target))
}

fn capital(words: &str) -> String {
    let mut chars = words.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
