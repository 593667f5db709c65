//! Where a person left off in a timeline, so that they can be told what happened while they were away.

use chrono::{DateTime, TimeDelta, Utc};

/// Who did not look for this long was away.
pub const AWAY_MIN: TimeDelta = TimeDelta::minutes(5);
/// How long after somebody came back they are still told.
pub const TOLD_FOR: TimeDelta = TimeDelta::minutes(10);

/// What is known of one person's looking at one incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The newest event their page has shown.
    pub seen_seq: i64,
    /// When they looked last.
    pub seen_at: DateTime<Utc>,
    /// Where they had left off before they came back, and when they did.
    pub left: Option<Left>,
}

/// A time away that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The newest event they had seen then.
    pub seq: i64,
    /// When they had looked last.
    pub at: DateTime<Utc>,
    /// When they came back.
    pub back_at: DateTime<Utc>,
}

/// Since when somebody has not looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// The newest event they have seen.
    pub seq: i64,
    /// When they had looked last.
    pub since: DateTime<Utc>,
}

impl Visit {
    /// What to tell somebody who asks for the page now: where they left off, if they were away. Reloading the page does not
    /// lose it: it is told for a while.
    pub fn away(&self, now: DateTime<Utc>) -> Option<Away> {
        if now - self.seen_at >= AWAY_MIN {
            return Some(Away {
                seq: self.seen_seq,
                since: self.seen_at,
            });
        }
        let left = self.left.filter(|left| now - left.back_at < TOLD_FOR)?;
        Some(Away {
            seq: left.seq,
            since: left.at,
        })
    }

    /// The same after they looked again, at a page up to that event.
    pub fn looked(self, seq: i64, now: DateTime<Utc>) -> Self {
        let left = match now - self.seen_at >= AWAY_MIN {
            true => Some(Left {
                seq: self.seen_seq,
                at: self.seen_at,
                back_at: now,
            }),
            false => self.left,
        };
        Self {
            seen_seq: self.seen_seq.max(seq),
            seen_at: self.seen_at.max(now),
            left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_is_told_for_a_while_and_who_was_not_is_not() {
        let start: DateTime<Utc> = "2026-11-21T03:00:00Z".parse().unwrap();
        let at = |minutes: i64| start + TimeDelta::minutes(minutes);
        let visit = Visit {
            seen_seq: 8,
            seen_at: at(0),
            left: None,
        };
        assert_eq!(visit.away(at(4)), None);
        let away = Away { seq: 8, since: at(0) };
        assert_eq!(visit.away(at(7)), Some(away));
        let back = visit.looked(20, at(7));
        assert_eq!(back.away(at(8)), Some(away), "a reload does not lose it");
        assert_eq!(back.looked(21, at(9)).away(at(10)), Some(away));
        let stayed = (8..18).fold(back, |visit, minute| visit.looked(22, at(minute)));
        assert_eq!(stayed.away(at(18)), None, "they have had time to read it");
        let again = Away {
            seq: 22,
            since: at(17),
        };
        assert_eq!(stayed.away(at(30)), Some(again));
        assert_eq!(
            visit.looked(5, at(1)).seen_seq,
            8,
            "an older page takes nothing back"
        );
    }
}
