//! A rehearsal: what every step of a runbook would do now, found out by reading alone. Plan mode shows it, a preflight
//! keeps it. Its texts are redacted and cut where they are made.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{id::StepId, step::Effect};

/// Steps that a headline names of each kind; the others it counts.
const NAMED_MAX: usize = 3;

/// What a whole runbook would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Every step in the order of the file, the items of a list one by one, those of `finally` last.
    pub steps: Vec<Rehearsed>,
    /// Why a run could not even begin: inputs nobody has given, locks without a name.
    pub obstacles: Vec<String>,
    /// Whether anything was asked; otherwise it was only rendered.
    pub asked: bool,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What one step, or one item of a list, would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// Which.
    pub step: StepId,
    /// What a person reads above it.
    pub title: String,
    /// `check`, `call`, `logs`, `gate`, `manual` or `wait`.
    pub word: String,
    /// Whether it runs at the end, whatever came before.
    pub finally: bool,
    /// Whether it may be repeated.
    pub effect: Effect,
    /// The gate whose decision it needs.
    pub gate: Option<StepId>,
    /// What it acts on.
    pub target: Option<String>,
    /// What is sent, exactly; what people are asked; what they are told to do.
    pub request: Option<String>,
    /// What takes it back.
    pub undo: Option<String>,
    /// Under which condition it is carried out, when that cannot be known yet.
    pub condition: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// How long its question took, in milliseconds.
    pub took_ms: Option<u64>,
}

/// What became of a step in a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It changes something: in a run it would be sent.
    WouldSend {
        /// What its verify probe says of the effect, when it has one that answers.
        probe: Option<String>,
        /// Why nobody looked whether it can be reached.
        unseen: Option<String>,
    },
    /// Its verify probe says that the effect is there: a run would pass over it.
    DoneAlready {
        /// What the probe saw.
        finding: String,
    },
    /// It only reads, and was asked.
    Checked {
        /// What it answered.
        finding: String,
        /// What that means.
        says: Says,
    },
    /// People would be asked: a gate, a manual step.
    WouldAsk,
    /// A timer would run.
    WouldWait,
    /// It would not be carried out.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It cannot be rendered before the run is under way.
    CannotKnow {
        /// What it reads, and when that will be known.
        reason: String,
    },
    /// Nobody looked.
    NotLooked {
        /// Why.
        reason: String,
    },
    /// It cannot work as things stand.
    Broken {
        /// What kind of fault.
        fault: Fault,
        /// What a person has to put right.
        reason: String,
    },
}

/// What the answer of a check means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
pub enum Says {
    /// It is as expected.
    Holds,
    /// It is not.
    Fails {
        /// Whether the run would end there.
        ends: bool,
        /// What the run would do.
        then: String,
    },
    /// It is not, but a run asks it later, when the answer may be another one.
    Early {
        /// When: `after promote was sent`.
        when: String,
    },
    /// What is expected cannot be known yet.
    Unjudged {
        /// Why.
        reason: String,
    },
}

/// Why a step cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A template or a condition gives no value.
    Template,
    /// There is no such target, or one of another kind.
    Target,
    /// The request cannot be sent as it is written.
    Request,
    /// A credential is not there.
    Secret,
    /// The target does not answer.
    Unreachable,
    /// The target answered that it will not.
    Refused,
    /// The target's circuit is open.
    Circuit,
    /// The probe that tells whether the effect is there cannot be asked.
    Probe,
    /// A step below this gate cannot be shown to people, so they cannot be asked.
    Gate,
}

/// How a step of the file stands, all its items together.
enum Outlook<'a> {
    Can,
    Cannot(Fault, &'a str),
    Later,
    Unseen,
}

impl Rehearsal {
    /// Whether something has to be put right before a run can do all its steps.
    pub fn is_broken(&self) -> bool {
        !self.obstacles.is_empty()
            || self
                .steps
                .iter()
                .any(|step| matches!(step.verdict, Verdict::Broken { .. }))
    }

