//! Choosing what an incident is merged into.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    format,
    incident::key,
    layout::Frame,
    parts::{Ago, Badge, Hidden, Said, ago, hidden, said},
};
use crate::store::{incidents::Incident, merges::Line};

/// Incidents offered on one page; more are found by searching.
pub const LINES_MAX: usize = 50;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/merge.html")]
pub struct MergePage {
    /// The frame.
    pub frame: Frame,
    id: i64,
    key: String,
    title: Said,
    /// What was searched for.
    q: String,
    choices: Vec<Choice>,
    has_more: bool,
    hidden: Hidden,
    is_open: bool,
}

/// An open incident.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its number.
    pub id: i64,
    /// `INC-204`
    pub key: String,
    /// How bad.
    pub severity: Badge,
    /// How it stands.
    pub state: Badge,
    /// What it is called.
    pub title: Said,
    /// Where it came from.
    pub source: Said,
    /// When it was opened.
    pub opened: Ago,
    /// How many alerts fire.
    pub firing: Option<String>,
}

impl Choice {
    /// One line of a form that offers incidents.
    pub fn of(line: &Line, now: DateTime<Utc>) -> Self {
        Self {
            id: line.id.0,
            key: key(line.id.0),
            severity: line.severity.into(),
            state: line.state.into(),
            title: said(&line.title),
            source: said(&line.source),
            opened: ago(line.opened_at, now),
            firing: (line.firing > 0).then(|| format::count(line.firing, "alert fires", "alerts fire")),
        }
    }
}

impl MergePage {
    /// The page from one more line than is shown.
    pub fn of(frame: Frame, incident: &Incident, q: &str, lines: &[Line], now: DateTime<Utc>) -> Self {
        Self {
            frame,
            id: incident.id.0,
            key: key(incident.id.0),
            title: said(&incident.title),
            q: q.to_owned(),
            choices: lines
                .iter()
                .take(LINES_MAX)
                .map(|line| Choice::of(line, now))
                .collect(),
            has_more: lines.len() > LINES_MAX,
            hidden: hidden(Some(incident.last_seq)),
            is_open: incident.state.is_open(),
        }
    }
}
