//! Where the items of a version stand: covered, un-drilled by a change, or never practised; what follows for the badge
//! and for the list of what is due; and what a new version would lose.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Item, items};
use crate::domain::{id::DrillId, runbook::Runbook, span::Span};

/// How many days a drill counts unless the setting says otherwise.
pub const DUE_AFTER_DAYS: u16 = 90;

/// So many days as a length.
pub const fn days(days: u16) -> Span {
    Span::from_secs(days as u64 * 24 * 3600)
}

/// The newest drill that has exercised an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Drilled {
    /// Which drill.
    pub drill: DrillId,
    /// Number of the version that ran there.
    pub number: i32,
    /// When the drill ended.
    pub at: DateTime<Utc>,
}

/// How an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A drill has exercised it as it is.
    Covered(Drilled),
    /// A drill has exercised it, and what defines it has changed since.
    Undrilled(Drilled),
    /// No drill has exercised it, however it was defined.
    Never,
}

/// The items of one version with how they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// In the order of the runbook.
    pub lines: Vec<(Item, Standing)>,
}

/// A coverage in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Items that are covered.
    pub covered: usize,
    /// All items.
    pub of: usize,
    /// Items that were covered and have changed since.
    pub undrilled: usize,
    /// Number of the newest version under which one of those was drilled.
    pub since: Option<i32>,
}

/// Why a runbook should be drilled, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// Nothing of it was ever practised.
    Never,
    /// Changes have un-drilled some of it.
    Undrilled {
        /// How many items; more of them come first.
        items: Reverse<usize>,
        /// Number of the newest version under which one of them was drilled.
        since: i32,
    },
    /// Some of it was not practised for long.
    Old {
        /// When the oldest of it was.
        at: DateTime<Utc>,
        /// How many items.
        items: usize,
    },
}

impl Coverage {
    /// That of a runbook which nobody has practised.
    pub fn bare(runbook: &Runbook) -> Self {
        let lines = items(runbook).into_iter().map(|item| (item, Standing::Never));
        Self {
            lines: lines.collect(),
        }
    }

    /// In a few numbers.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            of: self.lines.len(),
            ..Tally::default()
        };
        for (_, standing) in &self.lines {
            match standing {
                Standing::Covered(_) => tally.covered += 1,
                Standing::Undrilled(drilled) => {
                    tally.undrilled += 1;
                    tally.since = tally.since.max(Some(drilled.number));
                }
                Standing::Never => {}
            }
        }
        tally
    }

    /// Why it is due, when what was practised counts for `counts`.
    pub fn due(&self, now: DateTime<Utc>, counts: Span) -> Option<Due> {
        let tally = self.tally();
        if let Some(since) = tally.since {
            return Some(Due::Undrilled {
                items: Reverse(tally.undrilled),
                since,
            });
        }
        if tally.covered == 0 {
            return (tally.of > 0).then_some(Due::Never);
        }
        let old = self.lines.iter().filter_map(|(_, standing)| match standing {
            Standing::Covered(drilled) if drilled.at + counts.as_delta() <= now => Some(drilled.at),
            _ => None,
        });
        let items = old.clone().count();
        old.min().map(|at| Due::Old { at, items })
    }
}

/// What another version makes of the coverage of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// The coverage of the one before.
    pub before: Tally,
    /// The coverage of the one after.
    pub after: Tally,
    /// Items that were covered and are no longer, with the drill that covered them.
    pub lost: Vec<(Item, Drilled)>,
    /// Items that the one before does not have, and that no drill has exercised.
    pub new: Vec<Item>,
}

/// What a change of version un-drills. What a version no longer has is no loss.
pub fn loss(before: &Coverage, after: &Coverage) -> Loss {
    let old = |item: &Item| {
        let mut lines = before.lines.iter();
        lines.find(|(other, _)| other.key() == item.key())
    };
    let mut loss = Loss {
        before: before.tally(),
        after: after.tally(),
        ..Loss::default()
    };
    for (item, standing) in &after.lines {
        match (old(item), standing) {
            (_, Standing::Covered(_)) => {}
            (Some((_, Standing::Covered(drilled))), _) => loss.lost.push((item.clone(), *drilled)),
            (None, _) => loss.new.push(item.clone()),
            (Some(_), _) => {}
        }
    }
    loss
}
