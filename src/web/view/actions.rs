//! What a person can do with an incident: one thing first, the others folded behind their names.

use askama::{Template, filters::HtmlSafe};

use super::{
    format,
    incident::IncidentRecord,
    parts::{Hidden, Said, hidden, said},
    record::RunRecord,
    text,
};
use crate::domain::{
    id::StepId,
    incident::{IncidentMove as Move, Severity},
    state::{Stand, StepState},
};

/// Lines about open or failed steps before an incident is resolved.
const CHECKS_MAX: usize = 8;
/// Alerts named in a warning.
const NAMED_MAX: usize = 3;
/// Characters of a step's message in a warning.
const MESSAGE_CHARS_MAX: usize = 160;

/// What a person can do with the incident; one thing first.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_actions.html")]
pub struct Actions {
    id: i64,
    may_act: bool,
    may_acknowledge: bool,
    may_mitigate: bool,
    may_resolve: bool,
    may_close: bool,
    /// The incident it can be taken out of.
    may_unmerge: Option<i64>,
    /// What unfolding does here.
    unfold: Option<String>,
    may_fold: bool,
    /// What is still open: to be looked at before it is resolved.
    checks: Vec<Said>,
    /// What is left out of the list.
    checks_more: usize,
    /// Why it cannot be resolved yet.
    blocked: Option<String>,
    /// The other severities.
    severities: Vec<(i16, String)>,
    seen: i64,
}

impl HtmlSafe for Actions {}

impl Actions {
    /// What can be done.
    pub fn of(record: &IncidentRecord, may_act: bool) -> Self {
        let incident = &record.incident;
        let state = incident.state;
        let may = |step: Move| state.after(step).is_some();
        let mut checks = checks(record);
        let checks_more = checks.len().saturating_sub(CHECKS_MAX);
        checks.truncate(CHECKS_MAX);
        Self {
            id: incident.id.0,
            may_act,
            may_acknowledge: may(Move::Acknowledge),
            may_mitigate: may(Move::Mitigate),
            may_resolve: may(Move::Resolve),
            may_close: may(Move::Close),
            may_unmerge: incident.lives_in,
            unfold: match (incident.folded_under, record.below.0) {
                (Some(parent), _) => Some(format!("Unfold it from INC-{parent}")),
                (None, 1..) => Some(format!("Unfold the {} below it", format::grouped(record.below.0))),
                _ => None,
            },
            may_fold: state.is_open() && incident.folded_under.is_none(),
            checks: checks.iter().map(|check| said(check)).collect(),
            checks_more,
            blocked: record
                .live_runs()
                .next()
                .map(|_| "A run is still going. Stop it or let it end, then resolve.".to_owned()),
            severities: Severity::ALL
                .into_iter()
                .filter(|severity| *severity != incident.severity)
                .map(|severity| (severity.number(), severity.to_string()))
                .collect(),
            seen: incident.last_seq,
        }
    }

    /// The hidden fields of one form.
    fn hidden(&self) -> Hidden {
        hidden(Some(self.seen))
    }

    /// Which act comes first: `acknowledge`, `mitigate`, `resolve`, `close` or none.
    fn first(&self) -> &'static str {
        if self.may_acknowledge {
            "acknowledge"
        } else if self.may_mitigate {
            "mitigate"
        } else if self.may_resolve {
            "resolve"
        } else if self.may_close {
            "close"
        } else {
            ""
        }
    }
}

/// What is still open, the gravest first: steps under way, alerts that fire, steps that failed.
fn checks(record: &IncidentRecord) -> Vec<String> {
    let mut checks: Vec<String> = record.live_runs().flat_map(open_steps).collect();
    if record.has_failed("runs") {
        checks.push("the runs could not be read: look whether one is going".to_owned());
    }
    let firing: Vec<&str> = record
        .members
        .iter()
        .filter(|member| member.fires())
        .map(|member| member.title.as_str())
        .collect();
    if !firing.is_empty() {
        let mut named: Vec<String> = firing
            .iter()
            .take(NAMED_MAX)
            .map(|name| text::cut(name, MESSAGE_CHARS_MAX))
            .collect();
        if firing.len() > NAMED_MAX {
            named.push(format!("{} more", firing.len() - NAMED_MAX));
        }
        let words = match firing.len() {
            1 => "1 alert still fires".to_owned(),
            n => format!("{n} alerts still fire"),
        };
        checks.push(format!("{words}: {}", format::listed(&named)));
    }
    if record.has_failed("alerts") {
        checks.push("the alerts could not be read: look whether one fires".to_owned());
    }
    if record.incident.truncated_alerts > 0 {
        checks.push(format!(
            "the sender left {} out of its list",
            format::count(i64::from(record.incident.truncated_alerts), "alert", "alerts")
        ));
    }
    checks.extend(record.runs.iter().flat_map(failed_steps));
    checks
}

fn steps(run: &RunRecord) -> impl Iterator<Item = (&StepId, &StepState)> {
    run.version
        .runbook
        .all_steps()
        .map(|step| (&step.id, run.state.step(&step.id)))
}

fn open_steps(run: &RunRecord) -> Vec<String> {
    let open = steps(run).filter_map(|(id, state)| {
        let how = match state.stand() {
            Stand::Started => "is running",
            Stand::RetryAt => "is to be tried again",
            Stand::Unknown => "may or may not be done: nobody knows",
            Stand::GateOpen => "waits for a decision",
            Stand::ManualOpen => "waits to be done by hand",
            Stand::Waiting => "waits for its time",
            _ => return None,
        };
        Some(format!("run {}: step {id} {how}", run.run.id))
    });
    let mut open: Vec<String> = open.collect();
    if open.is_empty() {
        open.push(format!(
            "run {} of {} is still going",
            run.run.id, run.version.runbook.title
        ));
    }
    open
}

fn failed_steps(run: &RunRecord) -> Vec<String> {
    let failed = steps(run).filter_map(|(id, state)| match state {
        StepState::Failed { message } => Some(format!(
            "run {}: step {id} failed: {}",
            run.run.id,
            text::cut(message, MESSAGE_CHARS_MAX)
        )),
        _ => None,
    });
    failed.collect()
}
