//! A drill that plays a real incident again, beside it; and what can be played again.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    super::{
        incident::key,
        parts::{Ago, Hidden, Said, ago, hidden, said},
    },
    length,
};
use crate::{
    domain::{
        id::IncidentId,
        night::{Choice, Compared},
    },
    store::reenact::PastIncident,
};

/// The real night and the drill.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_night.html")]
pub struct NightPart {
    incident: i64,
    key: String,
    drill: String,
    /// What, then, now.
    times: Vec<(&'static str, String, String)>,
    gates: Vec<(Said, String, String)>,
    differs: Vec<Said>,
    /// Target and question.
    not_recorded: Vec<(Said, Said)>,
}

impl HtmlSafe for NightPart {}

impl NightPart {
    /// The part of a drill by that name.
    pub fn of(incident: IncidentId, drill: &str, compared: &Compared) -> Self {
        let took = |span: Option<_>| span.map_or_else(|| "not reached".to_owned(), length);
        Self {
            incident: incident.0,
            key: key(incident.0),
            drill: drill.to_owned(),
            times: compared
                .times
                .iter()
                .map(|row| (label(row.name), took(row.real), took(row.drill)))
                .collect(),
            gates: compared
                .gates
                .iter()
                .map(|row| (said(&row.gate), choice(&row.real), choice(&row.drill)))
                .collect(),
            differs: compared.differs.iter().map(|words| said(words)).collect(),
            not_recorded: compared
                .not_recorded
                .iter()
                .map(|(target, asked)| (said(target), said(asked)))
                .collect(),
        }
    }
}

fn label(name: &str) -> &'static str {
    match name {
        "detect" => "Detect",
        "acknowledge" => "Acknowledge",
        "mitigate" => "Mitigate",
        _ => "Resolve",
    }
}

fn choice(choice: &Choice) -> String {
    match (choice.word, choice.waited) {
        ("none", _) => "did not ask".to_owned(),
        ("open", _) => "nobody answered".to_owned(),
        (word, Some(waited)) => format!("{word} after {}", length(waited)),
        (word, None) => word.to_owned(),
    }
}

/// One incident that can be played again.
#[derive(Clone, Debug)]
pub struct PastRow {
    /// Its number.
    pub id: i64,
    /// `INC-198`
    pub key: String,
    /// What people call it.
    pub title: Said,
    /// When it was over.
    pub over: Ago,
    /// The fields of its form.
    pub hidden: Hidden,
}

impl PastRow {
    /// The row of an incident.
    pub fn of(past: &PastIncident, now: DateTime<Utc>) -> Self {
        Self {
            id: past.id.0,
            key: key(past.id.0),
            title: said(&past.title),
            over: ago(past.resolved_at, now),
            hidden: hidden(None),
        }
    }
}
