//! Action items: those of an incident, of a drill, or all of them; each with what closes it, and the form for a new one.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, NaiveDate, Utc};

use super::{
    incident::key,
    layout::Frame,
    parts::{Ago, Badge, Hidden, Said, ago, hidden, said},
};
use crate::{
    domain::{
        action_item::{ItemState, TEXT_CHARS_MAX},
        drill::name,
        id::{IncidentId, OperatorId},
        operator::Operator,
    },
    store::action_items::{ActionItem, Origin},
};

/// People offered as owners.
const OWNERS_MAX: usize = 200;

/// One item.
#[derive(Clone, Debug)]
pub struct ItemRow {
    id: i64,
    text: Said,
    badge: Badge,
    owner: Said,
    /// Until when, and whether that is over.
    due: Option<(String, bool)>,
    /// What it comes from: address and name.
    origin: (String, String),
    /// The incident that must pass: its name, and the scenario that plays it.
    proof: Option<(String, String)>,
    /// The drill that proved it: address and name.
    proven: Option<(String, String)>,
    made: (Said, Ago),
    closed: Option<(Said, Ago)>,
    remark: Said,
    hidden: Hidden,
    is_open: bool,
}

impl ItemRow {
    /// The row of an item.
    pub fn of(item: &ActionItem, now: DateTime<Utc>) -> Self {
        let is_open = item.state == ItemState::Open;
        let score = |drill| (format!("/drills/{drill}/score"), name(drill));
        Self {
            id: item.id.0,
            text: said(&item.text),
            badge: match item.state {
                ItemState::Open => Badge::new("sev4", "clock", "Open"),
                ItemState::Done => Badge::new("done", "check", "Done"),
                ItemState::Dropped => Badge::new("quiet", "barred", "Dropped"),
            },
            owner: said(&item.owner_name),
            due: item.due.map(|due| {
                let is_over = is_open && due < now.date_naive();
                (due.format("%-d %B %Y").to_string(), is_over)
            }),
            origin: match item.origin {
                Origin::Incident(id) => (format!("/incidents/{id}/postmortem"), key(id.0)),
                Origin::Drill(id) => score(id),
            },
            proof: item
                .proof
                .map(|id| (key(id.0), format!("/incidents/{id}/postmortem"))),
            proven: item.proven_by.map(score),
            made: (said(&item.made_by), ago(item.made_at, now)),
            closed: match (&item.closed_by, item.closed_at) {
                (Some(by), Some(at)) => Some((said(by), ago(at, now))),
                _ => None,
            },
            remark: said(&item.remark),
            hidden: hidden(None),
            is_open,
        }
    }
}

/// The items of one incident or one drill.
#[derive(Clone, Debug, Template)]
#[template(path = "action_item/_part.html")]
pub struct ItemsPart {
    rows: Vec<ItemRow>,
    form: Option<NewItemForm>,
    /// Where its forms lead back to.
    back: String,
    may_close: bool,
}

impl HtmlSafe for ItemsPart {}

#[derive(Clone, Debug)]
struct NewItemForm {
    hidden: Hidden,
    /// `incident` or `drill`, and its number.
    origin: (&'static str, i64),
    people: Vec<(OperatorId, Said, bool)>,
    /// The incident that may have to pass.
    proof: Option<(i64, String)>,
}

/// What a part of items is made of.
#[derive(Clone, Debug)]
pub struct ItemsRecord {
    /// The items.
    pub items: Vec<ActionItem>,
    /// Who can own one; empty for somebody who may make none.
    pub people: Vec<Operator>,
    /// The real incident that a new one may demand to pass.
    pub proof: Option<IncidentId>,
}

impl ItemsPart {
    /// The part of this incident or drill.
    pub fn of(record: &ItemsRecord, origin: Origin, me: Option<OperatorId>, now: DateTime<Utc>) -> Self {
        let may = !record.people.is_empty();
        let people = record.people.iter().take(OWNERS_MAX);
        Self {
            rows: record.items.iter().map(|item| ItemRow::of(item, now)).collect(),
            form: may.then(|| NewItemForm {
                hidden: hidden(None),
                origin: match origin {
                    Origin::Incident(id) => ("incident", id.0),
                    Origin::Drill(id) => ("drill", id.0),
                },
                people: people
                    .map(|person| (person.id, said(&person.name), Some(person.id) == me))
                    .collect(),
                proof: record.proof.map(|id| (id.0, key(id.0))),
            }),
            back: match origin {
                Origin::Incident(id) => format!("/incidents/{id}/postmortem"),
                Origin::Drill(id) => format!("/drills/{id}/score"),
            },
            may_close: may,
        }
    }

    fn text_max(&self) -> usize {
        TEXT_CHARS_MAX
    }
}

/// Which items the page lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Everything that is to be done.
    #[default]
    Open,
    /// What I am to do.
    Mine,
    /// What should be done by now.
    Overdue,
    /// Closed ones as well.
    All,
}

impl Which {
    const ALL: [Which; 4] = [Self::Open, Self::Mine, Self::Overdue, Self::All];

    /// Its name in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Mine => "mine",
            Self::Overdue => "overdue",
            Self::All => "all",
        }
    }

    /// What that name means; open ones when it means nothing.
    pub fn named(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|which| which.name() == name);
        found.unwrap_or_default()
    }

    fn label(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Mine => "Mine",
            Self::Overdue => "Overdue",
            Self::All => "All",
        }
    }
}

/// The page of all items.
#[derive(Clone, Debug, Template)]
#[template(path = "action_item/list.html")]
pub struct ItemsPage {
    frame: Frame,
    rows: Vec<ItemRow>,
    /// Name, label, whether it is this one.
    tabs: Vec<(&'static str, &'static str, bool)>,
    older: Option<String>,
    is_older: bool,
    back: String,
    may_close: bool,
}

impl ItemsPage {
    /// The page; `found` may hold one more than is shown.
    pub fn of(
        frame: Frame,
        found: &[ActionItem],
        rows_max: usize,
        which: Which,
        is_older: bool,
        may_close: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let shown = &found[..found.len().min(rows_max)];
        let last = shown.last().filter(|_| found.len() > rows_max);
        let back = format!("/action-items?which={}", which.name());
        Self {
            frame,
            rows: shown.iter().map(|item| ItemRow::of(item, now)).collect(),
            tabs: Which::ALL
                .map(|one| (one.name(), one.label(), one == which))
                .to_vec(),
            older: last.map(|item| format!("{back}&before={}", item.id)),
            is_older,
            back,
            may_close,
        }
    }

    fn text_max(&self) -> usize {
        TEXT_CHARS_MAX
    }
}

/// A day of a form; nothing when it is empty.
pub fn day(text: &str) -> Result<Option<NaiveDate>, String> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| format!("\"{text}\" is no day; write it like 2026-03-31")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_lists_are_read() {
        assert_eq!(day(" "), Ok(None));
        assert!(day("2026-03-31").unwrap().is_some());
        assert!(day("tomorrow").unwrap_err().contains("2026-03-31"));
        for which in Which::ALL {
            assert_eq!(Which::named(which.name()), which);
        }
        assert_eq!(Which::named("x"), Which::Open);
    }
}
