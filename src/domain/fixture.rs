//! A fixture: one test of a runbook. An alert comes in, canned answers stand in for the targets, scripted words for the
//! people, and what the run should come to is written beside them.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use super::{
    action::Failure,
    id::StepId,
    incident::Severity,
    judge::Told,
    labels::Labels,
    run::{RunResult, UnknownChoice},
    state::Stand,
};

/// One test of a runbook.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixture {
    /// Slug of the runbook it tests.
    pub runbook: String,
    /// What it shows, in words.
    pub test: String,
    /// Whether a person starts the run, so that the alert need not be one the runbook is for.
    pub by_hand: bool,
    /// Labels of the alert.
    pub labels: Labels,
    /// Annotations of the alert.
    pub annotations: Labels,
    /// What the incident is called, when not after its alert.
    pub title: Option<String>,
    /// How bad it is, when not as its alert says.
    pub severity: Option<Severity>,
    /// What a person would type.
    pub inputs: BTreeMap<String, String>,
    /// What the targets answer, in order; the last answer of a list is given again and again.
    pub answers: BTreeMap<Asked, Vec<Answer>>,
    /// What people do where the run needs them, in order; nothing is said twice.
    pub people: BTreeMap<StepId, Vec<Said>>,
    /// What the run should come to.
    pub expect: Expected,
}

/// Who is asked for an answer: a step, one of its items, its undo; or the verify probe of one of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The step.
    pub step: StepId,
    /// Its verify probe, not the step itself.
    pub is_probe: bool,
}

const PROBE: &str = ".verify";

impl Asked {
    /// The step itself.
    pub fn step(id: &StepId) -> Self {
        Self {
            step: id.clone(),
            is_probe: false,
        }
    }

    /// The verify probe of a step.
    pub fn probe(id: &StepId) -> Self {
        Self {
            step: id.clone(),
            is_probe: true,
        }
    }

    /// Reads `promote`, `drain[2]`, `undo:promote` or any of them with `.verify`.
    pub fn named(text: &str) -> Self {
        match text.strip_suffix(PROBE) {
            Some(step) => Self::probe(&step.into()),
            None => Self::step(&text.into()),
        }
    }

    /// The same of the step an item belongs to: what answers for an item that has no answers of its own.
    pub fn whole(&self) -> Self {
        let base = StepId::from(self.step.base());
        Self {
            step: match self.step.undone() {
                Some(_) => base.undo(),
                None => base,
            },
            is_probe: self.is_probe,
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.is_probe { PROBE } else { "" };
        write!(f, "{}{ending}", self.step)
    }
}

/// One canned answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The target answered this; `expect` judges it.
    Result {
        /// What expressions see as `result`: a map with `ok`.
        result: Value,
        /// The same in one line, for the timeline; made from the result when absent.
        summary: Option<String>,
    },
    /// It failed.
    Failure(Failure),
    /// Muster stopped after the attempt began and before its answer was stored.
    Interrupted,
    /// What a probe tells after all its asking, whatever its target answered: of a run that was saved only this is known.
    Told(Told),
}

/// What a person does, with the reason, note or evidence they give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What.
    pub word: Word,
    /// In their words; may be empty.
    pub text: String,
}

/// Everything people can do to a run where it needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Approve at a gate.
    Approve,
    /// Reject at a gate.
    Reject,
    /// Let a gate's time run out.
    Expire,
    /// Open a gate alone.
    BreakGlass,
    /// Send back what a gate asks; the run pauses, and goes on when more is said at the gate.
    SendBack,
    /// Take back an approval.
    Withdraw,
    /// Say that what was asked for by hand is done.
    Done,
    /// Let the time of a manual step run out.
    Overdue,
    /// Say something about an outcome nobody knows.
    Unknown(UnknownChoice),
    /// Let a step be.
    Skip,
    /// Stop the run when it is this step's turn.
    Stop,
    /// Stop the run there and have it taken back.
    Undo,
}

impl Word {
    /// All of them with their names in files.
    pub const ALL: [(&str, Self); 16] = [
        ("approve", Self::Approve),
        ("reject", Self::Reject),
        ("expire", Self::Expire),
        ("break_glass", Self::BreakGlass),
        ("send_back", Self::SendBack),
        ("withdraw", Self::Withdraw),
        ("done", Self::Done),
        ("overdue", Self::Overdue),
        ("run_check", Self::Unknown(UnknownChoice::RunCheck)),
        ("mark_done", Self::Unknown(UnknownChoice::MarkDone)),
        ("mark_not_done", Self::Unknown(UnknownChoice::MarkNotDone)),
        ("retry_same_key", Self::Unknown(UnknownChoice::RetrySameKey)),
        ("retry_new_key", Self::Unknown(UnknownChoice::RetryNewKey)),
        ("skip", Self::Skip),
        ("stop", Self::Stop),
        ("undo", Self::Undo),
    ];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, word)| *word == self)
            .map_or("", |(name, _)| name)
    }

    /// Whether it is about the whole run, so that it can be said at any step.
    pub fn is_of_any_step(self) -> bool {
        matches!(self, Self::Stop | Self::Undo)
    }

    /// Whether it can be said just before a step is carried out.
    pub fn is_before_an_act(self) -> bool {
        self.is_of_any_step() || self == Self::Skip
    }
}

/// What a run should come to. What is not named may be as it likes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// How it ends.
    pub result: RunResult,
    /// The gates that ask, in order; one that asks twice is named twice.
    pub gates: Option<Vec<StepId>>,
    /// The effects that are sent, in order, each attempt that may have reached its target.
    pub calls: Option<Vec<StepId>>,
    /// The steps that are skipped, in any order.
    pub skipped: Option<Vec<StepId>>,
    /// Where steps stand in the end.
    pub steps: BTreeMap<StepId, Stand>,
    /// What the reason of its end contains.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_asked_reads_back_as_written() {
        for text in ["promote", "drain[2]", "undo:drain[2]", "undo:promote.verify"] {
            assert_eq!(Asked::named(text).to_string(), text);
        }
        let whole = |text| Asked::named(text).whole().to_string();
        assert_eq!(whole("drain[2].verify"), "drain.verify");
        assert_eq!(whole("undo:drain[2]"), "undo:drain");
        assert_eq!(whole("promote"), "promote");
    }

    #[test]
    fn every_word_has_a_name_of_its_own() {
        for (name, word) in Word::ALL {
            assert_eq!(word.name(), name);
        }
    }
}
