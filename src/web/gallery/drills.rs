//! Drills: the catalogue, a scenario, the page of a drill for its trainer and for its players, and the scorecard.

use std::{cmp::Reverse, collections::BTreeSet};

use askama::Template;
use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::{
    Specimen, frame, items, now, operator, runbooks,
    story::{self, ago},
};
use crate::{
    catalog,
    domain::{
        coverage::{Due, Gain, Tally, gain, items},
        drill::{Depth, DrillClock, DrillFact, DrillState, EndKind, Logged, ObserverTag},
        fault::{Fault, FaultState, Harm, Order, Process, STANDS_MAX},
        id::{DrillId, IncidentId, OperatorId, ScenarioVersionId},
        operator::{Operator, Role},
        score::{Figure, FigureName, InjectOutcome, Outcome, Phase, Remark, Score, Share, Slip},
        simulation::Change,
        span::Span,
        titles::Titles,
    },
    simulate::Planned,
    store::{
        drills::{Drill, Player},
        faults::Standing,
        playing,
        reenact::PastIncident,
        scenarios::ScenarioVersion,
    },
    web::{
        drills::due::DueRunbook,
        view::{
            drill::{
                card::{ScorePage, ScoreRecord},
                catalogue::{CataloguePage, Found, Part},
                play::Played,
                scenario::{Breaks, LaunchForm, ScenarioPage, Shelf},
                show::{DrillPage, DrillRecord},
            },
            layout::{Frame, Place},
        },
    },
};

const SCENARIO: &str = include_str!("../../../runbooks/drills/checkout-primary-dead.yaml");
const GAME_DAY: &str = include_str!("../../../runbooks/drills/checkout-game-day.yaml");
const RUNBOOK: &str = include_str!("../../../runbooks/postgres-primary-down.yaml");

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
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
        specimen("drill-score", "good", || {
            score_page(good(), Some(bad()), EndKind::Finished, false)
        }),
        specimen("drill-score", "bad", || {
            score_page(bad(), Some(good()), EndKind::TooLong, true)
        }),
        specimen("drill-score", "cut-short", || {
            score_page(cut_short(), None, EndKind::RealIncident, false)
        }),
    ]
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

