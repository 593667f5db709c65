//! Reports of unattended drills, for people and for machines: text, JSON, JUnit.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    domain::{
        coverage::{Gain, Item},
        drill::{DrillFact, name},
        score::{Outcome, Verdict},
        span::Span,
    },
    drill::Card,
};

/// One drill that was played.
pub struct Played {
    /// What was played.
    pub scenario: String,
    /// Its chance.
    pub seed: u64,
    /// How it went, or why nobody can say.
    pub card: Result<Card, String>,
}

impl Played {
    /// Whether all that was expected was done and nothing wrong was.
    pub fn passes(&self) -> bool {
        self.card.as_ref().is_ok_and(|card| card.score.passes())
    }

    /// What it has exercised of each runbook. The database of an unattended drill is its own, so of what drills elsewhere
    /// have covered it says nothing.
    fn gains(&self) -> &[Gain] {
        self.card.as_ref().map_or(&[], |card| &card.gains)
    }

    fn shortfalls(&self) -> Vec<String> {
        match &self.card {
            Err(why) => vec![why.clone()],
            Ok(card) => {
                let mut lines = card.score.shortfalls();
                if let Some((_, why, reason)) = &card.drill.ended
                    && !card.score.passes()
                {
                    lines.push(format!(
                        "the drill was {why}{}",
                        if reason.is_empty() {
                            String::new()
                        } else {
                            format!(": {reason}")
                        }
                    ));
                }
                lines.extend(not_recorded(card));
                lines
            }
        }
    }
}

/// What was asked and nobody had asked on the night that was played again: what followed from it proves nothing.
fn not_recorded(card: &Card) -> BTreeSet<String> {
    let facts = card.log.iter().filter_map(|logged| match &logged.fact {
        DrillFact::NotRecorded { target, asked } => Some(format!(
            "not recorded on the real night: {target} was asked {asked}"
        )),
        _ => None,
    });
    facts.collect()
}

/// For people.
pub fn text(played: &[Played]) -> String {
    let mut lines = Vec::new();
    for one in played {
        let word = if one.passes() { "passed" } else { "FAILED" };
        let took = one
            .card
            .as_ref()
            .ok()
            .and_then(|card| card.score.took)
            .map(|took| format!(" in {took}"))
            .unwrap_or_default();
        lines.push(format!("{} {word}{took} (seed {})", one.scenario, one.seed));
        if let Ok(card) = &one.card {
            for figure in card.score.figures.iter().filter(|figure| figure.took.is_some()) {
                let took = figure.took.map(|took| took.to_string()).unwrap_or_default();
                let objective = figure
                    .objective
                    .map(|objective| format!(" of {objective}"))
                    .unwrap_or_default();
                lines.push(format!("  {:<24} {took}{objective}", figure.name.label()));
            }
        }
        lines.extend(
            one.gains()
                .iter()
                .map(|gain| format!("  covers {}", covered(gain))),
        );
        lines.extend(one.shortfalls().into_iter().map(|line| format!("  ! {line}")));
    }
    let passed = played.iter().filter(|one| one.passes()).count();
    lines.push(format!("{passed} of {} drills passed", played.len()));
    lines.join("\n")
}

/// How much of a runbook a drill has exercised, and what not.
fn covered(gain: &Gain) -> String {
    let missing = missing(gain);
    let missing = match missing.is_empty() {
        true => String::new(),
        false => format!("; not {}", missing.join(", ")),
    };
    format!("{}: {} of {}{missing}", gain.slug, gain.exercised(), gain.of())
}

/// The keys of what a drill has not exercised, in order.
fn missing(gain: &Gain) -> Vec<String> {
    let mut keys: Vec<String> = gain.kept.iter().chain(&gain.left).map(Item::key).collect();
    keys.sort_unstable();
    keys
}

fn coverage(gain: &Gain) -> Value {
    let mut exercised: Vec<String> = gain.first.iter().chain(&gain.again).map(Item::key).collect();
    exercised.sort_unstable();
    json!({"runbook": gain.slug, "of": gain.of(), "exercised": exercised, "missing": missing(gain)})
}

/// What a drill has exercised, as properties of its suite.
fn properties(gains: &[Gain]) -> String {
    let property = |gain: &Gain| {
        format!(
            "      <property name=\"coverage of {}\" value=\"{} of {}\"/>\n",
            escaped(&gain.slug),
            gain.exercised(),
            gain.of()
        )
    };
    match gains.is_empty() {
        true => String::new(),
        false => {
            let all: String = gains.iter().map(property).collect();
            format!("    <properties>\n{all}    </properties>\n")
        }
    }
}

