//! Every rule of the planner by example. What schedules of faults make of them is `tests/simulation`.

use serde_json::json;

use self::case::{Case, check, gate, manual, of, set, strike, wait};
use super::*;
use crate::domain::run::{RunFact, UnknownChoice};

mod case;
mod closing;
mod gates;

#[test]
fn steps_run_in_order() {
    let case = || of([check("a"), set("b")]);
    case().offers(["act a #1"]);
    case().done(["a"]).offers(["act b #1"]);
    case().done(["a", "b"]).offers(["finish succeeded ()"]);
}

#[test]
fn every_kind_of_step_begins_in_its_own_way() {
    of([gate("a")]).offers(["open a"]);
    of([manual("a")]).offers(["ask for a"]);
    of([wait("a")]).offers(["begin a"]);
    of([check("a").over_a_list(1)]).offers(["list a"]);
}

#[test]
fn steps_that_need_nothing_run_side_by_side_and_are_joined() {
    let case = || {
        of([
            check("a").needs([]),
            check("b").needs([]),
            check("c"),
            check("d").needs(["a"]),
        ])
    };
    case().offers(["act a #1", "act b #1"]);
    case().done(["a"]).offers(["act b #1", "act d #1"]);
    case().done(["a", "b"]).offers(["act c #1", "act d #1"]);
    case().started("a").busy(["a"]).offers(["act b #1"]);
}

#[test]
fn no_more_than_the_bound_are_out_at_once() {
    let many = || check("a").over_a_list(100);
    let case = of([many()]).listed("a", 20);
    assert_eq!(case.plan(1).moves.len(), SIDE_BY_SIDE_MAX);
    let case = case.started("a[0]").started("a[1]").busy(["a[0]", "a[1]"]);
    assert_eq!(case.plan(1).moves.len(), SIDE_BY_SIDE_MAX - 2);
    let case = of([])
        .finally([many()])
        .ending(RunResult::Succeeded, false)
        .listed("a", 20);
    assert_eq!(case.plan(1).moves.len(), SIDE_BY_SIDE_MAX);
}

#[test]
fn steps_that_wait_for_each_other_end_the_run() {
    let message = "finish failed (these steps wait for each other: a, b)";
    of([check("a").needs(["b"]), check("b").needs(["a"])]).offers([message]);
    // A person may still be at work beside them.
    let case = of([check("a").needs(["a"]), manual("m").needs([])]);
    case.offers(["ask for m"]);
    let case = case.told(RunFact::ManualAsked {
        step: "m".into(),
        instruction: String::new(),
        due: None,
    });
    case.waits_until(None);
}

#[test]
fn an_approval_that_nothing_can_use_is_not_asked_for_again_and_again() {
    let case = || of([gate("ask"), set("a").needs(["b"]), set("b").needs(["a"])]);
    case().offers(["open ask"]);
    case()
        .approved("ask")
        .offers(["finish failed (these steps wait for each other: a, b)"]);
}

#[test]
fn items_run_so_many_at_once_and_one_that_failed_makes_place() {
    let case = || of([check("a").over_a_list(2).or(OnFailure::Continue)]).listed("a", 4);
    case().offers(["act a[0] #1", "act a[1] #1"]);
    case().done(["a[0]"]).offers(["act a[1] #1", "act a[2] #1"]);
    case().started("a[0]").busy(["a[0]"]).offers(["act a[1] #1"]);
    case()
        .started("a[0]")
        .failed("a[0]", None)
        .offers(["act a[1] #1", "act a[2] #1"]);
    case().lost("a[0]").offers(["act a[1] #1"]);
    of([check("a").over_a_list(2)])
        .listed("a", 0)
        .offers(["finish succeeded ()"]);
}

#[test]
fn a_list_is_a_list_of_so_many_items_at_most() {
    assert_eq!(items(json!([1, 2]), 2), Ok(vec![json!(1), json!(2)]));
    assert!(items(json!([1, 2, 3]), 2).unwrap_err().contains("at most 2"));
    assert!(items(json!("text"), 2).unwrap_err().contains("this is a text"));
    let long = json!(["x".repeat(crate::domain::step::ITEMS_BYTES_MAX)]);
    assert!(items(long, 2).unwrap_err().contains("bytes"));
}

