//! How far an attempt got, as the engine recorded it: what decides whether it may be made again.

use chrono::{DateTime, Utc};

use super::parts::{At, Icon, at, icon};
use crate::domain::{
    action::FailureClass,
    event::{Event, Recorded},
    run::{RunFact, Settled},
};

/// One stage of the way to the target and back.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its shape: reached, not reached, nobody knows.
    pub icon: Icon,
    /// What it is, and how it went.
    pub words: &'static str,
    /// When, as far as it is known.
    pub at: Option<At>,
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is on its way.
    Out,
    /// The request could not be made as it is written.
    Invalid,
    /// Nothing was sent.
    NotSent,
    /// It was sent, or may have been, and no answer came.
    Lost,
    /// The target answered.
    Answered,
    /// No answer came, and the probe saw that it is done.
    Probed,
    /// The check had found it done before anything was sent.
    Spared,
}

/// The stages of one attempt by the facts of its step, in any order. `class` is what the result says of a target that
/// did not answer a check: for that the step has not failed.
pub fn stages(
    facts: &[Recorded],
    attempt: u32,
    class: Option<FailureClass>,
    now: DateTime<Utc>,
) -> Vec<Stage> {
    let begun = facts.iter().find(|recorded| {
        matches!(&recorded.event, Event::Run(_, RunFact::StepStarted { attempt: made, .. }) if *made == attempt)
    });
    let ends = facts.iter().filter_map(|recorded| match &recorded.event {
        Event::Run(_, fact) => Some((recorded, way(fact, attempt)?)),
        Event::Incident(_) => None,
    });
    // What was settled later counts, not that it was unknown before.
    let end = ends.max_by_key(|(recorded, _)| recorded.seq);
    let way = match (end.map(|(_, way)| way), class) {
        (Some(Way::Answered), Some(FailureClass::NotSent)) => Way::NotSent,
        (Some(Way::Answered), Some(FailureClass::Lost)) => Way::Lost,
        (way, _) => way.unwrap_or(Way::Out),
    };
    let ended = end.map(|(recorded, _)| at(recorded.recorded_at, now));
    let stage = |name: &'static str, words, at| Stage {
        icon: icon(name),
        words,
        at,
    };
    let written = stage(
        "check",
        "Written down before anything was sent",
        begun.map(|begun| at(begun.recorded_at, now)),
    );
    let (yes, no, unknown) = ("check", "barred", "question");
    let (sent, answered) = match way {
        Way::Out => ((unknown, "On its way"), (unknown, "No answer yet")),
        Way::Invalid => ((no, "Not sent: it cannot work as written"), (no, "No answer")),
        Way::NotSent => ((no, "Not sent: the target was not reached"), (no, "No answer")),
        Way::Lost => ((unknown, "Sent, or may have been"), (no, "No answer came back")),
        Way::Answered => ((yes, "Sent"), (yes, "The target answered")),
        Way::Probed => (
            (yes, "Sent"),
            (yes, "No answer came back; the probe saw that it is done"),
        ),
        Way::Spared => ((no, "Not sent: it was done already"), (yes, "The probe answered")),
    };
    vec![
        written,
        stage(sent.0, sent.1, None),
        stage(answered.0, answered.1, ended),
    ]
}

/// How far an attempt got by the fact it ended with; nothing for facts that are not its end.
fn way(fact: &RunFact, attempt: u32) -> Option<Way> {
    let (of, way) = match fact {
        RunFact::StepSucceeded { attempt, settled, .. } => match settled {
            Settled::Answer => (*attempt, Way::Answered),
            Settled::Probe => (*attempt, Way::Probed),
        },
        RunFact::StepFailed { attempt, class, .. } => {
            let way = match class {
                FailureClass::Invalid => Way::Invalid,
                FailureClass::NotSent => Way::NotSent,
                FailureClass::Lost => Way::Lost,
                FailureClass::Refused => Way::Answered,
            };
            (*attempt, way)
        }
        RunFact::StepHeld { attempt, .. } => (*attempt, Way::NotSent),
        RunFact::StepInterrupted { attempt, .. } | RunFact::OutcomeUnknown { attempt, .. } => {
            (*attempt, Way::Lost)
        }
        RunFact::StepSatisfied { .. } => (attempt, Way::Spared),
        _ => return None,
    };
    (of == attempt).then_some(way)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{digest::Digest, id::RunId, operator::Actor};

    fn told(facts: Vec<RunFact>, class: Option<FailureClass>) -> Vec<&'static str> {
        let at = DateTime::from_timestamp(1_773_458_047, 0).unwrap();
        let recorded = facts.into_iter().zip(1..).map(|(fact, seq)| Recorded {
            seq,
            event: Event::Run(RunId(1), fact),
            actor: Actor::Automation,
            occurred_at: at,
            recorded_at: at,
            hash: Digest::ZERO,
        });
        let facts: Vec<Recorded> = recorded.collect();
        stages(&facts, 1, class, at)
            .into_iter()
            .skip(1)
            .map(|stage| stage.words)
            .collect()
    }

    #[test]
    fn an_attempt_got_as_far_as_its_last_word_says() {
        let unknown = || RunFact::OutcomeUnknown {
            step: "a".into(),
            attempt: 1,
            reason: "no answer".to_owned(),
        };
        let succeeded = |settled| RunFact::StepSucceeded {
            step: "a".into(),
            attempt: 1,
            summary: String::new(),
            settled,
        };
        assert_eq!(told(vec![], None), ["On its way", "No answer yet"]);
        assert_eq!(
            told(vec![unknown()], None),
            ["Sent, or may have been", "No answer came back"]
        );
        assert_eq!(
            told(vec![unknown(), succeeded(Settled::Probe)], None),
            ["Sent", "No answer came back; the probe saw that it is done"]
        );
        assert_eq!(
            told(vec![succeeded(Settled::Answer)], None),
            ["Sent", "The target answered"]
        );
        // A check that found its target down has worked.
        assert_eq!(
            told(vec![succeeded(Settled::Answer)], Some(FailureClass::NotSent))[0],
            "Not sent: the target was not reached"
        );
    }
}
