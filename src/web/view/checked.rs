//! What is said of a text before it is published: its errors and warnings with their places, the steps it would have, and
//! which incidents of the past it would have matched. The same part stands in the page of the editor and comes back to its
//! script while somebody types.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format,
    parts::{Ago, Badge, Said, ago, said},
    steps::StepsPart,
};
use crate::{
    catalog::{Fault, Parsed},
    domain::target::Targets,
    matching::replay::Replay,
    store::past_alerts::PastAlert,
};

/// Characters of a line that are shown around a fault.
const EXCERPT_CHARS_MAX: usize = 72;
/// Incidents listed of each kind; the others are counted.
const INCIDENTS_MAX: usize = 12;

/// What is said of a text.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/_checked.html")]
pub struct CheckedPart {
    /// That somebody else published meanwhile.
    pub overtaken: Option<String>,
    /// The whole in one line.
    pub headline: String,
    /// Errors, or else warnings, in the order of the text.
    pub messages: Vec<Message>,
    /// What it would match.
    pub replay: Option<ReplayPart>,
    /// Its steps, when it can be read.
    pub steps: Option<StepsPart>,
}

impl HtmlSafe for CheckedPart {}

/// One thing to look at, with its place.
#[derive(Clone, Debug)]
pub struct Message {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// `error` or `warning`.
    pub badge: Badge,
    /// What is wrong and what was expected.
    pub words: Said,
    /// The line of the text it is about, and below it a mark under the column.
    pub excerpt: Option<(Said, String)>,
}

impl CheckedPart {
    /// What is said of a text that was read like this.
    pub fn of(source: &str, read: &Result<Parsed, Vec<Fault>>, targets: &Targets) -> Self {
        let (is_error, faults) = match read {
            Ok(parsed) => (false, &parsed.warnings),
            Err(faults) => (true, faults),
        };
        let count = faults.len() as i64;
        Self {
            overtaken: None,
            headline: match (is_error, count) {
                (true, _) => format!("{} to put right", format::count(count, "error", "errors")),
                (false, 0) => "No errors".to_owned(),
                (false, _) => format!(
                    "No errors, {} to look at",
                    format::count(count, "warning", "warnings")
                ),
            },
            messages: faults
                .iter()
                .map(|fault| Message::of(source, fault, is_error))
                .collect(),
            replay: None,
            steps: read
                .as_ref()
                .ok()
                .map(|parsed| StepsPart::of(&parsed.runbook, targets)),
        }
    }
}

impl Message {
    fn of(source: &str, fault: &Fault, is_error: bool) -> Self {
        let path = match fault.path.as_str() {
            "" => String::new(),
            path => format!("{path}: "),
        };
        let hint = fault.hint.as_deref().map(|hint| format!("; {hint}"));
        let words = format!("{path}{}{}", fault.message, hint.unwrap_or_default());
        Self {
            line: fault.line,
            column: fault.column,
            badge: match is_error {
                true => Badge::new("sev1", "cross", "error"),
                false => Badge::new("sev3", "diamond", "warning"),
            },
            words: said(&words),
            excerpt: excerpt(source, fault.line, fault.column),
        }
    }
}

