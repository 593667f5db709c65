//! Who has taken on what in an incident, what they tell each other, and the forms for both.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format,
    incident::{IncidentRecord, key},
    parts::{Ago, Hidden, Said, ago, hidden, said},
};
use crate::domain::{
    duty::Duty,
    event::{Event, IncidentFact, Recorded},
    operator::Operator,
};

/// People offered when a duty is handed over.
const PEOPLE_MAX: usize = 200;
/// Minutes that are offered until the next update.
const MINUTES: [i64; 5] = [10, 15, 30, 60, 120];
/// What is offered first.
const MINUTES_USUAL: i64 = 30;

/// The section.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_team.html")]
pub struct Team {
    id: i64,
    duties: Vec<DutyLine>,
    update: Option<UpdateCard>,
    /// The impact as it stands, for its form.
    impact: String,
    may_act: bool,
    is_open: bool,
    /// Whom a duty can be handed to: number and name.
    people: Vec<(i64, Said)>,
    /// What the next person should know, drafted.
    summary: String,
    minutes: Vec<(i64, String, bool)>,
    seen: i64,
}

impl HtmlSafe for Team {}

/// One duty.
#[derive(Clone, Debug)]
pub struct DutyLine {
    /// Its name in forms.
    pub name: &'static str,
    /// What people call who has it.
    pub word: &'static str,
    /// What taking it is called.
    pub take: &'static str,
    /// Who has it, and since when.
    pub holder: Option<(Said, Ago)>,
    /// Whether that is the reader.
    pub is_mine: bool,
}

/// The newest status update.
#[derive(Clone, Debug)]
pub struct UpdateCard {
    /// Who posted it.
    pub by: Said,
    /// When.
    pub at: Ago,
    /// Its parts: word and text.
    pub parts: Vec<(&'static str, Said)>,
    /// When the next one is due, and whether that has passed.
    pub due: Option<(Ago, bool)>,
}

impl UpdateCard {
    fn of(update: &Recorded, due: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Self> {
        let Event::Incident(IncidentFact::UpdatePosted {
            condition,
            action,
            need,
            ..
        }) = &update.event
        else {
            return None;
        };
        let parts = [("Condition", condition), ("Action", action), ("Need", need)];
        Some(Self {
            by: said(&update.actor.to_string()),
            at: ago(update.recorded_at, now),
            parts: parts
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(word, text)| (word, said(text)))
                .collect(),
            due: due.map(|due| (ago(due, now), due <= now)),
        })
    }
}

impl Team {
    /// The section as this person sees it.
    pub fn of(record: &IncidentRecord, me: &Operator, may_act: bool, now: DateTime<Utc>) -> Self {
        let incident = &record.incident;
        let duties = Duty::ALL.into_iter().map(|duty| {
            let holder = record.duties.iter().find(|holder| holder.duty == duty);
            DutyLine {
                name: duty.name(),
                word: duty.word(),
                take: duty.take(),
                holder: holder.map(|holder| (said(&holder.name), ago(holder.since, now))),
                is_mine: holder.is_some_and(|holder| holder.operator == me.id),
            }
        });
        let brief = &record.brief;
        Self {
            id: incident.id.0,
            duties: duties.collect(),
            update: brief.update.as_ref().and_then(|update| {
                let due = brief.update_due.filter(|_| incident.state.is_open());
                UpdateCard::of(update, due, now)
            }),
            impact: brief.impact.clone(),
            may_act,
            is_open: incident.state.is_open(),
            people: record
                .people
                .iter()
                .filter(|person| person.id != me.id)
                .take(PEOPLE_MAX)
                .map(|person| (person.id.0, said(&person.name)))
                .collect(),
            summary: summary(record),
            minutes: MINUTES
                .into_iter()
                .map(|minutes| {
                    let words = format::length(chrono::TimeDelta::minutes(minutes));
                    (minutes, words, minutes == MINUTES_USUAL)
                })
                .collect(),
            seen: incident.last_seq,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(Some(self.seen))
    }
}

/// What the next person should know, as far as the facts say it; the rest is for who hands over.
pub fn summary(record: &IncidentRecord) -> String {
    let incident = &record.incident;
    let mut lines = vec![format!(
        "{} is {} and {}: {}",
        key(incident.id.0),
        incident.severity,
        incident.state,
        incident.title
    )];
    if !record.brief.impact.is_empty() {
        lines.push(format!("Impact: {}", record.brief.impact));
    }
    let firing = record.members.iter().filter(|member| member.fires()).count();
    if !record.has_failed("alerts") {
        lines.push(match firing {
            0 => "No alert fires.".to_owned(),
            n => format!("{} firing.", format::count(n as i64, "alert", "alerts")),
        });
    }
    for run in record.live_runs() {
        lines.push(format!(
            "Run {} of {} is going.",
            run.run.id, run.version.runbook.title
        ));
    }
    for (approval, given) in &record.approvals {
        let needed = approval.rule.approvals;
        lines.push(format!(
            "Waits for a decision, {given} of {needed}: {}",
            approval.title
        ));
    }
    lines.push("Next: ".to_owned());
    lines.join("\n")
}
