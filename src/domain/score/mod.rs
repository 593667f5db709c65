//! The scorecard of a drill: objective figures first, then what was expected against what was done. A drill is scored as
//! a whole; people are not.
//!
//! It is worked out from the scenario, the seed, the drill's log and the timelines of its incidents, so that the same
//! drill always has the same scorecard.

mod course;
mod judge;
mod observe;

use serde::{Deserialize, Serialize};

use super::{drill::ObserverTag, span::Span};

pub use course::{Course, Moment, nothing_told};
pub use judge::{judge, words as deed_words};
pub use observe::{Observed, Seen, observe, take_in};

/// Everything a team reads after a drill.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// How long the drill took, pauses not counted.
    pub took: Option<Span>,
    /// How fast, in the order people are asked about it.
    pub figures: Vec<Figure>,
    /// What was expected against what was done, in the order of the scenario.
    pub expected: Vec<Outcome>,
    /// What would have been wrong.
    pub wrong: Vec<Slip>,
    /// The surprises.
    pub injects: Vec<InjectOutcome>,
    /// How often the others were told in time, of how often they should have been.
    pub updates: Share,
    /// How many unknown outcomes were settled, of those there were.
    pub unknowns: Share,
    /// Hints that were told, with their prices.
    pub hints: Vec<(String, u32)>,
    /// What the trainer noted.
    pub notes: Vec<Remark>,
    /// How a game day left what it was played on; absent where nothing could be broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<Cleanup>,
}

/// How a game day left what it was played on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleanup {
    /// Faults that were seen to be taken back, of those that were planned.
    pub faults: Share,
    /// Whether it was steady again afterwards; `None` until that was seen.
    pub steady_again: Option<bool>,
}

impl Cleanup {
    /// Whether nothing of the drill is left.
    pub fn is_proven(&self) -> bool {
        self.faults.done == self.faults.of && self.steady_again == Some(true)
    }
}

/// One time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it measures.
    pub name: FigureName,
    /// How long it took; `None` when it was not reached, which is not 0.
    pub took: Option<Span>,
    /// How long it may take.
    pub objective: Option<Span>,
}

impl Figure {
    /// Whether the objective was met; `None` when there is none.
    pub fn is_met(&self) -> Option<bool> {
        let objective = self.objective?;
        Some(self.took.is_some_and(|took| took <= objective))
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureName {
    /// From the harm to the incident.
    Detect,
    /// From the incident to somebody who has it.
    Acknowledge,
    /// From the incident to the first deed that was expected, besides taking it.
    FirstStep,
    /// The longest any gate waited for its answer.
    Gate,
    /// From the incident to the end of the harm.
    Mitigate,
    /// From the incident to its end.
    Resolve,
}

impl FigureName {
    /// What people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Detect => "Detect",
            Self::Acknowledge => "Acknowledge",
            Self::FirstStep => "First correct step",
            Self::Gate => "Longest wait at a gate",
            Self::Mitigate => "Mitigate",
            Self::Resolve => "Resolve",
        }
    }
}

/// What became of something expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name in the scenario.
    pub id: String,
    /// What was expected, in words.
    pub what: String,
    /// Why it is right.
    pub because: Option<String>,
    /// By when, by the clock of the drill; `None` when its turn never came.
    pub due: Option<Span>,
    /// When it was done.
    pub done: Option<Span>,
}

impl Outcome {
    /// In one word.
    pub fn verdict(&self) -> Verdict {
        match (self.due, self.done) {
            (Some(due), Some(done)) if done <= due => Verdict::InTime,
            (_, Some(_)) => Verdict::Late,
            (Some(_), None) => Verdict::Missed,
            (None, None) => Verdict::NotReached,
        }
    }
}

/// How something expected went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done in time.
    InTime,
    /// Done, too late.
    Late,
    /// Its turn came and nobody did it.
    Missed,
    /// Its turn never came.
    NotReached,
}

/// What would have been wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slip {
    /// Its name in the scenario.
    pub id: String,
    /// What, in words.
    pub what: String,
    /// Why it is wrong.
    pub because: String,
    /// When it was done, if it was.
    pub done: Option<Span>,
}

/// What became of a surprise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InjectOutcome {
    /// Its name.
    pub id: String,
    /// What happens.
    pub title: String,
    /// When it happened.
    pub sent: Option<Span>,
    /// Whether the trainer passed it over.
    pub is_skipped: bool,
    /// What was expected after it, by name.
    pub expected: Vec<String>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// So many.
    pub done: u32,
    /// Of so many.
    pub of: u32,
}

/// A note of the trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remark {
    /// When, by the clock of the drill.
    pub age: Span,
    /// In which part of the incident.
    pub phase: Phase,
    /// With one tap.
    pub tag: Option<ObserverTag>,
    /// In words.
    pub text: String,
}

/// The parts of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Until there is an incident.
    Detect,
    /// Until somebody has it.
    Acknowledge,
    /// Until the harm is over.
    Mitigate,
    /// Until it is over.
    Recover,
}

impl Phase {
    /// What people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Detect => "Before the incident",
            Self::Acknowledge => "Until somebody had it",
            Self::Mitigate => "Until the harm was over",
            Self::Recover => "Until the end",
        }
    }
}

impl Score {
    /// Whether all that was expected was done in time and nothing wrong was.
    pub fn passes(&self) -> bool {
        let expected = self.expected.iter().all(|one| one.verdict() == Verdict::InTime);
        let met = self.figures.iter().all(|figure| figure.is_met() != Some(false));
        // While the drill goes on, what is broken shall be.
        let is_clean = self.took.is_none() || self.cleanup.is_none_or(|cleanup| cleanup.is_proven());
        expected
            && met
            && is_clean
            && self.wrong.iter().all(|slip| slip.done.is_none())
            && self.hints.is_empty()
    }

    /// What it falls short of, one line each.
    pub fn shortfalls(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for figure in self
            .figures
            .iter()
            .filter(|figure| figure.is_met() == Some(false))
        {
            let objective = figure.objective.unwrap_or(Span::from_secs(0));
            lines.push(match figure.took {
                Some(took) => format!(
                    "{} took {took}; the objective is {objective}",
                    figure.name.label()
                ),
                None => format!(
                    "{} was not reached; the objective is {objective}",
                    figure.name.label()
                ),
            });
        }
        for one in &self.expected {
            match one.verdict() {
                Verdict::InTime => {}
                Verdict::Late => lines.push(format!("{}: {} was done too late", one.id, one.what)),
                Verdict::Missed => lines.push(format!("{}: {} was not done", one.id, one.what)),
                Verdict::NotReached => lines.push(format!("{}: {} was not reached", one.id, one.what)),
            }
        }
        for slip in self.wrong.iter().filter(|slip| slip.done.is_some()) {
            lines.push(format!("{}: {}. {}", slip.id, slip.what, slip.because));
        }
        if let Some(cleanup) = self
            .cleanup
            .filter(|cleanup| self.took.is_some() && !cleanup.is_proven())
        {
            lines.push(format!(
                "the clean-up is not proven: {} of {} faults are taken back, and steady again: {}",
                cleanup.faults.done,
                cleanup.faults.of,
                match cleanup.steady_again {
                    None => "not seen yet",
                    Some(true) => "yes",
                    Some(false) => "no",
                }
            ));
        }
        for (hint, price) in &self.hints {
            lines.push(format!("a hint was told (-{price}): {hint}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests;