/// The line, cut to what stands around the column, and a caret below that character. Every character is one sign wide.
fn excerpt(source: &str, line: u32, column: u32) -> Option<(Said, String)> {
    let text = source.lines().nth(line.checked_sub(1)? as usize)?;
    let column = column.checked_sub(1)? as usize;
    let start = column.saturating_sub(EXCERPT_CHARS_MAX / 2);
    let shown: String = text
        .chars()
        .skip(start)
        .take(EXCERPT_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    Some((said(&shown), format!("{}^", " ".repeat(column - start))))
}

/// What a text would have matched.
#[derive(Clone, Debug)]
pub struct ReplayPart {
    /// The whole in a sentence.
    pub words: String,
    /// Incidents that it would find and the version in use does not.
    pub gained: Vec<ReplayRow>,
    /// Incidents that the version in use finds and it would not.
    pub lost: Vec<ReplayRow>,
    /// How many more of each there are.
    pub more: (usize, usize),
}

/// One incident of a replay.
#[derive(Clone, Debug)]
pub struct ReplayRow {
    /// Its number.
    pub id: i64,
    /// How bad it was.
    pub severity: Badge,
    /// What it is called.
    pub title: Said,
    /// When it was opened.
    pub at: Ago,
}

impl ReplayPart {
    /// Nothing was tried, since the trigger says what it said in that version.
    pub fn same(number: i32) -> Self {
        Self {
            words: format!("It applies to the same alerts as version {number}."),
            gained: Vec::new(),
            lost: Vec::new(),
            more: (0, 0),
        }
    }

    /// What was found among alerts of so many days; `is_cut` when there were more than were looked at.
    pub fn of(replay: &Replay<'_>, days: i64, is_cut: bool, now: DateTime<Utc>) -> Self {
        let alerts = match (replay.alerts as i64, is_cut) {
            (0, _) => "There were no alerts".to_owned(),
            (count, true) => format!("Tried on the newest {} alerts", format::grouped(count)),
            (count, false) => format!("Tried on {}", format::count(count, "alert", "alerts")),
        };
        let found = (replay.gained.len() + replay.kept) as i64;
        let words = match replay.alerts {
            0 => format!("{alerts} in the last {days} days to try it on."),
            _ => {
                let matched = format::count(found, "incident", "incidents");
                let new = replay.gained.len();
                let lost = match replay.lost.len() {
                    0 => String::new(),
                    lost => format!("; it would no longer match {lost} that the version in use matches"),
                };
                format!(
                    "{alerts} of the last {days} days: it would have matched {matched}, {new} of them new{lost}."
                )
            }
        };
        let rows = |found: &[&PastAlert]| {
            let shown = found.iter().take(INCIDENTS_MAX);
            shown.map(|alert| ReplayRow::of(alert, now)).collect()
        };
        let more = |found: &[&PastAlert]| found.len().saturating_sub(INCIDENTS_MAX);
        Self {
            words,
            gained: rows(&replay.gained),
            lost: rows(&replay.lost),
            more: (more(&replay.gained), more(&replay.lost)),
        }
    }
}

impl ReplayRow {
    fn of(alert: &PastAlert, now: DateTime<Utc>) -> Self {
        Self {
            id: alert.incident.0,
            severity: alert.severity.into(),
            title: said(&alert.title),
            at: ago(alert.opened_at, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse_runbook;

    #[test]
    fn a_caret_stands_under_the_column() {
        let source = "runbook: x\n\tähm: y\n";
        for (line, column, expected) in [
            (1, 1, Some(("runbook: x", "^"))),
            (1, 10, Some(("runbook: x", "         ^"))),
            (2, 2, Some((" ähm: y", " ^"))),
            (3, 1, None),
            (0, 1, None),
            (1, 0, None),
        ] {
            let found = excerpt(source, line, column);
            let expected = expected.map(|(text, mark)| (said(text), mark.to_owned()));
            assert_eq!(found, expected, "{line}:{column}");
        }
        let long = "a".repeat(500);
        let (text, mark) = excerpt(&long, 1, 300).unwrap();
        assert_eq!(text, said(&"a".repeat(EXCERPT_CHARS_MAX)));
        assert_eq!(mark.len(), EXCERPT_CHARS_MAX / 2 + 1);
    }

    #[test]
    fn messages_stand_in_the_order_of_the_text_with_what_was_meant() {
        let source = "runbook: x\ntitle: X\nownr: me\nsteps:\n  - id: a\n    wait: 1s\n    tmeout: 1s\n";
        let part = CheckedPart::of(source, &parse_runbook(source), &Targets::default());
        assert_eq!(part.headline, "2 errors to put right");
        let places: Vec<u32> = part.messages.iter().map(|message| message.line).collect();
        assert_eq!(places, [3, 7]);
        assert!(part.messages[0].words.to_string().contains("did you mean"));
        assert!(part.steps.is_none());
        let html = part.to_string();
        assert!(
            html.contains("data-at=\"3:1\"") && html.contains("href=\"#yaml\""),
            "{html}"
        );
    }
}
