//! Plan mode: the form, and what became of each step; and the one line of a preflight on an incident's page.

use std::collections::BTreeMap;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    format,
    layout::Frame,
    parts::{Ago, Badge, Said, ago, said},
    start::{self, InputField},
    text,
};
use crate::{
    domain::{
        id::IncidentId,
        rehearsal::{Fault, Rehearsal, Rehearsed, Says, Verdict},
        step::Effect,
    },
    store::{matches::Match, preflights::Preflight},
    web::plans::Subject,
};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/plan.html")]
pub struct PlanPage {
    /// The frame.
    pub frame: Frame,
    /// The runbook's slug.
    pub slug: String,
    /// What it is called.
    pub title: Said,
    /// Number of the version.
    pub number: i32,
    /// The incident it is planned for: number and title.
    pub incident: Option<(i64, Said)>,
    /// The form.
    pub form: PlanForm,
    /// What was found.
    pub report: Option<Report>,
    /// Whether the preflight is still to come.
    pub is_pending: bool,
}

impl PlanPage {
    /// The page of a subject.
    pub fn of(frame: Frame, subject: &Subject, form: PlanForm, report: Option<Report>) -> Self {
        let runbook = &subject.version.runbook;
        Self {
            frame,
            slug: runbook.slug.clone(),
            title: said(&runbook.title),
            number: subject.version.number,
            incident: subject
                .incident
                .as_ref()
                .map(|incident| (incident.id.0, said(&incident.title))),
            form,
            is_pending: report.is_none() && subject.preflight == Some(Preflight::Pending),
            report,
        }
    }
}

/// What a person gives to plan a run.
#[derive(Clone, Debug)]
pub struct PlanForm {
    /// Number of the version.
    pub version: i32,
    /// Number of the incident.
    pub incident: Option<i64>,
    /// Labels as they were typed, when there is no incident to take them from.
    pub labels: String,
    /// The runbook's inputs.
    pub inputs: Vec<InputField>,
}

impl PlanForm {
    /// The form, filled with what was typed, or else from the incident's alert.
    pub fn of(subject: &Subject, given: Option<&BTreeMap<String, String>>, labels: &str) -> Self {
        let mut inputs = start::inputs(&subject.version, &subject.alert);
        for input in &mut inputs {
            if let Some(value) = given.and_then(|given| given.get(&input.name)) {
                input.value.clone_from(value);
            }
        }
        Self {
            version: subject.version.number,
            incident: subject.incident.as_ref().map(|incident| incident.id.0),
            labels: labels.to_owned(),
            inputs,
        }
    }
}

/// What a rehearsal found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The whole in one line.
    pub headline: Said,
    /// Whether something has to be put right.
    pub is_broken: bool,
    /// Whether anything was asked.
    pub asked: bool,
    /// When it was found out.
    pub at: Ago,
    /// How long that took.
    pub took: String,
    /// What has to be put right, each once, with the steps that it keeps from working.
    pub repairs: Vec<Repair>,
    /// Step by step.
    pub rows: Vec<PlanRow>,
}

/// Something that has to be put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// What kind of thing.
    pub word: &'static str,
    /// What, and why.
    pub reason: Said,
    /// The steps: name, and where on the page each stands first.
    pub steps: Vec<(String, String)>,
}

/// One step of a report.
#[derive(Clone, Debug)]
pub struct PlanRow {
    /// Its place, from 1; the items of a list share one.
    pub number: usize,
    /// Its name.
    pub step: String,
    /// What people read above it.
    pub title: Said,
    /// Its word, its effect, its target, its gate.
    pub kind: Said,
    /// What became of it.
    pub badge: Badge,
    /// Under which condition it is carried out.
    pub condition: Option<Said>,
    /// What is sent or asked.
    pub request: Option<Said>,
    /// What was found.
    pub finding: Said,
    /// What takes it back.
    pub undo: Option<Said>,
    /// Whether it cannot work.
    pub is_broken: bool,
    /// Whether it is the first that runs at the end.
    pub begins_end: bool,
}

