//! The log of a drill in words.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    super::{
        parts::{At, Icon, Said, at, icon, said},
        text,
    },
    clock, faults,
};
use crate::domain::{
    drill::{DrillFact, Logged},
    fault::FaultState,
    scenario::Scenario,
    simulation::Change,
};

/// Lines that a page shows, the newest.
const LINES_MAX: usize = 200;
/// Characters of a value.
const VALUE_CHARS_MAX: usize = 60;

/// The log, the newest first.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_log.html")]
pub struct LogPart {
    lines: Vec<LogLine>,
    is_cut: bool,
}

impl HtmlSafe for LogPart {}

#[derive(Clone, Debug)]
struct LogLine {
    age: String,
    at: At,
    icon: Icon,
    words: Said,
}

impl LogPart {
    /// The newest lines.
    pub fn of(log: &[Logged], scenario: &Scenario, now: DateTime<Utc>) -> Self {
        let newest = log.iter().rev().take(LINES_MAX);
        Self {
            lines: newest
                .map(|logged| LogLine {
                    age: clock(logged.age),
                    at: at(logged.at, now),
                    icon: icon(shape(&logged.fact)),
                    words: said(&words(&logged.fact, scenario)),
                })
                .collect(),
            is_cut: log.len() > LINES_MAX,
        }
    }
}

fn shape(fact: &DrillFact) -> &'static str {
    match fact {
        DrillFact::Began | DrillFact::Resumed => "play",
        DrillFact::Acted { .. } | DrillFact::ConnectorBack { .. } => "gear",
        DrillFact::InjectSent { .. } => "chevrons",
        DrillFact::InjectSkipped { .. } => "bent",
        DrillFact::AlertFired { .. } | DrillFact::AlertResolved { .. } | DrillFact::InjectResolved { .. } => {
            "bell"
        }
        DrillFact::Harm { works: false } => "triangle",
        DrillFact::Harm { works: true } => "shield",
        DrillFact::HintTold { .. } | DrillFact::NotRecorded { .. } => "question",
        DrillFact::Noted { .. } => "note",
        DrillFact::Paused { .. } => "pause",
        DrillFact::Ended { .. } => "check",
        DrillFact::Measured { .. } => "gear",
        DrillFact::Steady { holds: true, .. } => "shield",
        DrillFact::Steady { holds: false, .. } => "triangle",
        DrillFact::Fault { state, error, .. } => match (state, error.is_empty()) {
            (FaultState::Undone, _) => "check",
            (FaultState::Declared, _) => "question",
            (_, false) => "triangle",
            _ => "cross",
        },
    }
}

/// A fact as people read it.
pub fn words(fact: &DrillFact, scenario: &Scenario) -> String {
    let inject = |id: &str| {
        let known = scenario.inject(id);
        known.map_or_else(|| id.to_owned(), |inject| inject.title.clone())
    };
    let alarm = |index: usize| {
        let name = scenario
            .alarms
            .get(index)
            .and_then(|alarm| alarm.labels.0.get("alertname"));
        name.cloned().unwrap_or_else(|| format!("number {}", index + 1))
    };
    match fact {
        DrillFact::Began => "The drill began".to_owned(),
        DrillFact::Acted { target, asked, set } => {
            let asked = text::cut(asked, VALUE_CHARS_MAX);
            format!("{target} was asked: {asked}{}", followed(set))
        }
        DrillFact::InjectSent { inject: id, set } => format!("Sent: {}{}", inject(id), followed(set)),
        DrillFact::InjectSkipped { inject: id } => format!("Passed over: {}", inject(id)),
        DrillFact::NotRecorded { target, asked } => {
            format!("Not recorded that night: {target} was asked {asked}")
        }
        DrillFact::ConnectorBack { target, .. } => format!("{target} can be reached again"),
        DrillFact::AlertFired { alarm: index } => format!("Alert {} fires", alarm(*index)),
        DrillFact::AlertResolved { alarm: index } => format!("Alert {} is over", alarm(*index)),
        DrillFact::InjectResolved { of } => format!("The alert is over: {}", inject(of)),
        DrillFact::Measured { set } => format!("Measured{}", followed(set)),
        DrillFact::Steady { holds, measured } => {
            let word = if *holds { "Steady" } else { "Not steady" };
            format!("{word}: {measured}")
        }
        DrillFact::Fault {
            target,
            cause,
            state,
            error,
            ..
        } => faults::words(target, cause, *state, error),
        DrillFact::Harm { works: false } => "The harm began".to_owned(),
        DrillFact::Harm { works: true } => "The harm is over".to_owned(),
        DrillFact::HintTold { hint } => {
            let known = scenario.hints.get(*hint);
            known.map_or_else(
                || "A hint was told".to_owned(),
                |hint| format!("Hint told (-{}): {}", hint.price, hint.text),
            )
        }
        DrillFact::Noted { tag, text } => {
            let parts = [tag.map_or("", |tag| tag.label()), text.as_str()];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            format!("Noted: {}", parts.join(": "))
        }
        DrillFact::Paused { why } if why.is_empty() => "Paused".to_owned(),
        DrillFact::Paused { why } => format!("Paused: {why}"),
        DrillFact::Resumed => "Goes on".to_owned(),
        DrillFact::Ended { why, reason } if reason.is_empty() => format!("Over: {why}"),
        DrillFact::Ended { why, reason } => format!("Over: {why}: {reason}"),
    }
}

/// What of the world a fact changed.
fn followed(set: &[Change]) -> String {
    let changed: Vec<String> = set
        .iter()
        .map(|change| format!("{}.{} = {}", change.service, change.variable, value(&change.to)))
        .collect();
    match changed.is_empty() {
        true => String::new(),
        false => format!(" ({})", changed.join(", ")),
    }
}

/// A value of the world as people read it.
pub fn value(value: &Value) -> String {
    let words = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text::cut(&words, VALUE_CHARS_MAX)
}
