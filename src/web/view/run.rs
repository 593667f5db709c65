//! A run: its steps in order, where it stands, and what a person can do about it.

use std::collections::BTreeMap;

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    format,
    layout::Frame,
    parts::{Ago, Badge, Hidden, Said, ago, hidden, said},
    step::{StepPlan, StepView},
};
use crate::{
    domain::{
        id::StepId,
        run::{RunFact, RunResult},
        state::{RunState, StepState},
        step::StepKind,
    },
    store::{
        attempts::AttemptRow,
        runbooks::Version,
        runs::{Run, RunLine},
    },
};

/// Everything known of a run.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// What it is pinned to.
    pub run: Run,
    /// That.
    pub version: Version,
    /// Who started it, when a person did.
    pub requested_by: Option<String>,
    /// Its facts.
    pub facts: Vec<(DateTime<Utc>, RunFact)>,
    /// Their fold.
    pub state: RunState,
    /// Its attempts.
    pub attempts: Vec<AttemptRow>,
    /// Commands that a gate of it has shown, by step.
    pub promised: BTreeMap<StepId, String>,
    /// Labels and annotations of its incident.
    pub context: Value,
}

/// A run as people see it.
#[derive(Clone, Debug)]
pub struct RunView {
    /// Its number.
    pub id: i64,
    /// What the runbook is called.
    pub title: Said,
    /// The runbook's slug.
    pub slug: String,
    /// Number of the version.
    pub number: i32,
    /// How it stands.
    pub badge: Badge,
    /// `step 4 of 9`
    pub progress: String,
    /// Who started it.
    pub by: Said,
    /// When.
    pub started: Ago,
    /// How long it took, once it is over.
    pub took: Option<String>,
    /// Why it ended as it did.
    pub reason: Said,
    /// Its inputs.
    pub inputs: Vec<(String, Said)>,
    /// What it waits for, when that is a lock.
    pub lock: Option<Said>,
    /// Its steps.
    pub steps: Vec<StepView>,
    /// Whether it is still going.
    pub is_live: bool,
    /// Why it is to stop, when somebody asked.
    pub stopping: Option<Said>,
    /// Hidden fields of the form that stops it.
    pub hidden: Hidden,
    /// The step that waits for a person, if one does.
    pub asks: Option<Ask>,
}

/// A step that waits for a person, gates apart.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Do something and say so.
    Manual {
        /// Which step.
        step: String,
        /// What to do.
        instruction: Said,
    },
    /// Nobody knows whether it was done.
    Unknown {
        /// Which step.
        step: String,
        /// What was sent.
        command: Said,
        /// What is known.
        reason: Said,
        /// Whether there is a probe to ask.
        has_probe: bool,
    },
}