    /// The whole in one line, the worst first, for a person who was asleep.
    pub fn headline(&self) -> String {
        let mut outlooks: Vec<(&str, Outlook<'_>)> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for step in &self.steps {
            let base = step.step.base();
            let outlook = match step.outlook() {
                // Nobody meant to look.
                Outlook::Unseen if !self.asked => Outlook::Can,
                outlook => outlook,
            };
            match places.get(base) {
                Some(at) => outlooks[*at].1.add(outlook),
                None => {
                    places.insert(base, outlooks.len());
                    outlooks.push((base, outlook));
                }
            }
        }
        let mut cannot: Vec<(&str, Fault, &str)> = outlooks
            .iter()
            .filter_map(|(step, outlook)| match outlook {
                Outlook::Cannot(fault, reason) => Some((*step, *fault, *reason)),
                _ => None,
            })
            .collect();
        // What keeps a gate from asking is a step below it, which comes first.
        cannot.sort_by_key(|(_, fault, _)| *fault == Fault::Gate);
        let those = |is: fn(&Outlook<'_>) -> bool| -> Vec<&str> {
            outlooks
                .iter()
                .filter(|(_, outlook)| is(outlook))
                .map(|(step, _)| *step)
                .collect()
        };
        let later = those(|outlook| matches!(outlook, Outlook::Later));
        let unseen = those(|outlook| matches!(outlook, Outlook::Unseen));
        let can = those(|outlook| matches!(outlook, Outlook::Can)).len();

        let mut parts = Vec::new();
        if !self.obstacles.is_empty() {
            parts.push(format!("a run cannot begin: {}", self.obstacles.join(", ")));
        }
        parts.push(self.count(can, outlooks.len()));
        let told = cannot.iter().take(NAMED_MAX);
        parts.extend(told.map(|(step, _, reason)| format!("{step} cannot: {reason}")));
        if cannot.len() > NAMED_MAX {
            parts.push(format!("{} more cannot", cannot.len() - NAMED_MAX));
        }
        if let Some(end) = self.end() {
            parts.push(format!("the run would end at {end}, which does not hold now"));
        }
        if !later.is_empty() {
            parts.push(format!("{} can only be known during the run", named(&later)));
        }
        match (unseen.is_empty(), self.asked) {
            (true, true) => {}
            (false, true) => parts.push(format!("{} could not be looked at in time", named(&unseen))),
            (_, false) => parts.push("nothing was asked".to_owned()),
        }
        let line = parts.join("; ");
        let mut chars = line.chars();
        chars
            .next()
            .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    }

    fn count(&self, can: usize, all: usize) -> String {
        let able = match self.asked {
            true => "can work",
            false => "can be rendered",
        };
        match (can == all, all) {
            (_, 0) => "there is no step".to_owned(),
            (true, 1) => format!("the only step {able}"),
            (true, all) => format!("all {all} steps {able}"),
            (false, 1) => format!("none of 1 step {able}"),
            (false, all) => format!("{can} of {all} steps {able}"),
        }
    }

    /// The first check whose answer would end the run.
    fn end(&self) -> Option<&StepId> {
        let ends = |step: &&Rehearsed| {
            matches!(
                &step.verdict,
                Verdict::Checked {
                    says: Says::Fails { ends: true, .. },
                    ..
                }
            )
        };
        self.steps.iter().find(ends).map(|step| &step.step)
    }
}

impl Rehearsed {
    fn outlook(&self) -> Outlook<'_> {
        match &self.verdict {
            Verdict::Broken { fault, reason } => Outlook::Cannot(*fault, reason),
            Verdict::CannotKnow { .. } => Outlook::Later,
            Verdict::WouldSend { unseen: Some(_), .. } | Verdict::NotLooked { .. } => Outlook::Unseen,
            _ => Outlook::Can,
        }
    }
}

impl<'a> Outlook<'a> {
    /// Takes in another item of the same step; the worst counts.
    fn add(&mut self, other: Outlook<'a>) {
        if other.weight() > self.weight() {
            *self = other;
        }
    }

    fn weight(&self) -> u8 {
        match self {
            Self::Can => 0,
            Self::Unseen => 1,
            Self::Later => 2,
            Self::Cannot(..) => 3,
        }
    }
}

