//! The head of an incident's page: what is wrong, how bad, whom it hits, who has it, since when.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    alert_rate,
    chart::Bars,
    format,
    incident::{IncidentRecord, key},
    parts::{Ago, Badge, Said, ago, said},
    timeline::{Moment, moment},
};
use crate::domain::duty::Duty;

/// The head.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_head.html")]
pub struct Head {
    id: i64,
    key: String,
    severity: Badge,
    state: Badge,
    title: Said,
    /// What it does to people; empty when nobody said.
    impact: Said,
    may_act: bool,
    is_open: bool,
    /// Who commands.
    commander: Option<Said>,
    /// When the next status update is due, and whether that has passed.
    due: Option<(Ago, bool)>,
    /// `Opened 4 min ago`, `Mitigated 3 min ago` …
    moments: Vec<Moment>,
    acknowledged: Option<(Moment, String)>,
    source: Said,
    receiver: Said,
    recovering: Option<Ago>,
    reopened: Option<String>,
    /// How often it came back while it flaps, and when it is calm.
    flapping: Option<(String, Ago)>,
    recurrence: Option<i64>,
    merged_into: Option<i64>,
    /// Where its alerts are, when that is not what it was merged into.
    lives_in: Option<i64>,
    /// The incidents merged into it: number and title.
    merged: Vec<(i64, Said)>,
    folded_under: Option<i64>,
    /// `Stands for 1,234 incidents, 1,200 open`
    below: Option<String>,
    rate: Option<Bars>,
    /// Whether a part of it could not be read.
    is_partial: bool,
}

impl HtmlSafe for Head {}

/// The same in two lines, for whoever has scrolled down.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_stuck.html")]
pub struct Stuck {
    severity: Badge,
    state: Badge,
    title: Said,
    key: String,
    opened: Ago,
    /// Who has it: the commander, or who acknowledged it.
    who: Option<Said>,
    is_open: bool,
    due: Option<(Ago, bool)>,
}

impl HtmlSafe for Stuck {}

fn commander(record: &IncidentRecord) -> Option<&str> {
    let holder = record.duties.iter().find(|holder| holder.duty == Duty::Commander);
    holder.map(|holder| holder.name.as_str())
}

fn due(record: &IncidentRecord, now: DateTime<Utc>) -> Option<(Ago, bool)> {
    let due = record.brief.update_due?;
    record
        .incident
        .state
        .is_open()
        .then(|| (ago(due, now), due <= now))
}

impl Stuck {
    /// The two lines.
    pub fn of(record: &IncidentRecord, now: DateTime<Utc>) -> Self {
        let incident = &record.incident;
        Self {
            severity: incident.severity.into(),
            state: incident.state.into(),
            title: said(&incident.title),
            key: key(incident.id.0),
            opened: ago(incident.opened_at, now),
            who: commander(record)
                .or(incident.acknowledged_by.as_deref())
                .map(said),
            is_open: incident.state.is_open(),
            due: due(record, now),
        }
    }
}

impl Head {
    /// The head of what is known.
    pub fn of(record: &IncidentRecord, may_act: bool, now: DateTime<Utc>) -> Self {
        let incident = &record.incident;
        let mut moments = vec![moment("Opened", None, incident.opened_at, now)];
        if incident.opened_at - incident.detected_at > TimeDelta::seconds(5) {
            moments.insert(0, moment("Began", None, incident.detected_at, now));
        }
        let acknowledged = incident.acknowledged_at.map(|at| {
            let who = incident.acknowledged_by.as_deref();
            let after = format::length(at - incident.opened_at);
            (moment("Acknowledged", who, at, now), after)
        });
        for (words, at) in [
            ("Mitigated", incident.mitigated_at),
            ("Resolved", incident.resolved_at),
            ("Closed", incident.closed_at),
        ] {
            if let Some(at) = at {
                moments.push(moment(words, None, at, now));
            }
        }
        let times = |n: i32| format::count(i64::from(n), "time", "times");
        Self {
            id: incident.id.0,
            key: key(incident.id.0),
            severity: incident.severity.into(),
            state: incident.state.into(),
            title: said(&incident.title),
            impact: said(&record.brief.impact),
            may_act,
            is_open: incident.state.is_open(),
            commander: commander(record).map(said),
            due: due(record, now),
            moments,
            acknowledged,
            source: said(&incident.source),
            receiver: said(&incident.receiver),
            recovering: incident
                .recover_due
                .filter(|_| incident.state.is_open())
                .map(|due| ago(due, now)),
            reopened: (incident.reopened > 0).then(|| times(incident.reopened)),
            flapping: incident
                .calm_due
                .map(|calm| (flapping(&incident.came_back, now), ago(calm, now))),
            recurrence: incident.recurrence_of,
            merged_into: incident.merged_into,
            folded_under: incident.folded_under,
            below: (record.below.0 > 0).then(|| {
                let noun = if record.below.0 == 1 {
                    "incident"
                } else {
                    "incidents"
                };
                format!(
                    "Stands for {} {noun}, {} open",
                    format::grouped(record.below.0),
                    format::grouped(record.below.1)
                )
            }),
            lives_in: incident
                .lives_in
                .filter(|_| incident.lives_in != incident.merged_into),
            merged: record
                .merged
                .iter()
                .map(|line| (line.id.0, said(&line.title)))
                .collect(),
            rate: record
                .rate
                .as_ref()
                .and_then(|(scale, counted)| alert_rate::chart(incident, scale, counted)),
            is_partial: record.has_failed("head") || record.has_failed("team"),
        }
    }
}

/// `came back 6 times in 42 min`
fn flapping(came_back: &[DateTime<Utc>], now: DateTime<Utc>) -> String {
    let times = format::count(came_back.len() as i64, "time", "times");
    match came_back.iter().min() {
        Some(first) => format!("came back {times} in {}", format::length(now - *first)),
        None => "its group came back too often".to_owned(),
    }
}
