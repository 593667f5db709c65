//! The clock of a night that is played again. It tells where in the night the drill stands: how many of its effects have
//! been done, and how long ago the last one was. So an answer that was given five seconds after the failover is given five
//! seconds after the failover of the drill, whenever that is.

use chrono::{DateTime, Utc};

use super::gaps::Gaps;

/// Effects that the clock goes by; what later ones changed is told by time alone.
pub(super) const EFFECTS_MAX: usize = 12;
/// Room for the seconds after each effect: more than twice the longest drill.
pub(super) const STRETCH: u64 = 100_000;
/// How often one thing may go to and fro; after that it stays as it is.
const SWITCHES_MAX: usize = 6;

/// A moment of the night: effects done times [`STRETCH`], and seconds since the last of them.
pub(super) type Moment = u64;

pub(super) struct NightClock {
    /// When the drill begins.
    pub zero: DateTime<Utc>,
    /// When each effect was sent, in order.
    pub effects: Vec<DateTime<Utc>>,
}

impl NightClock {
    /// A moment of the real night.
    pub fn moment(&self, at: DateTime<Utc>) -> Moment {
        self.since(at, self.effects.iter().filter(|effect| **effect <= at).count())
    }

    /// When an answer was in. It tells of the effects before its question, which may be one itself.
    pub fn answered(&self, sent: DateTime<Utc>, answered: DateTime<Utc>) -> Moment {
        self.since(
            answered,
            self.effects.iter().filter(|effect| **effect < sent).count(),
        )
    }

    fn since(&self, at: DateTime<Utc>, done: usize) -> Moment {
        let from = match done.checked_sub(1).and_then(|last| self.effects.get(last)) {
            Some(effect) => *effect,
            None => self.zero,
        };
        let seconds = (at - from).num_seconds().clamp(0, STRETCH as i64 - 1);
        done as u64 * STRETCH + seconds.unsigned_abs()
    }
}

/// From when on something holds that was first seen at `moment`, when what was before was seen at `before`: at once with
/// the effect between them, if there was one.
pub(super) fn from(before: Option<Moment>, moment: Moment) -> Moment {
    let effect = moment / STRETCH;
    match before {
        Some(before) if before / STRETCH == effect => moment,
        _ => effect * STRETCH,
    }
}

/// The condition under which something is so that was seen like this, in order; `None` when it always is. `what` names it
/// where it went to and fro more often than is played.
pub(super) fn holds(seen: &[(Moment, bool)], what: &str, gaps: &mut Gaps) -> Option<String> {
    let mut switches: Vec<(Moment, bool)> = Vec::new();
    let mut before = None;
    for (moment, is) in seen {
        if switches.last().is_none_or(|(_, last)| last != is) {
            let at = match before {
                None => 0,
                before => from(before, *moment),
            };
            switches.push((at, *is));
        }
        before = Some(*moment);
    }
    gaps.keep(&format!("changes of {what}"), SWITCHES_MAX, &mut switches);
    let spans = switches.iter().enumerate().filter(|(_, (_, is))| *is);
    let spans: Vec<String> = spans
        .map(|(i, (begins, _))| match switches.get(i + 1) {
            Some((ends, _)) => format!("night.at >= {begins} and night.at < {ends}"),
            None => format!("night.at >= {begins}"),
        })
        .collect();
    match spans.as_slice() {
        [] if switches.is_empty() => None,
        [] => Some("t < 0".to_owned()),
        [only] if only == "night.at >= 0" => None,
        spans => Some(spans.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + s, 0).unwrap()
    }

    #[test]
    fn moments_count_from_the_last_effect() {
        let clock = NightClock {
            zero: at(0),
            effects: vec![at(60), at(90)],
        };
        for (s, moment) in [
            (0, 0),
            (59, 59),
            (60, STRETCH),
            (65, STRETCH + 5),
            (95, 2 * STRETCH + 5),
        ] {
            assert_eq!(clock.moment(at(s)), moment, "{s}");
        }
        assert_eq!(clock.answered(at(60), at(60)), 60);
        assert_eq!(clock.answered(at(60), at(62)), 62);
        assert_eq!(clock.answered(at(90), at(90)), STRETCH + 30);
        assert_eq!(clock.moment(at(-5)), 0);
    }

    #[test]
    fn what_goes_to_and_fro_is_a_condition() {
        for (seen, condition) in [
            (&[][..], None),
            (&[(5, true), (9, true)], None),
            (&[(5, false)], Some("t < 0")),
            (&[(5, false), (20, true)], Some("night.at >= 20")),
            // What is first seen after an effect is so from the effect on.
            (&[(5, false), (STRETCH + 4, true)], Some("night.at >= 100000")),
            (
                &[(5, true), (20, false), (30, true)],
                Some("night.at >= 0 and night.at < 20 or night.at >= 30"),
            ),
        ] {
            let mut gaps = Gaps::default();
            assert_eq!(holds(seen, "app", &mut gaps).as_deref(), condition, "{seen:?}");
            assert_eq!(gaps.told(), [""; 0]);
        }
    }

    #[test]
    fn what_goes_to_and_fro_too_often_stays_and_is_told() {
        let seen: Vec<(Moment, bool)> = (0..9).map(|at| (at, at % 2 == 0)).collect();
        let mut gaps = Gaps::default();
        let condition = holds(&seen, "app", &mut gaps).unwrap();
        assert!(
            condition.ends_with("night.at >= 4 and night.at < 5"),
            "{condition}"
        );
        assert_eq!(gaps.told(), ["changes of app beyond the first 6 are left out: 3"]);
    }
}
