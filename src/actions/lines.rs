//! Log lines as results show them: in time order, capped one by one and all together, the newest kept.

use serde_json::{Value, json};

use super::{RESULT_BYTES_MAX, answer, inputs::Inputs, redact::Redactor};
use crate::domain::action::{Failure, Outcome};

/// The most lines one result keeps.
const LINES_MAX: usize = 500;
/// What is asked for when the step names no limit.
const LINES_DEFAULT: usize = 100;
/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 2048;

/// One log line.
pub(super) struct Line {
    /// When, as the source says it, if it does.
    pub(super) at: Option<String>,
    pub(super) text: String,
}

/// How many lines a step asks for.
pub(super) fn limit(inputs: &Inputs<'_>) -> Result<usize, Failure> {
    inputs.count("limit", LINES_DEFAULT, LINES_MAX)
}

/// The outcome for lines in time order, oldest first.
pub(super) fn outcome(redactor: &Redactor, lines: Vec<Line>) -> Outcome {
    let mut kept = Vec::new();
    // Room for the frame around the lines.
    let mut room = RESULT_BYTES_MAX - 512;
    let found = lines.len();
    for line in lines.into_iter().rev().take(LINES_MAX) {
        let text = answer::cut(
            redactor.text(&line.text).trim_end_matches(['\r', '\n']),
            LINE_BYTES_MAX,
        );
        // What a NUL is shown as takes more room than its escape saves, so it is measured as shown.
        let text = text.replace('\0', "\u{2400}");
        let line = match line.at {
            Some(at) => json!({"at": at, "text": text}),
            None => json!({"text": text}),
        };
        let size = line.to_string().len() + 1;
        if size > room {
            break;
        }
        room -= size;
        kept.push(line);
    }
    kept.reverse();
    let mut result = json!({"ok": true, "count": kept.len()});
    if kept.len() < found {
        result["truncated"] = Value::Bool(true);
    }
    let summary = match kept.len() {
        1 => "1 line".to_owned(),
        n => format!("{n} lines"),
    };
    result["lines"] = Value::Array(kept);
    Outcome { result, summary }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept() {
        let line = |n: usize| Line {
            at: None,
            text: format!("{n} {}", "x".repeat(3000)),
        };
        let outcome = outcome(&Redactor::default(), (0..600).map(line).collect());
        let lines = outcome.result["lines"].as_array().unwrap();
        assert!(lines.len() > 20 && lines.len() < 32, "{}", lines.len());
        assert!(
            lines[lines.len() - 1]["text"]
                .as_str()
                .unwrap()
                .starts_with("599 xx")
        );
        assert_eq!(outcome.result["truncated"], true);
        assert!(outcome.result.to_string().len() <= RESULT_BYTES_MAX);
    }
}
