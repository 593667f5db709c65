//! The library and the page of one runbook.

use askama::Template;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    format,
    layout::Frame,
    parts::{Ago, At, Badge, Said, ago, at, said},
    proposal::WaitingRow,
    runs::RunRow,
    step::StepPlan,
};
use crate::{
    domain::{
        runbook::{Runbook, StartMode},
        step::Step,
    },
    store::{
        runbooks::{Version, VersionLine},
        runs::{Record, RunLine},
    },
};

/// The library.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/list.html")]
pub struct LibraryPage {
    /// The frame.
    pub frame: Frame,
    /// The runbooks.
    pub rows: Vec<LibraryRow>,
    /// Versions that wait for review.
    pub waiting: Vec<WaitingRow>,
    /// Whether this person may publish a new one.
    pub may_publish: bool,
}

/// Who may do what with a runbook, and what of it waits.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Versions that wait for review.
    pub waiting: Vec<WaitingRow>,
    /// Whether this person may change it.
    pub may_publish: bool,
}

/// One runbook.
#[derive(Clone, Debug)]
pub struct LibraryRow {
    /// Its slug.
    pub slug: String,
    /// What it is called.
    pub title: Said,
    /// When to use it and what it does.
    pub summary: Said,
    /// Number of the current version.
    pub number: i32,
    /// How it starts.
    pub start: &'static str,
    /// How its runs went.
    pub record: String,
    /// When it ran last.
    pub last: Option<Ago>,
    /// How many steps.
    pub steps: String,
    /// The team that keeps it.
    pub owner: Option<String>,
}

/// How a runbook starts, in words.
pub fn start(mode: StartMode) -> &'static str {
    match mode {
        StartMode::Automatic => "starts by itself",
        StartMode::Suggest => "is offered on the incident",
        StartMode::Manual => "is only started by a person",
    }
}

/// How runs went, in words that do not pretend.
pub fn record(record: Option<&Record>) -> String {
    match record {
        None
        | Some(Record {
            last_started_at: None,
            ..
        }) => "never run".to_owned(),
        Some(Record { finished: 0, .. }) => "no run has ended yet".to_owned(),
        Some(record) => format!("{} of {} runs succeeded", record.succeeded, record.finished),
    }
}

impl LibraryRow {
    /// The row of a current version.
    pub fn of(version: &Version, past: Option<&Record>, now: DateTime<Utc>) -> Self {
        let runbook = &version.runbook;
        Self {
            slug: runbook.slug.clone(),
            title: said(&runbook.title),
            summary: said(&runbook.summary),
            number: version.number,
            start: start(runbook.start),
            record: record(past),
            last: past.and_then(|past| past.last_started_at).map(|at| ago(at, now)),
            steps: steps(runbook),
            owner: runbook.owner.clone(),
        }
    }
}

fn steps(runbook: &Runbook) -> String {
    let steps = format::count(runbook.steps.len() as i64, "step", "steps");
    match runbook.finally.len() {
        0 => steps,
        more => format!("{steps}, {more} at the end"),
    }
}

/// Whom a runbook names, and what review it asks for.
fn access(runbook: &Runbook) -> Vec<(&'static str, Said)> {
    let mut lines = Vec::new();
    for (words, circle) in [
        ("Started by", &runbook.access.start),
        ("Published by", &runbook.access.publish),
    ] {
        if !circle.is_open() {
            lines.push((words, said(&circle.words())));
        }
    }
    if runbook.review > 0 {
        let others = format::count(i64::from(runbook.review), "other person", "other people");
        lines.push(("Review", said(&format!("{others} must approve a new version"))));
    }
    lines
}

fn plans(first: usize, steps: &[Step]) -> Vec<StepPlan> {
    let numbered = steps.iter().enumerate();
    numbered
        .map(|(at, step)| StepPlan::of(first + at, step, &Value::Null))
        .collect()
}

