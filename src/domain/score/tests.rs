//! Scorecards of small drills.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::*;
use crate::domain::{
    approval::Verdict as Word,
    drill::{DrillFact, Logged},
    fault::FaultState,
    scenario::{At, Deed, Expected, Hint, Inject, Model, Objectives, Scenario, Service, Start, Wrong},
    simulation::{Change, GateWord, Rules},
    template::Expression,
};

fn start() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn secs(secs: u64) -> Span {
    Span::from_secs(secs)
}

fn logged(seq: i64, age: u64, fact: DrillFact) -> Logged {
    Logged {
        seq,
        age: secs(age),
        at: start() + TimeDelta::seconds(age as i64),
        fact,
    }
}

fn seen(age: i64, seen: Seen) -> Observed {
    Observed {
        at: start() + TimeDelta::seconds(age),
        seen,
    }
}

fn decide(verdict: Word) -> Deed {
    Deed::Decide {
        gate: "ask".to_owned(),
        verdict,
    }
}

/// A standby that lags: promoting it is wrong while it does.
fn scenario() -> Scenario {
    let expected = |id: &str, deed: Deed, after: Option<&str>, within: u64| Expected {
        at: At::default(),
        id: id.to_owned(),
        deed,
        after: after.map(str::to_owned),
        within: secs(within),
        because: None,
    };
    let standby = Service {
        state: [("lag".to_owned(), Start::Value(json!(50)))].into(),
        ..Service::default()
    };
    Scenario {
        reenacts: None,
        gaps: Vec::new(),
        slug: "lagging".to_owned(),
        title: String::new(),
        summary: String::new(),
        brief: String::new(),
        length: secs(600),
        runbooks: Vec::new(),
        roles: Vec::new(),
        model: Model {
            services: [("standby".to_owned(), standby)].into(),
            order: vec!["standby".to_owned()],
            ..Model::default()
        },
        twins: Default::default(),
        game_day: None,
        alarms: Vec::new(),
        injects: vec![Inject {
            at: At::default(),
            id: "boss".to_owned(),
            title: "The boss asks".to_owned(),
            after: None,
            when: None,
            then: Vec::new(),
        }],
        expected: vec![
            expected("take", Deed::Acknowledge, None, 120),
            expected("hold", decide(Word::Reject), Some("take"), 60),
            expected("news", Deed::Update, Some("boss"), 60),
            expected("over", Deed::Resolve, Some("hold"), 300),
        ],
        wrong: vec![Wrong {
            at: At::default(),
            id: "blind".to_owned(),
            deed: decide(Word::Approve),
            when: Some(Expression::parse("standby.lag > 16").unwrap()),
            instead_of: Some("hold".to_owned()),
            because: "orders are lost".to_owned(),
        }],
        objectives: Objectives {
            acknowledge: Some(secs(60)),
            update_every: Some(secs(100)),
            ..Objectives::default()
        },
        hints: vec![Hint {
            text: "look at the lag".to_owned(),
            price: 5,
        }],
        stops: Vec::new(),
        mitigated: None,
    }
}

fn score(log: &[Logged], observed: &[Observed]) -> Score {
    let scenario = scenario();
    let told = nothing_told(&scenario, ["ask"], ["ask"]);
    judge(Arc::new(Rules::of(scenario).unwrap()), 1, told, log, observed).unwrap()
}

fn verdicts(score: &Score) -> Vec<Verdict> {
    score.expected.iter().map(Outcome::verdict).collect()
}

#[test]
fn what_was_expected_is_told_in_time_late_missed_and_not_reached_apart() {
    let log = [
        logged(1, 0, DrillFact::Began),
        logged(
            2,
            300,
            DrillFact::Ended {
                why: crate::domain::drill::EndKind::Stopped,
                reason: String::new(),
            },
        ),
    ];
    let observed = [
        seen(20, Seen::Opened),
        seen(50, Seen::Deed(Deed::Acknowledge)),
        seen(60, Seen::GateOpened("ask".to_owned())),
        seen(150, Seen::Deed(decide(Word::Reject))),
        seen(150, Seen::GateClosed("ask".to_owned(), GateWord::Rejected)),
    ];
    let score = score(&log, &observed);
    use Verdict::{InTime, Late, Missed, NotReached};
    assert_eq!(verdicts(&score), [InTime, Late, NotReached, Missed]);
    let figure = |name| score.figures.iter().find(|figure| figure.name == name).unwrap();
    assert_eq!(figure(FigureName::Acknowledge).took, Some(secs(30)));
    assert_eq!(figure(FigureName::Acknowledge).is_met(), Some(true));
    assert_eq!(figure(FigureName::Gate).took, Some(secs(90)));
    assert_eq!(figure(FigureName::FirstStep).took, Some(secs(130)));
    assert_eq!(figure(FigureName::Mitigate).took, None, "not reached is not 0");
    assert_eq!(score.updates, Share { done: 0, of: 2 }, "nobody said anything");
    assert!(!score.passes());
    assert_eq!(score.shortfalls().len(), 3, "{:?}", score.shortfalls());
}

