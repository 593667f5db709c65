//! The catalogue: what is due, every scenario, what goes on and what was played.

use std::collections::BTreeMap;

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    super::{
        coverage, format,
        layout::Frame,
        parts::{Ago, Badge, Said, ago, said},
        text::with_query,
    },
    DrillRow, badge, length,
    night::PastRow,
};
use crate::{
    domain::{
        coverage::{DUE_AFTER_DAYS, Due, Tally, days},
        drill::{DrillState, name},
        span::Span,
    },
    store::{drills::Drill, playing::Played, reenact::PastIncident, scenarios::ScenarioVersion},
    web::drills::due::DueRunbook,
};

/// Runbooks that are due and shown; the interface has all of them.
const DUE_MAX: usize = 30;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/list.html")]
pub struct CataloguePage {
    /// The frame.
    pub frame: Frame,
    /// Runbooks that are due, the most urgent first.
    pub due: Vec<DueRow>,
    /// How many more there are.
    pub more_due: usize,
    /// How long what was practised counts.
    pub counts: String,
    /// Every scenario.
    pub scenarios: Vec<ScenarioRow>,
    /// Drills that are planned or go on.
    pub live: Vec<DrillRow>,
    /// Drills that are over, the newest first.
    pub past: Vec<DrillRow>,
    /// Real incidents that can be played again.
    pub incidents: Vec<PastRow>,
    /// Address of older ones.
    pub older: Option<String>,
    /// Address of further scenarios.
    pub more: Option<String>,
    /// Whether some are out of use.
    pub has_retired: bool,
    /// What is shown.
    pub part: Part,
}

/// What the page shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// What is due, what goes on, the first scenarios, the newest drills.
    #[default]
    Front,
    /// Older drills.
    Older,
    /// Further scenarios.
    Scenarios,
    /// Scenarios made of incidents that are out of use.
    Retired,
}

/// One scenario.
#[derive(Clone, Debug)]
pub struct ScenarioRow {
    /// Its name.
    pub slug: String,
    /// What people call it.
    pub title: Said,
    /// What it trains.
    pub summary: Said,
    /// The runbooks it trains.
    pub runbooks: Vec<String>,
    /// The parts of its players.
    pub roles: String,
    /// How long it is planned to take.
    pub length: String,
    /// Its last drill: address, name, how it ended, when it began.
    pub last: Option<(String, String, Badge, Ago)>,
}

/// One runbook that is due.
#[derive(Clone, Debug)]
pub struct DueRow {
    /// Its name.
    pub slug: String,
    /// What people call it.
    pub title: Said,
    /// Why it is due.
    pub why: String,
    /// Since when, where time is the reason.
    pub since: Option<Ago>,
    /// How much of it is covered.
    pub coverage: String,
    /// Scenarios that train it: name and title.
    pub scenarios: Vec<(String, Said)>,
}

impl DueRow {
    fn of(found: &DueRunbook, now: DateTime<Utc>) -> Self {
        let items = |count: usize| format::count(count as i64, "thing", "things");
        let (why, since) = match found.due {
            Due::Never => ("never drilled".to_owned(), None),
            Due::Undrilled { items: lost, since } => (
                format!("{} changed since v{since} was drilled", items(lost.0)),
                None,
            ),
            Due::Old { at, items: old } => (
                format!("{} not practised for long, the oldest", items(old)),
                Some(ago(at, now)),
            ),
        };
        Self {
            slug: found.slug.clone(),
            title: said(&found.title),
            why,
            since,
            coverage: coverage::words(&Tally {
                since: None,
                ..found.tally
            }),
            scenarios: found
                .scenarios
                .iter()
                .map(|(slug, title)| (slug.clone(), said(title)))
                .collect(),
        }
    }
}

impl ScenarioRow {
    /// The line of a scenario.
    pub fn of(version: &ScenarioVersion, last: Option<&Played>, now: DateTime<Utc>) -> Self {
        let scenario = &version.scenario;
        Self {
            slug: version.slug.clone(),
            title: said(&scenario.title),
            summary: said(&scenario.summary),
            runbooks: scenario.runbooks.clone(),
            roles: scenario.roles.join(", "),
            length: length(scenario.length),
            last: last.map(|played| {
                let state = played.end.map_or(DrillState::Running, |_| DrillState::Ended);
                let ending = if played.end.is_some() { "/score" } else { "" };
                (
                    format!("/drills/{}{ending}", played.drill),
                    name(played.drill),
                    badge(state, played.end),
                    ago(played.started_at, now),
                )
            }),
        }
    }
}

