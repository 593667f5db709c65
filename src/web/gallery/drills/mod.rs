//! Drills: the catalogue, a scenario, the page of a drill for its trainer and for its players, and the scorecard.

mod catalogue;
mod score;
mod show;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Specimen, frame, now, operator, runbooks, story::ago};
use crate::{
    catalog,
    domain::{
        drill::{Depth, DrillClock, DrillFact, DrillState, EndKind, Logged, ObserverTag},
        id::{DrillId, ScenarioVersionId},
        simulation::Change,
        span::Span,
    },
    store::{drills::Drill, scenarios::ScenarioVersion},
    web::view::layout::{Frame, Place},
};

const SCENARIO: &str = include_str!("../../../../runbooks/drills/checkout-primary-dead.yaml");
const GAME_DAY: &str = include_str!("../../../../runbooks/drills/checkout-game-day.yaml");
const RUNBOOK: &str = include_str!("../../../../runbooks/postgres-primary-down.yaml");

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
    let rooms = [catalogue::specimens(), show::specimens(), score::specimens()];
    rooms.into_iter().flatten().collect()
}

/// The frame of a page about the drill.
fn drill_frame(title: &str) -> Frame {
    frame(title, Place::Drills).of_drill(Some(DrillId(17)))
}

/// The sample scenario.
pub(super) fn version() -> askama::Result<ScenarioVersion> {
    let runbook = runbooks::read(RUNBOOK)?;
    let parsed = catalog::scenario::parse(SCENARIO, &[&runbook]).map_err(|_| askama::Error::Fmt)?;
    Ok(ScenarioVersion {
        id: ScenarioVersionId(3),
        slug: parsed.scenario.slug.clone(),
        number: 2,
        scenario: parsed.scenario,
    })
}

fn drill(id: i64, state: DrillState, end: Option<(EndKind, &str)>) -> Drill {
    let has_begun = state != DrillState::Planned;
    Drill {
        id: DrillId(id),
        version: ScenarioVersionId(3),
        slug: "checkout-primary-dead".to_owned(),
        title: "The checkout database loses its primary".to_owned(),
        depth: Depth::Simulated,
        seed: 7,
        state,
        trainer: Some(operator().id),
        planned_for: (!has_begun).then(|| now() + TimeDelta::hours(2)),
        clock: has_begun.then(|| DrillClock {
            started_at: ago(190),
            stands_since: match state {
                DrillState::Paused => Some(ago(20)),
                DrillState::Ended => Some(ago(5)),
                DrillState::Planned | DrillState::Running => None,
            },
            paused: TimeDelta::zero(),
        }),
        ended: end.map(|(kind, reason)| (ago(5), kind, reason.to_owned())),
        source: None,
        leader_seen_at: None,
    }
}

fn log() -> Vec<Logged> {
    let set = |service: &str, variable: &str, to: Value| Change {
        service: service.to_owned(),
        variable: variable.to_owned(),
        to,
    };
    let facts = [
        (0, DrillFact::Began),
        (
            20,
            DrillFact::InjectSent {
                inject: "crash".to_owned(),
                set: vec![set("primary", "up", json!(false))],
            },
        ),
        (20, DrillFact::Harm { works: false }),
        (31, DrillFact::AlertFired { alarm: 0 }),
        (
            70,
            DrillFact::InjectSkipped {
                inject: "rumour".to_owned(),
            },
        ),
        (95, DrillFact::HintTold { hint: 0 }),
        (
            120,
            DrillFact::Noted {
                tag: Some(ObserverTag::Good),
                text: "They read the log <first>.".to_owned(),
            },
        ),
        (
            150,
            DrillFact::Acted {
                target: "checkout-standby".to_owned(),
                asked: "select pg_promote(true, 30)".to_owned(),
                set: vec![set("standby", "standby", json!(false))],
            },
        ),
    ];
    let logged = |(seq, (s, fact)): (usize, (u64, DrillFact))| Logged {
        seq: seq as i64 + 1,
        age: Span::from_secs(s),
        at: ago(190 - s as i64),
        fact,
    };
    facts.into_iter().enumerate().map(logged).collect()
}
