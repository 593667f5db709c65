//! The catalogue: what is due, every scenario, what goes on and what was played.

use std::collections::BTreeMap;

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    super::{
        layout::Frame,
        parts::{Ago, Badge, Said, ago, said},
    },
    DrillRow, badge, length,
    night::PastRow,
};
use crate::{
    domain::drill::{DrillState, name},
    store::{drills::Drill, playing::Played, reenact::PastIncident, scenarios::ScenarioVersion},
};

/// A scenario that was not played for so many days is due.
pub const DUE_AFTER_DAYS: i64 = 90;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/list.html")]
pub struct CataloguePage {
    /// The frame.
    pub frame: Frame,
    /// Scenarios that are due, those never played first.
    pub due: Vec<ScenarioRow>,
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
    /// Whether older ones are shown.
    pub is_older: bool,
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
    /// Whether somebody should play it.
    pub is_due: bool,
}

impl ScenarioRow {
    /// The line of a scenario.
    pub fn of(version: &ScenarioVersion, last: Option<&Played>, now: DateTime<Utc>) -> Self {
        let scenario = &version.scenario;
        let is_recent = |played: &Played| now - played.started_at < TimeDelta::days(DUE_AFTER_DAYS);
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
            is_due: !last.is_some_and(is_recent),
        }
    }
}

/// What the catalogue is made of, as the store gives it. `past` may be one more than is shown.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The scenarios in use.
    pub scenarios: Vec<ScenarioVersion>,
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
    /// Whether they are older than the newest.
    pub is_older: bool,
}

impl CataloguePage {
    fn due_after(&self) -> i64 {
        DUE_AFTER_DAYS
    }

    /// The page.
    pub fn of(frame: Frame, found: &Found, now: DateTime<Utc>) -> Self {
        let last: BTreeMap<&str, &Played> = found
            .last
            .iter()
            .map(|played| (played.slug.as_str(), played))
            .collect();
        let scenarios: Vec<ScenarioRow> = found
            .scenarios
            .iter()
            .map(|version| ScenarioRow::of(version, last.get(version.slug.as_str()).copied(), now))
            .collect();
        let mut due: Vec<ScenarioRow> = scenarios.iter().filter(|row| row.is_due).cloned().collect();
        // Those never played come first; a stable sort keeps the names in order.
        due.sort_by_key(|row| row.last.is_some());
        let shown = &found.past[..found.past.len().min(found.rows_max)];
        Self {
            frame,
            due,
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
            is_older: found.is_older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog,
        domain::{
            drill::EndKind,
            id::{DrillId, ScenarioVersionId},
        },
    };

    const RUNBOOK: &str = include_str!("../../../../runbooks/postgres-primary-down.yaml");
    const SCENARIO: &str = include_str!("../../../../runbooks/drills/checkout-primary-dead.yaml");

    #[test]
    fn a_scenario_is_due_when_it_was_never_played_or_long_ago() {
        let now: DateTime<Utc> = "2026-11-22T08:00:00Z".parse().unwrap();
        let runbook = catalog::parse_runbook(RUNBOOK).unwrap().runbook;
        let scenario = catalog::scenario::parse(SCENARIO, &[&runbook]).unwrap().scenario;
        let version = |slug: &str| ScenarioVersion {
            id: ScenarioVersionId(1),
            slug: slug.to_owned(),
            number: 1,
            scenario: scenario.clone(),
        };
        let played = |slug: &str, days| Played {
            slug: slug.to_owned(),
            drill: DrillId(1),
            started_at: now - TimeDelta::days(days),
            end: Some(EndKind::Finished),
        };
        let found = Found {
            scenarios: vec![version("fresh"), version("never"), version("old")],
            last: vec![played("fresh", DUE_AFTER_DAYS - 1), played("old", DUE_AFTER_DAYS)],
            rows_max: 1,
            ..Found::default()
        };
        let page = CataloguePage::of(Frame::bare("Drills", None, now), &found, now);
        let due: Vec<&str> = page.due.iter().map(|row| row.slug.as_str()).collect();
        assert_eq!(due, ["never", "old"]);
        assert_eq!(page.scenarios.len(), 3);
    }
}
