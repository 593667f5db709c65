//! The page of one incident: head, what waits for a decision, what can be done, runs, alerts, timeline. Each section
//! is a template of its own, so that the page and a live patch show the same thing.

use std::collections::{BTreeMap, BTreeSet};

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    alerts::Alerts,
    approval::who,
    ask::AskCard,
    format,
    layout::Frame,
    parts::{Ago, Badge, Hidden, Said, ago, hidden, said},
    record::{RunLog, RunRecord},
    review::ReviewCard,
    runs::Runs,
    silences::Silences,
    timeline::{Moment, Timeline, moment},
};
use crate::{
    domain::{
        approval::may_decide,
        id::VersionId,
        incident::{IncidentState, Severity},
        operator::{Operator, Role},
    },
    store::{
        alerts::MemberAlert, approvals::Approval, incidents::Incident, matches::Match, merges,
        preflights::Preflight, reviews::Review, runbooks::Version, runs::RunLine, silences::Silence,
    },
};

/// Everything known of an incident at one moment.
#[derive(Clone, Debug)]
pub struct IncidentRecord {
    /// The incident.
    pub incident: Incident,
    /// The incidents merged into it.
    pub merged: Vec<merges::Line>,
    /// Incidents folded under it, and how many of them are open.
    pub below: (i64, i64),
    /// Its alerts.
    pub members: Vec<MemberAlert>,
    /// The Alertmanager of its source.
    pub alertmanager: Option<String>,
    /// Silences that people asked for, the newest first.
    pub silences: Vec<Silence>,
    /// The runbooks that matched, each with its version.
    pub matches: Vec<(Match, Option<Version>)>,
    /// What these runbooks could do when they matched.
    pub preflights: BTreeMap<VersionId, Preflight>,
    /// Requests for a decision that are pending.
    pub approvals: Vec<(Approval, i64)>,
    /// What was opened alone, not yet reviewed first.
    pub reviews: Vec<Review>,
    /// Runs that are shown step by step: those that are going on, or the newest when none is.
    pub runs: Vec<RunRecord>,
    /// The other ones.
    pub past_runs: Vec<RunLine>,
}

impl IncidentRecord {
    /// Runs that are going on.
    pub fn live_runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.iter().filter(|run| run.run.finished_at.is_none())
    }
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/show.html")]
pub struct IncidentPage {
    /// The frame.
    pub frame: Frame,
    /// Number of the incident.
    pub id: i64,
    /// Its sections.
    pub sections: Sections,
    /// Hidden fields of the note form.
    pub note: Hidden,
}

/// The sections that live updates replace.
#[derive(Clone, Debug)]
pub struct Sections {
    /// Head.
    pub head: Head,
    /// What waits for a decision.
    pub decisions: Decisions,
    /// What can be done.
    pub actions: Actions,
    /// Runbooks and runs.
    pub runs: Runs,
    /// Alerts.
    pub alerts: Alerts,
    /// Silences.
    pub silences: Silences,
    /// The timeline.
    pub timeline: TimelineSection,
}

impl Sections {
    /// The sections as this person sees them.
    pub fn of(record: &IncidentRecord, timeline: Timeline, me: &Operator, now: DateTime<Utc>) -> Self {
        Self {
            head: Head::of(record, now),
            decisions: Decisions::of(record, me, now),
            actions: Actions::of(record, me),
            runs: Runs::of(record, me, now),
            alerts: Alerts::of(
                record.incident.id.0,
                &record.members,
                record.incident.truncated_alerts,
                me.role >= Role::Responder,
                now,
            ),
            silences: Silences::of(record, me, now),
            timeline: TimelineSection { timeline },
        }
    }

    /// Each section's place on the page and its HTML, the timeline's rows apart.
    pub fn rendered(&self) -> Result<Vec<(&'static str, String)>, askama::Error> {
        Ok(vec![
            ("head", self.head.render()?),
            ("decisions", self.decisions.render()?),
            ("actions", self.actions.render()?),
            ("runs", self.runs.render()?),
            ("alerts", self.alerts.render()?),
            ("silences", self.silences.render()?),
        ])
    }
}

/// `INC-204`
pub fn key(id: i64) -> String {
    format!("INC-{id}")
}

/// What is wrong, how bad, who has it.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_head.html")]
pub struct Head {
    key: String,
    severity: Badge,
    state: Badge,
    title: Said,
    /// `Opened 4 min ago`, `Acknowledged by Ana 3 min ago` …
    moments: Vec<Moment>,
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
    id: i64,
}

impl HtmlSafe for Head {}

