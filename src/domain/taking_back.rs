//! Which act of a person can still be taken back, honestly: by another fact, and only while nothing was built on it.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    event::{Event, IncidentFact, Recorded},
    incident::{IncidentState, Severity},
    operator::{Actor, Operator},
};

/// How long after an act it can be taken back.
pub const TAKEN_BACK_WITHIN: TimeDelta = TimeDelta::minutes(2);

/// What is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// An acknowledgement: nobody has the incident again.
    Acknowledgement,
    /// A change of severity, to what it was.
    Severity {
        /// What it was.
        back_to: Severity,
    },
    /// A pin.
    Pin {
        /// The event.
        seq: i64,
    },
    /// The removal of a pin.
    Unpin {
        /// The event.
        seq: i64,
    },
}

/// An act that can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undoable {
    /// The event that holds it.
    pub seq: i64,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// What it was.
    pub undo: Undo,
}

/// The last act of this person in a timeline's newest events, in order, when it can still be taken back. Nothing can that
/// somebody has decided upon since; what alerts and steps did meanwhile does not matter.
pub fn undoable(
    newest: &[Recorded],
    state: IncidentState,
    me: &Operator,
    now: DateTime<Utc>,
) -> Option<Undoable> {
    for recorded in newest.iter().rev() {
        let Actor::Person { id, .. } = &recorded.actor else {
            continue;
        };
        let Event::Incident(fact) = &recorded.event else {
            return None;
        };
        let undo = match fact {
            // Words take nothing away from anybody.
            IncidentFact::Note { .. }
            | IncidentFact::NoteCorrected { .. }
            | IncidentFact::UpdatePosted { .. } => continue,
            IncidentFact::Acknowledged if state == IncidentState::Acknowledged => Undo::Acknowledgement,
            IncidentFact::SeverityChanged { from, .. } => Undo::Severity { back_to: *from },
            IncidentFact::Pinned { seq } => Undo::Pin { seq: *seq },
            IncidentFact::Unpinned { seq } => Undo::Unpin { seq: *seq },
            _ => return None,
        };
        let is_mine = *id == me.id && now - recorded.recorded_at < TAKEN_BACK_WITHIN;
        return is_mine.then_some(Undoable {
            seq: recorded.seq,
            at: recorded.recorded_at,
            undo,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        digest::Digest,
        id::OperatorId,
        operator::{Role, Via},
    };

    fn person(id: i64) -> Operator {
        Operator {
            id: OperatorId(id),
            name: format!("p{id}"),
            role: Role::Responder,
            teams: Vec::new(),
            via: Via::Session,
        }
    }

    #[test]
    fn only_ones_own_last_act_is_taken_back_and_only_soon() {
        let now: DateTime<Utc> = "2026-11-21T03:00:00Z".parse().unwrap();
        let timeline = |facts: &[(i64, IncidentFact)]| -> Vec<Recorded> {
            let recorded = facts.iter().enumerate().map(|(index, (by, fact))| Recorded {
                seq: index as i64 + 1,
                event: fact.clone().into(),
                actor: match by {
                    0 => Actor::Automation,
                    id => person(*id).actor(),
                },
                occurred_at: now,
                recorded_at: now,
                hash: Digest::ZERO,
            });
            recorded.collect()
        };
        let fired = IncidentFact::AlertsFired {
            count: 1,
            names: vec!["a".to_owned()],
            reason: String::new(),
        };
        let note = IncidentFact::Note {
            text: "x".to_owned(),
            tag: None,
        };
        let severity = IncidentFact::SeverityChanged {
            from: Severity::Sev3,
            to: Severity::Sev1,
            reason: String::new(),
        };
        let acked = || (1, IncidentFact::Acknowledged);
        let cases = [
            (vec![acked()], Some((1, Undo::Acknowledgement))),
            (
                vec![acked(), (0, fired), (2, note)],
                Some((1, Undo::Acknowledgement)),
            ),
            (
                vec![acked(), (1, severity.clone())],
                Some((
                    2,
                    Undo::Severity {
                        back_to: Severity::Sev3,
                    },
                )),
            ),
            (vec![acked(), (2, severity)], None),
            (vec![acked(), (1, IncidentFact::Unacknowledged)], None),
            (
                vec![(
                    1,
                    IncidentFact::Resolved {
                        reason: String::new(),
                    },
                )],
                None,
            ),
            (vec![], None),
        ];
        for (facts, expected) in cases {
            let timeline = timeline(&facts);
            let found = undoable(&timeline, IncidentState::Acknowledged, &person(1), now)
                .map(|found| (found.seq, found.undo));
            assert_eq!(found, expected, "{facts:?}");
            let late = now + TAKEN_BACK_WITHIN;
            let resolved = undoable(&timeline, IncidentState::Resolved, &person(1), now);
            assert_ne!(resolved.map(|found| found.undo), Some(Undo::Acknowledgement));
            assert_eq!(
                undoable(&timeline, IncidentState::Acknowledged, &person(1), late),
                None
            );
        }
    }
}
