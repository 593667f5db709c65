//! The page of one runbook: what it will do, and how well it went so far.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    coverage::CoveragePart,
    format,
    layout::Frame,
    numbers::Numbers,
    parts::{Ago, Badge, Said, ago, said},
    proposal::WaitingRow,
    runs::RunRow,
    steps::StepsPart,
    text,
    track::TrackPart,
    versions::VersionRow,
};
use crate::{
    domain::{
        matcher::Matcher,
        runbook::{Input, Runbook, StartMode},
        target::Targets,
        timing::Took,
        track::Track,
    },
    store::{
        incidents::IncidentLine, matches::MatchedIncident, runbooks::Version, runs::RunLine,
        versions::Numbered,
    },
};

/// Who may do what with a runbook, and what of it waits.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Versions that wait for review.
    pub waiting: Vec<WaitingRow>,
    /// Whether this person may change it.
    pub may_publish: bool,
    /// Whether this person may start it.
    pub may_start: bool,
    /// Scenarios that train it: name and title.
    pub scenarios: Vec<(String, Said)>,
}

/// How a runbook starts, in words.
pub fn start(mode: StartMode) -> &'static str {
    match mode {
        StartMode::Automatic => "starts by itself",
        StartMode::Suggest => "is offered on the incident",
        StartMode::Manual => "is only started by a person",
    }
}

/// How many steps a runbook has.
pub fn steps(runbook: &Runbook) -> String {
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

/// What the page is about, as it was read.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The version.
    pub version: &'a Version,
    /// Its source as written.
    pub source: &'a str,
    /// Number of the version in use, if one is.
    pub current: Option<i32>,
    /// What its past says of it.
    pub track: Option<&'a Track>,
    /// What of it was practised.
    pub coverage: CoveragePart,
    /// How its steps went lately.
    pub timings: &'a [Took],
    /// Incidents it matched lately.
    pub matched: &'a [MatchedIncident],
    /// Its newest versions.
    pub versions: &'a [Numbered],
    /// Its newest runs.
    pub runs: &'a [RunLine],
    /// Open incidents it could be started on.
    pub open: &'a [IncidentLine],
    /// The targets as the file says now.
    pub targets: &'a Targets,
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
    /// Number of the version in use, when it is another one than the one shown.
    pub other: Option<i32>,
    /// What its past says of it.
    pub track: TrackPart,
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
    /// Incidents it matched lately.
    pub matched: Vec<MatchedRow>,
    /// Open incidents it could be started on: where to, name and title.
    pub open: Vec<(String, String, Said)>,
    /// Its steps.
    pub steps: StepsPart,
    /// How they went.
    pub numbers: Option<Numbers>,
    /// What of it was practised.
    pub coverage: CoveragePart,
    /// Its newest versions.
    pub versions: Vec<VersionRow>,
    /// Whom it names, line by line.
    pub access: Vec<(&'static str, Said)>,
    /// Who may do what with it.
    pub trust: Trust,
    /// Its newest runs.
    pub runs: Vec<RunRow>,
    /// The source as written.
    pub source: Said,
}

/// An incident that it matched.
#[derive(Clone, Debug)]
pub struct MatchedRow {
    /// How bad that is.
    pub severity: Badge,
    /// Its number.
    pub id: i64,
    /// What it is called.
    pub title: Said,
    /// Number of the version that matched.
    pub number: i32,
    /// When.
    pub at: Ago,
}

impl RunbookPage {
    /// The page of one version.
    pub fn of(frame: Frame, subject: &Subject<'_>, trust: Trust, now: DateTime<Utc>) -> Self {
        let (version, runbook) = (subject.version, &subject.version.runbook);
        let is_current = subject.current == Some(version.number);
        Self {
            frame,
            slug: runbook.slug.clone(),
            title: said(&runbook.title),
            summary: said(&runbook.summary),
            number: version.number,
            badge: match is_current {
                true => Badge::new("done", "check", "In use"),
                false => Badge::new("quiet", "clock", "Not in use"),
            },
            other: subject.current.filter(|_| !is_current),
            track: TrackPart::of(subject.track, version.number, now),
            start: start(runbook.start),
            budget: runbook
                .budget
                .map(|budget| format!("at most {} in {}", budget.runs, budget.per)),
            owner: runbook.owner.clone(),
            services: runbook.services.clone(),
            lines: runbook
                .triggers
                .iter()
                .map(|line| said(&matchers(line)))
                .collect(),
            inputs: runbook.inputs.iter().map(input).collect(),
            locks: runbook.locks.iter().map(|lock| said(lock.source())).collect(),
            matched: subject
                .matched
                .iter()
                .map(|incident| MatchedRow {
                    severity: incident.severity.into(),
                    id: incident.id.0,
                    title: said(&incident.title),
                    number: incident.number,
                    at: ago(incident.at, now),
                })
                .collect(),
            open: subject
                .open
                .iter()
                .map(|line| {
                    let id = line.incident.id;
                    (
                        text::with_query(
                            &format!("/incidents/{id}/runs/new"),
                            &[("runbook", &runbook.slug)],
                        ),
                        format!("INC-{id}"),
                        said(&line.incident.title),
                    )
                })
                .collect(),
            steps: StepsPart::of(runbook, subject.targets),
            numbers: Numbers::of(runbook, subject.timings.to_vec()),
            coverage: subject.coverage.clone(),
            versions: subject
                .versions
                .iter()
                .map(|line| VersionRow::of(line, now))
                .collect(),
            access: access(runbook),
            trust,
            runs: subject.runs.iter().map(|line| RunRow::of(line, now)).collect(),
            source: said(subject.source),
        }
    }
}

fn matchers(line: &[Matcher]) -> String {
    let matchers: Vec<String> = line.iter().map(ToString::to_string).collect();
    matchers.join(", ")
}

fn input((name, input): (&String, &Input)) -> (String, String) {
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
}