impl RunView {
    /// The run as people see it.
    pub fn of(record: &RunRecord, now: DateTime<Utc>) -> Self {
        let runbook = &record.version.runbook;
        let context = json!({
            "inputs": record.run.inputs,
            "labels": record.context.get("labels"),
            "annotations": record.context.get("annotations"),
        });
        let mut steps: Vec<StepView> = runbook
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let attempts: Vec<&AttemptRow> = record
                    .attempts
                    .iter()
                    .filter(|attempt| attempt.step == step.id.0)
                    .collect();
                StepView::of(
                    StepPlan::of(index + 1, step, &context),
                    format!("run-{}-{}", record.run.id, step.id),
                    step,
                    &record.state,
                    &attempts,
                    record.promised.get(&step.id).map(String::as_str),
                    now,
                )
            })
            .collect();
        let is_live = record.run.finished_at.is_none();
        let over = steps.iter().filter(|step| step.is_over).count();
        let current = is_live
            .then(|| steps.iter().position(|step| !step.is_over))
            .flatten();
        if let Some(step) = current.and_then(|at| steps.get_mut(at)) {
            step.is_current = true;
        }
        let progress = match current {
            Some(at) => format!("step {} of {}", at + 1, steps.len()),
            None => format!("{over} of {} steps", steps.len()),
        };
        let reason = record.facts.iter().rev().find_map(|(_, fact)| match fact {
            RunFact::RunFinished { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        Self {
            id: record.run.id.0,
            title: said(&runbook.title),
            slug: runbook.slug.clone(),
            number: record.version.number,
            badge: match record.run.result {
                Some(result) => result.into(),
                None => live_badge(record),
            },
            progress,
            by: said(record.requested_by.as_deref().unwrap_or("Muster")),
            started: ago(record.run.started_at, now),
            took: record
                .run
                .finished_at
                .map(|end| format::length(end - record.run.started_at)),
            reason: said(&reason.unwrap_or_default()),
            inputs: record
                .run
                .inputs
                .iter()
                .map(|(name, value)| (name.clone(), said(value)))
                .collect(),
            lock: lock(record),
            asks: asks(record),
            steps,
            is_live,
            stopping: record.state.stop_requested.as_deref().map(said),
            hidden: hidden(None),
        }
    }
}

fn live_badge(record: &RunRecord) -> Badge {
    if record.state.stop_requested.is_some() {
        return Badge::new("running", "barred", "Stopping");
    }
    let states = || record.state.steps.values();
    if states().any(|state| matches!(state, StepState::Unknown { .. })) {
        Badge::new("unknown", "question", "Outcome unknown")
    } else if states().any(|state| matches!(state, StepState::GateOpen { .. })) {
        Badge::new("gate", "lock", "Waits at a gate")
    } else if states().any(|state| matches!(state, StepState::ManualOpen { .. })) {
        Badge::new("gate", "person", "Waits for a person")
    } else {
        Badge::new("running", "play", "Running")
    }
}

/// A lock the run waits for: the last fact says so.
fn lock(record: &RunRecord) -> Option<Said> {
    match record.facts.last() {
        Some((_, RunFact::LockAwaited { lock, holder })) => {
            Some(said(&format!("Waits for the lock {lock}, held by {holder}")))
        }
        _ => None,
    }
}

fn asks(record: &RunRecord) -> Option<Ask> {
    if record.run.finished_at.is_some() {
        return None;
    }
    record
        .version
        .runbook
        .steps
        .iter()
        .find_map(|step| match record.state.step(&step.id) {
            StepState::ManualOpen { .. } => {
                let asked = record.facts.iter().rev().find_map(|(_, fact)| match fact {
                    RunFact::ManualAsked {
                        step: asked,
                        instruction,
                        ..
                    } if *asked == step.id => Some(instruction.clone()),
                    _ => None,
                });
                Some(Ask::Manual {
                    step: step.id.0.clone(),
                    instruction: said(&asked.unwrap_or_default()),
                })
            }
            StepState::Unknown { reason, .. } => {
                let has_probe = matches!(&step.kind, StepKind::Act(act) if act.verify.is_some());
                let command = record
                    .attempts
                    .iter()
                    .rfind(|attempt| attempt.step == step.id.0)
                    .map(|attempt| attempt.command.as_str());
                Some(Ask::Unknown {
                    step: step.id.0.clone(),
                    command: said(command.unwrap_or_default()),
                    reason: said(reason),
                    has_probe,
                })
            }
            _ => None,
        })
}

/// One line of a list of runs.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// Its page.
    pub href: String,
    /// `Run 12`
    pub name: String,
    /// What the runbook is called.
    pub title: Said,
    /// Number of the version.
    pub number: i32,
    /// How it stands.
    pub badge: Badge,
    /// Who started it.
    pub by: Said,
    /// When.
    pub started: Ago,
    /// How long it took.
    pub took: Option<String>,
    /// `INC-204`, its address and its title.
    pub incident: (String, String, Said),
}

impl RunRow {
    /// The line of a run.
    pub fn of(line: &RunLine, now: DateTime<Utc>) -> Self {
        let result: Option<RunResult> = line.result;
        Self {
            href: format!("/runs/{}", line.id),
            name: format!("Run {}", line.id),
            title: said(&line.title),
            number: line.number,
            badge: result.map_or_else(|| Badge::new("running", "play", "Running"), Badge::from),
            by: said(line.requested_by.as_deref().unwrap_or("Muster")),
            started: ago(line.started_at, now),
            took: line.finished_at.map(|end| format::length(end - line.started_at)),
            incident: (
                format!("INC-{}", line.incident),
                format!("/incidents/{}", line.incident),
                said(&line.incident_title),
            ),
        }
    }
}

/// The page of one run.
#[derive(Clone, Debug, Template)]
#[template(path = "run/show.html")]
pub struct RunPage {
    /// The frame.
    pub frame: Frame,
    /// The run.
    pub run: RunView,
    /// The part of it that changes.
    pub part: RunPart,
    /// Number of its incident.
    pub incident: i64,
}

/// The part of a run's page that changes while it goes on.
#[derive(Clone, Debug, Template)]
#[template(path = "run/_run.html")]
pub struct RunPart {
    /// The run.
    pub run: RunView,
    /// Whether the person may stop it.
    pub may_act: bool,
}

impl HtmlSafe for RunPart {}