impl Report {
    /// The report as people see it.
    pub fn of(rehearsal: &Rehearsal, now: DateTime<Utc>) -> Self {
        let mut rows: Vec<PlanRow> = Vec::new();
        let (mut number, mut last, mut finally) = (0, "", false);
        for step in &rehearsal.steps {
            if step.step.base() != last {
                number += 1;
                last = step.step.base();
            }
            let mut row = PlanRow::of(number, step);
            row.begins_end = step.finally && !finally;
            finally = step.finally;
            rows.push(row);
        }
        let took = TimeDelta::milliseconds(rehearsal.took_ms.try_into().unwrap_or(i64::MAX / 2));
        Self {
            headline: said(&rehearsal.headline()),
            is_broken: rehearsal.is_broken(),
            asked: rehearsal.asked,
            at: ago(rehearsal.at, now),
            took: format::length(took),
            repairs: repairs(rehearsal),
            rows,
        }
    }
}

/// What has to be put right, in the order of the file. What keeps a gate from asking is a step below it, which is named.
fn repairs(rehearsal: &Rehearsal) -> Vec<Repair> {
    let mut repairs: Vec<Repair> = rehearsal
        .obstacles
        .iter()
        .map(|reason| Repair {
            word: "A run could not begin",
            reason: said(reason),
            steps: Vec::new(),
        })
        .collect();
    for step in &rehearsal.steps {
        let Verdict::Broken { fault, reason } = &step.verdict else {
            continue;
        };
        let word = match fault {
            Fault::Gate => continue,
            Fault::Secret => "Missing secret",
            Fault::Unreachable => "Target does not answer",
            Fault::Refused => "Target refuses",
            Fault::Target => "No such target",
            Fault::Circuit => "Circuit is open",
            Fault::Probe => "Probe cannot be asked",
            Fault::Template | Fault::Request => "Cannot be sent as written",
        };
        let (reason, name) = (said(reason), step.step.base());
        let named = (name.to_owned(), format!("#plan-{}", step.step));
        match repairs
            .iter_mut()
            .find(|repair| repair.word == word && repair.reason == reason)
        {
            Some(repair) if repair.steps.iter().any(|(known, _)| known == name) => {}
            Some(repair) => repair.steps.push(named),
            None => repairs.push(Repair {
                word,
                reason,
                steps: vec![named],
            }),
        }
    }
    repairs
}

impl PlanRow {
    fn of(number: usize, step: &Rehearsed) -> Self {
        let (badge, finding) = told(&step.verdict);
        Self {
            number,
            step: step.step.0.clone(),
            title: said(&step.title),
            kind: said(&kind(step)),
            badge,
            condition: step.condition.as_deref().map(said),
            request: step.request.as_deref().map(said),
            finding: said(&finding),
            undo: step.undo.as_deref().map(said),
            is_broken: matches!(step.verdict, Verdict::Broken { .. }),
            begins_end: false,
        }
    }
}

fn kind(step: &Rehearsed) -> String {
    let mut parts = vec![step.word.clone(), step.step.0.clone()];
    match step.effect {
        Effect::Safe => {}
        Effect::Idempotent => parts.push("changes something; may be repeated".to_owned()),
        Effect::Once => parts.push("changes something; is sent once".to_owned()),
    }
    if let Some(target) = &step.target {
        parts.push(format!("on {target}"));
    }
    if let Some(gate) = &step.gate {
        parts.push(format!("needs the gate {gate}"));
    }
    if let Some(ms) = step.took_ms {
        parts.push(format!("answered in {ms} ms"));
    }
    parts.join(" · ")
}

