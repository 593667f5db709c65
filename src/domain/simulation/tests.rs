//! Worlds that move, rest, answer and go wrong.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::domain::{
    scenario::{Answer, Assignment, Model, Objectives, Pattern, Rule, Service, Twin},
    target::{Connection, Target},
    template::Expression,
};

fn expression(text: &str) -> Expression {
    Expression::parse(text).unwrap()
}

fn set(service: &str, variable: &str, to: impl Into<Value>) -> Vec<Assignment> {
    vec![Assignment {
        service: service.to_owned(),
        variable: variable.to_owned(),
        to: to.into(),
    }]
}

fn rule(line: u32, when: Option<&str>, set: Vec<Assignment>) -> Rule {
    Rule {
        at: At { line, column: 5 },
        when: when.map(expression),
        set,
    }
}

fn service(needs: &[&str], works: Option<&str>, state: &[(&str, Start)]) -> Service {
    Service {
        needs: needs.iter().map(|name| (*name).to_owned()).collect(),
        works: works.map(expression),
        state: state
            .iter()
            .map(|(name, start)| ((*name).to_owned(), start.clone()))
            .collect(),
    }
}

fn value(value: impl Into<Value>) -> Start {
    Start::Value(value.into())
}

/// A queue that fills, a database it needs, a shop that needs both.
fn scenario() -> Scenario {
    let mut services = BTreeMap::new();
    services.insert(
        "db".to_owned(),
        service(&[], Some("db.up"), &[("up", value(true))]),
    );
    services.insert(
        "queue".to_owned(),
        service(
            &["db"],
            None,
            &[
                ("depth", value(0)),
                ("inflow", Start::Noise(2, 4)),
                ("drawn", Start::Between(10, 20)),
                ("full", value(false)),
            ],
        ),
    );
    services.insert(
        "shop".to_owned(),
        service(&["queue"], Some("not queue.full"), &[]),
    );
    let mut twins = BTreeMap::new();
    let address = "db.twin.test:9999".to_owned();
    twins.insert(
        "db-main".to_owned(),
        Twin {
            at: At { line: 40, column: 3 },
            target: Target::new("db-main", Connection::Tcp { address }),
            up: Some(expression("db.up")),
            hangs: None,
            answers: vec![
                answer(
                    "select depth*",
                    json!([{"depth": "{{ queue.depth }}"}]),
                    Vec::new(),
                ),
                answer("empty", json!("now {{ queue.depth }}"), set("queue", "depth", 0)),
            ],
            backends: BTreeMap::new(),
        },
    );
    Scenario {
        reenacts: None,
        gaps: Vec::new(),
        slug: "full-queue".to_owned(),
        title: "The queue fills".to_owned(),
        summary: String::new(),
        brief: String::new(),
        length: Span::from_secs(600),
        runbooks: Vec::new(),
        roles: Vec::new(),
        model: Model {
            services,
            order: ["db", "queue", "shop"].map(str::to_owned).to_vec(),
            each_second: vec![rule(
                10,
                Some("db.up"),
                set("queue", "depth", "{{ queue.depth + queue.inflow }}"),
            )],
            always: vec![
                rule(12, Some("queue.depth > 100"), set("queue", "full", true)),
                rule(13, Some("queue.depth <= 100"), set("queue", "full", false)),
            ],
        },
        twins,
        game_day: None,
        alarms: Vec::new(),
        injects: Vec::new(),
        expected: Vec::new(),
        wrong: Vec::new(),
        objectives: Objectives::default(),
        hints: Vec::new(),
        stops: Vec::new(),
        mitigated: None,
    }
}

fn answer(asked: &str, says: Value, set: Vec<Assignment>) -> Answer {
    Answer {
        at: At { line: 41, column: 5 },
        asked: Pattern::new(asked),
        method: None,
        when: None,
        set,
        says,
        status: None,
        fails: None,
        lost: None,
    }
}

fn world(scenario: Scenario, seed: u64) -> Simulation {
    Simulation::begin(Arc::new(Rules::of(scenario).unwrap()), seed).unwrap()
}

fn at(world: &Simulation, service: &str, variable: &str) -> Value {
    world.state()[service][variable].clone()
}

#[test]
fn time_moves_the_world_and_consequences_follow() {
    let mut world = world(scenario(), 1);
    assert_eq!(at(&world, "shop", "works"), true);
    world.advance(Span::from_secs(60)).unwrap();
    let depth = at(&world, "queue", "depth").as_i64().unwrap();
    assert!((120..=240).contains(&depth), "{depth}");
    assert_eq!(at(&world, "queue", "full"), true);
    assert_eq!(at(&world, "shop", "works"), false, "a full queue stops the shop");
    world
        .apply(&[Change {
            service: "queue".to_owned(),
            variable: "depth".to_owned(),
            to: json!(0),
        }])
        .unwrap();
    assert_eq!(
        at(&world, "shop", "works"),
        true,
        "and an empty one lets it go on at once"
    );
}