/// The page of one runbook.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/show.html")]
pub struct RunbookPage {
    /// The frame.
    pub frame: Frame,
    /// Its slug.
    pub slug: String,
    /// What it is called.
    pub title: Said,
    /// When to use it and what it does.
    pub summary: Said,
    /// Number of the version shown.
    pub number: i32,
    /// Whether matching uses this version.
    pub badge: Badge,
    /// How it starts.
    pub start: &'static str,
    /// More starts than this become suggestions.
    pub budget: Option<String>,
    /// The team that keeps it.
    pub owner: Option<String>,
    /// What it restores.
    pub services: Vec<String>,
    /// When it applies: any line.
    pub lines: Vec<Said>,
    /// Its inputs: name and words.
    pub inputs: Vec<(String, String)>,
    /// The locks it holds.
    pub locks: Vec<Said>,
    /// Its steps.
    pub steps: Vec<StepPlan>,
    /// The steps that run at the end whatever came before, numbered on.
    pub finally: Vec<StepPlan>,
    /// Its versions.
    pub versions: Vec<VersionRow>,
    /// Whom it names, line by line.
    pub access: Vec<(&'static str, Said)>,
    /// Who may do what with it.
    pub trust: Trust,
    /// How its runs went.
    pub record: String,
    /// Its newest runs.
    pub runs: Vec<RunRow>,
    /// The source as written.
    pub source: Said,
}

/// One version.
#[derive(Clone, Debug)]
pub struct VersionRow {
    /// Its number.
    pub number: i32,
    /// When it was published last.
    pub at: At,
    /// Where it came from.
    pub origin: Said,
    /// Who published it, when that was a person.
    pub by: Option<Said>,
    /// What they said with it.
    pub note: Said,
    /// Whether matching uses it.
    pub current: bool,
    /// Whether the page shows it.
    pub shown: bool,
}

impl RunbookPage {
    /// The page of one version.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of the page that is read by itself"
    )]
    pub fn of(
        frame: Frame,
        version: &Version,
        source: &str,
        versions: &[VersionLine],
        past: &Record,
        runs: &[RunLine],
        trust: Trust,
        now: DateTime<Utc>,
    ) -> Self {
        let runbook = &version.runbook;
        let current = versions
            .iter()
            .any(|line| line.current && line.number == version.number);
        Self {
            frame,
            slug: runbook.slug.clone(),
            title: said(&runbook.title),
            summary: said(&runbook.summary),
            number: version.number,
            badge: match current {
                true => Badge::new("done", "check", "In use"),
                false => Badge::new("quiet", "clock", "Not in use"),
            },
            start: start(runbook.start),
            budget: runbook
                .budget
                .map(|budget| format!("at most {} in {}", budget.runs, budget.per)),
            owner: runbook.owner.clone(),
            services: runbook.services.clone(),
            lines: runbook
                .triggers
                .iter()
                .map(|line| {
                    let matchers: Vec<String> = line.iter().map(ToString::to_string).collect();
                    said(&matchers.join(", "))
                })
                .collect(),
            inputs: runbook
                .inputs
                .iter()
                .map(|(name, input)| {
                    let mut words = Vec::new();
                    if input.required {
                        words.push("required".to_owned());
                    }
                    if let Some(from) = &input.from {
                        words.push(format!("from {}", from.source()));
                    }
                    if let Some(default) = &input.default {
                        words.push(format!("otherwise {default}"));
                    }
                    (name.clone(), words.join(", "))
                })
                .collect(),
            locks: runbook.locks.iter().map(|lock| said(lock.source())).collect(),
            steps: plans(1, &runbook.steps),
            finally: plans(runbook.steps.len() + 1, &runbook.finally),
            versions: versions
                .iter()
                .map(|line| VersionRow {
                    number: line.number,
                    at: at(line.published_at, now),
                    origin: said(&line.origin),
                    by: line.by.as_deref().map(said),
                    note: said(&line.note),
                    current: line.current,
                    shown: line.number == version.number,
                })
                .collect(),
            access: access(runbook),
            trust,
            record: record(Some(past)),
            runs: runs.iter().map(|line| RunRow::of(line, now)).collect(),
            source: said(source),
        }
    }
}