impl Head {
    fn of(record: &IncidentRecord, now: DateTime<Utc>) -> Self {
        let incident = &record.incident;
        let mut moments = vec![moment("Opened", None, incident.opened_at, now)];
        if incident.opened_at - incident.detected_at > TimeDelta::seconds(5) {
            moments.insert(0, moment("Began", None, incident.detected_at, now));
        }
        if let Some(at) = incident.acknowledged_at {
            let who = incident.acknowledged_by.as_deref();
            moments.push(moment("Acknowledged", who, at, now));
        }
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
            key: key(incident.id.0),
            severity: incident.severity.into(),
            state: incident.state.into(),
            title: said(&incident.title),
            moments,
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
            id: incident.id.0,
            lives_in: incident
                .lives_in
                .filter(|_| incident.lives_in != incident.merged_into),
            merged: record
                .merged
                .iter()
                .map(|line| (line.id.0, said(&line.title)))
                .collect(),
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

/// What waits for a person.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_decisions.html")]
pub struct Decisions {
    gates: Vec<GateCard>,
    asks: Vec<AskCard>,
    reviews: Vec<ReviewCard>,
    may_act: bool,
    is_approver: bool,
    is_open: bool,
}

impl HtmlSafe for Decisions {}

/// A gate that waits.
#[derive(Clone, Debug)]
pub struct GateCard {
    /// Its page.
    pub href: String,
    /// What is asked.
    pub title: Said,
    /// What people will notice.
    pub impact: Said,
    /// What it acts on.
    pub targets: Vec<Said>,
    /// `1 of 2`
    pub given: String,
    /// Who is asked.
    pub who: String,
    /// When it lapses.
    pub decide_by: Ago,
    /// Why this person may not decide.
    pub refusal: Option<String>,
}

impl Decisions {
    fn of(record: &IncidentRecord, me: &Operator, now: DateTime<Utc>) -> Self {
        let gates = record
            .approvals
            .iter()
            .map(|(approval, given)| {
                let targets: BTreeSet<&str> = approval
                    .bound
                    .steps
                    .iter()
                    .filter(|step| step.changes)
                    .map(|step| step.request.target.as_str())
                    .collect();
                GateCard {
                    href: format!("/approvals/{}", approval.id),
                    title: said(&approval.title),
                    impact: said(&approval.impact),
                    targets: targets.into_iter().map(said).collect(),
                    given: format!("{given} of {}", approval.rule.approvals),
                    who: who(&approval.rule),
                    decide_by: ago(approval.decide_by, now),
                    refusal: may_decide(&approval.rule, me, approval.requester)
                        .err()
                        .map(|refusal| refusal.to_string()),
                }
            })
            .collect();
        let asks = record
            .live_runs()
            .flat_map(|run| AskCard::of(&RunLog::of(run, now), ""))
            .collect();
        Self {
            gates,
            asks,
            reviews: record
                .reviews
                .iter()
                .map(|review| ReviewCard::of(review, me, "incident", now))
                .collect(),
            may_act: me.role >= Role::Responder,
            is_approver: me.role >= Role::Approver,
            is_open: record.incident.state.is_open(),
        }
    }
}

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
    /// Why it should not be resolved yet.
    warnings: Vec<String>,
    /// Why it cannot be resolved yet.
    blocked: Option<String>,
    /// The other severities.
    severities: Vec<(i16, String)>,
    seen: i64,
}

impl HtmlSafe for Actions {}

impl Actions {
    fn of(record: &IncidentRecord, me: &Operator) -> Self {
        let incident = &record.incident;
        let state = incident.state;
        let firing = record.members.iter().filter(|member| member.fires()).count();
        let mut warnings = Vec::new();
        if firing > 0 {
            warnings.push(match firing {
                1 => "1 alert still fires".to_owned(),
                n => format!("{n} alerts still fire"),
            });
        }
        if incident.truncated_alerts > 0 {
            warnings.push(format!(
                "the sender left {} out of its list",
                format::count(i64::from(incident.truncated_alerts), "alert", "alerts")
            ));
        }
        Self {
            id: incident.id.0,
            may_act: me.role >= Role::Responder,
            may_acknowledge: state == IncidentState::Triggered,
            may_mitigate: matches!(state, IncidentState::Triggered | IncidentState::Acknowledged),
            may_resolve: state.is_open(),
            may_close: state == IncidentState::Resolved,
            may_unmerge: incident.lives_in,
            unfold: match (incident.folded_under, record.below.0) {
                (Some(parent), _) => Some(format!("Unfold it from INC-{parent}")),
                (None, 1..) => Some(format!("Unfold the {} below it", format::grouped(record.below.0))),
                _ => None,
            },
            may_fold: state.is_open() && incident.folded_under.is_none(),
            warnings,
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

/// The timeline with its chips.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_timeline.html")]
pub struct TimelineSection {
    /// What it shows.
    pub timeline: Timeline,
}

impl HtmlSafe for TimelineSection {}
