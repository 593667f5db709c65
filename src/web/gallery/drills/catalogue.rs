//! The catalogue of drills, and a scenario with the form that begins one.

use std::cmp::Reverse;

use askama::Template;
use chrono::TimeDelta;

use super::{
    super::{Specimen, frame, now, operator, runbooks},
    GAME_DAY, RUNBOOK, drill,
    show::{harm, process},
    version,
};
use crate::{
    catalog,
    domain::{
        coverage::{Due, Tally},
        drill::{DrillState, EndKind},
        fault::{Fault, STANDS_MAX},
        id::{DrillId, IncidentId, OperatorId},
        operator::{Operator, Role},
        span::Span,
    },
    simulate::Planned,
    store::{playing, reenact::PastIncident, scenarios::ScenarioVersion},
    web::{
        drills::due::DueRunbook,
        view::{
            drill::{
                catalogue::{CataloguePage, Found, Part},
                scenario::{Breaks, LaunchForm, ScenarioPage, Shelf},
            },
            layout::Place,
        },
    },
};

/// The specimens of catalogue and scenario.
pub(super) fn specimens() -> Vec<Specimen> {
    let specimen = |page, state, html| Specimen { page, state, html };
    vec![
        specimen("drills", "full", || catalogue(false)),
        specimen("drills", "empty", || catalogue(true)),
        specimen("drill-scenario", "full", || scenario(None)),
        specimen("drill-scenario", "held", || {
            scenario(Some((IncidentId(204), "Checkout <b>is</b> down".to_owned())))
        }),
        specimen("drill-scenario", "game-day", launched),
        specimen("drill-scenarios", "further", || shelf(Part::Scenarios)),
        specimen("drill-scenarios", "out-of-use", || shelf(Part::Retired)),
        specimen("drill-scenario", "reenacted", || reenacted(false)),
        specimen("drill-scenario", "out-of-use", || reenacted(true)),
    ]
}

fn catalogue(is_empty: bool) -> askama::Result<String> {
    let mut found = Found {
        rows_max: 30,
        ..Found::default()
    };
    if !is_empty {
        let one = version()?;
        let mut other = one.clone();
        other.slug = "retry-storm".to_owned();
        other.scenario.title =
            "A retry storm, with a name that goes on-and-on-without-any-space-in-it".to_owned();
        other.scenario.summary = "Trains opening a <circuit>.".to_owned();
        found.last.push(playing::Played {
            slug: one.slug.clone(),
            drill: DrillId(16),
            started_at: now() - TimeDelta::days(12),
            end: Some(EndKind::Finished),
        });
        found.has_retired = true;
        found.scenarios = vec![one, other];
        found.due = due();
        found.live = vec![
            drill(17, DrillState::Running, None),
            drill(18, DrillState::Planned, None),
        ];
        found.past = vec![
            drill(16, DrillState::Ended, Some((EndKind::Finished, ""))),
            drill(15, DrillState::Ended, Some((EndKind::Rule, "too many orders"))),
        ];
        found.incidents = vec![PastIncident {
            id: IncidentId(198),
            title: "Checkout <b>is</b> down".to_owned(),
            resolved_at: now() - TimeDelta::days(3),
        }];
    }
    CataloguePage::of(frame("Drills", Place::Drills), &found, now()).render()
}

/// One page of many scenarios, in use or out of it.
fn shelf(part: Part) -> askama::Result<String> {
    let one = version()?;
    let numbered = (101..=104).map(|number| {
        let mut version = one.clone();
        version.slug = format!("inc-{number}");
        version.scenario.title = format!("INC-{number} again: no server of checkout takes writes");
        version
    });
    let found = Found {
        scenarios: numbered.collect(),
        scenarios_max: 3,
        part,
        ..Found::default()
    };
    CataloguePage::of(frame("Drills", Place::Drills), &found, now()).render()
}

