//! Choosing what is folded under an incident.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    incident::key,
    layout::Frame,
    merge::Choice,
    parts::{Hidden, Said, hidden, said},
};
use crate::store::{incidents::Incident, merges::Line};

/// Incidents offered on one page; more are found by searching, or folded by their source.
pub const LINES_MAX: usize = 200;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/fold.html")]
pub struct FoldPage {
    /// The frame.
    pub frame: Frame,
    id: i64,
    key: String,
    title: Said,
    /// What was searched for.
    q: String,
    choices: Vec<Choice>,
    has_more: bool,
    /// Each source's name, and whether the incident is of it.
    sources: Vec<(String, bool)>,
    seen: i64,
    is_open: bool,
    folded_under: Option<i64>,
}

impl FoldPage {
    /// The page from one more line than is shown.
    pub fn of(
        frame: Frame,
        incident: &Incident,
        q: &str,
        lines: &[Line],
        sources: Vec<String>,
        now: DateTime<Utc>,
    ) -> Self {
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
            sources: sources
                .into_iter()
                .map(|name| {
                    let is_own = name == incident.source;
                    (name, is_own)
                })
                .collect(),
            seen: incident.last_seq,
            is_open: incident.state.is_open(),
            folded_under: incident.folded_under,
        }
    }

    /// The hidden fields of one form.
    fn hidden(&self) -> Hidden {
        hidden(Some(self.seen))
    }
}