#[test]
fn nobody_is_missed_where_an_incident_is_over_by_itself() {
    let observed = |over: Seen| {
        [
            seen(20, Seen::Opened),
            seen(30, Seen::Deed(decide(Word::Reject))),
            seen(40, Seen::Deed(Deed::Acknowledge)),
            seen(50, Seen::Deed(decide(Word::Reject))),
            seen(90, over),
            seen(90, Seen::Resolved),
        ]
    };
    let began = [logged(1, 0, DrillFact::Began)];
    for over in [Seen::Recovered, Seen::Deed(Deed::Resolve)] {
        let score = score(&began, &observed(over.clone()));
        assert_eq!(score.expected[3].verdict(), Verdict::InTime, "{over:?}");
    }
    let too_early = [seen(20, Seen::Opened), seen(25, Seen::Recovered)];
    let score = score(&began, &too_early);
    assert_ne!(
        score.expected[3].verdict(),
        Verdict::InTime,
        "its turn had not come"
    );
}

#[test]
fn a_deed_is_wrong_only_while_the_world_makes_it_so() {
    let approve = [
        seen(20, Seen::Opened),
        seen(100, Seen::Deed(decide(Word::Approve))),
    ];
    let began = logged(1, 0, DrillFact::Began);
    let lagging = score(std::slice::from_ref(&began), &approve);
    assert_eq!(lagging.wrong[0].done, Some(secs(100)));
    let change = Change {
        service: "standby".to_owned(),
        variable: "lag".to_owned(),
        to: json!(3),
    };
    let caught_up = DrillFact::Acted {
        target: "standby".to_owned(),
        asked: String::new(),
        set: vec![change],
    };
    let after = score(&[began, logged(2, 90, caught_up)], &approve);
    assert_eq!(after.wrong[0].done, None, "it had caught up by then");
}

#[test]
fn a_hint_costs_and_notes_stand_in_their_phase() {
    let log = [
        logged(1, 0, DrillFact::Began),
        logged(
            2,
            10,
            DrillFact::Noted {
                tag: Some(ObserverTag::Good),
                text: String::new(),
            },
        ),
        logged(3, 40, DrillFact::HintTold { hint: 0 }),
        logged(
            4,
            45,
            DrillFact::Noted {
                tag: None,
                text: "they look at the wrong host".to_owned(),
            },
        ),
    ];
    let score = score(&log, &[seen(20, Seen::Opened)]);
    assert_eq!(score.hints, [("look at the lag".to_owned(), 5)]);
    let phases: Vec<Phase> = score.notes.iter().map(|note| note.phase).collect();
    assert_eq!(phases, [Phase::Detect, Phase::Acknowledge]);
}

#[test]
fn what_follows_an_inject_counts_from_it() {
    let sent = DrillFact::InjectSent {
        inject: "boss".to_owned(),
        set: Vec::new(),
    };
    let log = [logged(1, 0, DrillFact::Began), logged(2, 200, sent)];
    let early_and_late = [
        seen(20, Seen::Opened),
        // Before anybody asked: it answers nothing.
        seen(100, Seen::Deed(Deed::Update)),
        seen(250, Seen::Deed(Deed::Update)),
    ];
    let score = score(&log, &early_and_late);
    assert_eq!(score.expected[2].due, Some(secs(260)));
    assert_eq!(score.expected[2].done, Some(secs(250)));
    assert_eq!(score.injects[0].sent, Some(secs(200)));
    assert_eq!(score.injects[0].expected, ["news"]);
}

#[test]
fn a_game_day_passes_when_everything_is_seen_to_be_as_it_was() {
    let fault = |inject: &str, state| DrillFact::Fault {
        inject: inject.to_owned(),
        target: "db".to_owned(),
        cause: "kill".to_owned(),
        state,
        error: String::new(),
    };
    let steady = |holds| DrillFact::Steady {
        holds,
        measured: String::new(),
    };
    let cleanup = |facts: Vec<DrillFact>| {
        let facts = facts.into_iter().enumerate();
        let log: Vec<Logged> = facts
            .map(|(seq, fact)| logged(seq as i64 + 1, seq as u64, fact))
            .collect();
        score(&log, &[]).cleanup
    };
    assert_eq!(cleanup(vec![DrillFact::Began]), None, "no game day");
    assert_eq!(cleanup(vec![steady(false)]), None, "nothing was touched");
    let caused = [
        steady(true),
        fault("a", FaultState::Caused),
        fault("b", FaultState::Caused),
    ];
    let then = |more: &[DrillFact]| cleanup([caused.as_slice(), more].concat()).unwrap();
    let half = then(&[fault("a", FaultState::Undone), fault("b", FaultState::Undoing)]);
    assert_eq!((half.faults, half.steady_again), (Share { done: 1, of: 2 }, None));
    let undone = [fault("a", FaultState::Undone), fault("b", FaultState::Undone)];
    assert!(!then(&undone).is_proven(), "nobody has looked again");
    assert!(!then(&[undone.as_slice(), &[steady(false)]].concat()).is_proven());
    assert!(then(&[undone.as_slice(), &[steady(true)]].concat()).is_proven());
}
