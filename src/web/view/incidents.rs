//! The list of incidents, and what needs this person.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    boots::AwayBanner,
    bulk::Result,
    drill::{going_on::GoingOnPart, length, mark},
    format,
    incident::key,
    layout::Frame,
    parts::{Ago, Badge, Hidden, Said, ago, hidden, said},
    search::{Asked, Filters, SearchBox, counted},
};
use crate::{
    domain::{
        access,
        approval::may_decide,
        id::{IncidentId, StepId},
        operator::{Operator, Role},
        permission::Permission,
        search::Trait,
        titles::Titles,
    },
    store::{
        approvals::ApprovalLine,
        incident_list::{Glance, Line},
        playing::Offer,
        runs::Awaiting,
    },
};

/// Rows on a page.
pub const ROWS_MAX: usize = 50;
/// Incidents that one act on all that match is done to.
pub const BULK_MAX: i64 = 500;

/// A scenario to begin with.
#[derive(Clone, Debug)]
pub struct OfferPart {
    slug: String,
    title: Said,
    takes: String,
}

impl OfferPart {
    /// In words.
    pub fn of(offer: Offer) -> Self {
        Self {
            title: said(&offer.title),
            takes: length(offer.length),
            slug: offer.slug,
        }
    }
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/list.html")]
pub struct ListPage {
    /// The frame.
    pub frame: Frame,
    /// Drills that this person plays in or leads.
    pub drills: Option<GoingOnPart>,
    /// A scenario to begin with, where nobody has rehearsed yet.
    pub offer: Option<OfferPart>,
    /// That Muster was away not long ago.
    pub away: Option<AwayBanner>,
    /// What needs this person.
    pub needs: Needs,
    /// What became of an act on many incidents.
    pub result: Option<Result>,
    /// What is looked for.
    pub search: SearchBox,
    /// What else could be.
    pub filters: Filters,
    /// The rows, unless they could not be read.
    pub list: Option<List>,
    /// The same page once more.
    pub here: String,
    /// The one that stands for those that are shown.
    pub under: Option<i64>,
    /// Whether this person works on incidents.
    pub may_act: bool,
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
    /// `DRILL-17`, where it is part of one.
    pub drill: Option<Badge>,
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
    pub fn of(
        approvals: &[ApprovalLine],
        waiting: &[Awaiting],
        titles: &Titles,
        me: &Operator,
        now: DateTime<Utc>,
    ) -> Self {
        let gates = approvals
            .iter()
            .filter(|line| may_decide(&line.rule, me, line.requester).is_ok())
            .map(|line| Need {
                badge: Badge::new("gate", "lock", "Decide"),
                drill: line.drill.map(mark),
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
                drill: line.drill.map(mark),
                href: format!("/incidents/{}#ask-{}-{}", line.incident, line.run, line.step),
                title: said(
                    &titles
                        .name(line.run, &StepId(line.step.clone()))
                        .unwrap_or_else(|| line.step.clone()),
                ),
                incident: key(line.incident.0),
                when: ago(line.since, now),
                word: "since",
            });
        Self {
            items: gates.chain(steps).collect(),
        }
    }
}

/// Whether somebody works on incidents, so that the list offers acts on many of them.
pub fn may_act(me: &Operator) -> bool {
    access::may(me, Permission::Respond).is_ok()
}

/// The rows, or why there are none.
#[derive(Clone, Debug, Template)]
#[template(path = "incidents/_rows.html")]
pub struct List {
    rows: Vec<Row>,
    older: Option<String>,
    newest: Option<String>,
    empty: Option<Empty>,
    bulk: Option<Bulk>,
}

impl HtmlSafe for List {}

/// What can be done with many incidents at once.
#[derive(Clone, Debug)]
struct Bulk {
    op: Hidden,
    /// The query, for those that match and are not on this page.
    query: String,
    under: Option<i64>,
    /// `All 214 that match`
    all: String,
}

/// Why there is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Empty {
    /// There never was an incident.
    Never,
    /// None is open: what was last, and whether alerts arrive at all, one sentence each.
    NoneOpen(Vec<String>),
    /// The filter leaves none.
    Filtered,
    /// None is folded under that one.
    NoneBelow,
}

