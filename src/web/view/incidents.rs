//! The list of incidents, and what needs this person.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    boots::AwayBanner,
    format,
    incident::key,
    layout::Frame,
    parts::{Ago, Badge, Said, ago, said},
};
use crate::{
    domain::{
        approval::may_decide,
        id::IncidentId,
        operator::{Operator, Role},
    },
    store::{approvals::ApprovalLine, incidents::IncidentLine, runs::Awaiting},
};

/// Rows on a page.
pub const ROWS_MAX: usize = 50;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/list.html")]
pub struct ListPage {
    /// The frame.
    pub frame: Frame,
    /// That Muster was away not long ago.
    pub away: Option<AwayBanner>,
    /// What needs this person.
    pub needs: Needs,
    /// The rows.
    pub list: List,
    /// Whether incidents that are over are shown too.
    pub all: bool,
    /// The one that stands for those that are shown.
    pub under: Option<i64>,
}

/// What needs this person.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/_needs.html")]
pub struct Needs {
    items: Vec<Need>,
}

impl HtmlSafe for Needs {}

/// One thing that needs this person.
#[derive(Clone, Debug)]
pub struct Need {
    /// What kind of thing.
    pub badge: Badge,
    /// Where it is done.
    pub href: String,
    /// What is asked.
    pub title: Said,
    /// Of which incident.
    pub incident: String,
    /// Since or until when.
    pub when: Ago,
    /// `since` or `lapses`
    pub word: &'static str,
}

impl Needs {
    /// Gates this person may decide, soonest to lapse first; then steps that wait for any responder.
    pub fn of(approvals: &[ApprovalLine], waiting: &[Awaiting], me: &Operator, now: DateTime<Utc>) -> Self {
        let gates = approvals
            .iter()
            .filter(|line| may_decide(&line.rule, me, line.requester).is_ok())
            .map(|line| Need {
                badge: Badge::new("gate", "lock", "Decide"),
                href: format!("/approvals/{}", line.id),
                title: said(&line.title),
                incident: key(line.incident.0),
                when: ago(line.decide_by, now),
                word: "lapses",
            });
        let steps = waiting
            .iter()
            .filter(|_| me.role >= Role::Responder)
            .map(|line| Need {
                badge: match line.unknown {
                    true => Badge::new("unknown", "question", "Outcome unknown"),
                    false => Badge::new("gate", "person", "By hand"),
                },
                href: format!("/incidents/{}#ask-{}-{}", line.incident, line.run, line.step),
                title: said(&line.step),
                incident: key(line.incident.0),
                when: ago(line.since, now),
                word: "since",
            });
        Self {
            items: gates.chain(steps).collect(),
        }
    }
}

/// The rows, or why there are none.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/_rows.html")]
pub struct List {
    rows: Vec<Row>,
    older: Option<String>,
    newest: Option<String>,
    empty: Vec<String>,
    all: bool,
}

impl HtmlSafe for List {}

/// One incident.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// `INC-204`
    pub key: String,
    /// How bad.
    pub severity: Badge,
    /// How it stands.
    pub state: Badge,
    /// What it is called.
    pub title: Said,
    /// Who has it.
    pub owner: Option<Said>,
    /// When it was opened.
    pub opened: Ago,
    /// How long it took, once it is over.
    pub took: Option<String>,
    /// What runs.
    pub running: Option<Said>,
    /// How many decisions wait.
    pub waiting: Option<String>,
    /// How many alerts fire.
    pub firing: Option<String>,
    /// How many of them nobody spoke of for too long.
    pub stale: Option<String>,
    /// Where it came from.
    pub source: Said,
    /// How many are folded under it, and where they are listed.
    pub below: Option<(String, String)>,
}

impl List {
    /// The rows from one more line than is shown. `empty` are the sentences shown when there is none.
    pub fn of(
        lines: &[IncidentLine],
        all: bool,
        under: Option<IncidentId>,
        before: Option<i64>,
        empty: Vec<String>,
        now: DateTime<Utc>,
    ) -> Self {
        let mut base = if all { "/incidents?state=all" } else { "/incidents" }.to_owned();
        if let Some(parent) = under {
            let join = if all { '&' } else { '?' };
            base = format!("{base}{join}under={parent}");
        }
        let rows: Vec<Row> = lines
            .iter()
            .take(ROWS_MAX)
            .map(|line| Row::of(line, all, now))
            .collect();
        let join = if base.contains('?') { "&" } else { "?" };
        Self {
            older: (lines.len() > ROWS_MAX).then(|| {
                let last = rows.last().map_or(0, |row| row.id);
                format!("{base}{join}before={last}")
            }),
            newest: before.map(|_| base.clone()),
            rows,
            empty,
            all,
        }
    }
}

impl Row {
    fn of(line: &IncidentLine, all: bool, now: DateTime<Utc>) -> Self {
        let incident = &line.incident;
        Self {
            id: incident.id.0,
            key: key(incident.id.0),
            severity: incident.severity.into(),
            state: incident.state.into(),
            title: said(&incident.title),
            owner: incident.acknowledged_by.as_deref().map(said),
            opened: ago(incident.opened_at, now),
            took: incident
                .resolved_at
                .map(|end| format::length(end - incident.opened_at)),
            running: line.running.as_deref().map(said),
            waiting: (line.pending_approvals > 0)
                .then(|| format::count(line.pending_approvals, "decision waits", "decisions wait")),
            firing: (line.firing > 0).then(|| format::count(line.firing, "alert fires", "alerts fire")),
            stale: (line.stale > 0).then(|| {
                let alerts = format::count(line.stale, "alert", "alerts");
                format!("no news of {alerts}: still firing?")
            }),
            source: said(&incident.source),
            below: (line.below > 0).then(|| {
                let state = if all { "&state=all" } else { "" };
                (
                    format!("and {} below it", format::grouped(line.below)),
                    format!("/incidents?under={}{state}", incident.id),
                )
            }),
        }
    }
}
