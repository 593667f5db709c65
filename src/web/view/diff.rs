//! Two texts of a runbook side by side: what changed, rule by rule, and line by line.

use super::{
    format,
    parts::{Badge, Said, said},
};
use crate::domain::{
    change::{Change, changes},
    difference::{self, Line},
    runbook::Runbook,
};

/// The whole.
#[derive(Clone, Debug)]
pub struct DiffView {
    /// What changed, what takes a safeguard away first.
    pub changes: Vec<ChangeRow>,
    /// What there is to say when no rule changed.
    pub remark: Option<&'static str>,
    /// The changed lines: sign, style, text.
    pub lines: Vec<(&'static str, &'static str, Said)>,
}

/// One thing that changed.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    /// What.
    pub words: Said,
    /// That it takes a safeguard away.
    pub badge: Option<Badge>,
}

impl From<&Change> for ChangeRow {
    fn from(change: &Change) -> Self {
        Self {
            words: said(&change.words),
            badge: change
                .is_grave
                .then(|| Badge::new("sev1", "triangle", "Less careful")),
        }
    }
}

/// One side: the text, and what it says when it can be read.
pub type Side<'a> = (Option<&'a Runbook>, &'a str);

impl DiffView {
    /// What the new side has otherwise than the old one.
    pub fn between(old: Side<'_>, new: Side<'_>) -> Self {
        let found = match (old.0, new.0) {
            (Some(old), Some(new)) => changes(old, new),
            _ => Vec::new(),
        };
        let lines: Vec<_> = difference::lines(old.1, new.1).into_iter().map(line).collect();
        let remark = match (found.is_empty(), lines.is_empty()) {
            (_, true) => Some("Both say the same, letter by letter."),
            (true, false) if old.0.is_none() => Some("There was nothing before, so every line is new."),
            (true, false) if new.0.is_none() => {
                Some("One of them has errors, so only its lines are compared.")
            }
            (true, false) => Some("Nothing that a run does; only how it is written."),
            (false, false) => None,
        };
        Self {
            changes: found.iter().map(ChangeRow::from).collect(),
            remark,
            lines,
        }
    }
}

/// A line as pages show it: its sign, its style, its text.
pub fn line(line: Line) -> (&'static str, &'static str, Said) {
    match line {
        Line::Same(text) => ("\u{a0}", "same", said(&text)),
        Line::Gone(text) => ("−", "gone", said(&text)),
        Line::New(text) => ("+", "new", said(&text)),
        Line::Cut(count) => {
            let lines = format::count(count as i64, "line", "lines");
            ("\u{a0}", "cut", said(&format!("… {lines} as before")))
        }
    }
}
