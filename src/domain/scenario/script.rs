//! What happens in a drill besides what follows from its world: alerts, surprises, hints, and what ends it.

use serde::{Deserialize, Serialize};

use super::{Assignment, At};
use crate::domain::{
    labels::Labels,
    span::Span,
    template::{Expression, Template},
};

/// What monitoring would report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Where it stands.
    pub at: At,
    /// Labels as the sender would set them; `alertname` is among them.
    pub labels: Labels,
    /// Annotations with `{{ }}`.
    pub annotations: Vec<(String, Template)>,
    /// It fires while this holds.
    pub fires_while: Expression,
    /// It has to hold for so long before it fires.
    pub lasting: Span,
}

/// A surprise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inject {
    /// Where it stands.
    pub at: At,
    /// Its name.
    pub id: String,
    /// What happens, for the trainer.
    pub title: String,
    /// When it happens by the clock of the drill.
    pub after: Option<Span>,
    /// When it happens by what has become true. With neither, the trainer sends it.
    pub when: Option<Expression>,
    /// What happens.
    pub then: Vec<Happening>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Happening {
    /// The world changes.
    Set(Vec<Assignment>),
    /// Somebody says something to the players: a stakeholder who asks, a colleague who is mistaken.
    Says {
        /// Who.
        who: String,
        /// What.
        text: String,
    },
    /// An alert comes, right or misleading; monitoring takes it back when its time is over.
    Alert {
        /// Labels.
        labels: Labels,
        /// Annotations.
        annotations: Labels,
        /// How long it fires.
        lasting: Span,
    },
    /// Whoever plays this part drops out and acts no more.
    Leaves {
        /// The part.
        role: String,
    },
    /// A target cannot be reached as it should.
    Connector {
        /// Its name.
        target: String,
        /// How.
        fails: Failing,
        /// For how long.
        lasting: Span,
    },
    /// Something real is broken, in a game day.
    Fault {
        /// The name of its target.
        target: String,
        /// Which of the faults that the target allows.
        cause: String,
        /// For how long at most; the end of the drill takes it back earlier.
        lasting: Span,
    },
}

/// How a target fails that is itself well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failing {
    /// Connections are refused.
    Down,
    /// It never answers.
    Hangs,
    /// It does what it is asked, and the answer is lost.
    Lost,
}

impl Failing {
    /// As scenarios write it.
    pub const WORDS: [(&'static str, Failing); 3] =
        [("down", Self::Down), ("hangs", Self::Hangs), ("lost", Self::Lost)];

    /// As scenarios write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Hangs => "hangs",
            Self::Lost => "lost",
        }
    }
}

/// How fast is good. What is absent is measured and not judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objectives {
    /// From the first fault to the incident.
    pub detect: Option<Span>,
    /// From the incident to somebody who has it.
    pub acknowledge: Option<Span>,
    /// From the incident to the first step that was right.
    pub first_step: Option<Span>,
    /// From a gate's question to its answer.
    pub gate: Option<Span>,
    /// From the incident to the end of the harm.
    pub mitigate: Option<Span>,
    /// The longest the players are silent about how it goes.
    pub update_every: Option<Span>,
}

/// What the trainer may tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// What.
    pub text: String,
    /// What it costs, in points.
    pub price: u32,
}

/// What ends a drill early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopRule {
    /// Where it stands.
    pub at: At,
    /// When.
    pub when: Expression,
    /// Why, for people.
    pub because: String,
}