/// For programs.
pub fn json(played: &[Played]) -> Value {
    let drills: Vec<Value> = played
        .iter()
        .map(|one| {
            let mut value = json!({
                "scenario": one.scenario, "seed": one.seed, "passed": one.passes(), "shortfalls": one.shortfalls(),
            });
            if let Ok(card) = &one.card {
                value["drill"] = json!(name(card.drill.id));
                value["score"] = json!(card.score);
                value["coverage"] = one.gains().iter().map(coverage).collect();
            }
            value
        })
        .collect();
    json!({"passed": played.iter().all(Played::passes), "drills": drills})
}

/// For continuous integration: a suite a drill, a case a thing that was expected, a figure or a wrong deed.
pub fn junit(played: &[Played]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for one in played {
        let cases = cases(one);
        let failed = cases.iter().filter(|(_, problem)| problem.is_some()).count();
        text.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\">\n",
            escaped(&one.scenario),
            cases.len()
        ));
        text.push_str(&properties(one.gains()));
        for (name, problem) in cases {
            text.push_str(&format!(
                "    <testcase classname=\"{}\" name=\"{}\"",
                escaped(&one.scenario),
                escaped(&name)
            ));
            match problem {
                None => text.push_str("/>\n"),
                Some(problem) => text.push_str(&format!(
                    "><failure message=\"{}\"/></testcase>\n",
                    escaped(&problem)
                )),
            }
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn cases(one: &Played) -> Vec<(String, Option<String>)> {
    let card = match &one.card {
        Ok(card) => card,
        Err(why) => return vec![("plays".to_owned(), Some(why.clone()))],
    };
    let score = &card.score;
    let figures = score.figures.iter().filter_map(|figure| {
        let is_met = figure.is_met()?;
        let took = figure
            .took
            .map_or("not reached".to_owned(), |took| took.to_string());
        let objective = figure.objective.unwrap_or(Span::from_secs(0));
        let problem = (!is_met).then(|| format!("{took}; the objective is {objective}"));
        Some((figure.name.label().to_owned(), problem))
    });
    let expected = score.expected.iter().map(|outcome| {
        let problem = match outcome.verdict() {
            Verdict::InTime => None,
            Verdict::Late => Some(late(outcome)),
            Verdict::Missed => Some("it was not done".to_owned()),
            Verdict::NotReached => Some("its turn never came".to_owned()),
        };
        (format!("{}: {}", outcome.id, outcome.what), problem)
    });
    let wrong = score.wrong.iter().map(|slip| {
        let problem = slip.done.map(|at| format!("done at {at}: {}", slip.because));
        (format!("not {}: {}", slip.id, slip.what), problem)
    });
    figures.chain(expected).chain(wrong).collect()
}

fn late(outcome: &Outcome) -> String {
    let text = |at: Option<Span>| at.map_or("never".to_owned(), |at| at.to_string());
    format!("done at {}, due by {}", text(outcome.done), text(outcome.due))
}

/// Text for an attribute. Characters that XML has no place for are left out.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        coverage::{What, branch::Branch},
        digest::Digest,
    };

    fn item(step: &str, branch: Branch) -> Item {
        Item {
            step: step.into(),
            what: What::Branch(branch),
            fingerprint: Digest::ZERO,
        }
    }

    #[test]
    fn what_this_drill_exercised_is_told_and_not_what_others_did() {
        let gain = Gain {
            slug: "failover".to_owned(),
            number: 3,
            first: vec![item("ask", Branch::Approved)],
            again: vec![item("act", Branch::Done)],
            kept: vec![item("ask", Branch::Rejected)],
            left: vec![item("act", Branch::TakenBack)],
        };
        assert_eq!(covered(&gain), "failover: 2 of 4; not act/undone, ask/rejected");
        assert_eq!(
            coverage(&gain),
            json!({"runbook": "failover", "of": 4, "exercised": ["act/done", "ask/approved"],
                "missing": ["act/undone", "ask/rejected"]})
        );
        assert!(properties(&[gain]).contains("<property name=\"coverage of failover\" value=\"2 of 4\"/>"));
        assert_eq!(properties(&[]), "", "a suite may not have an empty list of them");
    }
}