/// `a`, `a and b`, `a, b, c and 4 more`
fn named(steps: &[&str]) -> String {
    let (told, more) = steps.split_at(steps.len().min(NAMED_MAX));
    match (told, more.len()) {
        (told, more @ 1..) => format!("{} and {more} more", told.join(", ")),
        ([first @ .., last], 0) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (told, _) => told.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rehearsed(step: &str, verdict: Verdict) -> Rehearsed {
        Rehearsed {
            step: step.into(),
            title: step.to_owned(),
            word: "call".to_owned(),
            finally: false,
            effect: Effect::Once,
            gate: None,
            target: None,
            request: None,
            undo: None,
            condition: None,
            verdict,
            took_ms: None,
        }
    }

    fn broken(fault: Fault, reason: &str) -> Verdict {
        Verdict::Broken {
            fault,
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn the_first_line_says_what_has_to_be_put_right() {
        let fine = || Verdict::WouldAsk;
        let missing = || broken(Fault::Secret, "secret env:LB_TOKEN is not set");
        let later = || Verdict::CannotKnow {
            reason: String::new(),
        };
        let unseen = || Verdict::NotLooked {
            reason: String::new(),
        };
        let ends = || Verdict::Checked {
            finding: "no row".to_owned(),
            says: Says::Fails {
                ends: true,
                then: String::new(),
            },
        };
        let below = || broken(Fault::Gate, "b below it cannot be shown");
        for (steps, asked, line) in [
            (vec![], true, "There is no step"),
            (vec![("a", fine())], true, "The only step can work"),
            (vec![("a", fine()), ("b", fine())], true, "All 2 steps can work"),
            (
                vec![("a", fine()), ("b", missing())],
                true,
                "1 of 2 steps can work; b cannot: secret env:LB_TOKEN is not set",
            ),
            (
                vec![("ask", below()), ("b", missing())],
                true,
                "0 of 2 steps can work; b cannot: secret env:LB_TOKEN is not set; ask cannot: b below it cannot be shown",
            ),
            (
                vec![("a[0]", fine()), ("a[1]", missing()), ("a[2]", fine())],
                true,
                "None of 1 step can work; a cannot: secret env:LB_TOKEN is not set",
            ),
            (
                vec![
                    ("a", missing()),
                    ("b", missing()),
                    ("c", missing()),
                    ("d", missing()),
                ],
                true,
                "0 of 4 steps can work; a cannot: secret env:LB_TOKEN is not set; b cannot: secret env:LB_TOKEN is not \
                 set; c cannot: secret env:LB_TOKEN is not set; 1 more cannot",
            ),
            (
                vec![("a", ends()), ("b", later()), ("c", later()), ("d", unseen())],
                true,
                "1 of 4 steps can work; the run would end at a, which does not hold now; b and c can only be known \
                 during the run; d could not be looked at in time",
            ),
            (
                vec![("a", fine()), ("b", unseen())],
                false,
                "All 2 steps can be rendered; nothing was asked",
            ),
        ] {
            let rehearsal = Rehearsal {
                steps: steps
                    .into_iter()
                    .map(|(step, verdict)| rehearsed(step, verdict))
                    .collect(),
                obstacles: Vec::new(),
                asked,
                at: DateTime::default(),
                took_ms: 0,
            };
            assert_eq!(rehearsal.headline(), line);
        }
        let stuck = Rehearsal {
            steps: vec![rehearsed("a", fine())],
            obstacles: vec!["no value for the required input cluster".to_owned()],
            asked: true,
            at: DateTime::default(),
            took_ms: 0,
        };
        let line = "A run cannot begin: no value for the required input cluster; the only step can work";
        assert_eq!(stuck.headline(), line);
        assert!(stuck.is_broken());
    }

    #[test]
    fn a_rehearsal_is_read_back_as_it_was_written() {
        let steps = vec![
            rehearsed("a", broken(Fault::Unreachable, "x")),
            rehearsed(
                "b",
                Verdict::Checked {
                    finding: "1 row".to_owned(),
                    says: Says::Early {
                        when: "after a was sent".to_owned(),
                    },
                },
            ),
        ];
        let rehearsal = Rehearsal {
            steps,
            obstacles: Vec::new(),
            asked: true,
            at: DateTime::default(),
            took_ms: 12,
        };
        let kept = serde_json::to_value(&rehearsal).unwrap();
        assert_eq!(serde_json::from_value::<Rehearsal>(kept).unwrap(), rehearsal);
    }
}
