//! What people did that night, as what is expected of those who play it again.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{WITHIN_MIN, gaps::Gaps, span};
use crate::domain::{
    approval::Verdict,
    night::{Night, Side},
    run::UnknownChoice,
    runbook::Runbook,
    scenario::{Deed, LENGTH_MAX},
    score::{Seen, deed_words},
    span::Span,
    step::StepKind,
};

/// The inject that the end of the alerts is.
pub(super) const ALERTS_OVER: &str = "alerts-over";
const EXPECTED_MAX: usize = 50;

/// What is expected.
pub(super) struct Deeds {
    pub expected: Vec<Value>,
    pub objectives: Value,
    /// Whether something is expected after the end of the alerts.
    pub waits_for_alerts: bool,
}

/// Whether a runbook has a step of this name and kind.
pub(super) fn has_step(today: &[&Runbook], id: &str, fits: impl Fn(&StepKind) -> bool) -> bool {
    let mut steps = today.iter().flat_map(|runbook| runbook.all_steps());
    steps.any(|step| step.id.0 == id && fits(&step.kind))
}

/// Reads them off the night. What today's runbooks have no place for is a gap, and so is what came after `horizon`, which
/// no drill reaches.
pub(super) fn deeds(
    night: &Night,
    today: &[&Runbook],
    alerts_end: Option<DateTime<Utc>>,
    horizon: DateTime<Utc>,
    gaps: &mut Gaps,
) -> Deeds {
    let mut expected: Vec<Value> = Vec::new();
    let mut waits_for_alerts = false;
    let (mut too_late, mut too_many) = (0, 0);
    // The last deed that the end of the incident follows.
    let mut last: Option<(String, DateTime<Utc>)> = None;
    for one in &night.observed {
        let Seen::Deed(deed) = &one.seen else { continue };
        if one.at < night.opened_at {
            continue;
        }
        if one.at > horizon && *deed != Deed::Resolve {
            too_late += usize::from(*deed != Deed::Update);
            continue;
        }
        let Some((key, name, written)) = written(deed, today) else {
            if !matches!(deed, Deed::Update) {
                gaps.say(format!(
                    "\"{}\" was done that night, and has no place today",
                    deed_words(deed)
                ));
            }
            continue;
        };
        if expected.len() == EXPECTED_MAX {
            too_many += 1;
            continue;
        }
        let id = unused(&name, &expected);
        let is_end = matches!(deed, Deed::Resolve | Deed::Mitigate);
        let (after, since) = match (is_end, alerts_end.filter(|end| *end <= one.at), &last) {
            (true, Some(end), _) if *deed == Deed::Resolve => {
                waits_for_alerts = true;
                (Some(ALERTS_OVER.to_owned()), end)
            }
            (true, _, Some((id, at))) => (Some(id.clone()), *at),
            _ => (None, night.opened_at),
        };
        let mut map = Map::new();
        map.insert("id".to_owned(), json!(id));
        map.extend(written);
        map.insert(
            "within".to_owned(),
            json!(span(one.at.min(horizon) - since).clamp(WITHIN_MIN, LENGTH_MAX)),
        );
        if one.at > horizon {
            gaps.say(format!(
                "it was resolved {} after it began, and a drill is planned for at most {LENGTH_MAX}: it is expected within \
                 that",
                span(one.at - night.began_at())
            ));
        }
        if let Some(after) = after {
            map.insert("after".to_owned(), json!(after));
        }
        map.insert(
            "because".to_owned(),
            json!(format!(
                "On the real night it was done after {}.",
                span(one.at - since)
            )),
        );
        if !is_end && key != "acknowledge" && key != "severity" {
            last = Some((id, one.at));
        }
        expected.push(Value::Object(map));
    }
    gaps.cut("things that people did", EXPECTED_MAX, too_many);
    if too_late > 0 {
        gaps.say(format!(
            "things that people did later than {LENGTH_MAX} after it began are not expected: {too_late}"
        ));
    }
    if expected.is_empty() {
        // Nobody did anything that is expected of others; that somebody has it always is.
        expected.push(json!({"id": "acknowledge", "acknowledge": true, "within": Span::from_secs(300)}));
    }
    Deeds {
        expected,
        objectives: objectives(night),
        waits_for_alerts,
    }
}

