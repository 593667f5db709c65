//! The page of a drill, for its trainer and for its players, in the simulated world and on a game day.

use askama::Template;
use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::{
    super::{
        Specimen, now, operator, runbooks,
        story::{self, ago},
    },
    GAME_DAY, RUNBOOK, drill, drill_frame, log, version,
};
use crate::{
    catalog,
    domain::{
        drill::{Depth, DrillFact, DrillState, EndKind, Logged},
        fault::{FaultState, Harm, Order, Process},
        id::{DrillId, IncidentId, OperatorId},
        operator::{Operator, Role},
        span::Span,
        titles::Titles,
    },
    store::{
        drills::{Drill, Player},
        faults::Standing,
    },
    web::view::drill::{
        play::Played,
        show::{DrillPage, DrillRecord},
    },
};

/// The specimens of a drill's page.
pub(super) fn specimens() -> Vec<Specimen> {
    let specimen = |page, state, html| Specimen { page, state, html };
    vec![
        specimen("drill", "planned", || drill_page(DrillState::Planned, None, true)),
        specimen("drill", "running", || drill_page(DrillState::Running, None, true)),
        specimen("drill", "paused", || drill_page(DrillState::Paused, None, true)),
        specimen("drill", "player", || drill_page(DrillState::Running, None, false)),
        specimen("drill", "ended", || {
            drill_page(DrillState::Ended, Some((EndKind::Finished, "")), true)
        }),
        specimen("drill", "real", || {
            drill_page(
                DrillState::Ended,
                Some((EndKind::RealIncident, "INC-209 (Shop is down) is real and SEV1")),
                false,
            )
        }),
        specimen("drill", "game-day", || game_day(DrillState::Running, None)),
        specimen("drill", "game-day-left", || {
            game_day(
                DrillState::Ended,
                Some((EndKind::Rule, "Writes have failed for too long")),
            )
        }),
    ]
}

fn drill_page(state: DrillState, end: Option<(EndKind, &str)>, leads: bool) -> askama::Result<String> {
    let has_begun = state != DrillState::Planned;
    let mut incident = story::incident();
    incident.drill = Some(DrillId(17));
    let run = story::run(story::FAILOVER, story::beginning())?;
    let played = Played {
        events: story::recorded(&run.facts),
        incident,
        runs: vec![run],
        gates: Vec::new(),
        titles: Titles::default(),
    };
    let player = |id, name: &str, role: &str| Player {
        id: OperatorId(id),
        name: name.to_owned(),
        role: role.to_owned(),
        comes: (id == 2).then_some(true),
        left_at: None,
    };
    let record = DrillRecord {
        drill: drill(17, state, end),
        scenario: version()?.scenario,
        players: vec![player(2, "Ben", "commander"), player(3, "Cleo", "")],
        trainer: Some("Ana".to_owned()),
        incidents: if has_begun { vec![played] } else { Vec::new() },
        log: if has_begun { log() } else { Vec::new() },
        faults: Vec::new(),
        world: state.is_live().then(world),
        real: Some((IncidentId(209), "Shop is down".to_owned())),
    };
    let frame = drill_frame("The checkout database loses its primary · DRILL-17");
    DrillPage::of(frame, &record, &operator(), leads, now()).render()
}

/// The console of a game day: something stands, or could not be taken back.
fn game_day(state: DrillState, end: Option<(EndKind, &str)>) -> askama::Result<String> {
    let runbook = runbooks::read(RUNBOOK)?;
    let parsed = catalog::scenario::parse(GAME_DAY, &[&runbook]).map_err(|_| askama::Error::Fmt)?;
    let fault = |state, error: &str| DrillFact::Fault {
        inject: "kill".to_owned(),
        target: "checkout-primary".to_owned(),
        cause: "kill".to_owned(),
        state,
        error: error.to_owned(),
    };
    let steady = DrillFact::Steady {
        holds: true,
        measured: "primary.up is true, standby.up is true, writes.ok is true".to_owned(),
    };
    let mut facts = vec![DrillFact::Began, steady, fault(FaultState::Caused, "")];
    if let Some((why, reason)) = end {
        facts.push(DrillFact::Ended {
            why,
            reason: reason.to_owned(),
        });
        let error = "/usr/bin/pg_ctlcluster ended badly: the <disk> is full";
        facts.push(fault(FaultState::Undoing, error));
    }
    let logged = |(seq, fact): (usize, DrillFact)| Logged {
        seq: seq as i64 + 1,
        age: Span::from_secs(seq as u64 * 4),
        at: ago(190 - seq as i64 * 4),
        fact,
    };
    let record = DrillRecord {
        drill: Drill {
            depth: Depth::GameDay,
            ..drill(17, state, end)
        },
        scenario: parsed.scenario,
        players: Vec::new(),
        trainer: Some("Ana".to_owned()),
        incidents: Vec::new(),
        log: facts.into_iter().enumerate().map(logged).collect(),
        faults: vec![standing(end.is_some())],
        world: state.is_live().then(world),
        real: None,
    };
    DrillPage::of(
        drill_frame("Game day · DRILL-17"),
        &record,
        &Operator {
            role: Role::Admin,
            ..operator()
        },
        true,
        now(),
    )
    .render()
}

/// The fault of the sample game day as the journal has it.
fn standing(is_stuck: bool) -> Standing {
    let process = process();
    let error = "/usr/bin/pg_ctlcluster ended badly: the <disk> is full";
    Standing {
        drill: DrillId(17),
        inject: "kill".to_owned(),
        target: "checkout-primary".to_owned(),
        cause: "kill".to_owned(),
        target_name: "drill-primary".to_owned(),
        state: if is_stuck {
            FaultState::Undoing
        } else {
            FaultState::Caused
        },
        host: Some("drill-1".to_owned()),
        acts_on: Some(format!("the process of {}", process.pid_file)),
        order: Some(Order {
            harm: harm(process),
            folder: "/var/lib/muster/drills/DRILL-17/faults/kill".into(),
        }),
        planned_at: ago(180),
        caused_at: Some(ago(178)),
        due: now() + TimeDelta::seconds(12),
        tries: if is_stuck { 4 } else { 0 },
        error: if is_stuck { error.to_owned() } else { String::new() },
    }
}

pub(super) fn process() -> Process {
    Process {
        pid_file: "/var/lib/postgresql/15/drill/postmaster.pid".to_owned(),
        name: "postgres".to_owned(),
    }
}

pub(super) fn harm(process: Process) -> Harm {
    let restore = ["/usr/bin/pg_ctlcluster", "15", "drill", "start"];
    Harm::Kill {
        process,
        restore: restore.map(str::to_owned).to_vec(),
    }
}

fn world() -> Map<String, Value> {
    let world = json!({
        "primary": {"up": false, "works": false},
        "orders": {"lost": 412, "per_second": 3},
        "connectors": {},
        "t": 190,
    });
    world.as_object().cloned().unwrap_or_default()
}
