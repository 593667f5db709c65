//! The page of one incident: head, what waits for a decision, what can be done, runs, alerts, timeline. Each section
//! is a template of its own, so that the page and a live patch show the same thing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    actions::Actions,
    alert_rate::Scale,
    alerts::Alerts,
    decisions::Decisions,
    event_row::field_of,
    head::{Head, Stuck},
    layout::Frame,
    lens::Lens,
    parts::{At, Hidden, hidden},
    record::RunRecord,
    runs::Runs,
    services::Services,
    silences::Silences,
    team::Team,
    timeline::{AwayLine, Timeline, TimelineRecord, TimelineSection},
};
use crate::{
    domain::{
        access::may,
        coverage::Tally,
        id::VersionId,
        note::NoteTag,
        operator::Operator,
        permission::Permission,
        taking_back::{Undo, Undoable},
        track::Track,
    },
    store::{
        alerts::MemberAlert, approvals::Approval, briefs::Brief, duties, incidents::Incident, matches::Match,
        merges, preflights::Preflight, reviews::Review, runbooks::Version, runs::RunLine, services::Other,
        silences::Silence,
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
    /// What their past says of them, by name.
    pub tracks: BTreeMap<String, Track>,
    /// How much of these versions drills have covered.
    pub coverages: BTreeMap<VersionId, Tally>,
    /// Requests for a decision that are pending.
    pub approvals: Vec<(Approval, i64)>,
    /// What was opened alone, not yet reviewed first.
    pub reviews: Vec<Review>,
    /// Runs that are shown step by step: those that are going on, or the newest when none is.
    pub runs: Vec<RunRecord>,
    /// The other ones.
    pub past_runs: Vec<RunLine>,
    /// Other open incidents of its services.
    pub others: Vec<Other>,
    /// Who has taken on what.
    pub duties: Vec<duties::Holder>,
    /// What people say of it.
    pub brief: Brief,
    /// Who may take something on.
    pub people: Vec<Operator>,
    /// When its alerts began: the scale, and how many in which stretch of it.
    pub rate: Option<(Scale, Vec<(i64, i64)>)>,
    /// Its timeline as it was asked for; `None` when it could not be read.
    pub timeline: Option<TimelineRecord>,
    /// The parts that could not be read, whose fields are empty.
    pub failed: BTreeSet<&'static str>,
}

impl IncidentRecord {
    /// An incident of which nothing else is known yet.
    pub fn of(incident: Incident) -> Self {
        Self {
            incident,
            merged: Vec::new(),
            below: (0, 0),
            members: Vec::new(),
            alertmanager: None,
            silences: Vec::new(),
            matches: Vec::new(),
            preflights: BTreeMap::new(),
            tracks: BTreeMap::new(),
            coverages: BTreeMap::new(),
            approvals: Vec::new(),
            reviews: Vec::new(),
            runs: Vec::new(),
            past_runs: Vec::new(),
            others: Vec::new(),
            duties: Vec::new(),
            brief: Brief::default(),
            people: Vec::new(),
            rate: None,
            timeline: None,
            failed: BTreeSet::new(),
        }
    }

    /// Runs that are going on.
    pub fn live_runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.iter().filter(|run| run.run.finished_at.is_none())
    }

    /// Whether a part of it could not be read: `decisions`, `runs`, `services`, `alerts`, `silences`, `team` or
    /// `head`.
    pub fn has_failed(&self, part: &str) -> bool {
        self.failed.contains(part)
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
    /// Its newest event.
    pub seen: i64,
    /// Its sections.
    pub sections: Sections,
    /// What happened while the person was away.
    pub away: Option<AwayLine>,
    /// What they have just done and can take back.
    pub undo: Option<UndoLine>,
    /// When what their note tells of happened, as the form has it.
    pub note_at: String,
}

impl IncidentPage {
    fn hidden(&self) -> Hidden {
        hidden(Some(self.seen))
    }

    fn tags(&self) -> [NoteTag; NoteTag::ALL.len()] {
        NoteTag::ALL
    }
}

/// The moment of a note as an address has it, when it is one.
pub fn note_at(at: &str) -> String {
    let moment = chrono::NaiveDateTime::parse_from_str(at, "%Y-%m-%dT%H:%M:%S");
    moment.map_or_else(|_| String::new(), |moment| field_of(moment.and_utc()))
}

/// The place of the section whose forms are refused when something bears on them that the person was not shown.
pub const ACTIONS: &str = "actions";

/// What a person has just done and can take back.
#[derive(Clone, Debug)]
pub struct UndoLine {
    /// The event that holds it.
    pub seq: i64,
    /// `You acknowledged it.`
    pub words: String,
}

impl From<Undoable> for UndoLine {
    fn from(undoable: Undoable) -> Self {
        Self {
            seq: undoable.seq,
            words: match undoable.undo {
                Undo::Acknowledgement => "You have it now: acknowledged.".to_owned(),
                Undo::Severity { back_to } => format!("You changed the severity; it was {back_to}."),
                Undo::Pin { .. } => "Pinned.".to_owned(),
                Undo::Unpin { .. } => "No longer pinned.".to_owned(),
            },
        }
    }
}

/// A section, or that it could not be read: then the others stand all the same.
#[derive(Clone, Debug)]
pub enum Part<T> {
    /// The section.
    Here(T),
    /// Its heading, and what it would show.
    Failed(Fault),
}

/// What stands in the place of a section that could not be read.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<h2>{{ heading }}</h2><p class="fault">{{ crate::web::view::parts::icon("triangle") }}Could not load {{ what }}. <a href="">Retry</a></p>"#
)]
pub struct Fault {
    heading: &'static str,
    what: &'static str,
}

