//! One step: what the runbook says of it, and, in a run, where it stands, what was sent and what came back.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    format,
    parts::{Ago, At, Badge, Said, ago, at, said},
    rules, text,
};
use crate::{
    domain::{
        state::{RunState, StepState},
        step::{ActWord, OnFailure, Phase, Step, StepKind},
    },
    store::attempts::AttemptRow,
};

/// Lines of an output on a page; the last ones.
const OUTPUT_LINES_MAX: usize = 500;
/// Characters of an output on a page; the last ones.
const OUTPUT_CHARS_MAX: usize = 60_000;

/// What the runbook says of a step.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// Its place, from 1.
    pub number: usize,
    /// Its name in the runbook.
    pub id: String,
    /// What people read.
    pub title: Said,
    /// check, call, logs, gate, manual, wait
    pub kind: &'static str,
    /// detect, isolate, restore, verify
    pub phase: Option<&'static str>,
    /// Background.
    pub doc: Option<Said>,
    /// What it sends or asks, as written.
    pub written: Said,
    /// Everything else, name by name.
    pub rules: Vec<(&'static str, String)>,
}

impl StepPlan {
    /// The step as the runbook has it; titles are rendered with `context`, or shown as written.
    pub fn of(number: usize, step: &Step, context: &Value) -> Self {
        let title = match &step.title {
            Some(title) => title
                .render(context)
                .unwrap_or_else(|_| title.source().to_owned()),
            None => step.id.0.replace('-', " "),
        };
        Self {
            number,
            id: step.id.0.clone(),
            title: said(&title),
            kind: kind(&step.kind),
            phase: step.phase.map(|phase| match phase {
                Phase::Detect => "detect",
                Phase::Isolate => "isolate",
                Phase::Restore => "restore",
                Phase::Verify => "verify",
            }),
            doc: step.doc.as_deref().map(said),
            written: said(&rules::written(&step.kind)),
            rules: rules::of(step),
        }
    }
}

fn kind(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Act(act) => match act.word {
            ActWord::Check => "check",
            ActWord::Call => "call",
            ActWord::Logs => "logs",
        },
        StepKind::Gate(_) => "gate",
        StepKind::Manual { .. } => "manual",
        StepKind::Wait { .. } => "wait",
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct AttemptView {
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
        Self {
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

/// A step of a run.
#[derive(Clone, Debug)]
pub struct StepView {
    /// What the runbook says.
    pub plan: StepPlan,
    /// Its name on the page.
    pub anchor: String,
    /// Where it stands.
    pub badge: Badge,
    /// When its next moment comes: a retry, the end of a wait, of a gate.
    pub due: Option<Ago>,
    /// Since when it is as it is.
    pub took: Option<String>,
    /// What was sent last, or will be, as far as it is known.
    pub command: Option<Said>,
    /// The newest finding or fault, in one line.
    pub finding: Said,
    /// Whether it failed or nobody knows.
    pub is_trouble: bool,
    /// Whether it failed and the runbook lets the run go on.
    pub went_on: bool,
    /// Whether nothing more happens to it.
    pub is_over: bool,
    /// Whether the run stands here.
    pub is_current: bool,
    /// Its gate's page.
    pub gate_href: Option<String>,
    /// Its attempts.
    pub attempts: Vec<AttemptView>,
}

impl StepView {
    /// The step as it stands in a run. `commands` are the rendered ones that a gate has shown.
    pub fn of(
        plan: StepPlan,
        anchor: String,
        step: &Step,
        run: &RunState,
        attempts: &[&AttemptRow],
        promised: Option<&str>,
        now: DateTime<Utc>,
    ) -> Self {
        let state = run.step(&step.id);
        let last = attempts.last();
        let (badge, due) = standing(state, run, last.copied(), now);
        let finding = match state {
            StepState::Failed { message } => message.clone(),
            StepState::Rejected { reason, .. } | StepState::Unknown { reason, .. } => reason.clone(),
            _ => last
                .and_then(|attempt| attempt.summary.clone())
                .unwrap_or_default(),
        };
        let took = match (attempts.first(), last) {
            (Some(first), Some(last)) => last.finished_at.map(|end| format::length(end - first.started_at)),
            _ => None,
        };
        Self {
            anchor,
            badge,
            due,
            took,
            command: last
                .map(|attempt| attempt.command.as_str())
                .or(promised)
                .map(said),
            finding: said(&text::cut(&finding, 400)),
            is_trouble: matches!(
                state,
                StepState::Failed { .. } | StepState::Unknown { .. } | StepState::Rejected { .. }
            ),
            went_on: matches!(state, StepState::Failed { .. })
                && matches!(step.on_failure, OnFailure::Continue | OnFailure::GoTo(_)),
            is_over: matches!(
                state,
                StepState::Succeeded
                    | StepState::Satisfied
                    | StepState::Skipped
                    | StepState::Approved { .. }
                    | StepState::Failed { .. }
                    | StepState::Rejected { .. }
            ),
            is_current: false,
            gate_href: match state {
                StepState::GateOpen { approval, .. } | StepState::Approved { approval, .. } => {
                    Some(format!("/approvals/{approval}"))
                }
                _ => None,
            },
            attempts: attempts
                .iter()
                .map(|attempt| AttemptView::of(attempt, now))
                .collect(),
            plan,
        }
    }
}

fn standing(
    state: &StepState,
    run: &RunState,
    last: Option<&AttemptRow>,
    now: DateTime<Utc>,
) -> (Badge, Option<Ago>) {
    match state {
        StepState::Ready { .. } if run.finished.is_some() => {
            (Badge::new("quiet", "barred", "Not reached"), None)
        }
        StepState::Ready { next } if next.attempt == 1 => {
            (Badge::new("quiet", "circle-open", "Not started"), None)
        }
        StepState::Ready { .. } => (Badge::new("running", "clock", "Will be sent again"), None),
        StepState::Listed { .. } => (Badge::new("running", "clock", "Item by item"), None),
        StepState::Started { .. } => {
            let since = last.map(|attempt| ago(attempt.started_at, now));
            (Badge::new("running", "play", "Running"), since)
        }
        StepState::RetryAt { due, .. } => (Badge::new("sev3", "clock", "Will retry"), Some(ago(*due, now))),
        StepState::Unknown { probed: false, .. } => (
            Badge::new("unknown", "question", "Outcome unknown, checking"),
            None,
        ),
        StepState::Unknown { .. } => (Badge::new("unknown", "question", "Outcome unknown"), None),
        StepState::GateOpen { decide_by, .. } => (
            Badge::new("gate", "lock", "Waits for a decision"),
            Some(ago(*decide_by, now)),
        ),
        StepState::Approved { .. } => (Badge::new("done", "check", "Approved"), None),
        StepState::Rejected { .. } => (Badge::new("sev1", "cross", "Not approved"), None),
        StepState::ManualOpen { .. } => (Badge::new("gate", "person", "Waits for a person"), None),
        StepState::Waiting { until } => (
            Badge::new("running", "clock", "Waits until"),
            Some(ago(*until, now)),
        ),
        StepState::Succeeded => (Badge::new("done", "check", "Done"), None),
        StepState::Satisfied => (Badge::new("done", "check", "Was done already"), None),
        StepState::Failed { .. } => (Badge::new("sev1", "cross", "Failed"), None),
        StepState::Skipped => (Badge::new("quiet", "bent", "Skipped"), None),
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
