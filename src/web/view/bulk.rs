//! Acts on many incidents: what became of one, and the page that asks before resolving.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format,
    incident::key,
    layout::Frame,
    parts::{Ago, Badge, Hidden, Said, ago, hidden, said},
};
use crate::{
    domain::incident::IncidentState,
    store::{bulk_acts::BulkAct, incident_list::Line},
};

/// What became of an act on many incidents.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/_result.html")]
pub struct Result {
    /// `12 acknowledged.`
    done: String,
    /// Which it was not done to: number, key and why.
    failed: Vec<(i64, String, Said)>,
}

impl HtmlSafe for Result {}

impl Result {
    /// The outcome in words.
    pub fn of(outcome: &BulkAct) -> Self {
        let word = match outcome.act.as_str() {
            "acknowledge" => "acknowledged",
            "note" => "given the note",
            _ => "resolved",
        };
        let incidents = format::count(i64::from(outcome.done), "incident", "incidents");
        Self {
            done: format!("{incidents} {word}."),
            failed: outcome
                .failed
                .iter()
                .map(|failed| (failed.incident.0, key(failed.incident.0), said(&failed.why)))
                .collect(),
        }
    }
}

/// The page that asks before many incidents are resolved.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/resolve.html")]
pub struct ResolvePage {
    frame: Frame,
    rows: Vec<ResolveRow>,
    /// Those that are not open any more, and are left alone.
    over: usize,
    /// Back to where they were ticked.
    back: String,
    query: String,
    under: Option<i64>,
    op: Hidden,
}

/// One incident that is to be resolved.
#[derive(Clone, Debug)]
struct ResolveRow {
    id: i64,
    key: String,
    severity: Badge,
    state: Badge,
    title: Said,
    opened: Ago,
    /// What speaks against it.
    warnings: Vec<Said>,
    seen: i64,
}

impl ResolvePage {
    /// The page over the incidents that were ticked.
    pub fn of(
        frame: Frame,
        lines: &[Line],
        (query, under): (&str, Option<i64>),
        back: String,
        now: DateTime<Utc>,
    ) -> Self {
        let open: Vec<&Line> = lines.iter().filter(|line| line.state.is_open()).collect();
        Self {
            frame,
            over: lines.len() - open.len(),
            rows: open.into_iter().map(|line| ResolveRow::of(line, now)).collect(),
            back,
            query: query.to_owned(),
            under,
            op: hidden(None),
        }
    }

    fn count(&self) -> String {
        format::count(self.rows.len() as i64, "incident", "incidents")
    }
}

impl ResolveRow {
    fn of(line: &Line, now: DateTime<Utc>) -> Self {
        let mut warnings = Vec::new();
        if line.firing > 0 {
            warnings.push(said(&format::count(
                line.firing,
                "alert still fires",
                "alerts still fire",
            )));
        }
        if let Some(run) = &line.run {
            warnings.push(said(&format!(
                "{} is still going: it will be left open",
                run.title
            )));
        }
        if line.state == IncidentState::Triggered {
            warnings.push(said("nobody has taken it"));
        }
        Self {
            id: line.id.0,
            key: key(line.id.0),
            severity: line.severity.into(),
            state: line.state.into(),
            title: said(&line.title),
            opened: ago(line.opened_at, now),
            warnings,
            seen: line.last_seq,
        }
    }
}
