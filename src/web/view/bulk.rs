//! Acts on many incidents: what became of one, and the pages that ask before they are resolved, given to somebody or
//! merged.

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
    /// `12 incidents acknowledged`
    done: String,
    /// Whom they were given to, or what they were merged into.
    whom: Option<Said>,
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
            "assign" => "given to",
            "merge" => "merged into",
            _ => "resolved",
        };
        let incidents = format::count(i64::from(outcome.done), "incident", "incidents");
        Self {
            done: format!("{incidents} {word}"),
            whom: (!outcome.whom.is_empty()).then(|| said(&outcome.whom)),
            failed: outcome
                .failed
                .iter()
                .map(|failed| (failed.incident.0, key(failed.incident.0), said(&failed.why)))
                .collect(),
        }
    }
}

/// Incidents that were ticked, on a page that asks before something is done to them.
#[derive(Clone, Debug)]
pub struct Ticked {
    /// Those that are open.
    pub rows: Vec<TickedRow>,
    /// How many are not open any more, and are left alone.
    pub over: usize,
    /// Back to where they were ticked.
    pub back: String,
    /// What was searched for there.
    pub query: String,
    /// What they are folded under.
    pub under: Option<i64>,
    op: Hidden,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct TickedRow {
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
    /// When it was opened.
    pub opened: Ago,
    /// Who commands it.
    pub commander: Option<Said>,
    /// What speaks against resolving it.
    pub warnings: Vec<Said>,
    /// Its newest event.
    pub seen: i64,
}

impl Ticked {
    /// The incidents that were ticked in the list of that query.
    pub fn of(lines: &[Line], (query, under): (&str, Option<i64>), back: String, now: DateTime<Utc>) -> Self {
        let open: Vec<&Line> = lines.iter().filter(|line| line.state.is_open()).collect();
        Self {
            over: lines.len() - open.len(),
            rows: open.into_iter().map(|line| TickedRow::of(line, now)).collect(),
            back,
            query: query.to_owned(),
            under,
            op: hidden(None),
        }
    }

    /// `3 incidents`
    pub fn count(&self) -> String {
        format::count(self.rows.len() as i64, "incident", "incidents")
    }
}

/// The page that asks before many incidents are resolved.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/resolve.html")]
pub struct ResolvePage {
    /// The frame.
    pub frame: Frame,
    /// Which.
    pub ticked: Ticked,
}

/// The page that asks whom many incidents are given to.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/assign.html")]
pub struct AssignPage {
    /// The frame.
    pub frame: Frame,
    /// Which.
    pub ticked: Ticked,
    /// Who may have them: number, name and whether it is the reader.
    pub people: Vec<(i64, Said, bool)>,
}

/// The page that asks which of many incidents the others are merged into.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/merge.html")]
pub struct MergeManyPage {
    /// The frame.
    pub frame: Frame,
    /// Which.
    pub ticked: Ticked,
    /// Each of them, and whether it is kept unless another one is chosen: the worst, of those the oldest.
    pub rows: Vec<(TickedRow, bool)>,
}

impl MergeManyPage {
    /// The page over what is ticked.
    pub fn of(frame: Frame, ticked: Ticked, lines: &[Line]) -> Self {
        let open = lines.iter().filter(|line| line.state.is_open());
        let kept = open.min_by_key(|line| (line.severity, line.id));
        let is_kept = |row: &TickedRow| kept.is_some_and(|kept| kept.id.0 == row.id);
        Self {
            frame,
            rows: ticked
                .rows
                .iter()
                .map(|row| (row.clone(), is_kept(row)))
                .collect(),
            ticked,
        }
    }
}

impl TickedRow {
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
            commander: line.commander.as_deref().map(said),
            warnings,
            seen: line.last_seq,
        }
    }
}
