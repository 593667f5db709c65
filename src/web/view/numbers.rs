//! The numbers of a runbook: how its steps went in its newest runs, each with its durations as dots.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    dots::Dots,
    format,
    parts::{Said, said},
    step::title,
};
use crate::{
    domain::{
        id::StepId,
        runbook::Runbook,
        step::StepKind,
        timing::{Timing, Took, by_step},
    },
    store::timings::RUNS_MAX,
};

/// Values listed below the drawings.
const VALUES_MAX: usize = 200;

/// The whole.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// What they are counted over.
    pub over: String,
    /// Step by step, as the version shown has them.
    pub rows: Vec<StepNumbers>,
    /// Every value that is drawn.
    pub values: Vec<Drawn>,
    /// How many more there are.
    pub more: usize,
}

/// One step.
#[derive(Clone, Debug)]
pub struct StepNumbers {
    /// What people read.
    pub title: Said,
    /// Its figures, in words.
    pub words: String,
    /// Its durations.
    pub dots: Option<Dots>,
}

/// One value that is drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Which step.
    pub step: String,
    /// Number of the run.
    pub run: i64,
    /// How long it took.
    pub took: String,
    /// How it ended.
    pub word: &'static str,
}

impl Numbers {
    /// The numbers of a version's steps; `None` while nothing of it was ever timed. Steps that only other versions had are
    /// left out.
    pub fn of(runbook: &Runbook, seen: Vec<Took>) -> Option<Self> {
        let timings = by_step(seen);
        let mut rows = Vec::new();
        let mut values = Vec::new();
        for step in runbook.all_steps() {
            let Some(timing) = timings.get(&step.id) else {
                continue;
            };
            let name = title(step, &Value::Null);
            let is_gate = matches!(step.kind, StepKind::Gate(_));
            rows.push(StepNumbers {
                title: said(&name),
                words: words(timing, is_gate),
                dots: Dots::of(&name, timing),
            });
            values.extend(listed(&timings, &step.id, is_gate));
        }
        let more = values.len().saturating_sub(VALUES_MAX);
        values.truncate(VALUES_MAX);
        (!rows.is_empty()).then(|| Self {
            over: format!("Over its last {RUNS_MAX} runs, of whatever version."),
            rows,
            values,
            more,
        })
    }
}

fn words(timing: &Timing, is_gate: bool) -> String {
    let (worked, of) = (timing.worked, timing.times.len());
    let verb = if is_gate { "approved" } else { "worked" };
    let mut words = format!("{worked} of {of} {verb}");
    if let (Some(median), Some(p90)) = (timing.median, timing.p90) {
        let what = if is_gate { "waited, median" } else { "median" };
        words.push_str(&format!(
            " · {what} {} · 9 of 10 within {}",
            format::length(median),
            format::length(p90)
        ));
    }
    words
}

fn listed(timings: &BTreeMap<StepId, Timing>, step: &StepId, is_gate: bool) -> Vec<Drawn> {
    let Some(timing) = timings.get(step) else {
        return Vec::new();
    };
    let value = |took: &Took| Drawn {
        step: step.0.clone(),
        run: took.run.0,
        took: format::length(took.length),
        word: match (took.worked, is_gate) {
            (true, false) => "worked",
            (false, false) => "failed",
            (true, true) => "approved",
            (false, true) => "not approved",
        },
    };
    timing.times.iter().map(value).collect()
}