#[test]
fn what_needs_something_broken_does_not_work() {
    let mut world = world(scenario(), 1);
    let broken = Change {
        service: "db".to_owned(),
        variable: "up".to_owned(),
        to: json!(false),
    };
    world.apply(&[broken]).unwrap();
    for name in ["db", "queue", "shop"] {
        assert_eq!(at(&world, name, "works"), false, "{name}");
    }
    assert_eq!(world.standing("db-main"), Ok(Standing::Down));
    let before = at(&world, "queue", "depth");
    world.advance(Span::from_secs(30)).unwrap();
    assert_eq!(at(&world, "queue", "depth"), before, "nothing flows in");
}

#[test]
fn the_same_seed_and_acts_give_the_same_world_however_time_is_cut() {
    let run = |seed: u64, cuts: &[u64]| {
        let mut world = world(scenario(), seed);
        for ms in cuts {
            world.advance(Span::from_millis(*ms)).unwrap();
        }
        world.state().clone()
    };
    assert_eq!(
        run(5, &[90_000]),
        run(5, &[1, 999, 1000, 44_444, 44_444, 90_000, 90_500])
    );
    assert_ne!(run(5, &[90_000]), run(6, &[90_000]));
}

#[test]
fn a_question_tells_and_changes() {
    let mut world = world(scenario(), 1);
    world.advance(Span::from_secs(20)).unwrap();
    let depth = at(&world, "queue", "depth");
    let found = world.ask("db-main", None, "SELECT depth FROM queue").unwrap();
    assert_eq!(found.says, json!([{"depth": depth}]), "a number stays one");
    assert!(found.changes.is_empty());
    let found = world.ask("db-main", None, "empty").unwrap();
    assert_eq!(found.says, "now 0", "it speaks of what is after the change");
    assert_eq!(
        at(&world, "queue", "depth"),
        depth,
        "which is the caller's to make"
    );
    world.apply(&found.changes).unwrap();
    assert_eq!(at(&world, "queue", "depth"), 0);
    assert_eq!(
        world.ask("db-main", None, "drop table").unwrap().manner,
        Manner::Unheard
    );
    assert_eq!(
        world.standing("elsewhere"),
        Ok(Standing::Down),
        "what has no twin is not there"
    );
}

#[test]
fn connectors_fail_as_long_as_they_are_said_to() {
    let mut world = world(scenario(), 1);
    for (failing, standing) in [(Failing::Down, Standing::Down), (Failing::Hangs, Standing::Hangs)] {
        world
            .apply(&[Change::connector("db-main", Some(failing))])
            .unwrap();
        assert_eq!(world.standing("db-main"), Ok(standing));
    }
    world
        .apply(&[Change::connector("db-main", Some(Failing::Lost))])
        .unwrap();
    assert_eq!(world.standing("db-main"), Ok(Standing::Up));
    let found = world.ask("db-main", None, "empty").unwrap();
    assert_eq!(
        (found.manner, found.changes.len()),
        (Manner::Lost, 1),
        "done, and nobody hears it"
    );
    world.apply(&[Change::connector("db-main", None)]).unwrap();
    assert_eq!(
        world.ask("db-main", None, "empty").unwrap().manner,
        Manner::Arrives
    );
}

#[test]
fn a_world_that_never_rests_is_ended_with_the_rule_that_moves_it() {
    let mut endless = scenario();
    endless.model.always.push(rule(
        21,
        Some("queue.depth > 50"),
        set("queue", "drawn", "{{ queue.drawn + 1 }}"),
    ));
    let mut world = world(endless, 1);
    let fault = world.advance(Span::from_secs(60)).unwrap_err();
    assert_eq!(fault.at, At { line: 21, column: 5 });
    assert!(fault.second > 10, "{fault}");
    assert!(fault.to_string().contains("21:5"), "{fault}");
    assert!(fault.to_string().contains("does not come to rest"), "{fault}");
}

#[test]
fn a_rule_that_cannot_be_worked_out_says_where() {
    let mut broken = scenario();
    broken.model.each_second.push(rule(
        30,
        None,
        set("queue", "drawn", "{{ 1 / (queue.depth - queue.depth) }}"),
    ));
    let mut world = world(broken, 1);
    let fault = world.advance(Span::from_secs(2)).unwrap_err();
    assert_eq!((fault.at.line, fault.second), (30, 1));
}
