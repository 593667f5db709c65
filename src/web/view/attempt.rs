//! One attempt: what was sent, how it ended, and the end of what came back.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    format,
    parts::{At, Badge, Said, at, said},
};
use crate::{domain::id::StepId, store::attempts::AttemptRow};

/// Lines of an output on a page; the last ones.
const OUTPUT_LINES_MAX: usize = 500;
/// Characters of an output on a page; the last ones.
const OUTPUT_CHARS_MAX: usize = 60_000;

/// One attempt.
#[derive(Clone, Debug)]
pub struct AttemptView {
    /// The item it was made for: `drain[3]`.
    pub item: Option<String>,
    /// Its number.
    pub number: i32,
    /// How it stands.
    pub badge: Badge,
    /// What was sent.
    pub command: Said,
    /// What came back, in one line.
    pub summary: Said,
    /// What came back, in full as far as it was kept.
    pub output: Option<Output>,
    /// The key it was sent with.
    pub key: Said,
    /// When it began.
    pub started: At,
    /// How long it took.
    pub took: Option<String>,
}

/// The end of an output.
#[derive(Clone, Debug)]
pub struct Output {
    /// The text.
    pub text: Said,
    /// What was left out before it.
    pub cut: Option<String>,
}

impl AttemptView {
    /// The attempt as people see it.
    pub fn of(row: &AttemptRow, now: DateTime<Utc>) -> Self {
        let badge = match row.state.as_str() {
            "started" => Badge::new("running", "play", "Running"),
            "succeeded" => Badge::new("done", "check", "Done"),
            "failed" => Badge::new("sev1", "cross", "Failed"),
            "interrupted" => Badge::new("quiet", "barred", "Cut off"),
            _ => Badge::new("unknown", "question", "Outcome unknown"),
        };
        let step = StepId::from(row.step.as_str());
        Self {
            item: step.index().map(|_| step.0),
            number: row.attempt,
            badge,
            command: said(&row.command),
            summary: said(row.summary.as_deref().unwrap_or_default()),
            output: row.result.as_ref().map(output),
            key: said(&row.idempotency_key),
            started: at(row.started_at, now),
            took: row.finished_at.map(|end| format::length(end - row.started_at)),
        }
    }
}

/// Log lines as lines, anything else as JSON; the last part of it when it is long.
fn output(result: &Value) -> Output {
    let lines = result.get("lines").and_then(Value::as_array);
    let whole = match lines {
        Some(lines) => {
            let lines: Vec<String> = lines
                .iter()
                .map(|line| line.as_str().map_or_else(|| line.to_string(), str::to_owned))
                .collect();
            lines.join("\n")
        }
        None => serde_json::to_string_pretty(result).unwrap_or_default(),
    };
    let count = whole.lines().count();
    let kept_lines: Vec<&str> = whole
        .lines()
        .skip(count.saturating_sub(OUTPUT_LINES_MAX))
        .collect();
    let kept = kept_lines.join("\n");
    let chars = kept.chars().count();
    let text: String = kept
        .chars()
        .skip(chars.saturating_sub(OUTPUT_CHARS_MAX))
        .collect();
    let cut = if count > OUTPUT_LINES_MAX {
        Some(format!("the last {OUTPUT_LINES_MAX} of {count} lines"))
    } else {
        (chars > OUTPUT_CHARS_MAX).then(|| "the last part of it".to_owned())
    };
    Output {
        text: said(&text),
        cut,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn log_lines_are_lines_and_long_output_keeps_its_end() {
        let short = output(&json!({"ok": true, "lines": ["a", {"line": "b"}]}));
        assert_eq!(
            short.text.to_string(),
            "<bdi>a\n{&#34;line&#34;:&#34;b&#34;}</bdi>"
        );
        assert_eq!(short.cut, None);
        let lines: Vec<String> = (0..700).map(|n| n.to_string()).collect();
        let long = output(&json!({"lines": lines}));
        assert_eq!(long.cut.as_deref(), Some("the last 500 of 700 lines"));
        assert!(long.text.to_string().starts_with("<bdi>200\n"));
        let wide = output(&json!({"lines": ["x".repeat(70_000)]}));
        assert_eq!(wide.cut.as_deref(), Some("the last part of it"));
    }
}
