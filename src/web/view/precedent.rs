//! What has changed since an earlier run sent what a gate is asked about.

use chrono::{DateTime, Utc};

use super::{
    approval::ApprovalRecord,
    parts::{Ago, Said, ago, said},
};

/// Differences that are listed.
const LINES_MAX: usize = 20;

/// What has changed.
#[derive(Clone, Debug)]
pub struct Since {
    /// The run that sent it, and when; `None` when none did.
    pub last: Option<(i64, Ago)>,
    /// What is otherwise now: what, then, now.
    pub lines: Vec<SinceLine>,
}

/// One thing that is otherwise now.
#[derive(Clone, Debug)]
pub struct SinceLine {
    /// What: `version`, `input replica`, the name of a step.
    pub what: String,
    /// As it was; nothing when it was not there.
    pub then: Said,
    /// As it is; nothing when it is not there any more.
    pub now: Said,
}

impl Since {
    /// Compares what a request would send with what was sent the last time.
    pub fn of(record: &ApprovalRecord, now: DateTime<Utc>) -> Self {
        let Some(last) = &record.precedent else {
            return Self {
                last: None,
                lines: Vec::new(),
            };
        };
        let mut lines = Vec::new();
        let mut differ = |what: String, then: &str, now: &str| {
            if then != now {
                lines.push(SinceLine {
                    what,
                    then: said(then),
                    now: said(now),
                });
            }
        };
        let number = record.run.version.number;
        let version = |number: i32| format!("v{number}");
        differ(
            "Version of the runbook".to_owned(),
            &version(last.number),
            &version(number),
        );
        let inputs = &record.run.run.inputs;
        let names = last.inputs.keys().chain(inputs.keys());
        let names: std::collections::BTreeSet<&String> = names.collect();
        for name in names {
            let value = |from: &std::collections::BTreeMap<String, String>| {
                from.get(name).cloned().unwrap_or_default()
            };
            differ(format!("Input {name}"), &value(&last.inputs), &value(inputs));
        }
        for step in record.approval.bound.steps.iter().filter(|step| step.changes) {
            let then = last.commands.get(&step.step.0).map_or("", String::as_str);
            differ(format!("Step {}", step.step), then, &step.command);
        }
        lines.truncate(LINES_MAX);
        Self {
            last: Some((last.run.0, ago(last.at, now))),
            lines,
        }
    }
}
