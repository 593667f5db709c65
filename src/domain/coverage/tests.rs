//! Items, what exercises them, what keeps them, and what is due.

use std::cmp::Reverse;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::*;
use crate::{
    catalog::parse_runbook,
    domain::id::{ApprovalId, DrillId},
};

const RUNBOOK: &str = include_str!("../../../runbooks/postgres-primary-down.yaml");

fn read(source: &str) -> Runbook {
    parse_runbook(source).unwrap().runbook
}

fn keys(items: &[Item]) -> Vec<String> {
    items.iter().map(Item::key).collect()
}

fn now() -> DateTime<Utc> {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

#[test]
fn everything_that_can_be_practised_is_an_item() {
    let all = items(&read(RUNBOOK));
    assert_eq!(
        keys(&all),
        [
            "primary-unreachable/done",
            "last-log-lines/done",
            "last-log-lines/failed",
            "standby-there/done",
            "ask/approved",
            "ask/rejected",
            "ask/expired",
            "ask/by-approver",
            "promote/done",
            "promote/done-already",
            "promote/settled",
            "promote/decided",
            "send-traffic/done",
            "send-traffic/done-already",
            "send-traffic/undone",
            "writes-work/done",
        ]
    );
    assert_eq!(all[2].to_string(), "last-log-lines: failure path (continue)");
    assert_eq!(all[7].to_string(), "ask: decided by one of the approvers");
    let named = RUNBOOK.replace("roles: [approver]", "people: [ben]");
    assert!(!keys(&items(&read(&named))).contains(&"ask/by-approver".to_owned()));
}

/// Another rule for fingerprints un-drills every runbook there is.
#[test]
fn fingerprints_stay_as_they_are() {
    let all = items(&read(RUNBOOK));
    let whole: Vec<String> = all.iter().map(|item| item.fingerprint.to_string()).collect();
    let short = Digest::of_json(&json!(whole)).short();
    assert_eq!(short, "19aec1af6c");
}

/// What of the sample is un-drilled when this text becomes that one.
fn undrilled(changes: &[(&str, &str)]) -> Vec<String> {
    let mut source = RUNBOOK.to_owned();
    for (old, new) in changes {
        assert!(source.contains(old), "{old}");
        source = source.replace(old, new);
    }
    let before = items(&read(RUNBOOK));
    let after = items(&read(&source));
    after
        .iter()
        .filter(|item| {
            let old = before.iter().find(|old| old.key() == item.key());
            old.is_some_and(|old| old.fingerprint != item.fingerprint)
        })
        .map(Item::key)
        .collect()
}

#[test]
fn a_change_undrills_what_it_changes_and_nothing_else() {
    let fence =
        "  - id: fence\n    call: http\n    with: { target: a, method: POST, path: /x }\n  - id: promote\n";
    for (changes, wanted) in [
        // Words for people.
        (&[("title: Postgres primary is down", "title: Down")][..], &[][..]),
        (
            &[("Promote the standby of {{ inputs.cluster }}?", "Shall we?")],
            &[],
        ),
        (&[("Writes stop until", "Nothing works until")], &[]),
        (&[("start: automatic", "start: suggest")], &[]),
        (&[("timeout: 60s", "timeout: 30s")], &[]),
        // Reading.
        (&[("select 1", "select 2")], &["primary-unreachable/done"]),
        (
            &[("limit: 50", "limit: 70")],
            &["last-log-lines/done", "last-log-lines/failed"],
        ),
        (
            &[("on_failure: continue", "on_failure: { go_to: ask }")],
            &["last-log-lines/failed"],
        ),
        // A gate: who decides, by when.
        (
            &[("approvals: 1", "approvals: 2")],
            &["ask/approved", "ask/rejected", "ask/by-approver"],
        ),
        (&[("decide_within: 15m", "decide_within: 5m")], &["ask/expired"]),
        // An effect, its probe, its undo.
        (
            &[("pg_promote(true, 30)", "pg_promote(true, 60)")],
            &[
                "promote/done",
                "promote/done-already",
                "promote/settled",
                "promote/decided",
            ],
        ),
        (
            &[("result.rows[0].standby == false", "not result.rows[0].standby")],
            &["promote/done", "promote/done-already", "promote/settled"],
        ),
        (
            &[(
                "enable: primary, disable: standby",
                "enable: primary, drain: standby",
            )],
            &["send-traffic/undone"],
        ),
        // A new effect lies under the gate, and comes before the next one.
        (
            &[("  - id: promote\n", fence)],
            &["ask/approved", "ask/rejected", "ask/by-approver", "promote/done"],
        ),
    ] {
        assert_eq!(undrilled(changes), wanted, "{changes:?}");
    }
}

fn shown(fact: RunFact, role: Option<Role>) -> Shown {
    Shown {
        at: now(),
        fact,
        role,
    }
}

#[test]
fn a_run_exercises_what_its_facts_show() {
    let runbook = read(
        "runbook: a\ntitle: A\nsteps:\n  - { id: look, when: labels.x == 'y', wait: 1s }\n  - { id: ask, gate: { roles: [approver] } }\n  \
         - { id: hand, manual: Do it }\n",
    );
    let (look, ask): (StepId, StepId) = ("look".into(), "ask".into());
    let skipped = RunFact::StepSkipped {
        step: look.clone(),
        reason: "labels.x == 'y' does not hold".to_owned(),
    };
    let opened = RunFact::GateOpened {
        step: ask.clone(),
        approval: ApprovalId(1),
        digest: Digest::ZERO,
        decide_by: now(),
        needed: 1,
    };
    let rejected = RunFact::GateRejected {
        step: ask,
        approval: ApprovalId(1),
        reason: "no".to_owned(),
    };
    for (role, wanted) in [
        (
            Some(Role::Approver),
            &["ask/by-approver", "ask/rejected", "look/passed-over"][..],
        ),
        (Some(Role::Admin), &["ask/rejected", "look/passed-over"]),
        (None, &["ask/rejected", "look/passed-over"]),
    ] {
        let run = [
            shown(skipped.clone(), None),
            shown(opened.clone(), None),
            shown(rejected.clone(), role),
        ];
        let keys: Vec<String> = exercised(&runbook, &run).unwrap().into_iter().collect();
        assert_eq!(keys, wanted, "{role:?}");
        assert!(
            items(&runbook)
                .iter()
                .filter(|item| wanted.contains(&&*item.key()))
                .count()
                == wanted.len(),
            "what is exercised is an item"
        );
    }
    let damaged = [shown(rejected, None)];
    assert!(exercised(&runbook, &damaged).is_err());
}

fn drilled(drill: i64, number: i32, days_ago: i64) -> Drilled {
    Drilled {
        drill: DrillId(drill),
        number,
        at: now() - TimeDelta::days(days_ago),
    }
}

fn coverage(standings: &[Standing]) -> Coverage {
    let all = items(&read(RUNBOOK));
    let rest = std::iter::repeat(Standing::Never);
    Coverage {
        lines: all
            .into_iter()
            .zip(standings.iter().copied().chain(rest))
            .collect(),
    }
}

#[test]
fn what_is_due_is_due_for_its_worst_reason() {
    use Standing::{Covered, Undrilled};
    let (fresh, old) = (drilled(9, 4, 89), drilled(3, 2, 90));
    for (standings, wanted) in [
        (&[][..], Some(Due::Never)),
        (&[Covered(fresh)], None),
        (
            &[Covered(fresh), Covered(old), Covered(old)],
            Some(Due::Old { items: 2, at: old.at }),
        ),
        (
            &[Covered(old), Undrilled(old), Undrilled(fresh)],
            Some(Due::Undrilled {
                items: Reverse(2),
                since: 4,
            }),
        ),
    ] {
        assert_eq!(
            coverage(standings).due(now(), days(DUE_AFTER_DAYS)),
            wanted,
            "{standings:?}"
        );
    }
    let long = days(100);
    assert_eq!(coverage(&[Covered(old)]).due(now(), long), None);
    assert_eq!(Coverage::default().due(now(), long), None, "nothing to practise");
    let mut order = [
        Due::Old { at: now(), items: 9 },
        Due::Undrilled {
            items: Reverse(1),
            since: 3,
        },
        Due::Old { at: old.at, items: 1 },
        Due::Never,
        Due::Undrilled {
            items: Reverse(2),
            since: 1,
        },
    ];
    order.sort();
    assert!(matches!(
        order,
        [
            Due::Never,
            Due::Undrilled { since: 1, .. },
            Due::Undrilled { since: 3, .. },
            Due::Old { items: 1, .. },
            Due::Old { items: 9, .. }
        ]
    ));
}

#[test]
fn a_version_loses_what_it_changes_and_not_what_it_leaves_out() {
    use Standing::{Covered, Never, Undrilled};
    let one = drilled(5, 2, 1);
    let before = coverage(&[Covered(one), Covered(one), Never, Covered(one)]);
    // The first is changed, the second is left out, the third was never covered, the fourth is as before.
    let mut after = coverage(&[Undrilled(one), Never, Never, Covered(one)]);
    after.lines.remove(1);
    let extra = Item {
        step: "more".into(),
        ..after.lines[0].0.clone()
    };
    after.lines.push((extra, Never));
    let loss = loss(&before, &after);
    let lost: Vec<String> = loss.lost.iter().map(|(item, _)| item.key()).collect();
    assert_eq!(lost, ["primary-unreachable/done"]);
    assert_eq!(keys(&loss.new), ["more/done"]);
    assert_eq!((loss.before.covered, loss.after.covered), (3, 1));
    assert_eq!((loss.after.undrilled, loss.after.since), (1, Some(2)));
}

#[test]
fn a_drill_gains_what_it_shows_for_the_first_time() {
    use Standing::{Covered, Undrilled};
    let one = drilled(5, 2, 1);
    let before = coverage(&[Covered(one), Undrilled(one), Covered(one)]);
    let shown = ["primary-unreachable/done", "last-log-lines/done"].map(str::to_owned);
    let gain = gain("postgres-primary-down", 3, before, &shown.into_iter().collect());
    assert_eq!(keys(&gain.again), ["primary-unreachable/done"]);
    assert_eq!(keys(&gain.first), ["last-log-lines/done"]);
    assert_eq!(keys(&gain.kept), ["last-log-lines/failed"]);
    assert_eq!((gain.exercised(), gain.left.len(), gain.of()), (2, 13, 16));
}

#[test]
fn a_scenario_asks_for_what_its_people_are_expected_to_do() {
    let runbook = read(RUNBOOK);
    let other = read(include_str!("../../../runbooks/postgres-primary-restart.yaml"));
    let asked = |source: &str| {
        let parsed = crate::catalog::scenario::parse(source, &[&runbook, &other]).unwrap();
        let all = items(&runbook);
        keys(&all)
            .into_iter()
            .zip(&all)
            .filter(|(_, item)| asks_for(&parsed.scenario, item))
            .map(|(key, _)| key)
            .collect::<Vec<_>>()
    };
    let dead = include_str!("../../../runbooks/drills/checkout-primary-dead.yaml");
    assert_eq!(asked(dead), ["ask/approved", "ask/by-approver"]);
    let lags = include_str!("../../../runbooks/drills/checkout-standby-lags.yaml");
    assert_eq!(asked(lags), ["ask/rejected", "ask/by-approver"]);
}