/// A deed as scenarios write it: its word, a name for it, the keys.
fn written(deed: &Deed, today: &[&Runbook]) -> Option<(&'static str, String, Map<String, Value>)> {
    let one = |key: &'static str, value: Value, name: String| {
        let map: Map<String, Value> = [(key.to_owned(), value)].into_iter().collect();
        Some((key, name, map))
    };
    let is_known = |slug: &str| today.iter().any(|runbook| runbook.slug == slug);
    match deed {
        Deed::Acknowledge => one("acknowledge", json!(true), "acknowledge".to_owned()),
        Deed::Mitigate => one("mitigate", json!(true), "mitigate".to_owned()),
        Deed::Resolve => one("resolve", json!(true), "resolve".to_owned()),
        Deed::Severity(severity) => one("severity", json!(severity), "severity".to_owned()),
        Deed::Update => None,
        Deed::Start { runbook } if is_known(runbook) => one("start", json!(runbook), "start".to_owned()),
        Deed::Stop { runbook } if is_known(runbook) => one("stop", json!(runbook), "stop".to_owned()),
        Deed::Decide { gate, verdict } if has_step(today, gate, |kind| matches!(kind, StepKind::Gate(_))) => {
            let key = match verdict {
                Verdict::Approve => "approve",
                Verdict::Reject => "reject",
            };
            one(key, json!(gate), format!("{key}-{gate}"))
        }
        Deed::Manual { step } if has_step(today, step, |kind| matches!(kind, StepKind::Manual { .. })) => {
            one("manual", json!(step), format!("manual-{step}"))
        }
        Deed::Settle { step, choice } if has_step(today, step, |kind| matches!(kind, StepKind::Act(_))) => {
            let (key, name, mut map) = one("unknown", json!(step), format!("settle-{step}"))?;
            map.insert("choose".to_owned(), json!(word(*choice)));
            Some((key, name, map))
        }
        _ => None,
    }
}

fn word(choice: UnknownChoice) -> &'static str {
    match choice {
        UnknownChoice::RunCheck => "run_check",
        UnknownChoice::MarkDone => "mark_done",
        UnknownChoice::MarkNotDone => "mark_not_done",
        UnknownChoice::RetrySameKey => "retry_same_key",
        UnknownChoice::RetryNewKey => "retry_new_key",
    }
}

/// A name that no other deed has.
fn unused(name: &str, expected: &[Value]) -> String {
    let short: String = name.chars().take(55).collect();
    let short = short.trim_end_matches('-').to_owned();
    let is_used = |id: &str| expected.iter().any(|one| one["id"] == id);
    let numbered = (2..).map(|number| format!("{short}-{number}"));
    std::iter::once(short.clone())
        .chain(numbered)
        .find(|id| !is_used(id))
        .unwrap_or(short)
}

/// The figures of the real night.
fn objectives(night: &Night) -> Value {
    let course = Side::of(&night.observed, Some(night.began_at()));
    let gate = course.gates.values().filter_map(|(_, waited)| *waited).max();
    let mut objectives = Map::new();
    for (key, took) in [
        ("detect", course.detect),
        ("acknowledge", course.acknowledge),
        ("gate", gate),
        ("mitigate", course.mitigate),
    ] {
        if let Some(took) = took {
            let whole = Span::from_secs(took.as_millis().div_ceil(1000));
            objectives.insert(key.to_owned(), json!(whole.clamp(WITHIN_MIN, LENGTH_MAX)));
        }
    }
    Value::Object(objectives)
}