fn world() -> Map<String, Value> {
    let world = json!({
        "primary": {"up": false, "works": false},
        "orders": {"lost": 412, "per_second": 3},
        "connectors": {},
        "t": 190,
    });
    world.as_object().cloned().unwrap_or_default()
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

fn process() -> Process {
    Process {
        pid_file: "/var/lib/postgresql/15/drill/postmaster.pid".to_owned(),
        name: "postgres".to_owned(),
    }
}

fn harm(process: Process) -> Harm {
    let restore = ["/usr/bin/pg_ctlcluster", "15", "drill", "start"];
    Harm::Kill {
        process,
        restore: restore.map(str::to_owned).to_vec(),
    }
}

fn figure(name: FigureName, took: Option<u64>, objective: Option<u64>) -> Figure {
    Figure {
        name,
        took: took.map(Span::from_secs),
        objective: objective.map(Span::from_secs),
    }
}

fn outcome(id: &str, what: &str, due: Option<u64>, done: Option<u64>) -> Outcome {
    Outcome {
        id: id.to_owned(),
        what: what.to_owned(),
        because: Some("Others know that somebody has it.".to_owned()),
        due: due.map(Span::from_secs),
        done: done.map(Span::from_secs),
    }
}

fn inject(id: &str, title: &str, sent: Option<u64>, expected: &[&str]) -> InjectOutcome {
    InjectOutcome {
        id: id.to_owned(),
        title: title.to_owned(),
        sent: sent.map(Span::from_secs),
        is_skipped: id == "rumour",
        expected: expected.iter().map(|id| (*id).to_owned()).collect(),
    }
}

fn slip(what: &str, done: Option<u64>) -> Slip {
    Slip {
        id: "waits".to_owned(),
        what: what.to_owned(),
        because: "The disk of the primary is broken.".to_owned(),
        done: done.map(Span::from_secs),
    }
}

fn good() -> Score {
    let remark = |s, phase, tag, text: &str| Remark {
        age: Span::from_secs(s),
        phase,
        tag,
        text: text.to_owned(),
    };
    Score {
        took: Some(Span::from_secs(412)),
        figures: vec![
            figure(FigureName::Detect, Some(11), Some(45)),
            figure(FigureName::Acknowledge, Some(24), Some(60)),
            figure(FigureName::FirstStep, Some(63), Some(120)),
            figure(FigureName::Gate, Some(52), Some(180)),
            figure(FigureName::Mitigate, Some(140), Some(300)),
            figure(FigureName::Resolve, Some(361), None),
        ],
        expected: vec![
            outcome("take", "acknowledge the incident", Some(151), Some(55)),
            outcome("decide", "approve ask", Some(331), Some(120)),
        ],
        wrong: vec![slip("reject ask in place of approving it", None)],
        injects: vec![
            inject(
                "crash",
                "The disk of the primary breaks, and it stops",
                Some(20),
                &["take"],
            ),
            inject("rumour", "A colleague is mistaken", None, &[]),
        ],
        updates: Share { done: 2, of: 2 },
        unknowns: Share { done: 0, of: 0 },
        hints: Vec::new(),
        cleanup: None,
        notes: vec![
            remark(44, Phase::Acknowledge, Some(ObserverTag::Good), "Fast."),
            remark(120, Phase::Mitigate, None, "They read the log <first>."),
        ],
    }
}

fn bad() -> Score {
    let mut score = good();
    score.figures = vec![
        figure(FigureName::Detect, Some(11), Some(45)),
        figure(FigureName::Acknowledge, Some(190), Some(60)),
        figure(FigureName::FirstStep, Some(320), Some(120)),
        figure(FigureName::Mitigate, None, Some(300)),
        figure(FigureName::Resolve, None, None),
    ];
    score.expected = vec![
        outcome("take", "acknowledge the incident", Some(151), Some(221)),
        outcome("decide", "approve ask", Some(331), None),
        outcome("over", "resolve the incident", None, None),
    ];
    score.wrong = vec![slip("reject ask", Some(250)), slip("resolve the incident", None)];
    score.hints = vec![("Read what the run has found.".to_owned(), 5)];
    score.updates = Share { done: 0, of: 3 };
    score.unknowns = Share { done: 1, of: 2 };
    score
}

fn cut_short() -> Score {
    Score {
        figures: vec![
            figure(FigureName::Detect, None, Some(45)),
            figure(FigureName::Mitigate, None, Some(300)),
        ],
        expected: vec![outcome("take", "acknowledge the incident", None, None)],
        ..Score::default()
    }
}

/// What a drill adds to the coverage of the sample; nothing, where it did not begin to run.
fn gains(has_run: bool) -> askama::Result<Vec<Gain>> {
    let runbook = runbooks::read(RUNBOOK)?;
    let all = items(&runbook).into_iter().map(|item| item.key());
    let shown: BTreeSet<String> = all.step_by(2).filter(|_| has_run).collect();
    let before = runbooks::coverage(&runbook, true);
    Ok(vec![gain(&runbook.slug, 14, before, &shown)])
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

fn score_page(score: Score, before: Option<Score>, end: EndKind, is_again: bool) -> askama::Result<String> {
    let record = ScoreRecord {
        drill: drill(17, DrillState::Ended, Some((end, ""))),
        score,
        runbooks: vec!["postgres-primary-down".to_owned()],
        gains: gains(before.is_some())?,
        incidents: vec![IncidentId(31)],
        night: is_again.then(|| (IncidentId(198), items::compared())),
        items: items::record(),
        before: before.map(|score| {
            let drill = drill(16, DrillState::Ended, Some((EndKind::Finished, "")));
            (drill, score)
        }),
    };
    ScorePage::of(drill_frame("Scorecard · DRILL-17"), &record, OperatorId(1), now()).render()
}
