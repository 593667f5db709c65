//! A drill that plays a real incident again, beside the real thing: times, and choices at gates. Both sides are read off
//! their timelines in the same way, so that they can be compared.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::{
    score::{Observed, Seen},
    simulation::GateWord,
    span::Span,
};

/// How one of the two went. Times are counted from the incident, detecting from the harm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// From the harm to the incident.
    pub detect: Option<Span>,
    /// Until somebody had it.
    pub acknowledge: Option<Span>,
    /// Until the harm was over.
    pub mitigate: Option<Span>,
    /// Until it was over.
    pub resolve: Option<Span>,
    /// The gates that asked, by step: the last answer of each and how long it took.
    pub gates: BTreeMap<String, (GateWord, Option<Span>)>,
}

impl Side {
    /// Reads it off what was seen. `began` is when the harm began.
    pub fn of(observed: &[Observed], began: Option<DateTime<Utc>>) -> Self {
        let mut side = Self::default();
        let opened = observed
            .iter()
            .find(|one| one.seen == Seen::Opened)
            .map(|one| one.at);
        let since = |at: DateTime<Utc>| opened.map(|opened| span(opened, at));
        side.detect = began.zip(opened).map(|(began, opened)| span(began, opened));
        let mut asked: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for one in observed {
            match &one.seen {
                Seen::Deed(crate::domain::scenario::Deed::Acknowledge) => {
                    side.acknowledge = side.acknowledge.or(since(one.at));
                }
                Seen::Mitigated => side.mitigate = side.mitigate.or(since(one.at)),
                Seen::Resolved => side.resolve = since(one.at),
                Seen::GateOpened(gate) => {
                    asked.insert(gate, one.at);
                    side.gates.insert(gate.clone(), (GateWord::Open, None));
                }
                Seen::GateClosed(gate, word) => {
                    let waited = asked.remove(gate.as_str()).map(|asked| span(asked, one.at));
                    side.gates.insert(gate.clone(), (*word, waited));
                }
                _ => {}
            }
        }
        side
    }
}

fn span(from: DateTime<Utc>, until: DateTime<Utc>) -> Span {
    Span::from_millis((until - from).num_milliseconds().max(0).unsigned_abs())
}

/// Both, side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The times.
    pub times: Vec<TimeRow>,
    /// The gates that asked on either side, by step.
    pub gates: Vec<GateRow>,
    /// What differs, in words; nothing when the drill went as the real night did, as fast or faster.
    pub differs: Vec<String>,
    /// What was asked in the drill and by nobody on the real night: target and question.
    pub not_recorded: Vec<(String, String)>,
}

/// One time; `None` is what was not reached, which is not 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimeRow {
    /// `detect`, `acknowledge`, `mitigate`, `resolve`
    pub name: &'static str,
    /// In the real incident.
    pub real: Option<Span>,
    /// In the drill.
    pub drill: Option<Span>,
}

/// One gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GateRow {
    /// Its step.
    pub gate: String,
    /// In the real incident.
    pub real: Choice,
    /// In the drill.
    pub drill: Choice,
}

/// What became of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// `approved`, `rejected`, `expired`, `open`; `none` where it did not ask.
    pub word: &'static str,
    /// How long it waited for that.
    pub waited: Option<Span>,
}

impl Choice {
    fn of(side: &Side, gate: &str) -> Self {
        let (word, waited) = side.gates.get(gate).copied().unwrap_or_default();
        Self {
            word: word.word(),
            waited,
        }
    }
}

/// Compares a drill with the real night. Faster is not told as a difference: the table shows it.
pub fn compare(real: &Side, drill: &Side, not_recorded: Vec<(String, String)>) -> Compared {
    let times = [
        ("detect", real.detect, drill.detect),
        ("acknowledge", real.acknowledge, drill.acknowledge),
        ("mitigate", real.mitigate, drill.mitigate),
        ("resolve", real.resolve, drill.resolve),
    ];
    let mut differs = Vec::new();
    for (name, real, drill) in times {
        match (real, drill) {
            (Some(real), Some(drill)) if drill > real => {
                let more = Span::from_millis(drill.as_millis() - real.as_millis());
                differs.push(format!("To {name} took {more} longer than on the real night."));
            }
            (Some(_), None) => differs.push(format!(
                "To {name} was not reached, and on the real night it was."
            )),
            (None, Some(_)) => differs.push(format!(
                "To {name} was reached, and on the real night it was not."
            )),
            _ => {}
        }
    }
    let mut names: Vec<&String> = real.gates.keys().chain(drill.gates.keys()).collect();
    names.sort();
    names.dedup();
    let gates: Vec<GateRow> = names
        .into_iter()
        .map(|gate| GateRow {
            gate: gate.clone(),
            real: Choice::of(real, gate),
            drill: Choice::of(drill, gate),
        })
        .collect();
    for row in gates.iter().filter(|row| row.real.word != row.drill.word) {
        differs.push(match (row.real.word, row.drill.word) {
            ("none", now) => format!("{} did not ask on the real night; now it is {now}.", row.gate),
            (then, "none") => format!("{} was {then} on the real night; now it did not ask.", row.gate),
            (then, now) => format!("{} was {then} on the real night; now it is {now}.", row.gate),
        });
    }
    Compared {
        times: times
            .into_iter()
            .map(|(name, real, drill)| TimeRow { name, real, drill })
            .collect(),
        gates,
        differs,
        not_recorded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::scenario::Deed;

    fn seen(all: &[(i64, Seen)]) -> Vec<Observed> {
        let at = |s: &i64| DateTime::<Utc>::from_timestamp(1_000_000 + s, 0).unwrap();
        let one = |(s, seen): &(i64, Seen)| Observed {
            at: at(s),
            seen: seen.clone(),
        };
        all.iter().map(one).collect()
    }

    fn gate(s: i64, word: GateWord) -> (i64, Seen) {
        (s, Seen::GateClosed("ask".to_owned(), word))
    }

    #[test]
    fn times_and_choices_are_told_apart_in_words() {
        let began = DateTime::<Utc>::from_timestamp(1_000_000, 0);
        let real = Side::of(
            &seen(&[
                (30, Seen::Opened),
                (50, Seen::Deed(Deed::Acknowledge)),
                (60, Seen::GateOpened("ask".to_owned())),
                gate(90, GateWord::Approved),
                (120, Seen::Mitigated),
                (200, Seen::Resolved),
            ]),
            began,
        );
        assert_eq!(real.detect, Some(Span::from_secs(30)));
        assert_eq!(real.gates["ask"], (GateWord::Approved, Some(Span::from_secs(30))));
        assert_eq!(compare(&real, &real, Vec::new()).differs, [""; 0]);
        let drill = Side::of(
            &seen(&[
                (20, Seen::Opened),
                (25, Seen::Deed(Deed::Acknowledge)),
                (30, Seen::GateOpened("ask".to_owned())),
                gate(90, GateWord::Rejected),
                (220, Seen::Resolved),
            ]),
            began,
        );
        let compared = compare(&real, &drill, Vec::new());
        assert_eq!(
            compared.differs,
            [
                "To mitigate was not reached, and on the real night it was.",
                "To resolve took 30s longer than on the real night.",
                "ask was approved on the real night; now it is rejected.",
            ]
        );
        let unasked = compare(&real, &Side::default(), Vec::new());
        assert!(
            unasked
                .differs
                .contains(&"ask was approved on the real night; now it did not ask.".to_owned()),
            "{:?}",
            unasked.differs
        );
    }
}