/// What the catalogue is made of, as the store gives it. `past` may be one more than is shown.
#[derive(Clone, Debug)]
pub struct Found {
    /// Runbooks that are due.
    pub due: Vec<DueRunbook>,
    /// How long what was practised counts.
    pub counts: Span,
    /// Scenarios by name; may be one more than is shown.
    pub scenarios: Vec<ScenarioVersion>,
    /// How many of them are shown.
    pub scenarios_max: usize,
    /// Whether some are out of use.
    pub has_retired: bool,
    /// The last drill of each.
    pub last: Vec<Played>,
    /// Drills that are not over.
    pub live: Vec<Drill>,
    /// Drills, the newest first.
    pub past: Vec<Drill>,
    /// Real incidents that can be played again, for somebody who may plan a drill.
    pub incidents: Vec<PastIncident>,
    /// Rows that are shown of those.
    pub rows_max: usize,
    /// What is shown.
    pub part: Part,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            due: Vec::new(),
            counts: days(DUE_AFTER_DAYS),
            scenarios: Vec::new(),
            scenarios_max: usize::MAX,
            has_retired: false,
            last: Vec::new(),
            live: Vec::new(),
            past: Vec::new(),
            incidents: Vec::new(),
            rows_max: 0,
            part: Part::Front,
        }
    }
}

impl CataloguePage {
    /// The page.
    pub fn of(frame: Frame, found: &Found, now: DateTime<Utc>) -> Self {
        let last: BTreeMap<&str, &Played> = found
            .last
            .iter()
            .map(|played| (played.slug.as_str(), played))
            .collect();
        let listed = &found.scenarios[..found.scenarios.len().min(found.scenarios_max)];
        let further = listed
            .last()
            .filter(|_| found.scenarios.len() > listed.len())
            .map(|version| version.slug.as_str());
        let scenarios: Vec<ScenarioRow> = listed
            .iter()
            .map(|version| ScenarioRow::of(version, last.get(version.slug.as_str()).copied(), now))
            .collect();
        let shown = &found.past[..found.past.len().min(found.rows_max)];
        Self {
            frame,
            due: found
                .due
                .iter()
                .take(DUE_MAX)
                .map(|one| DueRow::of(one, now))
                .collect(),
            more_due: found.due.len().saturating_sub(DUE_MAX),
            counts: length(found.counts),
            scenarios,
            incidents: found
                .incidents
                .iter()
                .map(|past| PastRow::of(past, now))
                .collect(),
            live: found.live.iter().map(|drill| DrillRow::of(drill, now)).collect(),
            past: shown
                .iter()
                .filter(|drill| drill.state == DrillState::Ended)
                .map(|drill| DrillRow::of(drill, now))
                .collect(),
            older: shown
                .last()
                .filter(|_| found.past.len() > found.rows_max)
                .map(|drill| format!("/drills?before={}", drill.id)),
            more: further.map(|last| {
                let shelf = ("shelf", "retired");
                let after = ("after", last);
                match found.part {
                    Part::Retired => with_query("/drills", &[shelf, after]),
                    _ => with_query("/drills", &[after]),
                }
            }),
            has_retired: found.has_retired,
            part: found.part,
        }
    }
    fn is_front(&self) -> bool {
        self.part == Part::Front
    }

    fn is_older(&self) -> bool {
        self.part == Part::Older
    }

    fn is_retired(&self) -> bool {
        self.part == Part::Retired
    }

    /// Whether drills are shown, and not scenarios alone.
    fn has_drills(&self) -> bool {
        matches!(self.part, Part::Front | Part::Older)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    #[test]
    fn what_is_due_says_why() {
        let now: DateTime<Utc> = "2026-11-22T08:00:00Z".parse().unwrap();
        let due = |due| DueRunbook {
            slug: "failover".to_owned(),
            title: "Failover".to_owned(),
            number: 15,
            due,
            tally: Tally {
                covered: 7,
                of: 9,
                undrilled: 2,
                since: Some(14),
            },
            scenarios: Vec::new(),
        };
        for (reason, why) in [
            (Due::Never, "never drilled"),
            (
                Due::Undrilled {
                    items: Reverse(2),
                    since: 14,
                },
                "2 things changed since v14 was drilled",
            ),
            (
                Due::Old { at: now, items: 1 },
                "1 thing not practised for long, the oldest",
            ),
        ] {
            let row = DueRow::of(&due(reason), now);
            assert_eq!(
                (row.why.as_str(), row.coverage.as_str()),
                (why, "coverage 7 of 9")
            );
        }
        let found = Found {
            due: vec![due(Due::Never); DUE_MAX + 2],
            ..Found::default()
        };
        let page = CataloguePage::of(Frame::bare("Drills", None, now), &found, now);
        assert_eq!((page.due.len(), page.more_due), (DUE_MAX, 2));
        assert_eq!(page.counts, "90 d");
    }
}
