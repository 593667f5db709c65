//! The runbooks of an incident: which apply and why, what runs, what ran.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format,
    incident::IncidentRecord,
    parts::{Ago, Badge, Said, ago, said},
    plan::PreflightLine,
    record::RunLog,
    run::RunView,
    start::StartForm,
    track::TrackPart,
};
use crate::{
    domain::{
        access::{Access, may, may_within},
        operator::Operator,
        permission::Permission,
        run::RunResult,
        track::Track,
    },
    store::runs::RunLine,
};

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

/// Which runbooks apply, and what runs.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_runs.html")]
pub struct Runs {
    id: i64,
    /// Each with the reason why this person may not steer it.
    shown: Vec<(RunView, Option<String>)>,
    matches: Vec<MatchCard>,
    past: Vec<RunRow>,
    /// Whether they may start any.
    may_act: bool,
    is_open: bool,
}

impl HtmlSafe for Runs {}

/// A runbook that matched, and why.
#[derive(Clone, Debug)]
pub struct MatchCard {
    /// Its page.
    pub href: String,
    /// What it is called.
    pub title: Said,
    /// When to use it and what it does.
    pub summary: Said,
    /// Number of the version, and what the runbook's past says of it.
    pub track: TrackPart,
    /// The line that holds, matcher by matcher: the matcher and the value it met.
    pub because: Vec<(Said, Said)>,
    /// What it could do when it matched.
    pub preflight: Option<PreflightLine>,
    /// The live run of it, if there is one.
    pub running: Option<i64>,
    /// What starts it.
    pub form: Option<StartForm>,
    /// Why this person may not start it.
    pub refusal: Option<String>,
}

/// Why somebody may not start or steer the runs of a runbook.
fn refusal(me: &Operator, access: &Access) -> Option<String> {
    let denial = may_within(me, Permission::Run, &access.start).err()?;
    Some(denial.to_string())
}

impl Runs {
    /// The section.
    pub fn of(record: &IncidentRecord, me: &Operator, now: DateTime<Utc>) -> Self {
        let id = record.incident.id.0;
        let is_drill = record.incident.drill.is_some();
        let matches = record
            .matches
            .iter()
            .map(|(found, version)| {
                let line = found
                    .report
                    .matched_line
                    .and_then(|line| found.report.lines.get(line));
                let checked = record
                    .tracks
                    .get(&found.slug)
                    .and_then(|track| track.check.as_ref());
                // Versions of one runbook share its past, and not what drills cover of them.
                let track = Track {
                    coverage: record.coverages.get(&found.version_id).copied(),
                    ..record.tracks.get(&found.slug).cloned().unwrap_or_default()
                };
                let missing = checked.and_then(|check| Some((check.missing.as_deref()?, check.at)));
                MatchCard {
                    href: format!("/runbooks/{}", found.slug),
                    title: said(&found.title),
                    summary: said(
                        version
                            .as_ref()
                            .map_or("", |version| version.runbook.summary.as_str()),
                    ),
                    track: TrackPart::of(Some(&track), found.number, now),
                    because: line.map_or_else(Vec::new, |line| {
                        line.matchers
                            .iter()
                            .map(|matcher| (said(&matcher.matcher), said(&matcher.actual)))
                            .collect()
                    }),
                    preflight: record
                        .preflights
                        .get(&found.version_id)
                        .and_then(|preflight| PreflightLine::of(id, found, preflight, now)),
                    running: record
                        .live_runs()
                        .find(|run| run.version.runbook.slug == found.slug)
                        .map(|run| run.run.id.0),
                    form: version.as_ref().map(|version| {
                        StartForm::of(id, version, &found.context, missing, now).practised(is_drill)
                    }),
                    refusal: version
                        .as_ref()
                        .and_then(|version| refusal(me, &version.runbook.access)),
                }
            })
            .collect();
        Self {
            id,
            shown: record
                .runs
                .iter()
                .map(|run| {
                    let refusal = refusal(me, &run.version.runbook.access);
                    (RunView::of(&RunLog::of(run, now), ""), refusal)
                })
                .collect(),
            matches,
            past: record
                .past_runs
                .iter()
                .map(|line| RunRow::of(line, now))
                .collect(),
            may_act: may(me, Permission::Run).is_ok(),
            is_open: record.incident.state.is_open(),
        }
    }
}