/// Shape and word of a verdict, and what a person reads below.
fn told(verdict: &Verdict) -> (Badge, String) {
    match verdict {
        Verdict::WouldSend { probe, unseen } => {
            let probe = probe
                .as_ref()
                .map(|probe| format!("Its verify probe says that it is not done: {probe}"));
            let unseen = unseen
                .as_ref()
                .map(|reason| format!("Whether its target answers is not known: {reason}"));
            let told: Vec<String> = probe.into_iter().chain(unseen).collect();
            (Badge::new("running", "play", "Would send"), told.join(". "))
        }
        Verdict::DoneAlready { finding } => (
            Badge::new("done", "check", "Done already"),
            format!("Its verify probe says so, and a run would pass over it: {finding}"),
        ),
        Verdict::Checked { finding, says } => match says {
            Says::Holds => (Badge::new("done", "check", "Holds"), finding.clone()),
            Says::Fails { ends: true, then } => (
                Badge::new("sev2", "triangle", "Does not hold"),
                format!("{finding}; {then}"),
            ),
            Says::Fails { ends: false, then } => (
                Badge::new("sev3", "diamond", "Does not hold"),
                format!("{finding}; {then}"),
            ),
            Says::Early { when } => (
                Badge::new("quiet", "clock", "Not yet"),
                format!("It does not hold now, and a run asks {when}: {finding}"),
            ),
            Says::Unjudged { reason } => (
                Badge::new("quiet", "clock", "Asked"),
                format!("{finding}; what is expected {reason}"),
            ),
        },
        Verdict::WouldAsk => (Badge::new("gate", "person", "Would ask"), String::new()),
        Verdict::WouldWait => (Badge::new("quiet", "clock", "Would wait"), String::new()),
        Verdict::Skipped { reason } => (Badge::new("quiet", "bent", "Would be skipped"), reason.clone()),
        Verdict::CannotKnow { reason } => (
            Badge::new("unknown", "question", "Not known yet"),
            format!("It {reason}"),
        ),
        Verdict::NotLooked { reason } => (Badge::new("unknown", "question", "Not asked"), reason.clone()),
        Verdict::Broken { reason, .. } => (Badge::new("sev1", "cross", "Cannot work"), reason.clone()),
    }
}

/// What a preflight found, in one line.
#[derive(Clone, Debug)]
pub struct PreflightLine {
    /// The whole in one line.
    pub headline: Said,
    /// Whether something has to be put right.
    pub is_broken: bool,
    /// When it was found out; `None` while it is being found out.
    pub at: Option<Ago>,
    /// The whole report.
    pub href: String,
}

impl PreflightLine {
    /// The line, unless there is nothing to say.
    pub fn of(incident: i64, found: &Match, preflight: &Preflight, now: DateTime<Utc>) -> Option<Self> {
        let (headline, is_broken, at) = match preflight {
            Preflight::Pending => ("Finding out which steps can work…".to_owned(), false, None),
            Preflight::Done(report) => (report.headline(), report.is_broken(), Some(ago(report.at, now))),
            Preflight::Missing => return None,
        };
        Some(Self {
            headline: said(&headline),
            is_broken,
            at,
            href: address(&found.slug, IncidentId(incident), found.number),
        })
    }
}

/// Where a version is planned for an incident.
pub fn address(slug: &str, incident: IncidentId, number: i32) -> String {
    let parameters = [
        ("incident", incident.to_string()),
        ("version", number.to_string()),
    ];
    let parameters = parameters.each_ref().map(|(name, value)| (*name, value.as_str()));
    text::with_query(&format!("/runbooks/{slug}/plan"), &parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_several_steps_is_named_once() {
        let step = |id: &str, verdict: serde_json::Value| {
            serde_json::json!({"step": id, "title": id, "word": "call", "finally": false, "effect": "once",
                "gate": null, "target": null, "request": null, "undo": null, "condition": null, "verdict": verdict,
                "took_ms": null})
        };
        let broken = |fault: &str, reason: &str| serde_json::json!({"verdict": "broken", "fault": fault, "reason": reason});
        let missing = broken("secret", "secret env:LB_TOKEN is not set");
        let rehearsal: Rehearsal = serde_json::from_value(serde_json::json!({
            "steps": [
                step("ask", broken("gate", "drain below it cannot be shown")),
                step("drain[0]", missing.clone()), step("drain[1]", missing.clone()), step("back", missing),
                step("look", broken("unreachable", "no answer")),
                step("wait", serde_json::json!({"verdict": "would_wait"})),
            ],
            "obstacles": ["no value for the required input host"], "asked": true, "at": "2026-11-21T03:14:07Z",
            "took_ms": 1,
        }))
        .unwrap();
        let told: Vec<(&str, Vec<String>)> = repairs(&rehearsal)
            .into_iter()
            .map(|repair| {
                (
                    repair.word,
                    repair.steps.into_iter().map(|(name, _)| name).collect(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("A run could not begin", vec![]),
                ("Missing secret", vec!["drain".to_owned(), "back".to_owned()]),
                ("Target does not answer", vec!["look".to_owned()]),
            ]
        );
    }
}
