//! The page that says why each runbook did or did not match an incident.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    format,
    incident::key,
    layout::Frame,
    parts::{At, Said, at, said},
    text,
};
use crate::{
    domain::runbook::{TriggerLine, TriggerReport},
    matching::miss::Miss,
    store::{alerts::MemberAlert, incidents::Incident, matches::Match},
    web::reasons::{ALERTS_MAX, Reasons},
};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/runbooks.html")]
pub struct ReasonsPage {
    /// The frame.
    pub frame: Frame,
    id: i64,
    key: String,
    title: Said,
    alerts: String,
    is_cut: bool,
    matched: Vec<Compared>,
    missed: Vec<Compared>,
    next: Option<String>,
}

/// A runbook, compared.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its page.
    pub href: String,
    /// What it is called.
    pub title: Said,
    /// Number of the version.
    pub number: i32,
    /// When it matched.
    pub matched_at: Option<At>,
    /// The alert that came closest.
    pub alert: Option<Said>,
    /// What there is to say besides the values.
    pub remark: Option<&'static str>,
    /// The line that holds, or came closest.
    pub closest: Option<Line>,
    /// The other lines of its trigger.
    pub others: Vec<Line>,
}

/// One line of a trigger: its matchers and the values they met.
#[derive(Clone, Debug)]
pub struct Line {
    /// Each with the value and whether it holds; no value when there is no such label.
    pub matchers: Vec<(Said, Option<Said>, bool)>,
}

impl Line {
    fn of(line: &TriggerLine) -> Self {
        Self {
            matchers: line
                .matchers
                .iter()
                .map(|matcher| {
                    let actual = (!matcher.actual.is_empty()).then(|| said(&matcher.actual));
                    (said(&matcher.matcher), actual, matcher.holds)
                })
                .collect(),
        }
    }
}

/// The line at a place, and the others.
fn split(report: &TriggerReport, place: Option<usize>) -> (Option<Line>, Vec<Line>) {
    let others = report.lines.iter().enumerate();
    (
        place.and_then(|place| report.lines.get(place)).map(Line::of),
        others
            .filter(|(at, _)| Some(*at) != place)
            .map(|(_, line)| Line::of(line))
            .collect(),
    )
}

impl Compared {
    fn matched(found: &Match, now: DateTime<Utc>) -> Self {
        let (closest, others) = split(&found.report, found.report.matched_line);
        Self {
            href: format!("/runbooks/{}", found.slug),
            title: said(&found.title),
            number: found.number,
            matched_at: Some(at(found.at, now)),
            alert: None,
            remark: None,
            closest,
            others,
        }
    }

    fn missed(miss: &Miss<'_>, members: &[MemberAlert]) -> Self {
        let (closest, others) = split(&miss.report, miss.line);
        let runbook = &miss.version.runbook;
        Self {
            href: format!("/runbooks/{}", runbook.slug),
            title: said(&runbook.title),
            number: miss.version.number,
            matched_at: None,
            alert: miss
                .alert
                .and_then(|alert| members.get(alert))
                .map(|member| said(&member.title)),
            remark: match miss.applies_now() {
                true => Some("It would match now: this version was not there yet when the alert fired."),
                false if runbook.triggers.is_empty() => Some("It has no trigger: only people start it."),
                false if miss.alert.is_none() => Some("There is no alert to compare it with."),
                false => None,
            },
            closest,
            others,
        }
    }
}

impl ReasonsPage {
    /// The page.
    pub fn of(frame: Frame, incident: &Incident, reasons: &Reasons, now: DateTime<Utc>) -> Self {
        let id = incident.id.0;
        let members = &reasons.members;
        Self {
            frame,
            id,
            key: key(id),
            title: said(&incident.title),
            alerts: format::count(members.len() as i64, "alert", "alerts"),
            is_cut: members.len() as i64 >= ALERTS_MAX,
            matched: reasons
                .matched
                .iter()
                .map(|found| Compared::matched(found, now))
                .collect(),
            missed: reasons
                .misses()
                .iter()
                .map(|miss| Compared::missed(miss, members))
                .collect(),
            next: reasons
                .next
                .as_deref()
                .map(|after| text::with_query(&format!("/incidents/{id}/runbooks"), &[("after", after)])),
        }
    }
}