impl<T: fmt::Display> Part<T> {
    /// The section's HTML, when it could be read.
    fn here(&self) -> Option<String> {
        match self {
            Self::Here(section) => Some(section.to_string()),
            Self::Failed(_) => None,
        }
    }
}

/// What an open page says above a section that could not be read anew: how old it is.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"{{ crate::web::view::parts::icon("triangle") }}<span data-say>Could not refresh this: from {{ from }}.</span>"#
)]
pub struct AgePart {
    /// When it was read.
    pub from: At,
}

impl<T: fmt::Display> fmt::Display for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(section) => section.fmt(f),
            Self::Failed(fault) => fault.fmt(f),
        }
    }
}

impl<T: HtmlSafe> HtmlSafe for Part<T> {}

/// The sections that live updates replace.
#[derive(Clone, Debug)]
pub struct Sections {
    /// Head.
    pub head: Head,
    /// The same in two lines.
    pub stuck: Stuck,
    /// What waits for a decision.
    pub decisions: Part<Decisions>,
    /// What can be done.
    pub actions: Actions,
    /// Runbooks and runs.
    pub runs: Part<Runs>,
    /// Services.
    pub services: Part<Services>,
    /// Who does what, and what they tell each other.
    pub team: Part<Team>,
    /// Alerts.
    pub alerts: Part<Alerts>,
    /// Silences.
    pub silences: Part<Silences>,
    /// The timeline.
    pub timeline: Part<TimelineSection>,
}

impl Sections {
    /// The sections as this person sees them.
    pub fn of(record: &IncidentRecord, lens: &Lens, me: &Operator, now: DateTime<Utc>) -> Self {
        let may_act = may(me, Permission::Respond).is_ok();
        let incident = &record.incident;
        let timeline = record
            .timeline
            .as_ref()
            .map(|read| Timeline::of(incident.id, lens, read, may_act, now));
        Self {
            head: Head::of(record, may_act, now),
            stuck: Stuck::of(record, now),
            decisions: part(
                record,
                "decisions",
                ("Decisions", "what waits for a decision"),
                || Decisions::of(record, me, now),
            ),
            actions: Actions::of(record, may_act),
            runs: part(record, "runs", ("Runbooks", "the runbooks and runs"), || {
                Runs::of(record, me, now)
            }),
            services: part(record, "services", ("Services", "the services"), || {
                Services::of(record, now)
            }),
            team: part(record, "team", ("Team", "who does what"), || {
                Team::of(record, me, may_act, now)
            }),
            alerts: part(record, "alerts", ("Alerts", "the alerts"), || {
                let truncated = incident.truncated_alerts;
                Alerts::of(incident.id.0, &record.members, truncated, may_act, now)
            }),
            silences: part(record, "silences", ("Silences", "the silences"), || {
                Silences::of(record, me, now)
            }),
            timeline: match timeline {
                Some(timeline) => Part::Here(TimelineSection { timeline }),
                None => Part::Failed(Fault {
                    heading: "Events",
                    what: "the timeline",
                }),
            },
        }
    }

    /// Each section's place on the page and its HTML, the timeline's rows apart; without HTML where it could not be read,
    /// so that an open page keeps what it has.
    pub fn rendered(&self) -> Result<Vec<(&'static str, Option<String>)>, askama::Error> {
        Ok(vec![
            ("head", Some(self.head.render()?)),
            ("stuck", Some(self.stuck.render()?)),
            ("decisions", self.decisions.here()),
            (ACTIONS, Some(self.actions.render()?)),
            ("runs", self.runs.here()),
            ("services", self.services.here()),
            ("team", self.team.here()),
            ("alerts", self.alerts.here()),
            ("silences", self.silences.here()),
        ])
    }
}

fn part<T>(
    record: &IncidentRecord,
    name: &str,
    (heading, what): (&'static str, &'static str),
    here: impl FnOnce() -> T,
) -> Part<T> {
    match record.has_failed(name) {
        true => Part::Failed(Fault { heading, what }),
        false => Part::Here(here()),
    }
}

/// `INC-204`
pub fn key(id: i64) -> String {
    format!("INC-{id}")
}