/// One incident.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// `INC-204`
    pub key: String,
    /// Whether it is practice.
    pub is_drill: bool,
    /// How bad.
    pub severity: Badge,
    /// How it stands.
    pub state: Badge,
    /// What it is called.
    pub title: Said,
    /// What is broken.
    pub service: Option<Said>,
    /// Who has it.
    pub owner: Option<Said>,
    /// Who commands it, which says more.
    pub commander: Option<Said>,
    /// Whether somebody should take it.
    pub is_nobodys: bool,
    /// When it was opened.
    pub opened: Ago,
    /// How long it took, once it is over.
    pub took: Option<String>,
    /// What runs: `Failover v12 · step 4/9`
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
    /// The one it is folded under, where it is listed all the same.
    pub above: Option<i64>,
    /// Whether it is ticked: an act was not done to it.
    pub is_ticked: bool,
}

/// What the list is made of besides its rows.
#[derive(Clone, Debug, Default)]
pub struct Around<'a> {
    /// Why there is no row.
    pub empty: Option<Empty>,
    /// How many match, and whether there are more than were counted; `None` when they were not counted in time.
    pub total: Option<(i64, bool)>,
    /// Those that are ticked.
    pub ticked: &'a [IncidentId],
    /// Whether this person may act on them.
    pub may_act: bool,
}

impl List {
    /// The rows from one more line than is shown.
    pub fn of(lines: &[Line], asked: &Asked, around: &Around<'_>, now: DateTime<Utc>) -> Self {
        let shown = &lines[..lines.len().min(ROWS_MAX)];
        let rows = shown.iter().map(|line| Row::of(line, asked, around.ticked, now));
        Self {
            rows: rows.collect(),
            older: shown
                .last()
                .filter(|_| lines.len() > ROWS_MAX)
                .map(|last| asked.address_before(Some(last.id.0))),
            newest: asked.before.map(|_| asked.address()),
            empty: around.empty.clone().filter(|_| lines.is_empty()),
            bulk: around.may_act.then(|| Bulk {
                op: hidden(None),
                query: asked.text.clone(),
                under: asked.under.map(|id| id.0),
                all: match around.total {
                    Some((n, false)) if n <= BULK_MAX => format!("All {} that match", format::grouped(n)),
                    Some((n, is_cut)) => format!("The newest {BULK_MAX} of {}", counted(n, is_cut)),
                    None => format!("All that match, the newest {BULK_MAX} at most"),
                },
            }),
        }
    }
}

impl Row {
    fn of(line: &Line, asked: &Asked, ticked: &[IncidentId], now: DateTime<Utc>) -> Self {
        Self {
            id: line.id.0,
            key: key(line.id.0),
            is_drill: asked.search.filter().asks(Trait::Drill) == Some(true),
            severity: line.severity.into(),
            state: line.state.into(),
            title: said(&line.title),
            service: line.service.as_deref().map(said),
            owner: line.owner.as_deref().map(said),
            commander: line.commander.as_deref().map(said),
            is_nobodys: line.owner.is_none() && line.state.is_open(),
            opened: ago(line.opened_at, now),
            took: line.resolved_at.map(|end| format::length(end - line.opened_at)),
            running: line.run.as_ref().map(|run| said(&glance(run))),
            waiting: (line.pending > 0)
                .then(|| format::count(line.pending, "decision waits", "decisions wait")),
            firing: (line.firing > 0).then(|| firing(line.firing, line.fresh)),
            stale: (line.stale > 0).then(|| {
                let alerts = format::count(line.stale, "alert", "alerts");
                format!("no news of {alerts}: still firing?")
            }),
            source: said(&line.source),
            below: (line.below > 0).then(|| {
                let state = if asked.is_open_only() { "" } else { "&state=all" };
                (
                    format!("and {} below it", format::grouped(line.below)),
                    format!("/incidents?under={}{state}", line.id),
                )
            }),
            above: line.folded_under.filter(|_| asked.under.is_none()).map(|id| id.0),
            is_ticked: ticked.contains(&line.id),
        }
    }
}

/// `Failover v12 · step 4/9`
fn glance(run: &Glance) -> String {
    let step = match run.step {
        Some(step) => format!(" · step {step}/{}", run.steps),
        None => String::new(),
    };
    format!("{} v{}{step}", run.title, run.version)
}

/// `12 alerts (3 new)`: new are those that began after somebody took the incident.
fn firing(firing: i64, fresh: i64) -> String {
    let alerts = format::count(firing, "alert fires", "alerts fire");
    match fresh {
        0 => alerts,
        fresh => format!("{alerts} ({fresh} new)"),
    }
}