#[test]
fn a_retry_waits_until_it_is_due() {
    let case = of([check("a")]).started("a").failed("a", Some(30));
    case.waits_until(Some(30));
    case.offers_at(30, ["act a #2"]);
}

#[test]
fn a_final_failure_does_what_its_step_says() {
    let case = |on_failure| {
        of([check("a").or(on_failure), check("b")])
            .started("a")
            .failed("a", None)
    };
    case(OnFailure::Stop).offers(["finish failed (a: no)"]);
    case(OnFailure::Continue).offers(["act b #1"]);
    case(OnFailure::Undo).offers(["ending failed, undo"]);
}

#[test]
fn go_to_passes_over_what_stands_between() {
    let between = || check("b").over_a_list(1).needs([]);
    let case = || {
        of([
            check("a").or_go_to("d").needs([]),
            between(),
            check("c"),
            check("d"),
        ])
    };
    let failed = || case().started("a").failed("a", None);
    failed().offers(["pass over b", "pass over c"]);
    failed().skipped("b").skipped("c").offers(["act d #1"]);
    // What has begun goes on; the items that have not are passed over.
    let case = case().listed("b", 3).started("b[0]").busy(["b[0]"]).started("a");
    case.failed("a", None)
        .offers(["pass over b[1]", "pass over b[2]", "pass over c"]);
}

#[test]
fn a_step_that_two_failures_pass_over_is_passed_over_once() {
    let case = of([
        check("a").or_go_to("d").needs([]),
        check("b").or_go_to("d").needs([]),
        check("c").needs([]),
        check("d"),
    ]);
    let case = case.started("a").failed("a", None).started("b").failed("b", None);
    case.offers(["pass over c"]);
}

#[test]
fn go_to_leads_nowhere_but_forward() {
    for to in ["a", "b", "nowhere"] {
        let case = of([check("a"), check("b").or_go_to(to)]).done(["a"]);
        let reason = format!("finish failed (b: no; and there is no later step {to} to go on at)");
        case.started("b").failed("b", None).offers([reason.as_str()]);
    }
}

#[test]
fn a_failure_waits_for_what_is_out_and_never_buries_what_nobody_knows() {
    let case = || of([check("a").needs([]), strike("b").needs([])]);
    let failed = |case: Case| case.started("a").failed("a", None);
    failed(case().started("b").busy(["b"])).waits_until(None);
    failed(case().lost("b")).waits_until(None);
    failed(case().lost("b"))
        .decided("b", UnknownChoice::MarkDone)
        .offers(["finish failed (a: no)"]);
}

#[test]
fn what_may_be_out_there_is_settled_before_anything_else() {
    let case = || {
        of([
            strike("a").needs([]).verified(),
            strike("b").needs([]),
            check("c").needs([]),
        ])
    };
    case()
        .started("a")
        .started("b")
        .offers(["interrupted a", "interrupted b"]);
    case().lost("a").offers(["settle a"]);
    case().lost("a").stopped().offers(["settle a"]);
    // This worker has it in hand.
    case().lost("a").busy(["a"]).offers(["act b #1", "act c #1"]);
    // Without a probe, or when it could not tell, a person decides, and the rest goes on.
    let told = RunFact::ProbeInconclusive {
        step: "a".into(),
        finding: "down".to_owned(),
    };
    let case = case().lost("a").told(told).lost("b");
    case.offers(["act c #1"]);
    case.done(["c"]).waits_until(None);
}

#[test]
fn a_person_decides_what_follows_doubt() {
    let case = |choice| of([strike("a").verified()]).lost("a").decided("a", choice);
    case(UnknownChoice::RunCheck).offers(["settle a"]);
    case(UnknownChoice::MarkDone).offers(["finish succeeded ()"]);
    case(UnknownChoice::MarkNotDone).offers(["finish failed (a: marked as not done: seen)"]);
    case(UnknownChoice::RetrySameKey).offers(["act a #2"]);
    let Move::Act { next, .. } = &case(UnknownChoice::RetryNewKey).plan(1).moves[0] else {
        panic!("it is sent again");
    };
    assert_eq!((next.permit, next.generation), (1, 1));
}