fn scenario(real: Option<(IncidentId, String)>) -> askama::Result<String> {
    let version = version()?;
    let person = |id, name: &str| Operator {
        id: OperatorId(id),
        name: name.to_owned(),
        role: Role::Responder,
        ..operator()
    };
    let people = [person(1, "Ana"), person(2, "Ben"), person(3, "Cleo")];
    let form = LaunchForm::of(
        &people,
        operator().id,
        real.as_ref(),
        (version.scenario.depths(), None),
    );
    let past = [drill(16, DrillState::Ended, Some((EndKind::Finished, "")))];
    let frame = frame("The checkout database loses its primary", Place::Drills);
    ScenarioPage::of(frame, &version, &past, (Some(form), Shelf::default()), now()).render()
}

/// A scenario that plays an incident again, for an admin, in use and out of it.
fn reenacted(is_retired: bool) -> askama::Result<String> {
    let mut version = version()?;
    version.slug = "inc-198".to_owned();
    let scenario = &mut version.scenario;
    scenario.reenacts = Some(IncidentId(198));
    scenario.title = "INC-198 again: Checkout <b>is</b> down".to_owned();
    scenario.summary =
        "Plays INC-198 of 19 November 2026 again: its alerts come at their offsets, targets answer what \
                        they answered then. 3 things are not as they were: see the gaps."
            .to_owned();
    scenario.gaps = [
        "alerts beyond the first 20 are left out: 12",
        "answers of target checkout-standby beyond the first 190 are left out: 3",
        "target checkout-backup-with-a-name-that-goes-on-without-any-space is asked today and was not asked that night",
    ]
    .map(str::to_owned)
    .into();
    let form = (!is_retired).then(|| {
        let depths = version.scenario.depths();
        LaunchForm::of(&[], operator().id, None, (depths, None))
    });
    let frame = frame("INC-198 again", Place::Drills);
    ScenarioPage::of(frame, &version, &[], (form, Shelf::of(is_retired, true)), now()).render()
}

/// The form that begins a game day: what it breaks, and what it would not.
fn launched() -> askama::Result<String> {
    let runbook = runbooks::read(RUNBOOK)?;
    let parsed = catalog::scenario::parse(GAME_DAY, &[&runbook]).map_err(|_| askama::Error::Fmt)?;
    let version = ScenarioVersion {
        scenario: parsed.scenario,
        ..version()?
    };
    let planned = |fault| Planned {
        inject: "kill".to_owned(),
        target_name: "drill-primary".to_owned(),
        cause: "kill".to_owned(),
        lasting: Span::from_secs(900),
        fault,
    };
    let fault = Fault {
        harm: harm(process()),
        stands_max: STANDS_MAX,
    };
    let breaks = Breaks {
        host: "drill-1".to_owned(),
        faults: vec![
            planned(Ok(fault)),
            planned(Err(
                "target drill-primary does not allow the fault <kill>".to_owned()
            )),
        ],
    };
    let depths = (version.scenario.depths(), Some(breaks));
    let form = LaunchForm::of(&[], operator().id, None, depths);
    let frame = frame("Game day", Place::Drills);
    ScenarioPage::of(frame, &version, &[], (Some(form), Shelf::default()), now()).render()
}

/// Runbooks that are due, each for another reason.
fn due() -> Vec<DueRunbook> {
    let tally = |covered, undrilled| Tally {
        covered,
        of: 16,
        undrilled,
        since: Some(13),
    };
    let one = |slug: &str, title: &str, due, tally, scenario: Option<&str>| DueRunbook {
        slug: slug.to_owned(),
        title: title.to_owned(),
        number: 14,
        due,
        tally,
        scenarios: scenario
            .map(|title| ("checkout-primary-dead".to_owned(), title.to_owned()))
            .into_iter()
            .collect(),
    };
    let changed = Due::Undrilled {
        items: Reverse(2),
        since: 13,
    };
    let old = Due::Old {
        at: now() - TimeDelta::days(100),
        items: 3,
    };
    let scenario = Some("The checkout database loses its primary");
    let long = "Make room <on a disk>, with a name that goes on-and-on-without-any-space-in-it-at-all";
    vec![
        one("disk", long, Due::Never, tally(0, 0), None),
        one(
            "postgres-primary-down",
            "Postgres primary is down",
            changed,
            tally(7, 2),
            scenario,
        ),
        one(
            "web-service-down",
            "Web service does not answer",
            old,
            tally(12, 0),
            scenario,
        ),
    ]
}
